//! The expected state of an org: its features, its usage of them, and what it owes. The model is simple on purpose, and
//! shares no code with the server.

mod usage;

use std::collections::{BTreeMap, BTreeSet};

use super::ops::{Combination, FEATURES, HOUR, Request, Reservation};
use super::plans::{Combine, SOLD, bare, features, is_free, price, terms};
use super::run::Usage;

const DAY_SECONDS: i64 = 24 * HOUR;

/// For how many seconds after its end a period still takes usage: with usage records, and with meters.
pub(super) const GRACE: i64 = 240;
pub(super) const GRACE_ON_METERS: i64 = 3_000;

/// The usage of an item, by the second in which it was recorded.
type UsageBySecond = BTreeMap<i64, i64>;

/// What an org is subscribed to from a given second on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Phase {
    starts: i64,
    /// None if the org is subscribed to nothing.
    what: Option<Combination>,
    /// The phase costs nothing before this second.
    trial_end: i64,
}

/// A billing period, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// A reservation of usage.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Held {
    number: Reservation,
    feature: &'static str,
    n: i64,
    until: i64,
}

/// The expected state of one org.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Org {
    /// Where the org's usage goes.
    usage: Usage,
    /// The reservations, including expired ones.
    held: Vec<Held>,
    /// How much of each ended reservation was committed. None if it was released.
    ended: BTreeMap<Reservation, Option<i64>>,
    /// Whether the org has a customer in Stripe.
    pub(super) known: bool,
    /// The current phase, and the later ones.
    plan: Vec<Phase>,
    /// The second until which the current phase is billed.
    billed_until: i64,
    /// All that the org owes, in cents times the seconds of a day. In this unit, a second of a plan needs no rounding.
    owed: i64,
    /// The part of `owed` that is for usage of the present second.
    charged_now: BTreeMap<&'static str, i64>,
    /// The usage of the present items. A removed item loses its records.
    recorded: BTreeMap<&'static str, UsageBySecond>,
    /// The features whose items were removed. A meter keeps their usage.
    gone: BTreeSet<&'static str>,
    /// The usage of features that add up. Plan changes keep it.
    totals: BTreeMap<String, UsageBySecond>,
    /// The features whose usage is not compared until a period begins after the given second. Other tests check what a
    /// restarted period keeps, and when a level moves to another item.
    unclaimed: BTreeMap<String, i64>,
    /// The end of the last period of a plan of zero prices that a request has ended. A return to such a plan before then
    /// keeps its usage, which other tests check.
    free_until: i64,
}

/// The expected result of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Done,
    /// There is no such org.
    NoOrg,
    /// The org does not have the feature.
    NotFound,
    /// The feature is not metered, or a sum would have to decrease.
    Invalid,
    /// The limit leaves no room for the reservation.
    Full,
    /// The reservation has ended.
    Ended,
}

impl Org {
    /// An org that does not exist yet.
    pub(super) fn new(usage: Usage) -> Self {
        Self {
            usage,
            ..Self::default()
        }
    }

    /// What the org is subscribed to now.
    pub(super) fn current(&self) -> Option<Combination> {
        self.plan.first().and_then(|phase| phase.what)
    }

    /// Whether the org has a current or a later phase.
    fn has_schedule(&self) -> bool {
        self.current().is_some() || self.plan.iter().any(|phase| phase.what.is_some())
    }

    /// Applies a request.
    pub(super) fn apply(&mut self, now: i64, period: Period, request: Request) -> Verdict {
        let at = |hours: u8| now + i64::from(hours) * HOUR;
        match request {
            Request::Card { .. } => self.known = true,
            Request::Subscribe { to, trial } => {
                self.end_free_plan(now, period);
                self.subscribe(now, to, if trial { i64::MAX } else { now });
            }
            Request::TrialThenPaid { to, hours } => {
                self.end_free_plan(now, period);
                self.subscribe(now, to, at(hours));
                self.schedule(now, at(hours), Some(to));
            }
            Request::Schedule { to, hours } => self.schedule(now, at(hours), Some(to)),
            Request::Phases {
                now: first,
                then,
                hours,
            } => {
                self.end_free_plan(now, period);
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

    /// Buys in Checkout: a new subscription replaces the current phase and all later ones.
    pub(super) fn buy(&mut self, now: i64, what: Combination) {
        self.forget(|_| true);
        self.charged_now.clear();
        self.subscribe(now, what, now);
        self.restart(now);
    }

    /// Replaces the current phase and all later ones.
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

    /// Charges usage of the first second of the current phase again, by the terms of that phase. This concerns items
    /// that stay, and their usage is free if the phase is a trial.
    fn charge_again(&mut self, now: i64) {
        if self.usage.has_ledger() {
            // A ledger delivers usage before a plan changes.
            return;
        }
        let is_free = self.is_on_trial(now);
        for (full, recorded) in &self.recorded {
            let charge = recorded
                .get(&now)
                .map_or(0, |n| price(full) * n * DAY_SECONDS);
            let charge = if is_free { 0 } else { charge };
            let before = self.charged_now.insert(full, charge);
            self.owed += charge - before.unwrap_or(0);
        }
    }

    fn end_free_plan(&mut self, now: i64, period: Period) {
        if self.current().is_some_and(is_free) && !self.is_on_trial(now) {
            self.free_until = period.end;
        }
    }

    /// Stops comparing usage, since a change has begun a new period.
    pub(super) fn restart(&mut self, now: i64) {
        for full in SOLD.iter().map(|(full, ..)| *full) {
            self.unclaimed.insert(bare(full).to_owned(), now);
        }
    }

    /// Keeps the current phase until `at`, and replaces the later ones.
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

    /// Ends the current phase and all later ones.
    fn cancel(&mut self) {
        self.known = true;
        self.plan.clear();
        self.charged_now.clear();
        self.forget(|_| true);
        self.totals.clear();
        self.unclaimed.clear();
        self.free_until = 0;
    }

    /// Whether the next phase begins at `now` or before.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.plan.get(1).is_some_and(|next| next.starts <= now)
    }

    /// Lets time pass until `now`, and begins the phases that are due.
    pub(super) fn advance(&mut self, now: i64) {
        while let Some(next) = self.plan.get(1).filter(|next| next.starts <= now) {
            let starts = next.starts;
            self.bill_until(starts);
            self.plan.remove(0);
            self.settle(starts);
            if self.current().is_some_and(is_free) && starts < self.free_until {
                self.restart(self.free_until - 1);
            }
        }
        self.bill_until(now);
        if self.current().is_none() {
            self.totals.clear();
            self.unclaimed.clear();
        }
    }

    /// Bills the current phase up to the second `until`.
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

    /// Whether the current phase began in the second `now`.
    pub(super) fn began(&self, now: i64) -> bool {
        self.plan.first().is_some_and(|phase| phase.starts == now)
    }

    fn is_on_trial(&self, now: i64) -> bool {
        self.plan.first().is_some_and(|phase| now < phase.trial_end)
    }

    /// All that the org owes, in cents.
    pub(super) fn owed(&self) -> i64 {
        (self.owed + DAY_SECONDS / 2).div_euclid(DAY_SECONDS)
    }

    /// This state, with everything added since `before` free of charge.
    pub(super) fn without_charge_since(mut self, before: &Self) -> Self {
        self.owed = before.owed;
        self
    }

    /// Drops the records of the features for which `goes` is true.
    fn forget(&mut self, goes: impl Fn(&'static str) -> bool) {
        let all = self.recorded.keys().copied();
        self.gone.extend(all.filter(|full| goes(full)));
        self.recorded.retain(|full, _| !goes(full));
    }

    /// Drops the records of features that are not in the current phase.
    fn settle(&mut self, now: i64) {
        let present = self.current().map(features).unwrap_or_default();
        for full in self.recorded.keys().filter(|full| !present.contains(full)) {
            if terms(full).1 != Combine::Sum {
                self.unclaimed.insert(bare(full).to_owned(), now);
            }
        }
        self.forget(|full| !present.contains(&full));
        self.charged_now.retain(|full, _| present.contains(full));
    }
}
