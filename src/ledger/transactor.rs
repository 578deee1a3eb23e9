//! Applying and storing events: by one process that has all records in memory, or by many that share a database.

use std::time::Instant;

use super::state::{Answer, Event, Refusal, Reservation, Used};
use super::store::{Snapshot, StoreError};
use super::values::{Feature, Org, PlanNumber, ReservationId, Time};

/// The events of one request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Applied in this order, and always in one commit.
    pub events: Vec<Event>,
    /// When they happen.
    pub now: Now,
}

/// The time of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// The time by the clock of this process. Processes that share a database use the database's time instead.
    Process(Time),
    /// The time by the test clock of the events' org, which is the same for all processes.
    TestClock(Time),
}

impl Now {
    /// The time to use. `shared` is the database's time, if processes share one.
    pub(super) fn or(self, shared: Option<Time>) -> Time {
        match self {
            Self::Process(local) => shared.unwrap_or(local),
            Self::TestClock(time) => time,
        }
    }
}

impl From<Time> for Now {
    fn from(local: Time) -> Self {
        Self::Process(local)
    }
}

/// The answer or refusal of each event, in order.
pub type Answers = Vec<Result<Answer, Refusal>>;

/// The used quantities of features, by period, oldest first.
pub type Figures = Vec<(Org, Feature, Vec<Used>)>;

/// Requests that were applied and stored.
#[derive(Debug)]
pub struct Transacted {
    /// The answers to each request.
    pub answers: Vec<Answers>,
    /// The figures that the requests changed.
    pub figures: Figures,
}

/// News from the processes that share the ledger.
#[derive(Debug, Default)]
pub struct Learned {
    /// The current numbers of plans.
    pub plans: Vec<(Org, PlanNumber)>,
    /// The time of the database, and when it was read.
    pub clock: Option<(Time, Instant)>,
    /// The notices of other processes.
    pub notices: Vec<Notice>,
}

/// A message to the other processes that share the ledger. The ledger does not interpret it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Identifies the notice: if it is sent again with the same id, other processes read it once.
    pub id: String,
    /// The message.
    pub text: String,
}

/// Applies events to a ledger. One thread uses it.
pub trait Transactor {
    /// The figures of all orgs.
    fn figures(&mut self) -> Result<Figures, StoreError>;

    /// Applies requests in this order, and stores their changes atomically. A refused event does not stop the others.
    /// After `Ok` the changes survive a power failure. After an error nothing is stored, and the ledger is still
    /// usable.
    ///
    /// After [`StoreError::OutcomeUnknown`] they may be stored. The caller must then repeat the call with the same
    /// requests, which stores them only if they are not stored yet, or call [`give_up`](Self::give_up).
    fn transact(&mut self, requests: &[Request]) -> Result<Transacted, StoreError>;

    /// Stops finding out whether the last requests were stored.
    fn give_up(&mut self);

    /// The reservation with this id, held or ended, and the time to compare with its expiry: `now`, or the database's
    /// time.
    fn reservation(
        &mut self,
        id: &ReservationId,
        now: Now,
    ) -> Result<Option<(Reservation, Time)>, StoreError>;

    /// The figures that other processes have changed since the last call. May include unchanged ones.
    fn sync(&mut self) -> Result<Figures, StoreError>;

    /// Whether other processes may write the ledger.
    fn is_shared(&self) -> bool;

    /// The news from other processes since the last call.
    fn learned(&mut self) -> Learned;

    /// Sends a notice to the other processes, which read it in their next [`sync`](Self::sync).
    fn send_notice(&mut self, notice: &Notice) -> Result<(), StoreError>;

    /// Stores snapshots, replacing older ones of the same orgs. A power failure may lose them.
    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError>;

    /// Replaces the entries of at most `max` settled totals whose periods ended before `before` by daily totals.
    /// Returns how many totals it compacted. Their idempotency keys are deleted too.
    fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError>;
}
