//! Opening totals: for a new period, for a new item, and for a level that moves from another item.

use super::super::values::{Aggregate, Org, Period, Target, Time};
use super::total::{Check, Delivery, Entry, EntryId, EntryKind, Figure, Key, Total, TotalId};
use super::{Answer, Refusal, State};

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
                continue_from(&mut draft, before)?;
            } else if let Some(from) = source(&others, target, period) {
                carry(&mut draft, from.clone(), now)?;
            }
        }
        Ok(draft)
    }

    /// Puts the draft into the pending changes. Returns the number of the last entry.
    pub(super) fn write(&mut self, draft: Draft, now: Time) -> EntryId {
        let mut ids = Vec::new();
        for mut total in draft.totals {
            if total.id == TotalId::default() {
                total.id = TotalId(self.next_total);
                self.next_total += 1;
                self.register(&total);
            }
            ids.push(total.id);
            self.keep(total, now);
        }
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

impl State {
    /// Takes over a level that a plan change moved to the target's item and set there.
    pub(super) fn take_over(
        &mut self,
        target: &Target,
        n: i64,
        timestamp: i64,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut draft = self.open(target, target.period, now)?;
        let main = draft.main();
        if main.adopted || main.is_undelivered() && main.delivery.number > 0 {
            // The ledger has sent a set for it since.
            return Ok(Answer::Ignored);
        }
        main.adopted = true;
        main.delivery.told = n;
        main.delivery.timestamp = Some(timestamp);
        let at = main.level_at.unwrap_or(Time::from_seconds(timestamp));
        draft.enter(0, EntryKind::CarryIn, n, at)?;
        for left in &mut draft.totals[1..] {
            // The change removed these items, so Stripe need not be sent 0 for them.
            left.delivery.told = left.n;
            left.delivery.unsure = false;
            left.delivery.check = Check::No;
        }
        self.write(draft, now);
        Ok(Answer::Done)
    }
}

fn empty(target: &Target, period: Period) -> Total {
    Total {
        id: TotalId::default(),
        org: target.org.clone(),
        feature: target.feature.clone(),
        item: target.item.clone(),
        aggregate: target.aggregate,
        period,
        item_start: target.item_start,
        item_end: target.item_end,
        n: 0,
        level_at: None,
        others: 0,
        adopted: false,
        delivery: Delivery::default(),
        parked: None,
        settled: None,
    }
}

/// Begins a new period of a known item. A perpetual level carries over, in Stripe too.
fn continue_from(draft: &mut Draft, before: &Total) -> Result<(), Refusal> {
    draft.main().adopted = before.adopted;
    if before.aggregate == Aggregate::Perpetual {
        let at = before.level_at.unwrap_or(before.period.start);
        if before.n != 0 {
            draft.enter(0, EntryKind::CarryIn, before.n, at)?;
        }
        let delivery = &mut draft.main().delivery;
        delivery.told = before.delivery.told;
        delivery.unsure = before.delivery.unsure || before.delivery.open.is_some();
    }
    Ok(())
}

/// The total whose level a new item takes over.
fn source<'a>(others: &[&'a Total], target: &Target, period: Period) -> Option<&'a Total> {
    let is_perpetual = target.aggregate == Aggregate::Perpetual;
    let is_last = |total: &&&Total| {
        let is_over = total.item_start < target.since;
        !is_over && (is_perpetual || total.period.start == period.start)
    };
    let newest = others.iter().rev().find(is_last).copied();
    newest.filter(|from| target.aggregate.is_level() && from.has_level())
}

/// Moves the level of the total `from` to the main one.
fn carry(draft: &mut Draft, from: Total, now: Time) -> Result<(), Refusal> {
    let (n, at) = (from.n, from.level_at.unwrap_or(now));
    draft.totals.push(from);
    draft.enter(draft.totals.len() - 1, EntryKind::CarryOut, 0, at)?;
    draft.enter(0, EntryKind::CarryIn, n, at)
}
