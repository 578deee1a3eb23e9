//! The phases of a plan as they are sent to Stripe: the requested ones, and the current one if it is kept.

use super::{CurrentPlan, LONGEST_TRIAL, ResolvedPhase};
use crate::billing::{Metadata, NewPhase, PhaseEnd, Subscription};
use crate::domain::subscription::MARK;
use crate::domain::usage::SCHEDULED;

/// Notes in each later phase when it and the phases before it begin. If the note is in a subscription's metadata, a
/// scheduled change has changed the items.
pub(super) fn mark_scheduled(phases: &mut [NewPhase]) {
    let mut changes: Vec<String> = Vec::new();
    for i in 1..phases.len() {
        if let Some(PhaseEnd::At(starts)) = phases[i - 1].end {
            changes.push(starts.to_string());
            let changes = changes.join(" ");
            phases[i].metadata.insert(SCHEDULED.to_owned(), changes);
        }
    }
}

/// The requested phases, each ending where the next one begins. `open_end` is the end of an only phase that began
/// before the current period: Stripe's default end, one interval after its start, may be in the past.
pub(super) fn planned(
    requested: &[ResolvedPhase],
    ends: Option<i64>,
    current_plan: &CurrentPlan,
    now: i64,
    open_end: Option<i64>,
) -> Vec<NewPhase> {
    let starts = requested.iter().map(|phase| phase.effective);
    let next = starts.skip(1).chain([ends]);
    let only = requested.len() == 1;
    // The current coupon stays until a phase says otherwise.
    let mut coupon = current_plan.coupon.clone();
    let phase = |(phase, end): (&ResolvedPhase, Option<i64>)| {
        let default_end = || {
            if phase.trial {
                Some(phase.effective.unwrap_or(now) + LONGEST_TRIAL)
            } else {
                open_end.filter(|_| only)
            }
        };
        let phase_coupon = match &phase.coupon {
            Some(id) => {
                coupon = None;
                Some(id.clone()).filter(|id| !id.is_empty())
            }
            None => coupon.clone(),
        };
        NewPhase {
            end: end.or_else(default_end).map(PhaseEnd::At),
            items: current_plan.items_with(&phase.features),
            trial: phase.trial,
            trial_end: None,
            restarts_period: false,
            coupon: phase_coupon,
            metadata: marked(Metadata::new()),
        }
    };
    requested.iter().zip(next).map(phase).collect()
}

/// The current phase, with the parameters that keep it unchanged until `end`.
pub(super) fn kept_phase(
    subscription: &Subscription,
    current_plan: &CurrentPlan,
    end: PhaseEnd,
    now: i64,
) -> NewPhase {
    let current = subscription.active_schedule().and_then(|schedule| {
        let start = schedule.current_phase?.start_date;
        schedule
            .phases
            .iter()
            .find(|phase| phase.start_date == start)
    });
    let (trial_end, coupon, metadata) = match current {
        Some(phase) => (
            phase.trial_end,
            phase.coupon_id().map(str::to_owned),
            kept_metadata(phase.metadata.as_ref(), &subscription.metadata),
        ),
        None => (
            subscription.trial_end,
            current_plan.coupon.clone(),
            subscription.metadata.clone(),
        ),
    };
    let until = match end {
        PhaseEnd::Now => now,
        PhaseEnd::At(at) => at,
    };
    let trial_end = trial_end.filter(|trial_end| *trial_end > now);
    NewPhase {
        end: Some(end),
        items: current_plan.items(),
        trial: trial_end.is_some_and(|trial_end| trial_end >= until),
        trial_end: trial_end.filter(|trial_end| *trial_end < until),
        restarts_period: false,
        coupon,
        metadata: marked(metadata),
    }
}

/// The current phase's metadata, with the subscription's values: the phase's may be older.
fn kept_metadata(phase: Option<&Metadata>, subscription: &Metadata) -> Metadata {
    let keys = phase.into_iter().flat_map(Metadata::keys);
    let current = keys.filter_map(|key| subscription.get_key_value(key));
    current
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn marked(mut metadata: Metadata) -> Metadata {
    metadata.insert(MARK.0.to_owned(), MARK.1.to_owned());
    metadata
}

/// The end of the current period, if the current phase began before that period and so needs an explicit end: Stripe's
/// default, one interval after its start, may be in the past.
pub(super) fn period_end_of_long_phase(subscription: &Subscription, now: i64) -> Option<i64> {
    let start = subscription.active_schedule()?.current_phase?.start_date;
    let began_earlier = start < subscription.current_period_start;
    Some(subscription.current_period_end).filter(|end| began_earlier && *end > now)
}
