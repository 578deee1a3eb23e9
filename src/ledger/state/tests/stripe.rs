//! A model of Stripe's usage records: one quantity for each item and second, and answers kept by idempotency key.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;

/// How long after a period's end Stripe accepts usage for it.
const OPEN_FOR: i64 = 5 * MINUTE;
/// How long answers are kept by idempotency key.
const KEPT_FOR: i64 = 24 * HOUR;

#[derive(Clone, Debug, Default)]
pub(super) struct Stripe {
    records: HashMap<(Item, i64), i64>,
    /// The number of the newest set at each item and second.
    newest: HashMap<(Item, i64), u64>,
    answers: HashMap<String, KeptAnswer>,
    pub(super) deleted: HashSet<Item>,
    pub(super) calls: usize,
}

#[derive(Clone, Debug)]
struct KeptAnswer {
    set: Set,
    status: u16,
    at: Time,
}

impl Stripe {
    /// Runs a request, or replays its answer. `fails`: it answers 500; the value tells whether it records first.
    pub(super) fn run(&mut self, set: &Set, period: Period, fails: Option<bool>, now: Time) -> u16 {
        self.calls += 1;
        let kept = self.answers.get(&set.key);
        if let Some(kept) = kept.filter(|kept| now < kept.at.plus(KEPT_FOR)) {
            assert_eq!(&kept.set, set, "a repetition differs");
            return kept.status;
        }
        let status = self.status(set, period, fails, now);
        let kept = KeptAnswer {
            set: set.clone(),
            status,
            at: now,
        };
        self.answers.insert(set.key.clone(), kept);
        status
    }

    pub(super) fn has_answered(&self, set: &Set) -> bool {
        self.answers.contains_key(&set.key)
    }

    fn status(&mut self, set: &Set, period: Period, fails: Option<bool>, now: Time) -> u16 {
        if fails == Some(false) {
            return 500;
        }
        let at = Time::from_seconds(set.timestamp);
        assert!(period.start < at && at < period.end, "{set:?} is outside");
        if now >= period.end.plus(OPEN_FOR) || self.deleted.contains(&set.item) {
            return 400;
        }
        let slot = (set.item.clone(), set.timestamp);
        let newest = self.newest.entry(slot.clone()).or_default();
        assert!(*newest < set.number, "an older set lands over a newer one");
        *newest = set.number;
        self.records.insert(slot, set.quantity);
        if fails.is_some() { 500 } else { 200 }
    }

    /// Records usage as another client.
    pub(super) fn record(&mut self, item: &Item, at: Time, n: i64) {
        let slot = (item.clone(), at.seconds());
        *self.records.entry(slot).or_default() += n;
    }

    pub(super) fn summary(&self, item: &Item, period: Period, aggregate: Aggregate) -> i64 {
        let within = |at: i64| match aggregate {
            Aggregate::Perpetual => at < period.end.seconds(),
            _ => period.contains(Time::from_seconds(at)),
        };
        let records = self.records.iter();
        let records = records.filter(|((other, at), _)| other == item && within(*at));
        let by_time: BTreeMap<i64, i64> = records.map(|((_, at), n)| (*at, *n)).collect();
        match aggregate {
            Aggregate::Sum => by_time.values().sum(),
            Aggregate::Max => by_time.values().copied().max().unwrap_or(0),
            Aggregate::Last | Aggregate::Perpetual => by_time.values().last().copied().unwrap_or(0),
        }
    }
}
