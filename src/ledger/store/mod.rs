//! Durable storage of a ledger.

mod columns;
mod error;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod read;
mod rows;
pub mod sqlite;

use std::sync::Arc;

pub use error::StoreError;

use super::state::{Batch, Entry, Event, KnownKey, Recalled, Stored};
use super::transactor::Request;
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
    /// The keys and reservations of all events of `requests`.
    pub fn of(requests: &[Request]) -> Self {
        let mut names = Self::default();
        let events = requests.iter().flat_map(|request| &request.events);
        events.for_each(|event| names.add(event));
        names
    }

    /// Adds the keys and reservations of `event`.
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

/// The idempotency key of an entry.
fn known(entry: Entry) -> Option<((Org, Arc<str>), KnownKey)> {
    let (org, key) = entry.key?;
    let (body, entry) = (key.body, entry.id);
    Some(((org, key.text), KnownKey { body, entry }))
}

/// An org's state in Stripe when it was last read. The ledger does not interpret the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The org.
    pub org: Org,
    /// When it was read.
    pub read_at: Time,
    /// The serialized state.
    pub text: String,
}

/// Durable storage of a ledger. One thread uses it.
pub trait Store: Send {
    /// Loads the records that the state starts with.
    fn load(&mut self) -> Result<Stored, StoreError>;

    /// Loads the stored keys and reservations that `names` lists.
    fn recall(&mut self, names: &Names) -> Result<Recalled, StoreError>;

    /// Stores a batch atomically. After `Ok` it survives a power failure. After an error nothing of the batch is
    /// stored, and the store is still usable.
    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// Stores snapshots, replacing older ones of the same orgs. A power failure may lose them.
    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError>;

    /// Replaces the entries of at most `max` settled totals whose periods ended before `before` by daily totals.
    /// Returns how many totals it compacted. Their idempotency keys are deleted too.
    fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError>;
}
