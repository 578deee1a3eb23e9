//! Answers, with their source and age.

use std::time::Duration;

/// The maximum age of answers from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxAge {
    /// The usual maximum. If zero, Stripe is asked every time.
    pub usual: Duration,
    /// The maximum while Stripe's events arrive, if it is longer.
    pub with_events: Duration,
    /// The maximum while Stripe cannot be asked.
    pub in_outage: Duration,
}

/// An answer, with its source and age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// The answer.
    pub value: T,
    /// The source of the answer.
    pub source: Source,
    /// The time since Stripe was asked.
    pub age: Duration,
    /// Why it is older than the usual maximum, if it is.
    pub stale: Option<StaleReason>,
}

/// The source of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Stripe, which was asked for this request or for a concurrent one.
    Stripe,
    /// Memory.
    Memory,
    /// Memory, with usage from the ledger.
    Ledger,
    /// Stripe or memory, plus meter events that this process has sent and that Stripe has not processed yet.
    Sent,
}

/// Why an answer is older than the usual maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Stripe does not answer, or fails.
    Unavailable,
    /// The account's rate limit is reached.
    RateLimited,
    /// The ledger's database cannot be reached, so recent usage at other servers is missing.
    Ledger,
    /// Stripe is unavailable or rate limited, and the billing period or the plan has ended since: the answer is
    /// predicted.
    PeriodPredicted,
}

impl<T> Answered<T> {
    /// Converts the value, and keeps the rest.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Answered<U> {
        Answered {
            value: convert(self.value),
            source: self.source,
            age: self.age,
            stale: self.stale,
        }
    }
}
