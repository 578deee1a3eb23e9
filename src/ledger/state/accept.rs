//! Accepting reports.

use super::super::values::{Aggregate, MINUTE, Org, Period, Target, Time};
use super::event::{Change, Report};
use super::open::Draft;
use super::total::{EntryKind, Key, LARGEST_ON_METER, Total};
use super::{Answer, KnownKey, Refusal, State};

/// How far ahead of the ledger's time usage may be.
const AHEAD: i64 = 5 * MINUTE;
/// How long after its end a period accepts usage. Stripe's invoice stays open for a little longer.
pub(super) const GRACE: i64 = 4 * MINUTE;
/// How long after its end a period accepts usage of a feature that has a meter.
const GRACE_ON_METER: i64 = 50 * MINUTE;

impl State {
    pub(super) fn report(&mut self, report: &Report, now: Time) -> Result<Answer, Refusal> {
        if let Some(key) = &report.key
            && let Some(repeated) = self.repeated(&report.target.org, key)?
        {
            return Ok(repeated);
        }
        let target = &report.target;
        self.check_plan(target)?;
        let at = report.at.unwrap_or(now);
        let period = self.period_of(target, at, now)?;
        let mut draft = self.open(target, period, now)?;
        if draft.main().settled.is_some() {
            return Err(Refusal::OutsidePeriod);
        }
        let recorded = report.recorded_in(period);
        let least = self.lowest_total(draft.main(), recorded);
        let (kind, n) = match report.change {
            Change::Add(n) => (EntryKind::Report, n),
            Change::SetTotal(n) => (EntryKind::Clobber, item_part(draft.main(), n, least)?),
        };
        if n < 0 {
            adopt_level(&mut draft, recorded, at)?;
        }
        self.carry_on(&mut draft, kind, n, at)?;
        let before = draft.main().n;
        draft
            .enter(0, kind, n, at)
            .map_err(|refusal| match refusal {
                Refusal::TooLow { .. } => Refusal::TooLow { least },
                other => other,
            })?;
        let main = draft.main();
        if main.meter.is_some() && main.n > LARGEST_ON_METER {
            return Err(Refusal::TooLarge);
        }
        if main.aggregate == Aggregate::Max && main.n < before.min(least) {
            return Err(Refusal::TooLow { least });
        }
        let main = draft.main();
        if main.meter.is_none() || !main.delivery.unsure {
            // Stripe may accept the new total.
            main.parked = None;
        }
        let owner = |key| (target.org.clone(), key);
        draft.key(report.key.clone().map(owner));
        let entry = self.write(draft, now);
        if let Some(key) = &report.key {
            let id = (target.org.clone(), key.text.clone());
            let body = key.body;
            self.keys.put(id, KnownKey { body, entry });
        }
        Ok(Answer::Accepted {
            entry,
            repeated: false,
        })
    }

    /// The period that usage at `at` belongs to.
    fn period_of(&self, target: &Target, at: Time, now: Time) -> Result<Period, Refusal> {
        if at > now.plus(AHEAD) {
            return Err(Refusal::TooFarAhead);
        }
        let periods = [Some(target.period), self.previous_period(target)];
        let found = periods
            .into_iter()
            .flatten()
            .find(|period| period.contains(at));
        let grace = match target.meter {
            Some(_) => GRACE_ON_METER,
            None => GRACE,
        };
        // The caller's running period may have ended.
        found
            .filter(|period| now < period.end.plus(grace))
            .ok_or(Refusal::OutsidePeriod)
    }

    /// The period before the running one, if it still accepts usage. After a trial it is shorter than the billing cycle
    /// says. A period that a trial or a new billing cycle ended early was invoiced at that moment, and accepts no more.
    fn previous_period(&self, target: &Target) -> Option<Period> {
        let previous = target.previous?;
        let totals = self.totals_of(&target.org, &target.feature);
        let periods = totals.iter().filter(|total| total.item == target.item);
        let periods = periods.map(|total| total.period);
        let known = periods.filter(|period| period.start < previous.end);
        let start = match known.max_by_key(|period| period.start) {
            Some(known) if known.end > previous.end => return None,
            // Its end is that at its last report. The trial may have been extended since.
            Some(known) if known.end > previous.start => known.start,
            _ => previous.start,
        };
        Some(Period { start, ..previous })
    }

    /// The answer to a report whose key was used before.
    pub(super) fn repeated(&self, org: &Org, key: &Key) -> Result<Option<Answer>, Refusal> {
        match self.keys.get(&(org.clone(), key.text.clone())) {
            None => Ok(None),
            Some(known) if known.body == key.body => Ok(Some(Answer::Accepted {
                entry: known.entry,
                repeated: true,
            })),
            Some(_) => Err(Refusal::KeyReused),
        }
    }

    /// The lowest value that the period's total can be set to. Usage on other items, and usage that other programs
    /// recorded on this one, cannot be taken back. A level that they set can, since the last level counts. `recorded`
    /// is the quantity that Stripe has on the item.
    fn lowest_total(&self, total: &Total, recorded: i64) -> i64 {
        match total.aggregate {
            Aggregate::Last | Aggregate::Perpetual => return 0,
            Aggregate::Max if total.adopted => return total.external,
            Aggregate::Max => return recorded,
            Aggregate::Sum => {}
        }
        let all = self.totals_of(&total.org, &total.feature);
        let same_period = all
            .iter()
            .filter(|other| other.period.start == total.period.start && other.id != total.id);
        let elsewhere: i64 = same_period.map(|other| other.billable()).sum();
        let external = if total.adopted {
            total.external
        } else {
            recorded
        };
        elsewhere.saturating_add(external)
    }

    /// Carries a perpetual level that is reported late for the previous period into the running one, unless a newer
    /// level was reported there.
    fn carry_on(
        &self,
        draft: &mut Draft,
        kind: EntryKind,
        n: i64,
        at: Time,
    ) -> Result<(), Refusal> {
        let main = draft.main().clone();
        if main.aggregate != Aggregate::Perpetual {
            return Ok(());
        }
        let later = self.totals_of(&main.org, &main.feature);
        let later = later.into_iter().filter(|total| {
            let is_older = total.level_at.is_none_or(|level_at| level_at <= at);
            total.item == main.item && total.period.start > main.period.start && is_older
        });
        for total in later {
            draft.totals.push(total.clone());
            let index = draft.totals.len() - 1;
            let mut changed = Draft::of(main.clone());
            changed.enter(0, kind, n, at)?;
            draft.enter(index, EntryKind::CarryIn, changed.main().n, at)?;
        }
        Ok(())
    }
}

impl Report {
    /// The quantity that Stripe has on the item in a period, as far as the caller knows.
    fn recorded_in(&self, period: Period) -> i64 {
        if period.start == self.target.period.start {
            self.recorded
        } else {
            0
        }
    }
}

/// The total that the item must have so that the period's total becomes `n`. `least` is the part that cannot be taken
/// back.
fn item_part(total: &Total, n: i64, least: i64) -> Result<i64, Refusal> {
    match n.saturating_sub(least) {
        ..0 => Err(Refusal::TooLow { least }),
        _ if total.aggregate.is_level() => Ok(n),
        part => Ok(part),
    }
}

/// Records the level that an item has in Stripe, so that it can be lowered.
fn adopt_level(draft: &mut Draft, recorded: i64, at: Time) -> Result<(), Refusal> {
    let main = draft.main();
    let is_last = matches!(main.aggregate, Aggregate::Last | Aggregate::Perpetual);
    if is_last && !main.adopted && !main.has_level() && recorded > 0 {
        draft.enter(0, EntryKind::Adopt, recorded, at)?;
    }
    Ok(())
}
