//! Events of the ledger, and their answers.

use std::sync::Arc;

use super::super::values::{Feature, Item, Meter, Org, Period, ReservationId, Target, Time};
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
    /// Reports the outcome of a set, or of an event of a meter.
    Answered {
        /// The total that it delivers.
        total: TotalId,
        /// Its number among the sets or events of the total.
        number: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// Reports Stripe's summary of an item and period, or of the minute of an event.
    Summary {
        /// The summary's total.
        total: TotalId,
        /// The number of the last set or event when the read began.
        number: u64,
        /// The summary's total usage.
        value: i64,
    },
    /// Moves usage that is too late for its period.
    TooLate {
        /// The total that has the usage.
        total: TotalId,
        /// Where usage of the feature goes now; `None`: nowhere.
        next: Option<Target>,
    },
    /// Begins a new period of a level that its meter has lost, because the total's period has ended.
    Continue {
        /// The total that has the level.
        total: TotalId,
        /// Where usage of the feature goes now.
        target: Target,
    },
    /// Stripe has reported that it accepted events of the total's meter and dropped them, perhaps this total's. The
    /// meter's summary is read before another event is sent.
    Dropped(TotalId),
    /// Reports a meter's summary of a total's period.
    Counted {
        /// The total.
        total: TotalId,
        /// The number of the last event when the read began.
        number: u64,
        /// The summary's value, including usage that other programs sent. `None`: Stripe has no such summary.
        value: Option<i64>,
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
        /// Whether that can no longer change, so that what is missing may be parked.
        is_final: bool,
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
    /// The quantity that Stripe has on the item in the running period, as the caller last read it. It is used until the
    /// ledger has read it itself.
    pub recorded: i64,
}

/// How a report changes the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds units; a negative number takes them back.
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
    pub max: usize,
}

/// The outcome of a set, or of an event of a meter.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Stripe has recorded it: 2xx.
    Done,
    /// There is no definite answer: no response, 409, 429 or 5xx. The set or event is repeated.
    Lost,
    /// The event was not sent now.
    Unsent,
    /// The event was not sent now, because no subscription bills its item any more.
    Gone,
    /// Stripe keeps a 5xx under the set's key and will not run it again (`Idempotent-Replayed`). Whether the set was
    /// recorded is unknown, but it can no longer be recorded, so a newer set can follow.
    Ended,
    /// Stripe refuses it permanently. An event that was handed out before may have been counted nevertheless.
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
    /// Another program had overwritten a level; it will be sent again.
    Overwritten {
        /// The level in Stripe's summary.
        found: i64,
        /// The level that the ledger had delivered.
        delivered: i64,
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
    /// Events to send.
    pub events: Vec<MeterEvent>,
    /// Summaries to read.
    pub summaries: Vec<ReadSummary>,
    /// Totals that need the current target of their feature.
    pub moves: Vec<Move>,
    /// How many totals wait until it can be found out whether Stripe has counted their last event.
    pub waiting: usize,
}

impl Sealed {
    /// Whether there is nothing to do or to wait for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A usage record to send with `action=set`.
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

/// An event of a meter: a part of a sum, or a level. It is repeated unchanged, and Stripe counts it once. It must not
/// be sent if no subscription bills the item any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterEvent {
    /// The total that it delivers.
    pub total: TotalId,
    /// Its number.
    pub number: u64,
    /// The org that used it.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// The item whose price has the meter.
    pub item: Item,
    /// The meter.
    pub meter: Meter,
    /// Whether it is handed out for the first time.
    pub is_new: bool,
    /// The end of the period that bills it.
    pub period_end: Time,
    /// Units; a negative number takes units back.
    pub value: i64,
    /// `timestamp`.
    pub timestamp: i64,
    /// `identifier`.
    pub identifier: String,
}

/// A total that needs the current target of its feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The total.
    pub total: TotalId,
    /// The org that used it.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// Whether part of its usage is [too late](Event::TooLate). If not, its level [continues](Event::Continue).
    pub is_late: bool,
}

/// A summary to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSummary {
    /// The summary's total.
    pub total: TotalId,
    /// The number of the last set or event, to be returned with the summary.
    pub number: u64,
    /// The org.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// The item.
    pub item: Item,
    /// The period.
    pub period: Period,
    /// What it sums up.
    pub of: Summed,
}

/// What a summary sums up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summed {
    /// The usage records of the item in the period.
    Records,
    /// The item's part of the next invoice.
    Preview,
    /// The events of a meter in whole minutes.
    Minutes {
        /// The meter.
        meter: Meter,
        /// The first second of the first minute.
        start: i64,
        /// The first second after the last one.
        end: i64,
    },
    /// The events of a meter in the period. The answer is [`Event::Counted`].
    Period(Meter),
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
