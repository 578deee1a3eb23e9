//! The past, current and future phases of a subscription, combined from several Stripe objects. Pure.

use super::sources::{of_dates, of_schedule};
use super::{BillingPeriod, Phase, Phases};
use crate::billing::{Schedule, Subscription};
use crate::domain::catalog::Catalog;

/// The phases of a subscription: from its schedules, including the `past` ones, and from its own dates.
pub(super) fn of_subscription(
    subscription: &Subscription,
    past: &[Schedule],
    catalog: &Catalog,
) -> Phases {
    let trialing = subscription.is_trialing();
    let mut history = History::default();
    for schedule in former_schedules(subscription, past) {
        history.add_past(schedule, catalog);
    }
    let present = match subscription.active_schedule() {
        Some(schedule) => of_schedule(schedule, catalog, trialing),
        None => of_dates(subscription, trialing),
    };
    history.add_present(present, subscription.active_schedule().is_none());
    history.add_unscheduled_start(subscription);
    let mut timeline = history.finish();
    timeline.current_period = subscription.ended_at.is_none().then_some(BillingPeriod {
        start: subscription.current_period_start,
        end: subscription.current_period_end,
    });
    if !subscription.grants() {
        timeline.current_index = None;
    }
    timeline
}

/// Whether the current phase may have begun earlier than the subscription itself shows.
pub(super) fn needs_past(subscription: &Subscription) -> bool {
    let Some(schedule) = subscription.active_schedule() else {
        return true;
    };
    let first = schedule.phases.first().map(|phase| phase.start_date);
    let current = schedule.current_phase.map(|phase| phase.start_date);
    first == current && first > Some(subscription.start_date)
}

/// The former schedules of a subscription, in order of time.
fn former_schedules<'a>(subscription: &Subscription, past: &'a [Schedule]) -> Vec<&'a Schedule> {
    let is_former = |schedule: &&Schedule| {
        let released = schedule.released_subscription.as_deref();
        let managed = schedule.subscription_id().or(released);
        managed == Some(subscription.id.as_str()) && ended(schedule).is_some()
    };
    let mut former: Vec<&Schedule> = past.iter().filter(is_former).collect();
    former.sort_by_key(|schedule| schedule.phases.first().map(|phase| phase.start_date));
    former
}

/// When a schedule ended.
fn ended(schedule: &Schedule) -> Option<i64> {
    let ends = [
        schedule.released_at,
        schedule.canceled_at,
        schedule.completed_at,
    ];
    ends.into_iter().flatten().min()
}

/// Phases from several sources, in order of time.
#[derive(Default)]
struct History {
    phases: Vec<Phase>,
    current_index: Option<usize>,
}

impl History {
    /// Adds the phases of a former schedule, up to its end.
    fn add_past(&mut self, schedule: &Schedule, catalog: &Catalog) {
        let Some(ended) = ended(schedule) else { return };
        for mut phase in of_schedule(schedule, catalog, false).phases {
            if phase.features.is_empty() || phase.effective >= ended {
                continue;
            }
            phase.end = Some(phase.end.map_or(ended, |end| end.min(ended)));
            self.add(phase, false);
        }
    }

    /// Adds current and future phases. If they are `unscheduled`, the last phase of a released schedule continues, even
    /// with another coupon.
    fn add_present(&mut self, present: Phases, unscheduled: bool) {
        for (i, phase) in present.phases.into_iter().enumerate() {
            let index = self.add(phase, unscheduled);
            if present.current_index == Some(i) {
                self.current_index = index;
            }
        }
    }

    /// Appends a phase, or extends the last one if nothing changes. Returns its index.
    fn add(&mut self, mut phase: Phase, unscheduled: bool) -> Option<usize> {
        let Some(last) = self.phases.last_mut() else {
            self.phases.push(phase);
            return Some(0);
        };
        // The former schedule is more reliable about the past.
        let began = last.end.unwrap_or(last.effective);
        if !phase.features.is_empty() {
            phase.effective = phase.effective.max(began);
        }
        if phase.end.is_some_and(|end| end <= phase.effective) {
            return None;
        }
        let coupon = |phase: &Phase| phase.coupon.as_ref().map(|coupon| coupon.id.clone());
        let same = last.features == phase.features
            && last.trial == phase.trial
            && (unscheduled || coupon(last) == coupon(&phase));
        if same {
            last.end = phase.end;
            last.coupon = phase.coupon;
        } else {
            last.end = Some(phase.effective);
            self.phases.push(phase);
        }
        Some(self.phases.len() - 1)
    }

    /// Adds the time before the first schedule, assuming the items of that schedule's start. It may have been a trial.
    fn add_unscheduled_start(&mut self, subscription: &Subscription) {
        let start = subscription.start_date;
        let Some(first) = self.phases.first_mut() else {
            return;
        };
        if first.features.is_empty() || start == 0 || first.effective <= start {
            return;
        }
        let trial_end = subscription.trial_end.filter(|end| *end <= first.effective);
        first.effective = trial_end.unwrap_or(start).max(start);
        if let Some(end) = trial_end.filter(|end| *end > start) {
            let trial = Phase {
                trial: true,
                effective: start,
                end: Some(end),
                ..first.clone()
            };
            self.phases.insert(0, trial);
            self.current_index = self.current_index.map(|index| index + 1);
        }
    }

    /// The phases whose length is not zero.
    fn finish(self) -> Phases {
        let lasted = |phase: &Phase| phase.end != Some(phase.effective);
        let before = |index: usize| {
            self.phases[..index]
                .iter()
                .filter(|phase| lasted(phase))
                .count()
        };
        let current_index = self.current_index.map(before);
        Phases {
            ended: None,
            current_period: None,
            current_index,
            phases: self.phases.into_iter().filter(lasted).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Row = (i64, Option<i64>, bool, usize);

    fn timeline(more: &Value) -> (Vec<Row>, Option<usize>) {
        let mut subscription = json!({
            "id": "sub", "status": "active", "start_date": 100,
            "current_period_start": 100, "current_period_end": 200,
            "items": {"data": [{"id": "si", "price": {"id": "p", "metadata": {"tier.feature": "feature:x@plan:p@1"}}},
                               {"id": "sj", "price": {"id": "foreign"}}]},
        });
        for (key, value) in more.as_object().expect("an object") {
            subscription[key] = value.clone();
        }
        let subscription = serde_json::from_value(subscription).expect("a subscription");
        let found = of_subscription(&subscription, &[], &Catalog::default());
        let row = |phase: &Phase| {
            (
                phase.effective,
                phase.end,
                phase.trial,
                phase.features.len(),
            )
        };
        (found.phases.iter().map(row).collect(), found.current_index)
    }

    #[test]
    fn a_subscription_without_a_schedule_gets_its_phases_from_its_dates() {
        let paid = |from, to| (from, to, false, 1);
        let trial = |from, to| (from, Some(to), true, 1);
        let over = |at| (at, None, false, 0);
        for (more, phases, current_index) in [
            (json!({}), vec![paid(100, None)], Some(0)),
            (
                json!({"status": "trialing", "trial_start": 100, "trial_end": 150}),
                vec![trial(100, 150), paid(150, None)],
                Some(0),
            ),
            (
                json!({"trial_start": 100, "trial_end": 150}),
                vec![trial(100, 150), paid(150, None)],
                Some(1),
            ),
            (
                json!({"cancel_at": 200}),
                vec![paid(100, Some(200)), over(200)],
                Some(0),
            ),
            (
                json!({"status": "trialing", "trial_start": 100, "trial_end": 150, "cancel_at": 150}),
                vec![trial(100, 150), over(150)],
                Some(0),
            ),
            (
                json!({"status": "canceled", "cancel_at": 200, "ended_at": 170}),
                vec![paid(100, Some(170)), over(170)],
                None,
            ),
            (json!({"status": "unpaid"}), vec![paid(100, None)], None),
        ] {
            assert_eq!(timeline(&more), (phases, current_index), "{more}");
        }
    }
}
