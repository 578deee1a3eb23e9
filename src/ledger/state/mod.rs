//! The state machine of the ledger.
//!
//! [`State::apply`] takes an [`Event`] and the time, and returns an [`Answer`] or a [`Refusal`]. It reads no clock,
//! generates no ids and does no I/O. Its changes are pending until [`State::commit`]. [`State::pending`] must be on
//! disk before that, and before any caller receives the answer. So a set is stored before it is handed out.
//!
//! The state holds only records that can still change. Settled totals, ended reservations and idempotency keys are in
//! the store alone; [`State::recall`] loads those that a batch of events names.

mod accept;
mod decide;
mod deliver;
mod dropped;
mod event;
mod figures;
mod level;
mod meter;
mod open;
mod outcome;
mod park;
mod reserve;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod total;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use table::Table;

#[cfg(feature = "postgres")]
pub(super) use deliver::{due_orgs, has_work};
pub use event::{
    Answer, Change, Event, MeterEvent, Move, Outcome, ReadSummary, Refusal, Report, Reserve, Seal,
    Sealed, Set, Summed,
};
pub use figures::{ItemUsed, Used};
pub use reserve::{Reservation, ReservationState};
pub use total::{
    Check, Comparison, Delivery, Entry, EntryId, EntryKind, Figure, Key, LARGEST, LARGEST_ON_METER,
    Mismatch, OpenSet, Parked, Total, TotalId,
};

use super::transactor::{Answers, Request};
use super::values::{Feature, Org, PlanNumber, ReservationId, Target, Time};

type Use = (Org, Feature);

/// All records that can still change, and the pending changes.
#[derive(Clone, Debug)]
pub struct State {
    totals: Table<TotalId, Total>,
    reservations: Table<ReservationId, Reservation>,
    /// Recalled keys, and keys of pending entries.
    keys: Table<(Org, Arc<str>), KnownKey>,
    /// The totals and reservations of each feature of each org.
    uses: Table<Use, Records>,
    /// A superset of the totals that need delivery.
    undelivered: BTreeSet<TotalId>,
    /// The plans of orgs that other processes may change.
    plans: HashMap<Org, PlanNumber>,
    entries: Vec<Entry>,
    next_total: u64,
    next_entry: u64,
}

/// The totals and reservations of one feature of one org.
#[derive(Clone, Debug, Default)]
struct Records {
    /// Ordered by period, then by opening.
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

/// The records that the store loads at start.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// All totals that are not settled, and the two newest of each feature of each org.
    pub totals: Vec<Total>,
    /// All reservations that are held.
    pub reservations: Vec<Reservation>,
    /// The number of the last total; 0 if there is none.
    pub last_total: u64,
    /// The number of the last entry; 0 if there is none.
    pub last_entry: u64,
}

/// The stored keys and reservations that a batch of events names.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// Keys that were used.
    pub keys: Vec<((Org, Arc<str>), KnownKey)>,
    /// Reservations that have ended.
    pub reservations: Vec<Reservation>,
}

/// Changes that must be stored atomically before their events are answered.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// New entries, ascending.
    pub entries: &'a [Entry],
    /// The changed totals, as they are now.
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
    /// Builds the state from stored records.
    pub fn load(stored: Stored) -> Self {
        let mut uses: Table<Use, Records> = Table::new([]);
        let mut totals = stored.totals;
        totals.sort_by_key(|total| (total.period.start, total.id));
        for total in &totals {
            let id = (total.org.clone(), total.feature.clone());
            let mut records = uses.get(&id).cloned().unwrap_or_default();
            records.totals.push(total.id);
            uses.put(id, records);
        }
        for reservation in &stored.reservations {
            let id = (reservation.org.clone(), reservation.feature.clone());
            let mut records = uses.get(&id).cloned().unwrap_or_default();
            records.reservations.push(reservation.id.clone());
            uses.put(id, records);
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
            plans: HashMap::new(),
            entries: Vec::new(),
            next_total: stored.last_total + 1,
            next_entry: stored.last_entry + 1,
        }
    }

    /// Applies `event`, or refuses it and changes nothing.
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
            Event::TakeOver {
                target,
                n,
                timestamp,
                from,
            } => self.take_over(target, *n, *timestamp, from.as_ref(), now),
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
            Event::TooLate { total, next } => self.too_late(*total, next.as_ref(), now),
            Event::Continue { total, target } => self.continue_level(*total, target, now),
            Event::Dropped(total) => self.dropped(*total, now),
            Event::Counted {
                total,
                number,
                value,
            } => self.counted(*total, *number, *value, now),
            Event::Retry(total) => self.retry(*total, now),
            Event::WriteOff(total) => self.write_off(*total, now),
            Event::Settle {
                total,
                billed,
                is_final,
            } => self.settle(*total, *billed, *is_final, now),
        }
    }

    /// Applies the events of `requests` in this order. Returns the answers to each request. `shared` is the time of the
    /// database, if processes share one.
    pub fn apply_all(&mut self, requests: &[Request], shared: Option<Time>) -> Vec<Answers> {
        let apply = |request: &Request| {
            let now = request.now.or(shared);
            let events = request.events.iter();
            events.map(|event| self.apply(event, now)).collect()
        };
        requests.iter().map(apply).collect()
    }

    /// Adds the stored keys and reservations that the next events name.
    pub fn recall(&mut self, recalled: Recalled) {
        for (id, key) in recalled.keys {
            self.keys.put(id, key);
        }
        for reservation in recalled.reservations {
            // A held reservation is in memory already, and may have changed since.
            self.reservations
                .recall(reservation.id.clone(), reservation);
        }
    }

    /// Sets the current plans of orgs. Usage whose target was read under another plan is refused from now on.
    pub fn know_plans(&mut self, plans: impl IntoIterator<Item = (Org, PlanNumber)>) {
        self.plans.extend(plans);
    }

    /// Checks that the target was read under the org's current plan, and that the plan is not being changed.
    fn check_plan(&self, target: &Target) -> Result<(), Refusal> {
        match self.plans.get(&target.org) {
            Some(plan) if plan.is_changing() || *plan != target.plan => Err(Refusal::PlanChanged),
            _ => Ok(()),
        }
    }

    /// The changes to store before the events since the last commit are answered.
    pub fn pending(&self) -> Batch<'_> {
        Batch {
            entries: &self.entries,
            totals: self.totals.changed().collect(),
            reservations: self.reservations.changed().collect(),
        }
    }

    /// Makes the pending changes final, once they are stored.
    pub fn commit(&mut self) {
        self.entries.clear();
        // Only the store keeps keys.
        self.keys.rollback();
        self.totals.commit();
        self.uses.commit();
        self.reservations.commit();
        self.reservations.retain(Reservation::is_held);
    }

    /// Discards the pending changes, which could not be stored.
    pub fn rollback(&mut self) {
        self.entries.clear();
        self.keys.rollback();
        self.totals.rollback();
        self.uses.rollback();
        self.reservations.rollback();
        self.reservations.retain(Reservation::is_held);
    }

    /// The records in memory, without pending changes.
    #[cfg(feature = "postgres")]
    pub(super) fn into_stored(self) -> Stored {
        Stored {
            totals: self.totals.into_values().collect(),
            reservations: self
                .reservations
                .into_values()
                .filter(Reservation::is_held)
                .collect(),
            last_total: self.next_total - 1,
            last_entry: self.next_entry - 1,
        }
    }

    /// A total in memory.
    pub fn total(&self, id: TotalId) -> Option<&Total> {
        self.totals.get(&id)
    }

    /// All totals in memory, in no order.
    pub fn totals(&self) -> impl Iterator<Item = &Total> {
        self.totals.iter().map(|(_, total)| total)
    }

    /// Every org and feature with usage or reservations.
    pub fn uses(&self) -> HashSet<(Org, Feature)> {
        self.uses.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Every org and feature whose figures the pending changes affect.
    pub fn changed_uses(&self) -> HashSet<(Org, Feature)> {
        let totals = self.totals.changed();
        let totals = totals.map(|total| (total.org.clone(), total.feature.clone()));
        let reserved = self.reservations.changed();
        totals
            .chain(reserved.map(|held| (held.org.clone(), held.feature.clone())))
            .collect()
    }

    fn records(&self, org: &Org, feature: &Feature) -> Records {
        let id = (org.clone(), feature.clone());
        self.uses.get(&id).cloned().unwrap_or_default()
    }

    /// The totals of a feature of an org, ordered by period, then by opening.
    fn totals_of(&self, org: &Org, feature: &Feature) -> Vec<&Total> {
        let id = (org.clone(), feature.clone());
        let ids = self.uses.get(&id).map(|records| records.totals.iter());
        let totals = ids.into_iter().flatten();
        totals.filter_map(|id| self.totals.get(id)).collect()
    }

    fn total_by_id(&self, id: TotalId) -> Result<Total, Refusal> {
        self.totals.get(&id).cloned().ok_or(Refusal::UnknownTotal)
    }

    /// Puts a changed total into the pending changes.
    fn put_total(&mut self, mut total: Total, now: Time) {
        let changed = total.delivery.changed.or(Some(now));
        total.delivery.changed = changed.filter(|_| total.needs_set());
        if total.delivery.check != Check::BeforeNext {
            total.delivery.compared = None;
        }
        self.undelivered.insert(total.id);
        self.totals.put(total.id, total);
    }
}
