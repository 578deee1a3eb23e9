//! How events are applied and stored: by one process that has all records in memory, or by many that share a database.

use std::time::Instant;

use super::state::{Answer, Event, Refusal, Reservation, Used};
use super::store::{Snapshot, StoreError};
use super::values::{Feature, Org, PlanNumber, ReservationId, Time};

/// The events of one request.
#[derive(Clone, Debug)]
pub struct Request {
    /// They are applied in this order, and never split.
    pub events: Vec<Event>,
    /// When they happen.
    pub now: Now,
}

/// The time of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// By the clock of this process. Processes that share a database take the database's time in its place.
    Process(Time),
    /// By the test clock of the events' org, which is the same for all processes.
    TestClock(Time),
}

impl Now {
    /// The time, if the processes that share a database have `shared`.
    pub(super) fn or(self, shared: Option<Time>) -> Time {
        match self {
            Self::Process(own) => shared.unwrap_or(own),
            Self::TestClock(time) => time,
        }
    }
}

impl From<Time> for Now {
    fn from(own: Time) -> Self {
        Self::Process(own)
    }
}

/// The answer or refusal of each event, in order.
pub type Answers = Vec<Result<Answer, Refusal>>;

/// What is used of features, by period, oldest first.
pub type Figures = Vec<(Org, Feature, Vec<Used>)>;

/// Requests that were applied and stored.
#[derive(Debug)]
pub struct Transacted {
    /// The answers to each request.
    pub answers: Vec<Answers>,
    /// The figures that the requests changed.
    pub figures: Figures,
}

/// What a process learns of those that it shares a ledger with.
#[derive(Debug, Default)]
pub struct Learned {
    /// The numbers of plans.
    pub plans: Vec<(Org, PlanNumber)>,
    /// The time of the database, and when it was that.
    pub clock: Option<(Time, Instant)>,
    /// What they have told.
    pub notices: Vec<Notice>,
}

/// What a process tells those that it shares a ledger with. The ledger does not interpret it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A notice that is told again with the same id is read once.
    pub id: String,
    /// What it says.
    pub text: String,
}

/// Applies events to a ledger. One thread uses it.
pub trait Transactor {
    /// The figures of all orgs.
    fn figures(&mut self) -> Result<Figures, StoreError>;

    /// Applies requests in this order, and stores their changes atomically. A refused event does not stop the others.
    /// After `Ok` the changes survive a power failure. After an error nothing is stored, and the ledger is still usable.
    ///
    /// After [`StoreError::OutcomeUnknown`] they may be stored. The next call must be with the same requests, which it
    /// stores only if they are not, or [`give_up`](Self::give_up).
    fn transact(&mut self, requests: &[Request]) -> Result<Transacted, StoreError>;

    /// Lets the outcome of the last requests remain unknown.
    fn give_up(&mut self);

    /// The reservation with that id, whether it is held or has ended, and the time by which it expires: `now`, or that of
    /// the database.
    fn reservation(
        &mut self,
        id: &ReservationId,
        now: Now,
    ) -> Result<Option<(Reservation, Time)>, StoreError>;

    /// The figures that other processes have changed since the last call, and perhaps some that they have not.
    fn sync(&mut self) -> Result<Figures, StoreError>;

    /// Whether other processes may write the ledger.
    fn is_shared(&self) -> bool;

    /// What has become known of other processes since the last call.
    fn learned(&mut self) -> Learned;

    /// Tells other processes, which read it in their next [`sync`](Self::sync).
    fn tell(&mut self, notice: &Notice) -> Result<(), StoreError>;

    /// Stores snapshots, replacing older ones of the same orgs. A power failure may lose them.
    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError>;

    /// Replaces the entries of at most `most` settled totals whose periods ended before `before` by daily totals.
    /// Returns how many totals it compacted. Their idempotency keys are deleted too.
    fn compact(&mut self, before: Time, most: usize) -> Result<usize, StoreError>;
}
