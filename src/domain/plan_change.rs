//! What to do in Stripe so that an org's phases become the requested ones. Pure: from what is and
//! what is asked to an [`Action`], which `schedule` then carries out.

mod held;
mod phases;

use super::catalog::PricedFeature;
use super::{Error, Result};
use crate::billing::{NewPhase, NewSchedule, PhaseEnd, Schedule, ScheduleStart, Subscription};

pub(super) use held::Held;

use phases::{keep, mark_scheduled, period_end_of_long_phase, planned};

/// How long Stripe lets a trial last: 730 days, in seconds.
pub(super) const LONGEST_TRIAL: i64 = 730 * 24 * 60 * 60;

/// How many phases, running and to come, Stripe lets a schedule have.
const MAX_PHASES: usize = 10;

/// What the org has now.
#[derive(Clone, Copy)]
pub(super) enum CurrentState<'a> {
    /// Neither a subscription nor one to come.
    Nothing,
    /// A schedule that has not begun.
    Waiting(&'a Schedule),
    /// A subscription, with or without a schedule.
    Subscribed(&'a Subscription),
}

/// A phase that is asked for, its features looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvedPhase {
    /// Unix seconds; none: now.
    pub(super) effective: Option<i64>,
    /// Whether the whole phase is a trial.
    pub(super) trial: bool,
    /// Its features; none: nothing is sold any more.
    pub(super) features: Vec<PricedFeature>,
    /// A coupon's id, or empty for no coupon; unset: the one that runs.
    pub(super) coupon: Option<String>,
}

/// A change that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    /// The phases, [normalised](normalise); at least one.
    pub(super) asked: &'a [ResolvedPhase],
    /// Whether Stripe computes tax; unset: as it is.
    pub(super) automatic_tax: Option<bool>,
    /// What the subscription is paid with; unset: as it is.
    pub(super) payment_method: Option<&'a str>,
    /// Unix seconds.
    pub(super) now: i64,
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

/// Puts what is asked into a form in which "now" is none, or says what is wrong with it.
///
/// # Errors
/// [`Error::Invalid`] if the phases are not in order of time, or one that is not the last is empty.
pub(super) fn normalise(mut asked: Vec<ResolvedPhase>, now: i64) -> Result<Vec<ResolvedPhase>> {
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
        if phase.features.is_empty() && i != last {
            return Err(Error::Invalid(format!(
                "phases[{i}]: only the last phase may be without features; it ends the subscription"
            )));
        }
        let has_terms = phase.trial || phase.coupon.as_ref().is_some_and(|id| !id.is_empty());
        if phase.features.is_empty() && has_terms {
            return Err(Error::Invalid(format!(
                "phases[{i}]: a phase without features ends the subscription, and has neither a trial nor a coupon: \
                 name its features"
            )));
        }
        previous = Some(starts);
    }
    if asked.len() > MAX_PHASES {
        return Err(Error::Invalid(format!(
            "a subscription can have at most {MAX_PHASES} phases, the running one included"
        )));
    }
    Ok(asked)
}

/// What to do about a change.
pub(super) fn decide(current_state: CurrentState<'_>, change: Change<'_>) -> Action {
    let held = Held::of(current_state, change.now);
    let (phases, ends) = match change.asked.split_last() {
        Some((last, before)) if last.features.is_empty() => (before, last.effective),
        _ => (change.asked, None),
    };
    let Some(first) = phases.first() else {
        return end(current_state, &held, change, ends);
    };
    let plan = |start, kept: Option<NewPhase>, open_end| {
        let planned = planned(phases, ends, &held, change.now, open_end);
        let begins = match &kept {
            None => Some(0),
            Some(kept) => (kept.end == Some(PhaseEnd::Now)).then_some(1),
        };
        let phases = kept.into_iter().chain(planned).collect();
        NewSchedule {
            begins,
            ..schedule(start, phases, ends.is_some(), &held, change)
        }
    };
    match (current_state, first.effective) {
        (CurrentState::Nothing, None) => Action::Create(plan(ScheduleStart::Now, None, None)),
        (CurrentState::Nothing, Some(at)) => {
            Action::Create(plan(ScheduleStart::At(at), None, None))
        }
        (CurrentState::Waiting(schedule), at) => Action::Replace(
            schedule.id.clone(),
            plan(at.map_or(ScheduleStart::Now, ScheduleStart::At), None, None),
        ),
        (CurrentState::Subscribed(subscription), None) => {
            let begins = begins_anew(subscription, &held, first, change.now);
            let kept = begins.then(|| keep(subscription, &held, PhaseEnd::Now, change.now));
            let open_end = period_end_of_long_phase(subscription, change.now);
            let open_end = open_end.filter(|_| !begins);
            on_subscription(
                subscription,
                plan(ScheduleStart::WithCurrentPhase, kept, open_end),
            )
        }
        (CurrentState::Subscribed(subscription), Some(at)) => {
            let kept = keep(subscription, &held, PhaseEnd::At(at), change.now);
            on_subscription(
                subscription,
                plan(ScheduleStart::WithCurrentPhase, Some(kept), None),
            )
        }
    }
}

/// Nothing is to be sold any more: from `at`, or from now on.
fn end(
    current_state: CurrentState<'_>,
    held: &Held,
    change: Change<'_>,
    at: Option<i64>,
) -> Action {
    match (current_state, at) {
        (CurrentState::Nothing, _) => Action::Nothing,
        (CurrentState::Waiting(schedule), _) => Action::CallOff(schedule.id.clone()),
        (CurrentState::Subscribed(subscription), None) => Action::Cancel(subscription.id.clone()),
        (CurrentState::Subscribed(subscription), Some(at)) => {
            let phases = vec![keep(subscription, held, PhaseEnd::At(at), change.now)];
            on_subscription(
                subscription,
                schedule(ScheduleStart::WithCurrentPhase, phases, true, held, change),
            )
        }
    }
}

/// A schedule of these phases. What the change does not mention is as it was.
fn schedule(
    start: ScheduleStart,
    mut phases: Vec<NewPhase>,
    ends: bool,
    held: &Held,
    change: Change<'_>,
) -> NewSchedule {
    mark_scheduled(&mut phases);
    let payment_method = change.payment_method.map(str::to_owned);
    NewSchedule {
        start,
        phases,
        ends,
        automatic_tax: change.automatic_tax.unwrap_or(held.automatic_tax),
        payment_method: payment_method.or_else(|| held.payment_method.clone()),
        unprorated: false,
        begins: None,
    }
}

fn on_subscription(subscription: &Subscription, plan: NewSchedule) -> Action {
    match subscription.active_schedule() {
        Some(schedule) => Action::Replace(schedule.id.clone(), plan),
        None => Action::Adopt(subscription.id.clone(), plan),
    }
}

/// Whether a change now ends the running phase: then Stripe bills the metered items that go, at their own price. One
/// that leaves the items as they are changes the phase in place, and so does one in the second in which the phase
/// began, since no phase lasts no time.
fn begins_anew(subscription: &Subscription, held: &Held, first: &ResolvedPhase, now: i64) -> bool {
    let same = held.sells_just(&first.features) && held.trialing == first.trial;
    phase_start(subscription) < now && !same
}

/// When the phase in force began. A subscription without a schedule is given one that begins with its period.
pub(super) fn phase_start(subscription: &Subscription) -> i64 {
    let current = subscription
        .active_schedule()
        .and_then(|schedule| schedule.current_phase);
    current.map_or(subscription.current_period_start, |phase| phase.start_date)
}

#[cfg(test)]
mod tests;
