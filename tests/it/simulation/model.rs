//! What should be true, worked out anew and naively: which features an org has, what it has used of them, and what it owes.

mod usage;

use std::collections::{BTreeMap, BTreeSet};

use super::ops::{Combination, FEATURES, HOUR, Request, Reservation};
use super::plans::{Combine, SOLD, bare, features, price, terms};
use super::run::Usage;

const DAY_SECONDS: i64 = 24 * HOUR;

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
}
