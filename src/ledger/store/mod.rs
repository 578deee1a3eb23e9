//! Where a ledger is kept.

mod error;
pub mod sqlite;

use std::sync::Arc;

pub use error::StoreError;

use super::state::{Batch, Event, Recalled, Stored};
use super::values::{Org, ReservationId, Time};

/// Keys and reservations that a batch of events names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Idempotency keys.
    pub keys: Vec<(Org, Arc<str>)>,
    /// Reservations.
    pub reservations: Vec<ReservationId>,
}

impl Names {
    /// Adds those of `event`.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Report(report) => {
                let org = &report.target.org;
                let key = report.key.as_ref();
                self.keys
                    .extend(key.map(|key| (org.clone(), key.text.clone())));
            }
            Event::Repeat { org, key } => self.keys.push((org.clone(), key.text.clone())),
            Event::Reserve(reserve) => self.reservations.push(reserve.id.clone()),
            Event::Commit { id, .. } | Event::Release(id) => self.reservations.push(id.clone()),
            _ => {}
        }
    }
}

/// What an org was last seen to have in Stripe. Its text means nothing to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose.
    pub org: Org,
    /// When it was read.
    pub read_at: Time,
    /// What was read.
    pub text: String,
}

/// A place that keeps a ledger durably. It is used by one thread.
pub trait Store: Send {
    /// What the state begins with.
    fn load(&mut self) -> Result<Stored, StoreError>;

    /// What is known of keys and reservations.
    fn recall(&mut self, names: &Names) -> Result<Recalled, StoreError>;

    /// Stores a batch, all of it or nothing. When it returns `Ok`, no loss of power can undo it. After an error the batch is
    /// not there, and the store can be used again.
    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// Keeps snapshots in place of those that there are of the same orgs. They may be lost with the power.
    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError>;

    /// Makes daily totals of the entries of at most `most` totals that were settled and whose periods ended before that
    /// time. Gives how many there were; they lose their idempotency keys too.
    fn compact(&mut self, before: Time, most: usize) -> Result<usize, StoreError>;
}
