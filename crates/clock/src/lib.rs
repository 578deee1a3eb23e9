//! The time: everything that needs "now" asks a [`Clock`], so that a test can hold it still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

/// Where "now" comes from. Cheap to clone; clones of a manual clock share its time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: AtomicI64,
    /// Told whenever `now` is set.
    changed: Notify,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `unix` seconds until it is [set](Self::set).
    pub fn manual(unix: i64) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            now: AtomicI64::new(unix),
            changed: Notify::new(),
        })))
    }

    /// Seconds since 1970, UTC; the resolution that Stripe has.
    pub fn unix(&self) -> i64 {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that reads the time"
            )]
            Source::System => Utc::now().timestamp(),
            Source::Manual(manual) => manual.now.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since 1970; a manual clock stands at the beginning of its second.
    pub fn millis(&self) -> i64 {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "reading the time is what this type is for"
            )]
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(manual) => manual.now.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }

    /// The same instant as [`unix`](Self::unix), whole seconds.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.unix(), 0)
            .expect("a clock is never set beyond chrono's range")
    }

    /// Moves a manual clock to `unix` seconds; the system's clock is not ours to move, and stays.
    pub fn set(&self, unix: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.now.store(unix, Ordering::SeqCst);
            manual.changed.notify_waiters();
        }
    }

    /// Waits until the clock shows this time, in milliseconds since 1970. A manual clock shows it once it is set to it
    /// or to a later time.
    pub async fn sleep_until(&self, millis: i64) {
        loop {
            // It is woken by whatever is set from here on.
            let changed = match &self.0 {
                Source::System => None,
                Source::Manual(manual) => Some(manual.changed.notified()),
            };
            let Ok(left @ 1..) = u64::try_from(millis.saturating_sub(self.millis())) else {
                return;
            };
            match changed {
                Some(changed) => changed.await,
                None => tokio::time::sleep(Duration::from_millis(left)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_those_whose_time_has_come() {
        let clock = Clock::manual(10);
        clock.sleep_until(10_000).await;
        clock.sleep_until(-1).await;
        let mut early = Box::pin(clock.sleep_until(12_000));
        let mut late = Box::pin(clock.sleep_until(13_000));
        assert!(poll!(&mut early).is_pending() && poll!(&mut late).is_pending());
        clock.set(12);
        assert!(poll!(&mut early).is_ready() && poll!(&mut late).is_pending());
        clock.set(20);
        assert!(poll!(&mut late).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_waits_as_long_as_it_takes() {
        let clock = Clock::system();
        clock.sleep_until(clock.millis() - 1).await;
        let mut waits = Box::pin(clock.sleep_until(clock.millis() + 600_000));
        assert!(poll!(&mut waits).is_pending());
    }
}
