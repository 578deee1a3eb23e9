//! Work that nobody waits for: at most one task of a name at a time. A server that stops waits for it as it waits for
//! requests.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::refs::OrgName;

/// The tasks of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Background {
    tasks: TaskTracker,
    under_way: Arc<Mutex<HashSet<String>>>,
    observer: Arc<Mutex<Option<Observer>>>,
    stopping: CancellationToken,
}

/// Who is told of what no request asked for.
type Observer = Arc<dyn Fn(&Superseded) + Send + Sync>;

/// A subscription, or a schedule that waited, which was ended because another subscription has taken its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// Whose it was.
    pub org: OrgName,
    /// `sub_…` or `sub_sched_…`.
    pub ended: String,
    /// The subscription in its place.
    pub by: String,
}

/// Takes a task off the list however it ends.
struct UnderWay {
    name: String,
    list: Arc<Mutex<HashSet<String>>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.remove(&self.name);
    }
}

impl Background {
    /// Where tasks are tracked.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Lets `observer` be told from now on, in place of who was told before.
    pub fn observe(&self, observer: Arc<dyn Fn(&Superseded) + Send + Sync>) {
        let mut place = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(observer);
    }

    /// Hands what was superseded to the observer.
    pub(super) fn emit(&self, superseded: &Superseded) {
        let place = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let observer = place.clone();
        drop(place);
        if let Some(observer) = observer {
            observer(superseded);
        }
    }

    /// Starts a task, unless one of the same name is under way.
    pub(super) fn start(&self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let mut list = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !list.insert(name.clone()) {
            return;
        }
        drop(list);
        let list = Arc::clone(&self.under_way);
        let under_way = UnderWay { name, list };
        self.tasks.spawn(async move {
            let _under_way = under_way;
            task.await;
        });
    }

    /// Likewise, for a task that is not worth waiting for when the server stops.
    pub(super) fn start_for_now(
        &self,
        name: String,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stopping = self.stopping.clone();
        self.start(name, async move {
            stopping.run_until_cancelled(task).await;
        });
    }

    /// The server stops: what is not worth waiting for ends.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until none is under way.
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
    async fn one_task_of_a_name_at_a_time() {
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
