//! What can happen to a ledger, and what it answers.

use std::sync::Arc;

use super::super::values::{Feature, Item, Org, Period, ReservationId, Target, Time};
use super::total::{EntryId, Key, TotalId};

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// Usage is reported.
    Report(Report),
    /// A report comes that would be refused now: if its key was used for the same report before, it is answered as then.
    Repeat {
        /// Whose.
        org: Org,
        /// The caller's idempotency key.
        key: Key,
    },
    /// Usage is reserved.
    Reserve(Reserve),
    /// Reserved usage has happened: `n` of it, or all. The rest is given back.
    Commit {
        /// The reservation.
        id: ReservationId,
        /// At most what was reserved; `None`: all.
        n: Option<i64>,
        /// Where the usage goes now.
        target: Target,
    },
    /// Reserved usage will not happen.
    Release(ReservationId),
    /// Time has passed: reservations whose time is over end.
    Expire,
    /// A plan change begins: the level of the feature leaves its item, which is told 0. Nothing happens to a `sum`.
    Detach {
        /// Whose.
        org: Org,
        /// Of what.
        feature: Feature,
    },
    /// A plan change was made or has failed: a detached level reaches the item that the feature has now.
    Attach(Target),
    /// A plan change has moved a level to the target's item and set it there: it is the ledger's from now on.
    TakeOver {
        /// Where it is now.
        target: Target,
        /// The level.
        n: i64,
        /// The `timestamp` that it was set at.
        timestamp: i64,
    },
    /// Sets to send are wanted.
    Seal(Seal),
    /// A set was sent.
    Answered {
        /// The total that it told.
        total: TotalId,
        /// The set's number.
        number: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// Stripe's summary of an item and period was read.
    Summary {
        /// The total that it is about.
        total: TotalId,
        /// The number of the last set when the reading began.
        number: u64,
        /// The summary's total usage.
        value: i64,
    },
    /// A person wants parked usage to be told again.
    Retry(TotalId),
    /// A person gives parked usage up.
    WriteOff(TotalId),
    /// The period's invoice is known.
    Settle {
        /// The total.
        total: TotalId,
        /// What Stripe billed.
        billed: i64,
    },
}

/// One report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where it goes.
    pub target: Target,
    /// What it does.
    pub change: Change,
    /// When the usage happened; `None`: now.
    pub at: Option<Time>,
    /// The caller's idempotency key.
    pub key: Option<Key>,
}

/// What a report does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Reports that many units; negative: gives them back.
    Add(i64),
    /// Sets the period's total, up or down (clobber).
    SetTotal(i64),
}

/// A reservation that is asked for.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Its id.
    pub id: ReservationId,
    /// Where its usage would go.
    pub target: Target,
    /// Units, more than 0.
    pub n: i64,
    /// How long it is held, in milliseconds; the period's end ends it too.
    pub ttl: i64,
    /// What the org may use in the period; `None`: any amount.
    pub limit: Option<i64>,
    /// Whether to commit it in the same step.
    pub commit: bool,
}

/// Which sets are wanted.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Stripe's time, by the `Date` of its last answer.
    pub date: Time,
    /// How long a change waits for others to join it, in milliseconds.
    pub deliver_after: i64,
    /// One org, at once, because its plan is about to change; or every org whose turn it is.
    pub org: Option<Org>,
    /// At most so many.
    pub most: usize,
}

/// What came of a set.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Stripe has it: 2xx.
    Done,
    /// There is no definite answer: none at all, 409, 429, 5xx. It is repeated.
    Lost,
    /// Stripe keeps a 5xx under the set's key and will not run it again (`Idempotent-Replayed`). Whether it was recorded is
    /// not known, but it cannot be any more, so a newer set can follow.
    Ended,
    /// Stripe refuses it for good.
    Refused {
        /// Stripe's reason.
        reason: Arc<str>,
        /// Where usage of the feature goes now, if the refusal is about the time and there is a next period.
        next: Option<Target>,
    },
}

/// What an event came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and there is nothing to say.
    Done,
    /// It changed nothing, because it is about something that is over.
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
        /// When it ends, if it was granted.
        expires: Option<Time>,
        /// What is used of the limit now, held reservations included.
        used: i64,
    },
    /// A reservation was committed: so many units of it.
    Committed(i64),
    /// So many reservations ended by time.
    Expired(usize),
    /// What is to be done at Stripe.
    Sealed(Sealed),
    /// Others had written over a level; it will be told again.
    Overwritten {
        /// What Stripe showed.
        found: i64,
        /// What it had been told.
        told: i64,
    },
    /// Usage went into the next period, or was parked.
    Late {
        /// Units.
        n: i64,
        /// Whether it was parked.
        parked: bool,
    },
    /// A period is settled.
    Settled {
        /// What the ledger expected on the invoice.
        expected: i64,
        /// What was on it.
        billed: i64,
    },
}

/// What is to be done at Stripe, in the order of urgency.
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
    /// The total that it tells.
    pub total: TotalId,
    /// Its number.
    pub number: u64,
    /// Whose usage.
    pub org: Org,
    /// Of what.
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
    /// The total that it is about.
    pub total: TotalId,
    /// To be given back with what was read.
    pub number: u64,
    /// The item.
    pub item: Item,
    /// The period.
    pub period: Period,
}

/// Why an event was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than five minutes ahead.
    #[error("the time is more than five minutes ahead")]
    TooFarAhead,
    /// Neither in the running period nor, early enough, in the one before.
    #[error("the time is not in a period that accepts usage")]
    OutsidePeriod,
    /// The total cannot become that low: so much of it cannot be taken back.
    #[error("the total cannot be lowered below {least}")]
    TooLow {
        /// The lowest total.
        least: i64,
    },
    /// The total would be too large to count.
    #[error("the total would be too large")]
    TooLarge,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Only a `sum` can be reserved.
    #[error("only usage that adds up can be reserved")]
    NotReservable,
    /// Not a number of units that can be reserved or committed.
    #[error("not a number of units that can be reserved or committed")]
    BadQuantity,
    /// There is a reservation with that id already.
    #[error("the reservation exists already")]
    ReservationExists,
    /// There is no reservation with that id.
    #[error("there is no such reservation")]
    UnknownReservation,
    /// The reservation has ended in another way.
    #[error("the reservation has ended")]
    ReservationEnded,
    /// There is no such total.
    #[error("there is no such total")]
    UnknownTotal,
    /// The total is not parked.
    #[error("the total is not parked")]
    NotParked,
    /// The period has not ended, or Stripe has not been told everything.
    #[error("the period cannot be settled yet")]
    NotSettleable,
}
