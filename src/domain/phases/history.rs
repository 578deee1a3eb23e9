//! From Stripe's objects to phases. Pure.

use super::{Phase, Phases, Span};
use crate::domain::catalog::Catalog;
use crate::domain::refs::FeaturePlan;
use crate::stripe::types::{Schedule, SchedulePhase, Subscription};

/// The phases of a subscription: those of its schedule, or what its own dates tell.
pub(super) fn of_subscription(subscription: &Subscription, catalog: &Catalog) -> Phases {
    let trialing = subscription.status == "trialing";
    let mut timeline = match subscription.active_schedule() {
        Some(schedule) => of_schedule(schedule, catalog, trialing),
        None => of_dates(subscription, trialing),
    };
    timeline.current = subscription.ended_at.is_none().then_some(Span {
        effective: subscription.current_period_start,
        end: subscription.current_period_end,
    });
    if !subscription.grants() {
        timeline.in_force = None;
    }
    timeline
}

/// The phases of a schedule, then the end if it cancels. A phase whose trial ends before it does is shown as two;
/// `trialing` tells which of them is in force.
pub(super) fn of_schedule(schedule: &Schedule, catalog: &Catalog, trialing: bool) -> Phases {
    let tax = schedule.default_settings.automatic_tax.enabled;
    let cancels = schedule.end_behavior == "cancel";
    let current = schedule.current_phase.map(|phase| phase.start_date);
    let mut phases: Vec<Phase> = Vec::with_capacity(schedule.phases.len() + 1);
    let mut in_force = None;
    for (i, phase) in schedule.phases.iter().enumerate() {
        let is_last = i + 1 == schedule.phases.len();
        let end = (!is_last || cancels).then_some(phase.end_date);
        let whole = Phase {
            end,
            ..of_phase(phase, catalog, tax)
        };
        let first = phases.len();
        match phase.trial_end {
            Some(trial_end) if phase.start_date < trial_end && trial_end < phase.end_date => {
                let paid = Phase {
                    trial: false,
                    effective: trial_end,
                    ..whole.clone()
                };
                let trial = Phase {
                    end: Some(trial_end),
                    ..whole
                };
                phases.extend([trial, paid]);
            }
            _ => phases.push(whole),
        }
        if Some(phase.start_date) == current {
            in_force = Some(if trialing { first } else { phases.len() - 1 });
        }
    }
    if let (true, Some(last)) = (cancels, schedule.phases.last()) {
        phases.push(over(last.end_date, tax));
    }
    Phases {
        current: None,
        phases,
        in_force,
    }
}

fn of_phase(phase: &SchedulePhase, catalog: &Catalog, tax: bool) -> Phase {
    let items = phase.items.iter();
    let features = items
        .filter_map(|item| catalog.feature(item.price.id()).cloned())
        .collect();
    Phase {
        features: sorted(features),
        trial: phase.trial_end.is_some_and(|end| end > phase.start_date),
        coupon: phase
            .coupon
            .as_ref()
            .and_then(|coupon| coupon.object())
            .cloned(),
        ..over(
            phase.start_date,
            phase.automatic_tax.map_or(tax, |phase| phase.enabled),
        )
    }
}

/// What a subscription without a schedule has gone through, and what is planned for it.
fn of_dates(subscription: &Subscription, trialing: bool) -> Phases {
    let tax = subscription.automatic_tax.enabled;
    let items = subscription.items.data.iter();
    let features = sorted(items.filter_map(|item| item.price.feature_plan()).collect());
    let coupon = subscription
        .discount
        .as_ref()
        .map(|discount| discount.coupon.clone());
    let end = subscription.ended_at.or(subscription.cancel_at);

    let mut phases: Vec<Phase> = Vec::new();
    let mut add = |effective: i64, trial: bool| {
        if end.is_none_or(|end| effective < end) {
            if let Some(previous) = phases.last_mut() {
                previous.end = Some(effective);
            }
            let (features, coupon) = (features.clone(), coupon.clone());
            phases.push(Phase {
                features,
                trial,
                coupon,
                ..over(effective, tax)
            });
        }
    };
    match subscription.trial_end {
        Some(trial_end) => {
            let trial_start = subscription.trial_start.unwrap_or(subscription.start_date);
            if trial_start > subscription.start_date {
                add(subscription.start_date, false);
            }
            add(trial_start, true);
            add(trial_end, false);
        }
        None => add(subscription.start_date, false),
    }
    let in_force = phases.iter().rposition(|phase| phase.trial == trialing);
    if let Some(end) = end {
        if let Some(last) = phases.last_mut() {
            last.end = Some(end);
        }
        phases.push(over(end, tax));
    }
    Phases {
        current: None,
        phases,
        in_force,
    }
}

/// A phase from `effective` on in which nothing is granted.
fn over(effective: i64, automatic_tax: bool) -> Phase {
    Phase {
        features: Vec::new(),
        plans: Vec::new(),
        fragments: Vec::new(),
        trial: false,
        coupon: None,
        effective,
        end: None,
        current: None,
        automatic_tax,
    }
}

fn sorted(mut features: Vec<FeaturePlan>) -> Vec<FeaturePlan> {
    features.sort();
    features.dedup();
    features
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
        let found = of_subscription(&subscription, &Catalog::default());
        let row = |phase: &Phase| {
            (
                phase.effective,
                phase.end,
                phase.trial,
                phase.features.len(),
            )
        };
        (found.phases.iter().map(row).collect(), found.in_force)
    }

    #[test]
    fn a_subscription_without_a_schedule_is_told_from_its_dates() {
        let paid = |from, to| (from, to, false, 1);
        let trial = |from, to| (from, Some(to), true, 1);
        let over = |at| (at, None, false, 0);
        for (more, phases, in_force) in [
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
            assert_eq!(timeline(&more), (phases, in_force), "{more}");
        }
    }
}
