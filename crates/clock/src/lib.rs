//! The time: everything that needs "now" asks a [`Clock`], so that a test can hold it still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// Where "now" comes from. Cheap to clone; clones of a manual clock share its time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `unix` seconds until it is [set](Self::set).
    pub fn manual(unix: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(unix))))
    }

    /// Seconds since 1970, UTC; the resolution that Stripe has.
    pub fn unix(&self) -> i64 {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that reads the time"
            )]
            Source::System => Utc::now().timestamp(),
            Source::Manual(now) => now.load(Ordering::SeqCst),
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
            Source::Manual(now) => now.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }

    /// The same instant as [`unix`](Self::unix), whole seconds.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.unix(), 0)
            .expect("a clock is never set beyond chrono's range")
    }

    /// Moves a manual clock to `unix` seconds; the system's clock is not ours to move, and stays.
    pub fn set(&self, unix: i64) {
        if let Source::Manual(now) = &self.0 {
            now.store(unix, Ordering::SeqCst);
        }
    }
}
