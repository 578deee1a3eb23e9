//! Periodic tasks of a server, each with a name.
//!
//! A failed task runs again at its next time. All tasks end with the server: a running one is dropped, so a task must
//! tolerate interruption at any point. Background work that requests start is in
//! [`domain`](crate::domain::Background).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::metrics::Metrics;
use clock::Clock;
use telemetry::error_chain;

/// The longest wait before a task's first run. It is short enough that a server that is restarted often runs its tasks.
const MAX_FIRST_WAIT: Duration = Duration::from_secs(10 * 60);

/// The tasks of a server. They end when this is dropped.
pub struct Tasks {
    running: JoinSet<()>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Tasks {
    /// An empty set of tasks. `metrics` counts their runs.
    pub fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            running: JoinSet::new(),
            clock,
            metrics,
        }
    }

    /// Runs `task` repeatedly with a pause of `every` between runs, or never if that is zero. The first run waits for
    /// a random part of `every`, at most ten minutes, so that servers that start together do not all call Stripe at
    /// the same moment.
    pub fn repeat<F, E>(
        &mut self,
        name: &'static str,
        every: Duration,
        mut task: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send,
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        if every.is_zero() {
            return;
        }
        let (clock, metrics) = (self.clock.clone(), Arc::clone(&self.metrics));
        self.running.spawn(async move {
            tokio::time::sleep(every.min(MAX_FIRST_WAIT).mul_f64(random_fraction())).await;
            loop {
                let outcome = match task().await {
                    Ok(()) => {
                        metrics.task_succeeded(name, clock.unix());
                        "ok"
                    }
                    Err(error) => {
                        let error = error_chain(&*error.into());
                        tracing::warn!(
                            error,
                            task = name,
                            "a background task failed; it is tried again"
                        );
                        "failed"
                    }
                };
                metrics.count_run(name, outcome);
                tokio::time::sleep(every).await;
            }
        });
    }

    /// Stops all tasks.
    pub async fn stop(mut self) {
        self.running.shutdown().await;
    }
}

/// A random fraction, different for each server.
fn random_fraction() -> f64 {
    let (random, ..) = uuid::Uuid::new_v4().as_fields();
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// The number of runs of a task within some hours, if it takes no time and fails every other time.
    async fn runs(every: Duration, hours: u32) -> u32 {
        let ran = Arc::new(AtomicU32::default());
        let mut tasks = Tasks::new(Clock::manual(0), Arc::default());
        let counted = Arc::clone(&ran);
        tasks.repeat("test", every, move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if run % 2 == 0 {
                    Err(std::io::Error::other("it failed"))
                } else {
                    Ok(())
                }
            }
        });
        tokio::time::sleep(hours * HOUR).await;
        tasks.stop().await;
        let stopped = ran.load(Ordering::SeqCst);
        tokio::time::sleep(hours * HOUR).await;
        assert_eq!(ran.load(Ordering::SeqCst), stopped, "it has ended");
        stopped
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_repeated_whether_it_fails_or_not() {
        assert_eq!(runs(6 * HOUR, 25).await, 5);
        assert_eq!(
            runs(6 * HOUR, 1).await,
            1,
            "the first run is within ten minutes"
        );
        assert_eq!(runs(Duration::ZERO, 100).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn its_runs_are_counted() {
        let metrics = Arc::new(Metrics::default());
        let mut tasks = Tasks::new(Clock::manual(7), metrics.clone());
        tasks.repeat("test", HOUR, || async { Ok::<(), std::io::Error>(()) });
        tokio::time::sleep(HOUR / 2).await;
        let text = metrics
            .encode(crate::metrics::Format::Classic, [])
            .expect("text");
        let counted = r#"tier_background_tasks_total{task="test",outcome="ok"} 1"#;
        assert!(text.contains(counted), "{text}");
        let last = r#"tier_background_last_success_timestamp_seconds{task="test"} 7"#;
        assert!(text.contains(last), "{text}");
    }
}
