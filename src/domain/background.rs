//! Background tasks. At most one task of each name runs at a time. A stopping server waits for tasks as it waits for
//! requests.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::refs::OrgName;

/// The tasks of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Background {
    tasks: TaskTracker,
    running: Arc<Mutex<HashSet<String>>>,
    observer: Arc<Mutex<Option<Observer>>>,
    stopping: CancellationToken,
}

/// Observes changes that no request asked for.
type Observer = Arc<dyn Fn(&Superseded) + Send + Sync>;

/// A subscription or schedule that Tier ended because a newer subscription superseded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// The org that it belonged to.
    pub org: OrgName,
    /// `sub_…` or `sub_sched_…`.
    pub ended: String,
    /// The subscription that superseded it.
    pub by: String,
}

/// Removes a task from the list when it ends in any way.
struct RunningTask {
    name: String,
    list: Arc<Mutex<HashSet<String>>>,
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.remove(&self.name);
    }
}

impl Background {
    /// The tracker of all tasks.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Sets the observer, replacing an earlier one.
    pub fn observe(&self, observer: Arc<dyn Fn(&Superseded) + Send + Sync>) {
        let mut observer_slot = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        *observer_slot = Some(observer);
    }

    /// Notifies the observer.
    pub(super) fn emit(&self, superseded: &Superseded) {
        let observer_slot = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let observer = observer_slot.clone();
        drop(observer_slot);
        if let Some(observer) = observer {
            observer(superseded);
        }
    }

    /// Starts a task, unless one of the same name is running.
    pub(super) fn start(&self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let mut list = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.insert(name.clone()) {
            return;
        }
        drop(list);
        let list = Arc::clone(&self.running);
        let running = RunningTask { name, list };
        self.tasks.spawn(async move {
            let _running = running;
            task.await;
        });
    }

    /// Like [`start`](Self::start), for a task that a stopping server need not wait for.
    pub(super) fn start_abortable(
        &self,
        name: String,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stopping = self.stopping.clone();
        self.start(name, async move {
            stopping.run_until_cancelled(task).await;
        });
    }

    /// Whether the server is stopping, so that long tasks should end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits for `time`, or until the server stops.
    pub(super) async fn pause(&self, time: Duration) {
        let pause = tokio::time::sleep(time);
        let _: Option<()> = self.stopping.run_until_cancelled(pause).await;
    }

    /// Aborts the tasks that a stopping server need not wait for.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until no task is running.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_task_of_each_name_runs_at_a_time() {
        let background = Background::default();
        let ran = Arc::new(AtomicU32::default());
        let start = |name: &str| {
            let ran = Arc::clone(&ran);
            background.start(name.to_owned(), async move {
                ran.fetch_add(1, Ordering::SeqCst);
            });
        };
        start("a");
        start("a");
        start("b");
        background.idle().await;
        assert_eq!(ran.load(Ordering::SeqCst), 2);
        start("a");
        background.idle().await;
        assert_eq!(ran.load(Ordering::SeqCst), 3);
    }
}
