//! The state machine of the ledger: what is known, and what each event makes of it.
//!
//! [`State::apply`] takes an [`Event`] and the time, and gives an [`Answer`] or a [`Refusal`]. It reads no clock, draws no
//! number and does no I/O. What it changes is pending until [`State::commit`]; [`State::pending`] is what must be on disk
//! before that, and before anybody hears the answer. So a set is stored before it is handed out to be sent.
//!
//! Only what can still change is held: settled totals, ended reservations and idempotency keys are in the store alone, and
//! [`State::recall`] brings back those that a batch of events names.

mod accept;
mod deliver;
mod event;
mod figures;
mod open;
mod outcome;
mod park;
mod reserve;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod total;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use table::Table;

pub use event::{
    Answer, Change, Event, Outcome, ReadSummary, Refusal, Report, Reserve, Seal, Sealed, Set,
};
pub use figures::{ItemUsed, Used};
pub use reserve::{Reservation, ReservationState};
pub use total::{
    Check, Delivery, Entry, EntryId, EntryKind, Figure, Key, LARGEST, Mismatch, OpenSet, Parked,
    Total, TotalId,
};

use super::values::{Feature, Org, ReservationId, Time};

type Use = (Org, Feature);

/// Everything that can still change, and what is pending.
#[derive(Clone, Debug)]
pub struct State {
    totals: Table<TotalId, Total>,
    reservations: Table<ReservationId, Reservation>,
    /// The keys that were recalled, and those of pending entries.
    keys: Table<(Org, Arc<str>), KnownKey>,
    /// What there is of each feature of each org.
    uses: Table<Use, Held>,
    /// Every total that may have something to tell Stripe, and some that have not.
    undelivered: BTreeSet<TotalId>,
    entries: Vec<Entry>,
    next_total: u64,
    next_entry: u64,
}

/// The totals and reservations of one feature of one org.
#[derive(Clone, Debug, Default)]
struct Held {
    /// By period, and in a period in the order in which they were opened.
    totals: Vec<TotalId>,
    reservations: Vec<ReservationId>,
}

/// An idempotency key that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The digest of the request that it was used for.
    pub body: [u8; 16],
    /// The entry that the request made.
    pub entry: EntryId,
}

/// What the store gives to begin with.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// All totals that are not settled, and the two newest of each feature of each org.
    pub totals: Vec<Total>,
    /// All reservations that are held.
    pub reservations: Vec<Reservation>,
    /// The number of the last total; 0: none.
    pub last_total: u64,
    /// The number of the last entry; 0: none.
    pub last_entry: u64,
}

/// What the store knows of the keys and reservations that a batch of events names.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// Keys that were used.
    pub keys: Vec<((Org, Arc<str>), KnownKey)>,
    /// Reservations that have ended.
    pub reservations: Vec<Reservation>,
}

/// What must be stored, all of it or nothing, before the events that made it are answered.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// New entries, ascending.
    pub entries: &'a [Entry],
    /// Totals as they are now.
    pub totals: Vec<&'a Total>,
    /// Reservations as they are now.
    pub reservations: Vec<&'a Reservation>,
}

impl Batch<'_> {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.totals.is_empty() && self.reservations.is_empty()
    }
}

impl State {
    /// The state that a store describes.
    pub fn load(stored: Stored) -> Self {
        let mut uses: Table<Use, Held> = Table::new([]);
        let mut totals = stored.totals;
        totals.sort_by_key(|total| (total.period.start, total.id));
        for total in &totals {
            let id = (total.org.clone(), total.feature.clone());
            let mut held = uses.get(&id).cloned().unwrap_or_default();
            held.totals.push(total.id);
            uses.put(id, held);
        }
        for reservation in &stored.reservations {
            let id = (reservation.org.clone(), reservation.feature.clone());
            let mut held = uses.get(&id).cloned().unwrap_or_default();
            held.reservations.push(reservation.id.clone());
            uses.put(id, held);
        }
        uses.commit();
        Self {
            undelivered: totals.iter().map(|total| total.id).collect(),
            totals: Table::new(totals.into_iter().map(|total| (total.id, total))),
            reservations: Table::new(
                stored
                    .reservations
                    .into_iter()
                    .map(|reservation| (reservation.id.clone(), reservation)),
            ),
            keys: Table::new([]),
            uses,
            entries: Vec::new(),
            next_total: stored.last_total + 1,
            next_entry: stored.last_entry + 1,
        }
    }

    /// Makes what `event` says happen, or refuses it and changes nothing.
    pub fn apply(&mut self, event: &Event, now: Time) -> Result<Answer, Refusal> {
        match event {
            Event::Report(report) => self.report(report, now),
            Event::Repeat { org, key } => {
                let repeated = self.repeated(org, key)?;
                Ok(repeated.unwrap_or(Answer::Ignored))
            }
            Event::Reserve(reserve) => self.reserve(reserve, now),
            Event::Commit { id, n, target } => self.commit_reserved(id, *n, target, now),
            Event::Release(id) => self.release(id, now),
            Event::Expire => Ok(self.expire(now)),
            Event::Detach { org, feature } => Ok(self.detach(org, feature, now)),
            Event::Attach(target) => self.attach(target, now),
            Event::TakeOver {
                target,
                n,
                timestamp,
            } => self.take_over(target, *n, *timestamp, now),
            Event::Seal(seal) => Ok(Answer::Sealed(self.seal(seal, now))),
            Event::Answered {
                total,
                number,
                outcome,
            } => self.answered(*total, *number, outcome, now),
            Event::Summary {
                total,
                number,
                value,
            } => self.summary(*total, *number, *value, now),
            Event::Retry(total) => self.retry(*total, now),
            Event::WriteOff(total) => self.write_off(*total, now),
            Event::Settle { total, billed } => self.settle(*total, *billed, now),
        }
    }

    /// Brings back what the store knows of the keys and reservations that the next events name.
    pub fn recall(&mut self, recalled: Recalled) {
        for (id, key) in recalled.keys {
            self.keys.put(id, key);
        }
        for reservation in recalled.reservations {
            // One that is held is known, and may have changed since.
            self.reservations
                .recall(reservation.id.clone(), reservation);
        }
    }

    /// What must be stored before the events since the last commit are answered.
    pub fn pending(&self) -> Batch<'_> {
        Batch {
            entries: &self.entries,
            totals: self.totals.changed().collect(),
            reservations: self.reservations.changed().collect(),
        }
    }

    /// What is pending has been stored.
    pub fn commit(&mut self) {
        self.entries.clear();
        // Only the store keeps keys.
        self.keys.rollback();
        self.totals.commit();
        self.uses.commit();
        self.reservations.commit();
        self.reservations.retain(Reservation::is_held);
    }

    /// What is pending could not be stored: nothing of it has happened.
    pub fn rollback(&mut self) {
        self.entries.clear();
        self.keys.rollback();
        self.totals.rollback();
        self.uses.rollback();
        self.reservations.rollback();
        self.reservations.retain(Reservation::is_held);
    }

    /// A total that is held.
    pub fn total(&self, id: TotalId) -> Option<&Total> {
        self.totals.get(&id)
    }

    /// All totals that are held, in no order.
    pub fn totals(&self) -> impl Iterator<Item = &Total> {
        self.totals.iter().map(|(_, total)| total)
    }

    /// The orgs' features of which something is used or reserved.
    pub fn uses(&self) -> HashSet<(Org, Feature)> {
        self.uses.iter().map(|(id, _)| id.clone()).collect()
    }

    /// The orgs' features whose figures are changed by what is pending.
    pub fn changed_uses(&self) -> HashSet<(Org, Feature)> {
        let totals = self.totals.changed();
        let totals = totals.map(|total| (total.org.clone(), total.feature.clone()));
        let reserved = self.reservations.changed();
        totals
            .chain(reserved.map(|one| (one.org.clone(), one.feature.clone())))
            .collect()
    }

    fn held(&self, org: &Org, feature: &Feature) -> Held {
        let id = (org.clone(), feature.clone());
        self.uses.get(&id).cloned().unwrap_or_default()
    }

    /// The totals of a feature of an org, by period, and in a period in the order in which they were opened.
    fn totals_of(&self, org: &Org, feature: &Feature) -> Vec<&Total> {
        let id = (org.clone(), feature.clone());
        let ids = self.uses.get(&id).map(|held| held.totals.iter());
        let totals = ids.into_iter().flatten();
        totals.filter_map(|id| self.totals.get(id)).collect()
    }

    fn owned(&self, id: TotalId) -> Result<Total, Refusal> {
        self.totals.get(&id).cloned().ok_or(Refusal::UnknownTotal)
    }

    /// Keeps a total that has changed.
    fn keep(&mut self, mut total: Total, now: Time) {
        let changed = total.delivery.changed.or(Some(now));
        total.delivery.changed = changed.filter(|_| total.needs_set());
        self.undelivered.insert(total.id);
        self.totals.put(total.id, total);
    }
}
