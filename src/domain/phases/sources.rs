//! The phases of one schedule, or of a subscription's own dates. Pure.

use super::{Phase, Phases};
use crate::billing::{EndBehavior, Schedule, SchedulePhase, Subscription};
use crate::domain::catalog::Catalog;
use crate::domain::refs::FeaturePlan;

/// The phases of a schedule, and the end if it cancels the subscription. A phase whose trial ends before the phase
/// becomes two; `trialing` says which of the two is the current one.
pub(super) fn of_schedule(schedule: &Schedule, catalog: &Catalog, trialing: bool) -> Phases {
    let tax = schedule.automatic_tax();
    let cancels = schedule.end_behavior == EndBehavior::Cancel;
    let current = schedule.current_phase.map(|phase| phase.start_date);
    let mut phases: Vec<Phase> = Vec::with_capacity(schedule.phases.len() + 1);
    let mut current_index = None;
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
            current_index = Some(if trialing { first } else { phases.len() - 1 });
        }
    }
    if let (true, Some(last)) = (cancels, schedule.phases.last()) {
        phases.push(empty_phase(last.end_date, tax));
    }
    Phases {
        ended: None,
        current_period: None,
        phases,
        current_index,
    }
}

fn of_phase(phase: &SchedulePhase, catalog: &Catalog, tax: bool) -> Phase {
    let items = phase.items.iter();
    let features = items
        .filter_map(|item| catalog.feature(item.price_id()).cloned())
        .collect();
    Phase {
        features: sorted(features),
        trial: phase.trial_end.is_some_and(|end| end > phase.start_date),
        coupon: phase.coupon().cloned(),
        ..empty_phase(phase.start_date, phase.automatic_tax.unwrap_or(tax))
    }
}

/// The past and planned phases of a subscription without a schedule.
pub(super) fn of_dates(subscription: &Subscription, trialing: bool) -> Phases {
    let tax = subscription.automatic_tax;
    let items = subscription.items.iter();
    let features = sorted(items.filter_map(|item| item.price.feature_plan()).collect());
    let coupon = subscription
        .discount
        .as_ref()
        .map(|discount| discount.coupon.clone());
    let discount = subscription.discount.as_ref();
    let applied_at = discount.map_or(0, |discount| discount.start);
    let end = subscription.ended_at.or(subscription.cancel_at);

    let mut phases: Vec<Phase> = Vec::new();
    let mut add = |effective: i64, trial: bool| {
        if end.is_none_or(|end| effective < end) {
            if let Some(previous) = phases.last_mut() {
                previous.end = Some(effective);
                // It had the coupon only if that was applied before its end.
                previous.coupon.take_if(|_| applied_at >= effective);
            }
            let (features, coupon) = (features.clone(), coupon.clone());
            phases.push(Phase {
                features,
                trial,
                coupon,
                ..empty_phase(effective, tax)
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
    let current_index = phases.iter().rposition(|phase| phase.trial == trialing);
    if let Some(end) = end {
        if let Some(last) = phases.last_mut() {
            last.end = Some(end);
        }
        phases.push(empty_phase(end, tax));
    }
    Phases {
        ended: None,
        current_period: None,
        phases,
        current_index,
    }
}

/// A phase from `effective` on without any features.
fn empty_phase(effective: i64, automatic_tax: bool) -> Phase {
    Phase {
        features: Vec::new(),
        plans: Vec::new(),
        fragments: Vec::new(),
        trial: false,
        coupon: None,
        effective,
        end: None,
        current_period: None,
        automatic_tax,
    }
}

fn sorted(mut features: Vec<FeaturePlan>) -> Vec<FeaturePlan> {
    features.sort();
    features.dedup();
    features
}
