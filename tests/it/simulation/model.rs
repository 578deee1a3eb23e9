//! What should be true, worked out anew and naively: which features an org has, and what it has used of them.

use std::collections::BTreeMap;

use super::ops::{COMBINATIONS, Combination, FEATURES, HOUR, Request};

/// The largest integer there is: no limit.
pub(super) const NO_LIMIT: i64 = 9_223_372_036_854_775_807;

/// The model that is pushed. Everything is billed daily, so that periods pass in a list of operations.
pub(super) const PRICING: &str = r#"{"plans": {
    "plan:free@1": {"interval": "@daily", "features": {
        "feature:calls": {"tiers": [{"upto": 10}]}}},
    "plan:pro@1": {"interval": "@daily", "features": {
        "feature:calls": {"tiers": [{"upto": 5, "base": 100}, {"price": 2}]},
        "feature:seat": {"base": 1000}}},
    "plan:team@1": {"interval": "@daily", "features": {
        "feature:calls": {"tiers": [{"upto": 7, "price": 1}, {"upto": 1000, "price": 0.5}], "mode": "volume"},
        "feature:peak": {"aggregate": "max", "tiers": [{"upto": 50, "price": 1}]},
        "feature:seat": {"base": 2000}}},
    "plan:data@1": {"interval": "@daily", "features": {
        "feature:store": {"aggregate": "perpetual", "tiers": [{"price": 1}]},
        "feature:level": {"aggregate": "last", "tiers": [{"upto": 7}]}}}
}}"#;

/// How reports of a period combine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Combine {
    Sum,
    Max,
    /// The last of the period.
    Last,
    /// The last of all.
    Perpetual,
    /// Nothing is reported.
    Licensed,
}

/// What is pushed, once more: full name, limit, and how usage combines.
const SOLD: &[(&str, i64, Combine)] = &[
    ("feature:calls@plan:free@1", 10, Combine::Sum),
    ("feature:calls@plan:pro@1", NO_LIMIT, Combine::Sum),
    ("feature:seat@plan:pro@1", NO_LIMIT, Combine::Licensed),
    ("feature:calls@plan:team@1", 1000, Combine::Sum),
    ("feature:peak@plan:team@1", 50, Combine::Max),
    ("feature:seat@plan:team@1", NO_LIMIT, Combine::Licensed),
    ("feature:store@plan:data@1", NO_LIMIT, Combine::Perpetual),
    ("feature:level@plan:data@1", 7, Combine::Last),
];

fn terms(full: &str) -> (i64, Combine) {
    let sold = SOLD.iter().find(|(name, ..)| *name == full);
    sold.map(|(_, limit, combine)| (*limit, *combine))
        .expect("a feature of the model")
}

/// The full names of what a combination is made of, sorted.
pub(super) fn features(of: Combination) -> Vec<&'static str> {
    let references = COMBINATIONS[usize::from(of)];
    let named = |full: &str| {
        let plan = full.split_once('@').map_or("", |(_, plan)| plan);
        references
            .iter()
            .any(|reference| *reference == full || *reference == plan)
    };
    let mut full_names: Vec<_> = SOLD
        .iter()
        .map(|(full, ..)| *full)
        .filter(|full| named(full))
        .collect();
    full_names.sort_unstable();
    full_names
}

fn bare(full: &str) -> &str {
    full.split_once('@').map_or(full, |(feature, _)| feature)
}

/// Usage of an item by the second at which it was recorded.
type Ledger = BTreeMap<i64, i64>;

/// What should be true of one org.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Org {
    /// Whether a customer stands for it.
    pub(super) known: bool,
    /// What begins when; the last one that has begun is in force. None: nothing.
    plan: Vec<(i64, Option<Combination>)>,
    /// Usage of the items in force; what leaves takes its records along.
    ledgers: BTreeMap<&'static str, Ledger>,
    /// Usage of features that add up, whatever the plan: it is remembered across changes.
    totals: BTreeMap<String, Ledger>,
    /// Features of which nothing is claimed until a period begins after that second: what a restarted period keeps, and
    /// when a level goes to another item, is tested elsewhere.
    unclaimed: BTreeMap<String, i64>,
}

/// What should become of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Done,
    /// There is no such org.
    NoOrg,
    /// The org does not have the feature.
    NotFound,
    /// The feature is not metered, or a sum would have to go down.
    Invalid,
}

impl Org {
    /// What is in force.
    pub(super) fn current(&self) -> Option<Combination> {
        self.plan.first().and_then(|(_, what)| *what)
    }

    /// Whether anything is in force or to come.
    fn has_schedule(&self) -> bool {
        self.current().is_some() || self.plan.iter().any(|(_, what)| what.is_some())
    }

    /// Carries a request out. `period` is when the running one began.
    pub(super) fn apply(&mut self, now: i64, period: i64, request: Request) -> Verdict {
        let at = |hours: u8| now + i64::from(hours) * HOUR;
        match request {
            Request::Subscribe { to, .. } | Request::TrialThenPaid { to, .. } => {
                self.subscribe(now, to);
            }
            Request::Schedule { to, hours } => self.schedule(now, at(hours), Some(to)),
            Request::Phases {
                now: first,
                then,
                hours,
            } => {
                self.subscribe(now, first);
                self.schedule(now, at(hours), Some(then));
            }
            Request::CancelLater { hours } => self.schedule(now, at(hours), None),
            Request::Cancel => self.cancel(),
            Request::Report { feature, n, .. } => {
                return self.report(now, FEATURES[usize::from(feature)], n.into());
            }
            Request::Clobber { feature, n } => {
                return self.clobber(now, period, FEATURES[usize::from(feature)], n.into());
            }
        }
        Verdict::Done
    }

    /// A subscription of its own takes the place of what is and of what was planned.
    pub(super) fn buy(&mut self, now: i64, what: Combination) {
        self.ledgers.clear();
        self.subscribe(now, what);
        self.restart(now);
    }

    /// Replaces what is and what was planned.
    fn subscribe(&mut self, now: i64, what: Combination) {
        self.known = true;
        self.plan = vec![(now, Some(what))];
        self.settle(now);
    }

    /// A change has begun a new period.
    pub(super) fn restart(&mut self, now: i64) {
        for full in SOLD.iter().map(|(full, ..)| *full) {
            self.unclaimed.insert(bare(full).to_owned(), now);
        }
    }

    /// Keeps what is until `at`, and replaces what was planned.
    fn schedule(&mut self, now: i64, at: i64, what: Option<Combination>) {
        self.known = true;
        if what.is_none() && !self.has_schedule() {
            return;
        }
        self.plan = vec![(now, self.current()), (at, what)];
    }

    /// Ends everything.
    fn cancel(&mut self) {
        self.known = true;
        self.plan.clear();
        self.ledgers.clear();
        self.totals.clear();
        self.unclaimed.clear();
    }

    /// Lets time pass until `now`.
    pub(super) fn advance(&mut self, now: i64) {
        while let Some((starts, _)) = self
            .plan
            .get(1)
            .copied()
            .filter(|(starts, _)| *starts <= now)
        {
            self.plan.remove(0);
            self.settle(starts);
        }
        if self.current().is_none() {
            self.totals.clear();
            self.unclaimed.clear();
        }
    }

    /// Only what is in force has records.
    fn settle(&mut self, now: i64) {
        let present = self.current().map(features).unwrap_or_default();
        for full in self.ledgers.keys().filter(|full| !present.contains(full)) {
            if terms(full).1 != Combine::Sum {
                self.unclaimed.insert(bare(full).to_owned(), now);
            }
        }
        self.ledgers.retain(|full, _| present.contains(full));
    }

    /// The item that usage of a feature is recorded on: the first that is metered.
    fn item(&self, feature: &str) -> Result<&'static str, Verdict> {
        if !self.known {
            return Err(Verdict::NoOrg);
        }
        let sold: Vec<_> = self.current().map(features).unwrap_or_default();
        let mut sold = sold
            .into_iter()
            .filter(|full| bare(full) == feature)
            .peekable();
        if sold.peek().is_none() {
            return Err(Verdict::NotFound);
        }
        sold.find(|full| terms(full).1 != Combine::Licensed)
            .ok_or(Verdict::Invalid)
    }

    fn report(&mut self, now: i64, feature: &str, n: i64) -> Verdict {
        match self.item(feature) {
            Err(verdict) => verdict,
            Ok(full) => {
                self.note(now, full, n);
                Verdict::Done
            }
        }
    }

    fn clobber(&mut self, now: i64, period: i64, feature: &str, n: i64) -> Verdict {
        let full = match self.item(feature) {
            Err(verdict) => return verdict,
            Ok(full) => full,
        };
        let sums = terms(full).1 == Combine::Sum;
        let used = match self.totals.get(feature) {
            Some(total) if sums => total.range(period..).map(|(_, n)| *n).sum(),
            _ => self.used(full, period),
        };
        let missing = n - used;
        if sums && missing < 0 {
            return Verdict::Invalid;
        }
        if sums {
            self.note(now, full, missing);
        } else {
            self.ledgers.entry(full).or_default().insert(now, n);
        }
        Verdict::Done
    }

    /// Whether anything is claimed of a feature in the period that began then.
    pub(super) fn claims(&self, feature: &str, period: i64) -> bool {
        self.unclaimed.get(feature).is_none_or(|since| {
            // A level that never starts again may have come from before.
            *since < period && feature != "feature:store"
        })
    }

    fn note(&mut self, now: i64, full: &'static str, n: i64) {
        *self
            .ledgers
            .entry(full)
            .or_default()
            .entry(now)
            .or_default() += n;
        if terms(full).1 == Combine::Sum {
            let total = self.totals.entry(bare(full).to_owned()).or_default();
            *total.entry(now).or_default() += n;
        }
    }

    fn used(&self, full: &str, period: i64) -> i64 {
        let (_, combine) = terms(full);
        let Some(ledger) = self.ledgers.get(full) else {
            return i64::from(combine == Combine::Licensed);
        };
        let mut in_period = ledger.range(period..).map(|(_, n)| *n);
        match combine {
            Combine::Sum => in_period.sum(),
            Combine::Max => in_period.max().unwrap_or(0),
            Combine::Last => in_period.next_back().unwrap_or(0),
            Combine::Perpetual => ledger.values().next_back().copied().unwrap_or(0),
            Combine::Licensed => 1,
        }
    }

    /// What was reported on a feature in all periods, if it adds up; none if it does not.
    pub(super) fn summed(&self, full: &str) -> Option<i64> {
        let ledger = self.ledgers.get(full)?;
        (terms(full).1 == Combine::Sum).then(|| ledger.values().sum())
    }

    /// What `/v1/limits` should say: feature, used, limit.
    pub(super) fn limits(&self, period: i64) -> Vec<(String, i64, i64)> {
        let mut rows: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for full in self.current().map(features).unwrap_or_default() {
            let row = rows.entry(bare(full)).or_default();
            row.0 += self.used(full, period);
            row.1 = row.1.saturating_add(terms(full).0);
        }
        for (feature, total) in &self.totals {
            if let Some(row) = rows.get_mut(feature.as_str()) {
                row.0 = total.range(period..).map(|(_, n)| *n).sum();
            }
        }
        rows.into_iter()
            .map(|(feature, (used, limit))| (feature.to_owned(), used, limit))
            .collect()
    }
}
