//! The phases of a plan as they are sent to Stripe: the requested ones, and the current one if it is kept.

use super::{CurrentPlan, LONGEST_TRIAL, ResolvedPhase};
use crate::billing::{Metadata, NewPhase, PhaseEnd, Subscription};
use crate::domain::subscription::MARK;
use crate::domain::usage::SCHEDULED;

/// Notes in each later phase when it and the ones before it begin. If that note is in a subscription's metadata, Stripe
/// has changed the items by itself.
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

/// The requested phases, each ending where the next one begins. `open_end` is the end of a last phase that began long
/// ago. Its default end, one interval after its start, may be in the past.
pub(super) fn planned(
    asked: &[ResolvedPhase],
    ends: Option<i64>,
    current_plan: &CurrentPlan,
    now: i64,
    open_end: Option<i64>,
) -> Vec<NewPhase> {
    let starts = asked.iter().map(|phase| phase.effective);
    let next = starts.skip(1).chain([ends]);
    let only = asked.len() == 1;
    // The current coupon stays until a phase says otherwise.
    let mut coupon = current_plan.coupon.clone();
    let phase = |(phase, end): (&ResolvedPhase, Option<i64>)| {
        let for_ever = || {
            if phase.trial {
                Some(phase.effective.unwrap_or(now) + LONGEST_TRIAL)
            } else {
                open_end.filter(|_| only)
            }
        };
        let own = match &phase.coupon {
            Some(given) => {
                coupon = None;
                Some(given.clone()).filter(|given| !given.is_empty())
            }
            None => coupon.clone(),
        };
        NewPhase {
            end: end.or_else(for_ever).map(PhaseEnd::At),
            items: current_plan.items_with(&phase.features),
            trial: phase.trial,
            trial_end: None,
            restarts_period: false,
            coupon: own,
            metadata: marked(Metadata::new()),
        }
    };
    asked.iter().zip(next).map(phase).collect()
}

/// The phase in force, with the parameters that keep it unchanged until `end`.
pub(super) fn keep(
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
            as_it_is(phase.metadata.as_ref(), &subscription.metadata),
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

/// The metadata of the phase in force, without pairs that would undo later writes to the subscription.
fn as_it_is(phase: Option<&Metadata>, subscription: &Metadata) -> Metadata {
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

/// The earliest end that Stripe accepts for a phase that began before the running billing period. Stripe's default, one
/// interval after its start, may be in the past.
pub(super) fn period_end_of_long_phase(subscription: &Subscription, now: i64) -> Option<i64> {
    let start = subscription.active_schedule()?.current_phase?.start_date;
    let began_earlier = start < subscription.current_period_start;
    Some(subscription.current_period_end).filter(|end| began_earlier && *end > now)
}
