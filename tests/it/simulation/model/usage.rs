//! Usage in the model: reports, reservations, and the limits that they count against.

use std::collections::BTreeMap;

use super::super::ops::Reservation;
use super::super::plans::{Combine, bare, features, price, terms};
use super::super::run::Usage;
use super::{DAY_SECONDS, Held, Org, Period, Verdict};

/// How far in the future usage may be reported, in seconds.
const AHEAD: i64 = 300;

impl Org {
    /// Whether usage of the feature was recorded with the present plan.
    pub(in crate::simulation) fn has_recorded(&self, feature: &str) -> bool {
        let is_of_feature = |full: &str| full.split('@').next() == Some(feature);
        let mut recorded = self.recorded.iter();
        recorded.any(|(full, usage)| is_of_feature(full) && !usage.is_empty())
    }

    /// The item on which usage of a feature is recorded: the first metered one.
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
        // A meter supports neither of these aggregates without a ledger.
        let is_unknown = |full: &&str| matches!(terms(full).1, Combine::Max | Combine::Perpetual);
        metered
            .filter(|full| self.usage != Usage::Events || !is_unknown(full))
            .ok_or(Verdict::Invalid)
    }

    pub(super) fn report(&mut self, now: i64, period: Period, feature: &str, n: i64) -> Verdict {
        match self.item(feature) {
            Err(verdict) => verdict,
            // Usage of other items cannot be refunded.
            Ok(full) if n < 0 && self.used(full, period.start) + n < 0 => Verdict::Invalid,
            Ok(full) => {
                self.note(now, full, n);
                Verdict::Done
            }
        }
    }

    pub(super) fn report_at(
        &mut self,
        now: i64,
        at: i64,
        period: Period,
        feature: &str,
        n: i64,
    ) -> Verdict {
        match self.item(feature) {
            Err(verdict) => verdict,
            Ok(_) if at > now + AHEAD || at < period.start || at >= period.end => Verdict::Invalid,
            Ok(full) => {
                self.note(at, full, n);
                Verdict::Done
            }
        }
    }

    pub(super) fn clobber(&mut self, now: i64, period: Period, feature: &str, n: i64) -> Verdict {
        let full = match self.item(feature) {
            Err(verdict) => return verdict,
            Ok(full) => full,
        };
        let sums = terms(full).1 == Combine::Sum;
        if !sums {
            let recorded = self.recorded.entry(full).or_default();
            let mut at = now;
            if self.usage.has_ledger() {
                // The clobber replaces all reports of the period, including those for a future time.
                at = at.max(recorded.keys().next_back().copied().unwrap_or(now));
                recorded.retain(|at, _| *at < period.start);
            }
            recorded.insert(at, n);
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

    pub(super) fn reserve(&mut self, now: i64, period: Period, held: Held) -> Verdict {
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

    pub(super) fn commit(&mut self, now: i64, number: Reservation, n: Option<i64>) -> Verdict {
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

    pub(super) fn release(&mut self, now: i64, number: Reservation) -> Verdict {
        if self.ended.get(&number) == Some(&None) {
            return Verdict::Done;
        }
        if let Err(verdict) = self.take_held(now, number) {
            return verdict;
        }
        self.ended.insert(number, None);
        Verdict::Done
    }

    /// Removes a reservation that can still be ended, and returns it.
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

    /// Whether the feature's usage is compared in the period that began at `period`.
    pub(in crate::simulation) fn claims(&self, feature: &str, period: i64) -> bool {
        self.unclaimed.get(feature).is_none_or(|since| {
            // A perpetual level may come from an earlier period.
            *since < period && feature != "feature:store"
        })
    }

    fn note(&mut self, now: i64, full: &'static str, n: i64) {
        let noted = self.recorded.entry(full).or_default();
        let noted = noted.entry(now).or_default();
        *noted = match terms(full).1 {
            Combine::Max if self.usage != Usage::Records => n.max(*noted),
            Combine::Last | Combine::Perpetual if self.usage != Usage::Records => n,
            // Stripe adds up usage that is recorded in one second.
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
        let Some(recorded) = self.recorded.get(full) else {
            return i64::from(combine == Combine::Licensed);
        };
        let mut in_period = recorded.range(period..).map(|(_, n)| *n);
        match combine {
            Combine::Sum => in_period.sum(),
            Combine::Max => in_period.max().unwrap_or(0),
            Combine::Last => in_period.next_back().unwrap_or(0),
            Combine::Perpetual => recorded.values().next_back().copied().unwrap_or(0),
            Combine::Licensed => 1,
        }
    }

    /// The usage of a feature in all periods. None if the feature's usage does not add up.
    pub(in crate::simulation) fn summed(&self, full: &str) -> Option<i64> {
        let recorded = self.recorded.get(full)?;
        (terms(full).1 == Combine::Sum).then(|| recorded.values().sum())
    }

    /// Whether an item with this feature was removed.
    pub(in crate::simulation) fn is_gone(&self, full: &str) -> bool {
        self.gone.contains(full)
    }

    /// The expected rows of `/v1/limits`: feature, used, limit.
    pub(in crate::simulation) fn limits(&self, now: i64, period: i64) -> Vec<(String, i64, i64)> {
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
