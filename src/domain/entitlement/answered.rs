//! An answer, and how fresh it is.

use std::time::Duration;

/// How old an answer from memory may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxAge {
    /// Usually; zero: Stripe is asked every time.
    pub usual: Duration,
    /// While Stripe's events come, if that is longer.
    pub with_events: Duration,
    /// While Stripe cannot be asked.
    pub in_outage: Duration,
}

/// An answer, and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// What was asked for.
    pub value: T,
    /// Where it is from.
    pub source: Source,
    /// How long ago Stripe was asked.
    pub age: Duration,
    /// Why it is older than it should be.
    pub stale: Option<Stale>,
}

/// Where an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From Stripe, for this request or for one at the same time.
    Stripe,
    /// From memory.
    Memory,
    /// From memory, with usage by the ledger.
    Ledger,
}

/// Why an answer is older than it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Stripe does not answer, or with faults of its own.
    Unavailable,
    /// Stripe may not be asked so often.
    RateLimited,
    /// The same, and the billing period or the plan has ended since: what holds now is computed.
    PeriodPredicted,
}

impl<T> Answered<T> {
    /// Another value that is as fresh as this one, of which it is made.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Answered<U> {
        Answered {
            value: make(self.value),
            source: self.source,
            age: self.age,
            stale: self.stale,
        }
    }
}
