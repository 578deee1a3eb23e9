//! Opening totals: for a new period, and for a new item.

use super::super::values::{Org, Period, Target, Time};
use super::level::{carry, continue_from, source};
use super::total::{Delivery, Entry, EntryId, EntryKind, Figure, Key, Total, TotalId};
use super::{Refusal, State};

/// Changes that are applied together. The first total is the main one.
pub(super) struct Draft {
    pub(super) totals: Vec<Total>,
    entries: Vec<DraftEntry>,
}

struct DraftEntry {
    /// The index of the total in the draft.
    index: usize,
    kind: EntryKind,
    n: i64,
    at: Time,
    after: i64,
    key: Option<(Org, Key)>,
}

impl Draft {
    pub(super) fn of(total: Total) -> Self {
        Self {
            totals: vec![total],
            entries: Vec::new(),
        }
    }

    pub(super) fn main(&mut self) -> &mut Total {
        &mut self.totals[0]
    }

    /// Appends an entry to the total at `index`.
    pub(super) fn enter(
        &mut self,
        index: usize,
        kind: EntryKind,
        n: i64,
        at: Time,
    ) -> Result<(), Refusal> {
        let total = &mut self.totals[index];
        let before = Figure {
            n: total.n,
            level_at: total.level_at,
        };
        let refusal = if n < 0 {
            Refusal::TooLow { least: 0 }
        } else {
            Refusal::TooLarge
        };
        let after = before.after(total.aggregate, kind, n, at).ok_or(refusal)?;
        total.n = after.n;
        total.level_at = after.level_at;
        self.entries.push(DraftEntry {
            index,
            kind,
            n,
            at,
            after: after.n,
            key: None,
        });
        Ok(())
    }

    /// Adds the totals and entries of another draft. Returns the index of its main total.
    pub(super) fn append(&mut self, other: Self) -> usize {
        let first = self.totals.len();
        self.totals.extend(other.totals);
        let entries = other.entries.into_iter().map(|entry| DraftEntry {
            index: first + entry.index,
            ..entry
        });
        self.entries.extend(entries);
        first
    }

    /// Whether it changes a total.
    pub(super) fn has_entries(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Sets the idempotency key of the last entry.
    pub(super) fn key(&mut self, key: Option<(Org, Key)>) {
        let last = self.entries.last_mut();
        last.expect("a key follows its entry").key = key;
    }
}

impl State {
    /// The total of the target's item in `period`, including a level that moves to it.
    pub(super) fn open(
        &self,
        target: &Target,
        period: Period,
        now: Time,
    ) -> Result<Draft, Refusal> {
        let others = self.totals_of(&target.org, &target.feature);
        let same_item = || others.iter().filter(|total| total.item == target.item);
        let found = same_item().find(|total| total.period.start == period.start);
        let main = match found {
            Some(total) => Total {
                period,
                item_end: target.item_end,
                ..(*total).clone()
            },
            None => empty(target, period),
        };
        let mut draft = Draft::of(main);
        if found.is_none() {
            let earlier = same_item().filter(|total| total.period.start < period.start);
            if let Some(before) = earlier.max_by_key(|total| total.period.start) {
                continue_from(&mut draft, 0, before)?;
            } else if let Some(from) = source(&others, target, period) {
                carry(&mut draft, from, now)?;
            }
        }
        Ok(draft)
    }

    /// Puts the draft into the pending changes. Returns the number of the last entry.
    pub(super) fn write(&mut self, draft: Draft, now: Time) -> EntryId {
        let mut ids = Vec::new();
        // The main total is the newest: a level leaves its old item before it comes to the new one.
        for mut total in draft.totals.into_iter().rev() {
            if total.id == TotalId::default() {
                total.id = TotalId(self.next_total);
                self.next_total += 1;
                self.register(&total);
            }
            ids.push(total.id);
            if total.is_undelivered() {
                // What comes after a settlement is delivered and settled too. A level that only leaves is not.
                total.settled = None;
            }
            self.put_total(total, now);
        }
        ids.reverse();
        for entry in draft.entries {
            let id = EntryId(self.next_entry);
            self.next_entry += 1;
            self.entries.push(Entry {
                id,
                total: ids[entry.index],
                accepted: now,
                at: entry.at,
                kind: entry.kind,
                n: entry.n,
                after: entry.after,
                key: entry.key,
            });
        }
        EntryId(self.next_entry - 1)
    }

    /// Adds a new total to its feature's list, and drops totals that can no longer change. The newest ones stay,
    /// settled or not: a report may refer to them.
    fn register(&mut self, total: &Total) {
        let mut records = self.records(&total.org, &total.feature);
        while records.totals.len() > 2 && self.is_settled(records.totals[0]) {
            self.totals.remove(records.totals.remove(0));
        }
        let is_earlier = |id: &TotalId| {
            let old = self.totals.get(id);
            old.is_none_or(|old| old.period.start <= total.period.start)
        };
        let index = records.totals.partition_point(is_earlier);
        records.totals.insert(index, total.id);
        let id = (total.org.clone(), total.feature.clone());
        self.uses.put(id, records);
    }

    fn is_settled(&self, id: TotalId) -> bool {
        let total = self.totals.get(&id);
        total.is_some_and(|total| total.settled.is_some())
    }
}

fn empty(target: &Target, period: Period) -> Total {
    Total {
        id: TotalId::default(),
        org: target.org.clone(),
        feature: target.feature.clone(),
        item: target.item.clone(),
        meter: target.meter.clone(),
        aggregate: target.aggregate,
        period,
        item_start: target.item_start,
        item_end: target.item_end,
        n: 0,
        level_at: None,
        external: 0,
        adopted: false,
        delivery: Delivery::default(),
        parked: None,
        settled: None,
    }
}
