//! Events of the ledger, and their answers.

use std::sync::Arc;

use super::super::values::{Feature, Item, Org, Period, ReservationId, Target, Time};
use super::total::{EntryId, Key, TotalId};

/// An event that changes the ledger.
#[derive(Clone, Debug)]
pub enum Event {
    /// Usage is reported.
    Report(Report),
    /// Repeats a report that would be refused now. If its key was used for the same report before, the answer is the
    /// same as then.
    Repeat {
        /// The org.
        org: Org,
        /// The caller's idempotency key.
        key: Key,
    },
    /// Reserves usage.
    Reserve(Reserve),
    /// Commits `n` units of a reservation, or all of them. The rest is released.
    Commit {
        /// The reservation.
        id: ReservationId,
        /// At most the reserved units; `None`: all of them.
        n: Option<i64>,
        /// Where the usage goes now.
        target: Target,
    },
    /// Releases a reservation.
    Release(ReservationId),
    /// Ends the reservations that have expired, except those on test clocks.
    Expire,
    /// Takes over a level that a plan change moved to the target's item and set there.
    TakeOver {
        /// The level's new target.
        target: Target,
        /// The level.
        n: i64,
        /// The `timestamp` that it was set at.
        timestamp: i64,
        /// The item that it left, if that belongs to another subscription.
        from: Option<Target>,
    },
    /// Asks for the sets to send.
    Seal(Seal),
    /// Reports the outcome of a set.
    Answered {
        /// The set's total.
        total: TotalId,
        /// The set's number.
        number: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// Reports Stripe's summary of an item and period.
    Summary {
        /// The summary's total.
        total: TotalId,
        /// The number of the last set when the read began.
        number: u64,
        /// The summary's total usage.
        value: i64,
    },
    /// Sends parked usage again, on an operator's request.
    Retry(TotalId),
    /// Writes parked usage off, on an operator's request.
    WriteOff(TotalId),
    /// Settles a total: the period's invoice is known.
    Settle {
        /// The total.
        total: TotalId,
        /// The quantity that Stripe billed.
        billed: i64,
    },
}

/// A report of usage.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where the usage goes.
    pub target: Target,
    /// The change of the total.
    pub change: Change,
    /// When the usage happened; `None`: now.
    pub at: Option<Time>,
    /// The caller's idempotency key.
    pub key: Option<Key>,
    /// What Stripe has on the item in the running period, as the caller last read it. It matters until the ledger has read
    /// it itself.
    pub recorded: i64,
}

/// How a report changes the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds units; negative: gives them back.
    Add(i64),
    /// Sets the period's total, up or down (clobber).
    SetTotal(i64),
}

/// A request for a reservation.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Its id.
    pub id: ReservationId,
    /// Where its usage would go.
    pub target: Target,
    /// Units, more than 0.
    pub n: i64,
    /// How long it is held, in milliseconds. It also ends with the period.
    pub ttl: i64,
    /// Whether its time is that of a test clock.
    pub on_test_clock: bool,
    /// The org's limit in the period; `None`: no limit.
    pub limit: Option<i64>,
    /// Whether to commit it in the same step.
    pub commit: bool,
}

/// A request for the sets to send.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Stripe's time: the `Date` of its last answer.
    pub date: Time,
    /// How long a changed total waits for further reports, in milliseconds.
    pub deliver_after: i64,
    /// One org, without waiting, because its plan is about to change; `None`: every org that is due.
    pub org: Option<Org>,
    /// The maximum number of sets and summaries.
    pub most: usize,
}

/// The outcome of a set.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Stripe has recorded it: 2xx.
    Done,
    /// There is no definite answer: no response, 409, 429 or 5xx. The set is repeated.
    Lost,
    /// Stripe keeps a 5xx under the set's key and will not run it again (`Idempotent-Replayed`). Whether the set was
    /// recorded is unknown, but it can no longer be recorded, so a newer set can follow.
    Ended,
    /// Stripe refuses it permanently.
    Refused {
        /// Stripe's reason.
        reason: Arc<str>,
        /// Where usage of the feature goes now, if the refusal is about the time and there is a next period.
        next: Option<Target>,
    },
}

/// The answer to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The event was applied.
    Done,
    /// The event changed nothing, because it refers to something that has ended.
    Ignored,
    /// A report was accepted.
    Accepted {
        /// The entry that it made.
        entry: EntryId,
        /// Whether an earlier report with the same key made it.
        repeated: bool,
    },
    /// A reservation was asked for.
    Reserved {
        /// When it expires; `None`: it was not granted.
        expires: Option<Time>,
        /// The usage that counts against the limit now, including held reservations.
        used: i64,
    },
    /// This many units of a reservation were committed.
    Committed(i64),
    /// This many reservations expired.
    Expired(usize),
    /// The calls to make to Stripe.
    Sealed(Sealed),
    /// Others had overwritten a level; it will be sent again.
    Overwritten {
        /// The level in Stripe's summary.
        found: i64,
        /// The level that the ledger had delivered.
        told: i64,
    },
    /// Late usage was moved into the next period, or parked.
    Late {
        /// Units.
        n: i64,
        /// Whether it was parked.
        parked: bool,
    },
    /// The total is settled.
    Settled {
        /// The quantity that the ledger expected on the invoice.
        expected: i64,
        /// The quantity on the invoice.
        billed: i64,
    },
}

/// The calls to make to Stripe, most urgent first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Sets to send.
    pub sets: Vec<Set>,
    /// Summaries to read.
    pub summaries: Vec<ReadSummary>,
}

/// A usage record with `action=set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The total that it delivers.
    pub total: TotalId,
    /// Its number.
    pub number: u64,
    /// The org that used it.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// The item to record it on.
    pub item: Item,
    /// `quantity`.
    pub quantity: i64,
    /// `timestamp`.
    pub timestamp: i64,
    /// `Idempotency-Key`.
    pub key: String,
}

/// A usage record summary to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSummary {
    /// The summary's total.
    pub total: TotalId,
    /// The number of the last set, to be returned with the summary.
    pub number: u64,
    /// The item.
    pub item: Item,
    /// The period.
    pub period: Period,
}

/// Why an event was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The usage is more than five minutes in the future.
    #[error("the time is more than five minutes ahead")]
    TooFarAhead,
    /// The usage is neither in the running period nor in the previous one while that still accepts usage.
    #[error("the time is not in a period that accepts usage")]
    OutsidePeriod,
    /// The total cannot become that low, because part of it cannot be taken back.
    #[error("the total cannot be lowered below {least}")]
    TooLow {
        /// The lowest total.
        least: i64,
    },
    /// The total would exceed the largest quantity.
    #[error("the total would be too large")]
    TooLarge,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Only a `sum` can be reserved.
    #[error("only usage that adds up can be reserved")]
    NotReservable,
    /// The number of units cannot be reserved or committed.
    #[error("not a number of units that can be reserved or committed")]
    BadQuantity,
    /// There is a reservation with that id already.
    #[error("the reservation exists already")]
    ReservationExists,
    /// There is no reservation with that id.
    #[error("there is no such reservation")]
    UnknownReservation,
    /// The reservation has already ended in another way.
    #[error("the reservation has ended")]
    ReservationEnded,
    /// Another process has changed the org's plan since the target was read, or is changing it.
    #[error("the plan has changed")]
    PlanChanged,
    /// There is no such total.
    #[error("there is no such total")]
    UnknownTotal,
    /// The total is not parked.
    #[error("the total is not parked")]
    NotParked,
    /// The period has not ended, or the total is not fully delivered.
    #[error("the period cannot be settled yet")]
    NotSettleable,
}
