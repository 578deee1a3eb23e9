//! What to do in Stripe so that an org's phases become the requested ones. Pure: from what is and
//! what is asked to an [`Action`], which `schedule` then carries out.

use super::subscription::MARK;
use super::{Error, Result};
use crate::stripe::types::{Coupon, Expandable, Metadata, Schedule, Subscription};

/// How long Stripe lets a trial last: 730 days, in seconds.
pub(super) const LONGEST_TRIAL: i64 = 730 * 24 * 60 * 60;

/// What the org has now.
#[derive(Clone, Copy)]
pub(super) enum Standing<'a> {
    /// Neither a subscription nor one to come.
    Nothing,
    /// A schedule that has not begun.
    Waiting(&'a Schedule),
    /// A subscription, with or without a schedule.
    Subscribed(&'a Subscription),
}

/// A phase that is asked for, its features looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Unix seconds; none: now.
    pub(super) effective: Option<i64>,
    /// Whether the whole phase is a trial.
    pub(super) trial: bool,
    /// The price ids of its features; none: nothing is sold any more.
    pub(super) prices: Vec<String>,
    /// A coupon's id.
    pub(super) coupon: Option<String>,
}

/// What to ask of Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Things are as asked for.
    Nothing,
    /// Make a schedule for the customer.
    Create(NewSchedule),
    /// Give this schedule other phases.
    Replace(String, NewSchedule),
    /// Give this subscription a schedule, then other phases.
    Adopt(String, NewSchedule),
    /// End the subscription at once, billing what was used.
    Cancel(String),
    /// Call off a schedule that has not begun.
    CallOff(String),
}

/// The phases that a schedule is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewSchedule {
    pub(super) start: Start,
    /// At least one, in order.
    pub(super) phases: Vec<PlannedPhase>,
    /// Whether the subscription ends with the last phase.
    pub(super) ends: bool,
}

/// When the first phase of a plan starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// When Stripe gets to it.
    Now,
    /// Unix seconds.
    At(i64),
    /// When the phase in force did, which must not change.
    WithCurrentPhase,
}

/// A phase as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PlannedPhase {
    /// Unix seconds; none on a last phase: one billing interval, then it goes on by itself.
    pub(super) end: Option<i64>,
    /// Price ids with quantities, where there is one to keep.
    pub(super) items: Vec<(String, Option<u64>)>,
    /// Whether the whole phase is a trial.
    pub(super) trial: bool,
    /// Unix seconds; for a kept phase whose trial ends in the middle.
    pub(super) trial_end: Option<i64>,
    /// A coupon's id.
    pub(super) coupon: Option<String>,
    /// Becomes the subscription's.
    pub(super) metadata: Metadata,
}

/// Puts what is asked into a form in which "now" is none, or says what is wrong with it.
///
/// # Errors
/// [`Error::Invalid`] if the phases are not in order of time, or one that is not the last is empty.
pub(super) fn normalise(mut asked: Vec<Asked>, now: i64) -> Result<Vec<Asked>> {
    let mut previous = None;
    let last = asked.len().saturating_sub(1);
    for (i, phase) in asked.iter_mut().enumerate() {
        if i == 0 {
            phase.effective = phase.effective.filter(|effective| *effective > now);
        }
        let starts = match (i, phase.effective) {
            (0, effective) => effective.unwrap_or(now),
            (_, Some(effective)) => effective,
            (_, None) => {
                return Err(Error::Invalid(format!(
                    "phases[{i}]: effective is required after the first phase"
                )));
            }
        };
        if previous.is_some_and(|previous| starts <= previous) {
            return Err(Error::Invalid(format!(
                "phases[{i}]: effective must be later than that of the phase before it"
            )));
        }
        if phase.prices.is_empty() && i != last {
            return Err(Error::Invalid(format!(
                "phases[{i}]: only the last phase may be without features; it ends the subscription"
            )));
        }
        previous = Some(starts);
    }
    Ok(asked)
}

/// What to do about `asked`, which is [normalised](normalise) and not empty.
pub(super) fn decide(standing: Standing<'_>, asked: &[Asked], now: i64) -> Action {
    let (phases, ends) = match asked.split_last() {
        Some((last, before)) if last.prices.is_empty() => (before, last.effective),
        _ => (asked, None),
    };
    let Some(first) = phases.first() else {
        return end(standing, ends, now);
    };
    let plan = |start, kept: Option<PlannedPhase>, open_end| NewSchedule {
        start,
        phases: kept
            .into_iter()
            .chain(planned(phases, ends, now, open_end))
            .collect(),
        ends: ends.is_some(),
    };
    match (standing, first.effective) {
        (Standing::Nothing, None) => Action::Create(plan(Start::Now, None, None)),
        (Standing::Nothing, Some(at)) => Action::Create(plan(Start::At(at), None, None)),
        (Standing::Waiting(schedule), at) => Action::Replace(
            schedule.id.clone(),
            plan(at.map_or(Start::Now, Start::At), None, None),
        ),
        (Standing::Subscribed(subscription), None) => {
            let open_end = period_end_of_long_phase(subscription, now);
            on_subscription(subscription, plan(Start::WithCurrentPhase, None, open_end))
        }
        (Standing::Subscribed(subscription), Some(at)) => {
            let kept = keep(subscription, at, now);
            on_subscription(
                subscription,
                plan(Start::WithCurrentPhase, Some(kept), None),
            )
        }
    }
}

/// Nothing is to be sold any more: from `at`, or from now on.
fn end(standing: Standing<'_>, at: Option<i64>, now: i64) -> Action {
    match (standing, at) {
        (Standing::Nothing, _) => Action::Nothing,
        (Standing::Waiting(schedule), _) => Action::CallOff(schedule.id.clone()),
        (Standing::Subscribed(subscription), None) => Action::Cancel(subscription.id.clone()),
        (Standing::Subscribed(subscription), Some(at)) => {
            let phases = vec![keep(subscription, at, now)];
            on_subscription(
                subscription,
                NewSchedule {
                    start: Start::WithCurrentPhase,
                    phases,
                    ends: true,
                },
            )
        }
    }
}

fn on_subscription(subscription: &Subscription, plan: NewSchedule) -> Action {
    match subscription.active_schedule() {
        Some(schedule) => Action::Replace(schedule.id.clone(), plan),
        None => Action::Adopt(subscription.id.clone(), plan),
    }
}

/// The requested phases, each ending where the next begins. `open_end` is for a last phase that
/// would otherwise end one interval after a start that may be long ago.
fn planned(
    asked: &[Asked],
    ends: Option<i64>,
    now: i64,
    open_end: Option<i64>,
) -> Vec<PlannedPhase> {
    let starts = asked.iter().map(|phase| phase.effective);
    let next = starts.skip(1).chain([ends]);
    let only = asked.len() == 1;
    let phase = |(phase, end): (&Asked, Option<i64>)| {
        let for_ever = || {
            if phase.trial {
                Some(phase.effective.unwrap_or(now) + LONGEST_TRIAL)
            } else {
                open_end.filter(|_| only)
            }
        };
        PlannedPhase {
            end: end.or_else(for_ever),
            items: phase
                .prices
                .iter()
                .map(|price| (price.clone(), None))
                .collect(),
            trial: phase.trial,
            trial_end: None,
            coupon: phase.coupon.clone(),
            metadata: marked(Metadata::new()),
        }
    };
    asked.iter().zip(next).map(phase).collect()
}

/// The phase in force as it must be resent so that it stays as it is, until `end`.
fn keep(subscription: &Subscription, end: i64, now: i64) -> PlannedPhase {
    let current = subscription.active_schedule().and_then(|schedule| {
        let start = schedule.current_phase?.start_date;
        schedule
            .phases
            .iter()
            .find(|phase| phase.start_date == start)
    });
    let (items, trial_end, coupon, metadata) = match current {
        Some(phase) => (
            phase
                .items
                .iter()
                .map(|item| (item.price.id().to_owned(), item.quantity))
                .collect(),
            phase.trial_end,
            phase
                .coupon
                .as_ref()
                .map(|coupon: &Expandable<Coupon>| coupon.id().to_owned()),
            phase.metadata.clone().unwrap_or_default(),
        ),
        None => (
            subscription
                .items
                .data
                .iter()
                .map(|item| {
                    (
                        item.price.id.clone(),
                        item.quantity.filter(|_| !item.price.is_metered()),
                    )
                })
                .collect(),
            subscription.trial_end,
            subscription
                .discount
                .as_ref()
                .map(|discount| discount.coupon.id.clone()),
            subscription.metadata.clone(),
        ),
    };
    let trial_end = trial_end.filter(|trial_end| *trial_end > now);
    PlannedPhase {
        end: Some(end),
        items,
        trial: trial_end.is_some_and(|trial_end| trial_end >= end),
        trial_end: trial_end.filter(|trial_end| *trial_end < end),
        coupon,
        metadata: marked(metadata),
    }
}

fn marked(mut metadata: Metadata) -> Metadata {
    metadata.insert(MARK.0.to_owned(), MARK.1.to_owned());
    metadata
}

/// Where a phase in force that began before the running billing period must end at the earliest:
/// one interval after its start, Stripe's default, may be over.
fn period_end_of_long_phase(subscription: &Subscription, now: i64) -> Option<i64> {
    let start = subscription.active_schedule()?.current_phase?.start_date;
    let began_earlier = start < subscription.current_period_start;
    Some(subscription.current_period_end).filter(|end| began_earlier && *end > now)
}

#[cfg(test)]
mod tests;
