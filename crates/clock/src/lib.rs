//! The current time. All code reads it from a [`Clock`], so that a test can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

/// A source of the current time. Clones of a manual clock share its time.
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
    /// Notified whenever `now` is set.
    changed: Notify,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `unix` seconds until it is [set](Self::set).
    pub fn manual(unix: i64) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            now: AtomicI64::new(unix),
            changed: Notify::new(),
        })))
    }

    /// Seconds since 1970, UTC. Stripe has the same resolution.
    pub fn unix(&self) -> i64 {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "only this type reads the system time"
            )]
            Source::System => Utc::now().timestamp(),
            Source::Manual(manual) => manual.now.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since 1970. A manual clock has whole seconds.
    pub fn millis(&self) -> i64 {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "only this type reads the system time"
            )]
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(manual) => manual.now.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }

    /// The same time as [`unix`](Self::unix), so without fractions of a second.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.unix(), 0)
            .expect("a clock is never set beyond chrono's range")
    }

    /// Sets a manual clock to `unix` seconds. The system clock is not changed.
    pub fn set(&self, unix: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.now.store(unix, Ordering::SeqCst);
            manual.changed.notify_waiters();
        }
    }

    /// Waits until the clock shows this time or a later one, in milliseconds since 1970.
    pub async fn sleep_until(&self, millis: i64) {
        loop {
            // Subscribed first, so that no change after this point is missed.
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
    async fn setting_a_manual_clock_wakes_sleepers_whose_time_has_come() {
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
    async fn the_system_clock_waits_in_real_time() {
        let clock = Clock::system();
        clock.sleep_until(clock.millis() - 1).await;
        let mut waits = Box::pin(clock.sleep_until(clock.millis() + 600_000));
        assert!(poll!(&mut waits).is_pending());
    }
}
