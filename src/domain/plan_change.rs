//! Decides how to change an org's phases in Stripe to the requested ones. Pure: it maps the current state and the
//! request to an [`Action`], which `schedule` carries out.

mod append;
mod current_plan;
mod phases;

use super::catalog::{BillingTerms, PricedFeature};
use super::generation;
use super::{Error, Result};
use crate::billing::{
    Generation, NewPhase, NewSchedule, PhaseEnd, Schedule, ScheduleStart, Subscription,
};

pub(super) use append::with_phases_to_come;
pub(super) use current_plan::CurrentPlan;

use phases::{kept_phase, mark_scheduled, period_end_of_long_phase, planned};

/// How long Stripe lets a trial last: 730 days, in seconds.
pub(super) const LONGEST_TRIAL: i64 = 730 * 24 * 60 * 60;

/// The metadata key, on a schedule's first phase, of the subscription of another generation that it follows.
pub(super) const FOLLOWS: &str = "tier.follows";

/// How many current and future phases Stripe lets a schedule have.
const MAX_PHASES: usize = 10;

/// The org's current subscription or schedule.
#[derive(Clone, Copy)]
pub(super) enum CurrentState<'a> {
    /// Neither a subscription nor a schedule.
    Nothing,
    /// A schedule that has not started.
    NotStarted(&'a Schedule),
    /// A subscription, with or without a schedule.
    Subscribed(&'a Subscription),
}

/// A requested phase with its features looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvedPhase {
    /// Unix seconds. None: now.
    pub(super) effective: Option<i64>,
    /// Whether the whole phase is a trial.
    pub(super) trial: bool,
    /// Its features. None: the subscription ends.
    pub(super) features: Vec<PricedFeature>,
    /// The id of a coupon, or empty for no coupon. None: keep the current one.
    pub(super) coupon: Option<String>,
}

/// A requested change of plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanChange<'a> {
    /// The phases, [normalised](normalise); at least one.
    pub(super) requested: &'a [ResolvedPhase],
    /// Whether the phases are added to those that the org has.
    pub(super) appends: bool,
    /// Whether Stripe computes tax. None: no change.
    pub(super) automatic_tax: Option<bool>,
    /// The payment method of the subscription. None: no change.
    pub(super) payment_method: Option<&'a str>,
    /// The generation of a first subscription that sells nothing metered. None: classic.
    pub(super) unmetered: Option<Generation>,
    /// Unix seconds.
    pub(super) now: i64,
}

/// What to do in Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing to do: everything is as requested.
    Nothing,
    /// Create a schedule for the customer.
    Create(NewSchedule),
    /// Replace the phases of this schedule.
    Replace(String, NewSchedule),
    /// Create a schedule from this subscription, then replace its phases.
    Adopt(String, NewSchedule),
    /// End the subscription now, billing what was used.
    CancelSubscription(String),
    /// Cancel a schedule that has not started.
    CancelSchedule(String),
}

/// Validates the phases. If the first one starts in the past or now, its start becomes none, which means now.
///
/// # Errors
/// [`Error::Invalid`] if the phases are not in order of time, or if a phase before the last one is empty.
pub(super) fn normalise(mut requested: Vec<ResolvedPhase>, now: i64) -> Result<Vec<ResolvedPhase>> {
    let mut previous = None;
    let last = requested.len().saturating_sub(1);
    for (i, phase) in requested.iter_mut().enumerate() {
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
    if requested.len() > MAX_PHASES {
        return Err(Error::Invalid(format!(
            "a subscription can have at most {MAX_PHASES} phases, the running one included"
        )));
    }
    Ok(requested)
}

/// Decides what to do for a change. If a [`successor`] follows the subscription, the action ends the subscription.
pub(super) fn decide(current_state: CurrentState<'_>, change: PlanChange<'_>) -> Action {
    let current_plan = CurrentPlan::of(current_state, change.now);
    let (phases, ends) = phases_and_end(change);
    let Some(first) = phases.first() else {
        return end(current_state, &current_plan, change, ends);
    };
    let new = generation(current_state, change);
    let plan = |start, kept: Option<NewPhase>, open_end| {
        let mut planned = planned(phases, ends, &current_plan, change.now, open_end);
        if new == Generation::Meters {
            restart_periods(&mut planned, phases, current_state);
        }
        let begins = match &kept {
            None => Some(0),
            Some(kept) => (kept.end == Some(PhaseEnd::Now)).then_some(1),
        };
        let phases = kept.into_iter().chain(planned).collect();
        NewSchedule {
            begins,
            ..schedule(new, start, phases, ends.is_some(), &current_plan, change)
        }
    };
    match (current_state, first.effective) {
        (CurrentState::Nothing, None) => Action::Create(plan(ScheduleStart::Now, None, None)),
        (CurrentState::Nothing, Some(at)) => {
            Action::Create(plan(ScheduleStart::At(at), None, None))
        }
        (CurrentState::NotStarted(schedule), at) => {
            let plan = plan(at.map_or(ScheduleStart::Now, ScheduleStart::At), None, None);
            if schedule.generation() == new {
                Action::Replace(schedule.id.clone(), plan)
            } else {
                Action::Create(plan)
            }
        }
        // A subscription cannot change its generation. A new one supersedes or follows it.
        (CurrentState::Subscribed(subscription), at) if subscription.generation() != new => {
            match at {
                None => Action::Create(plan(ScheduleStart::Now, None, None)),
                Some(_) => end(current_state, &current_plan, change, at),
            }
        }
        (CurrentState::Subscribed(subscription), None) => {
            let begins = ends_current_phase(subscription, &current_plan, first, change.now);
            let kept =
                begins.then(|| kept_phase(subscription, &current_plan, PhaseEnd::Now, change.now));
            let open_end = period_end_of_long_phase(subscription, change.now);
            let open_end = open_end.filter(|_| !begins);
            on_subscription(
                subscription,
                plan(ScheduleStart::WithCurrentPhase, kept, open_end),
            )
        }
        (CurrentState::Subscribed(subscription), Some(at)) => {
            let kept = kept_phase(subscription, &current_plan, PhaseEnd::At(at), change.now);
            on_subscription(
                subscription,
                plan(ScheduleStart::WithCurrentPhase, Some(kept), None),
            )
        }
    }
}

/// The schedule of another generation that follows the org's subscription. [`decide`] ends the subscription when it
/// starts. None if the change needs no successor.
pub(super) fn successor(
    current_state: CurrentState<'_>,
    change: PlanChange<'_>,
) -> Option<NewSchedule> {
    let CurrentState::Subscribed(subscription) = current_state else {
        return None;
    };
    let (phases, ends) = phases_and_end(change);
    let starts = phases.first()?.effective?;
    let new = generation(current_state, change);
    if subscription.generation() == new {
        return None;
    }
    let current_plan = CurrentPlan::of(current_state, change.now);
    let mut planned = planned(phases, ends, &current_plan, change.now, None);
    if new == Generation::Meters {
        restart_periods(&mut planned, phases, current_state);
    }
    let first = planned.first_mut()?;
    let app_metadata = subscription.metadata.iter();
    let app_metadata = app_metadata.filter(|(key, _)| !key.starts_with("tier."));
    let app_metadata = app_metadata.map(|(key, value)| (key.clone(), value.clone()));
    let predecessor = (FOLLOWS.to_owned(), subscription.id.clone());
    first.metadata.extend(app_metadata.chain([predecessor]));
    let start = ScheduleStart::At(starts);
    Some(schedule(
        new,
        start,
        planned,
        ends.is_some(),
        &current_plan,
        change,
    ))
}

/// The phases that have features, and when the last, empty one ends the subscription. The time is none if nothing ends
/// it, or if it ends now.
fn phases_and_end(change: PlanChange<'_>) -> (&[ResolvedPhase], Option<i64>) {
    match change.requested.split_last() {
        Some((last, before)) if last.features.is_empty() => (before, last.effective),
        _ => (change.requested, None),
    }
}

/// Ends the org's subscription or schedule, at `at` or now.
fn end(
    current_state: CurrentState<'_>,
    current_plan: &CurrentPlan,
    change: PlanChange<'_>,
    at: Option<i64>,
) -> Action {
    match (current_state, at) {
        (CurrentState::Nothing, _) => Action::Nothing,
        (CurrentState::NotStarted(schedule), _) => Action::CancelSchedule(schedule.id.clone()),
        (CurrentState::Subscribed(subscription), None) => {
            Action::CancelSubscription(subscription.id.clone())
        }
        (CurrentState::Subscribed(subscription), Some(at)) => {
            let phases = vec![kept_phase(
                subscription,
                current_plan,
                PhaseEnd::At(at),
                change.now,
            )];
            on_subscription(
                subscription,
                schedule(
                    subscription.generation(),
                    ScheduleStart::WithCurrentPhase,
                    phases,
                    true,
                    current_plan,
                    change,
                ),
            )
        }
    }
}

/// A schedule of these phases. Settings that the change does not mention are kept.
fn schedule(
    new: Generation,
    start: ScheduleStart,
    mut phases: Vec<NewPhase>,
    ends: bool,
    current_plan: &CurrentPlan,
    change: PlanChange<'_>,
) -> NewSchedule {
    mark_scheduled(&mut phases);
    for phase in &mut phases {
        generation::mark(&mut phase.metadata, new);
    }
    let payment_method = change.payment_method.map(str::to_owned);
    NewSchedule {
        start,
        phases,
        ends,
        automatic_tax: change.automatic_tax.unwrap_or(current_plan.automatic_tax),
        payment_method: payment_method.or_else(|| current_plan.payment_method.clone()),
        unprorated: false,
        begins: None,
        generation: new,
    }
}

/// Begins a billing period with each phase whose interval differs from that of the phase before. Trials and new
/// subscriptions always begin one.
fn restart_periods(planned: &mut [NewPhase], requested: &[ResolvedPhase], state: CurrentState<'_>) {
    let mut before = match state {
        CurrentState::Subscribed(subscription) if subscription.is_on_meters() => {
            subscription.items.first()
        }
        _ => None,
    }
    .map(|item| BillingTerms::of(&item.price).every);
    for (phase, requested) in planned.iter_mut().zip(requested) {
        let every = requested
            .features
            .first()
            .map(|feature| feature.billing.every.clone());
        phase.restarts_period = before.is_some() && before != every && !phase.trial;
        before = every;
    }
}

/// The generation after the change: that of its metered features, or else the current one.
fn generation(current_state: CurrentState<'_>, change: PlanChange<'_>) -> Generation {
    generation::generation_of_phases(change.requested).unwrap_or_else(|| match current_state {
        CurrentState::Nothing => change.unmetered.unwrap_or(Generation::Classic),
        CurrentState::NotStarted(schedule) => schedule.generation(),
        CurrentState::Subscribed(subscription) => subscription.generation(),
    })
}

fn on_subscription(subscription: &Subscription, plan: NewSchedule) -> Action {
    match subscription.active_schedule() {
        Some(schedule) => Action::Replace(schedule.id.clone(), plan),
        None => Action::Adopt(subscription.id.clone(), plan),
    }
}

/// Whether an immediate change ends the current phase, so that Stripe bills the removed metered items. A change that
/// keeps the items changes the phase in place. So does a change in the second in which the phase began, since a phase
/// cannot have zero length.
fn ends_current_phase(
    subscription: &Subscription,
    current_plan: &CurrentPlan,
    first: &ResolvedPhase,
    now: i64,
) -> bool {
    let same = current_plan.sells_exactly(&first.features) && current_plan.trialing == first.trial;
    phase_start(subscription) < now && !same
}

/// When the current phase began. A subscription without a schedule gets one that begins with its billing period.
pub(super) fn phase_start(subscription: &Subscription) -> i64 {
    let current = subscription
        .active_schedule()
        .and_then(|schedule| schedule.current_phase);
    current.map_or(subscription.current_period_start, |phase| phase.start_date)
}

#[cfg(test)]
mod tests;
