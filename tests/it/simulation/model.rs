//! What should be true, worked out anew and naively: which features an org has, what it has used of them, and what it owes.

use std::collections::{BTreeMap, BTreeSet};

use super::ops::{Combination, FEATURES, HOUR, Request, Reservation};
use super::plans::{Combine, SOLD, bare, features, price, terms};
use super::run::Usage;

const DAY_SECONDS: i64 = 24 * HOUR;

/// How far ahead usage may be reported, in seconds.
const AHEAD: i64 = 300;

/// How long after its end a period takes usage, in seconds: of usage records, and of meters.
pub(super) const GRACE: i64 = 240;
pub(super) const GRACE_ON_METERS: i64 = 3_000;

/// Usage of an item by the second at which it was recorded.
type Ledger = BTreeMap<i64, i64>;

/// What an org has from a second on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Phase {
    starts: i64,
    /// None: nothing.
    what: Option<Combination>,
    /// Until then it costs nothing.
    trial_end: i64,
}

/// A billing period, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Usage that is reserved.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Held {
    number: Reservation,
    feature: &'static str,
    n: i64,
    until: i64,
}

/// What should be true of one org.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Org {
    /// Where its usage goes.
    usage: Usage,
    /// What is reserved, also what has ended by itself.
    held: Vec<Held>,
    /// What was committed of reservations; none: they were given back.
    ended: BTreeMap<Reservation, Option<i64>>,
    /// Whether a customer stands for it.
    pub(super) known: bool,
    /// The phase in force, and those to come.
    plan: Vec<Phase>,
    /// Until when the plan in force is on the bill.
    billed_until: i64,
    /// What it owes in all, in cents times the seconds of a day, so that no second of a plan is rounded.
    owed: i64,
    /// What of it is for usage of this second.
    charged_now: BTreeMap<&'static str, i64>,
    /// Usage of the items in force; what leaves takes its records along.
    ledgers: BTreeMap<&'static str, Ledger>,
    /// The features whose items have gone. A meter goes on with them.
    gone: BTreeSet<&'static str>,
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
    /// There is no room for the reservation.
    Full,
    /// The reservation has ended.
    Ended,
}

impl Org {
    /// One that nobody knows yet.
    pub(super) fn new(usage: Usage) -> Self {
        Self {
            usage,
            ..Self::default()
        }
    }

    /// What is in force.
    pub(super) fn current(&self) -> Option<Combination> {
        self.plan.first().and_then(|phase| phase.what)
    }

    /// Whether anything is in force or to come.
    fn has_schedule(&self) -> bool {
        self.current().is_some() || self.plan.iter().any(|phase| phase.what.is_some())
    }

    /// Carries a request out.
    pub(super) fn apply(&mut self, now: i64, period: Period, request: Request) -> Verdict {
        let at = |hours: u8| now + i64::from(hours) * HOUR;
        match request {
            Request::Card { .. } => self.known = true,
            Request::Subscribe { to, trial } => {
                self.subscribe(now, to, if trial { i64::MAX } else { now });
            }
            Request::TrialThenPaid { to, hours } => {
                self.subscribe(now, to, at(hours));
                self.schedule(now, at(hours), Some(to));
            }
            Request::Schedule { to, hours } => self.schedule(now, at(hours), Some(to)),
            Request::Phases {
                now: first,
                then,
                hours,
            } => {
                self.subscribe(now, first, now);
                self.schedule(now, at(hours), Some(then));
            }
            Request::CancelLater { hours } => self.schedule(now, at(hours), None),
            Request::Cancel => self.cancel(),
            Request::Report { feature, n, .. } => {
                return self.report(now, period, FEATURES[usize::from(feature)], n.into());
            }
            Request::ReportAt { feature, n, ago } => {
                let at = now - i64::from(ago) * 60;
                return self.report_at(now, at, period, FEATURES[usize::from(feature)], n.into());
            }
            Request::Clobber { feature, n } => {
                return self.clobber(now, period, FEATURES[usize::from(feature)], n.into());
            }
            Request::Reserve {
                feature,
                n,
                hours,
                number,
            } => {
                let held = Held {
                    number,
                    feature: FEATURES[usize::from(feature)],
                    n: n.into(),
                    until: at(hours).min(period.end),
                };
                return self.reserve(now, period, held);
            }
            Request::Commit { number, n } => return self.commit(now, number, n.map(i64::from)),
            Request::Release { number } => return self.release(now, number),
        }
        Verdict::Done
    }

    /// A subscription of its own takes the place of what is and of what was planned.
    pub(super) fn buy(&mut self, now: i64, what: Combination) {
        self.forget(|_| true);
        self.charged_now.clear();
        self.subscribe(now, what, now);
        self.restart(now);
    }

    /// Replaces what is and what was planned.
    fn subscribe(&mut self, now: i64, what: Combination, trial_end: i64) {
        self.known = true;
        self.bill_until(now);
        self.plan = vec![Phase {
            starts: now,
            what: Some(what),
            trial_end,
        }];
        self.settle(now);
        self.charge_again(now);
    }

    /// This second is the first one of the plan in force: usage that items which stay have of it is free if that is a trial.
    fn charge_again(&mut self, now: i64) {
        if self.usage.has_ledger() {
            // It was recorded before.
            return;
        }
        let is_free = self.is_on_trial(now);
        for (full, ledger) in &self.ledgers {
            let charge = ledger
                .get(&now)
                .map_or(0, |n| price(full) * n * DAY_SECONDS);
            let charge = if is_free { 0 } else { charge };
            let before = self.charged_now.insert(full, charge);
            self.owed += charge - before.unwrap_or(0);
        }
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
        let nothing = Phase {
            starts: now,
            what: None,
            trial_end: now,
        };
        let mut current = self.plan.first().copied().unwrap_or(nothing);
        current.trial_end = current.trial_end.min(at);
        let next = Phase {
            starts: at,
            what,
            trial_end: at,
        };
        self.plan = vec![current, next];
    }

    /// Ends everything.
    fn cancel(&mut self) {
        self.known = true;
        self.plan.clear();
        self.charged_now.clear();
        self.forget(|_| true);
        self.totals.clear();
        self.unclaimed.clear();
    }

    /// Whether a phase begins until `now`.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.plan.get(1).is_some_and(|next| next.starts <= now)
    }

    /// Lets time pass until `now`.
    pub(super) fn advance(&mut self, now: i64) {
        while let Some(next) = self.plan.get(1).filter(|next| next.starts <= now) {
            let starts = next.starts;
            self.bill_until(starts);
            self.plan.remove(0);
            self.settle(starts);
        }
        self.bill_until(now);
        if self.current().is_none() {
            self.totals.clear();
            self.unclaimed.clear();
        }
    }

    /// Puts the plan in force on the bill, up to a second.
    fn bill_until(&mut self, until: i64) {
        if until > self.billed_until {
            self.charged_now.clear();
        }
        let trial_end = self.plan.first().map_or(until, |phase| phase.trial_end);
        let seconds = (until - self.billed_until.max(trial_end)).max(0);
        for full in self.current().map(features).unwrap_or_default() {
            if terms(full).1 == Combine::Licensed {
                self.owed += price(full) * seconds;
            }
        }
        self.billed_until = until;
    }

    /// Whether the plan in force began in that second.
    pub(super) fn began(&self, now: i64) -> bool {
        self.plan.first().is_some_and(|phase| phase.starts == now)
    }

    fn is_on_trial(&self, now: i64) -> bool {
        self.plan.first().is_some_and(|phase| now < phase.trial_end)
    }

    /// What it owes in all, in cents.
    pub(super) fn owed(&self) -> i64 {
        (self.owed + DAY_SECONDS / 2).div_euclid(DAY_SECONDS)
    }

    /// The same, but nothing was owed for what was added since `before`.
    pub(super) fn without_charge_since(mut self, before: &Self) -> Self {
        self.owed = before.owed;
        self
    }

    /// Drops the records of these features.
    fn forget(&mut self, goes: impl Fn(&'static str) -> bool) {
        let all = self.ledgers.keys().copied();
        self.gone.extend(all.filter(|full| goes(full)));
        self.ledgers.retain(|full, _| !goes(full));
    }

    /// Only what is in force has records.
    fn settle(&mut self, now: i64) {
        let present = self.current().map(features).unwrap_or_default();
        for full in self.ledgers.keys().filter(|full| !present.contains(full)) {
            if terms(full).1 != Combine::Sum {
                self.unclaimed.insert(bare(full).to_owned(), now);
            }
        }
        self.forget(|full| !present.contains(&full));
        self.charged_now.retain(|full, _| present.contains(full));
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
        let metered = sold.find(|full| terms(full).1 != Combine::Licensed);
        // A meter knows neither of these: they need a ledger.
        let is_unknown = |full: &&str| matches!(terms(full).1, Combine::Max | Combine::Perpetual);
        metered
            .filter(|full| self.usage != Usage::Events || !is_unknown(full))
            .ok_or(Verdict::Invalid)
    }

    fn report(&mut self, now: i64, period: Period, feature: &str, n: i64) -> Verdict {
        match self.item(feature) {
            Err(verdict) => verdict,
            // What is used of other items cannot be taken back.
            Ok(full) if n < 0 && self.used(full, period.start) + n < 0 => Verdict::Invalid,
            Ok(full) => {
                self.note(now, full, n);
                Verdict::Done
            }
        }
    }

    fn report_at(&mut self, now: i64, at: i64, period: Period, feature: &str, n: i64) -> Verdict {
        match self.item(feature) {
            Err(verdict) => verdict,
            Ok(_) if at > now + AHEAD || at < period.start || at >= period.end => Verdict::Invalid,
            Ok(full) => {
                self.note(at, full, n);
                Verdict::Done
            }
        }
    }

    fn clobber(&mut self, now: i64, period: Period, feature: &str, n: i64) -> Verdict {
        let full = match self.item(feature) {
            Err(verdict) => return verdict,
            Ok(full) => full,
        };
        let sums = terms(full).1 == Combine::Sum;
        if !sums {
            let ledger = self.ledgers.entry(full).or_default();
            let mut at = now;
            if self.usage.has_ledger() {
                // It takes the place of what was reported, also for a time to come, and is no report beside it.
                at = at.max(ledger.keys().next_back().copied().unwrap_or(now));
                ledger.retain(|at, _| *at < period.start);
            }
            ledger.insert(at, n);
            return Verdict::Done;
        }
        let used = match self.totals.get(feature) {
            Some(total) => total.range(period.start..).map(|(_, n)| *n).sum(),
            None => self.used(full, period.start),
        };
        if self.usage == Usage::Events {
            return Verdict::Invalid;
        }
        let missing = n - used;
        let most = if self.usage.has_ledger() {
            self.used(full, period.start)
        } else {
            0
        };
        if missing < -most {
            return Verdict::Invalid;
        }
        self.note(now, full, missing);
        Verdict::Done
    }

    fn reserve(&mut self, now: i64, period: Period, held: Held) -> Verdict {
        match self.item(held.feature) {
            Err(verdict) => return verdict,
            Ok(full) if terms(full).1 != Combine::Sum => return Verdict::Invalid,
            Ok(_) => {}
        }
        let limits = self.limits(now, period.start);
        let row = limits.iter().find(|(feature, ..)| feature == held.feature);
        if row.is_none_or(|(_, used, limit)| used + held.n > *limit) {
            return Verdict::Full;
        }
        self.held.push(held);
        Verdict::Done
    }

    fn commit(&mut self, now: i64, number: Reservation, n: Option<i64>) -> Verdict {
        if let Some(Some(done)) = self.ended.get(&number)
            && n.is_none_or(|n| n == *done)
        {
            return Verdict::Done;
        }
        let held = match self.take_held(now, number) {
            Err(verdict) => return verdict,
            Ok(held) => held,
        };
        let n = n.unwrap_or(held.n);
        let verdict = match self.item(held.feature) {
            _ if n > held.n => Verdict::Invalid,
            Err(verdict) => verdict,
            Ok(full) if terms(full).1 != Combine::Sum => Verdict::Invalid,
            Ok(full) => {
                self.note(now, full, n);
                self.ended.insert(number, Some(n));
                return Verdict::Done;
            }
        };
        self.held.push(held);
        verdict
    }

    fn release(&mut self, now: i64, number: Reservation) -> Verdict {
        if self.ended.get(&number) == Some(&None) {
            return Verdict::Done;
        }
        if let Err(verdict) = self.take_held(now, number) {
            return verdict;
        }
        self.ended.insert(number, None);
        Verdict::Done
    }

    /// Takes a reservation out that can be ended.
    fn take_held(&mut self, now: i64, number: Reservation) -> Result<Held, Verdict> {
        if self.ended.contains_key(&number) {
            return Err(Verdict::Ended);
        }
        let place = self.held.iter().position(|held| held.number == number);
        match place {
            None => Err(Verdict::Invalid),
            Some(place) if self.held[place].until <= now => Err(Verdict::Ended),
            Some(place) => Ok(self.held.remove(place)),
        }
    }

    /// Whether anything is claimed of a feature in the period that began then.
    pub(super) fn claims(&self, feature: &str, period: i64) -> bool {
        self.unclaimed.get(feature).is_none_or(|since| {
            // A level that never starts again may have come from before.
            *since < period && feature != "feature:store"
        })
    }

    fn note(&mut self, now: i64, full: &'static str, n: i64) {
        let noted = self.ledgers.entry(full).or_default();
        let noted = noted.entry(now).or_default();
        *noted = match terms(full).1 {
            Combine::Max if self.usage != Usage::Records => n.max(*noted),
            Combine::Last | Combine::Perpetual if self.usage != Usage::Records => n,
            // Stripe adds up what is recorded in one second.
            _ => *noted + n,
        };
        if !self.is_on_trial(now) {
            let charge = price(full) * n * DAY_SECONDS;
            self.owed += charge;
            *self.charged_now.entry(full).or_default() += charge;
        }
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

    /// Whether an item with this feature has gone.
    pub(super) fn is_gone(&self, full: &str) -> bool {
        self.gone.contains(full)
    }

    /// What `/v1/limits` should say: feature, used, limit.
    pub(super) fn limits(&self, now: i64, period: i64) -> Vec<(String, i64, i64)> {
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
        for held in self.held.iter().filter(|held| held.until > now) {
            if let Some(row) = rows.get_mut(held.feature) {
                row.0 += held.n;
            }
        }
        rows.into_iter()
            .map(|(feature, (used, limit))| (feature.to_owned(), used, limit))
            .collect()
    }
}
