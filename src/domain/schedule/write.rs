//! Writes a plan change: decides on the action, carries it out, and ends superseded subscriptions.

use super::customer_state::CustomerState;
use super::notes::check_metadata_room;
use crate::billing::{Generation, NewSchedule, Schedule, ScheduleStart, Subscription};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{self, Action, PlanChange};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Error, Failure, Result};

/// The step that changes the revision.
const CHANGE_STEP: &str = "change";

impl Domain {
    /// Decides on a change and writes it, ends the subscriptions that it supersedes, and updates the cached state of
    /// the org.
    pub(in crate::domain) async fn write_change(
        &self,
        org: &ResolvedOrg,
        change: PlanChange<'_>,
        state: &CustomerState,
        revision: &Revision,
        is_made: &mut bool,
    ) -> Result<(), Failure> {
        let customer = &org.customer;
        let mut action = plan_change::decide(state.current_state(), change);
        if plan_of(&action).is_some_and(cannot_begin_period) {
            return Err(self.too_soon_error().into());
        }
        let mut successor = plan_change::successor(state.current_state(), change);
        let transfer = self
            .plan_usage_and_time(org, change, state, &mut action, revision)
            .await?;
        if let (Some(subscription), Action::Replace(_, plan) | Action::Adopt(_, plan)) =
            (&state.current, &action)
        {
            check_metadata_room(subscription, change.requested, &plan.phases)?;
        }
        if let Some(subscription) = &state.current {
            self.clear_levels(subscription, &transfer, revision).await?;
        }
        let cancels = matches!(action, Action::CancelSubscription(_));
        // The current subscription stays until the new one, of another generation, is paid for.
        let changes_generation = state.current.is_some() && matches!(action, Action::Create(_));
        // A new schedule replaces one of another generation, which must be canceled.
        let replaced = state.not_started.as_ref();
        let replaced = replaced.filter(|_| matches!(action, Action::Create(_)));
        let plan = plan_of(&action);
        let on_meters = plan.is_some_and(|plan| plan.generation == Generation::Meters);
        let notes_time = plan.is_some_and(NewSchedule::notes_unused_time);
        if !cancels {
            self.begin_succession(org, state, successor.as_mut(), &mut action, revision)
                .await?;
        }
        let sent_at = self.account.clock.millis();
        let scheduled = self
            .carry_out_action(org, change, state, action, revision, is_made)
            .await?;
        *is_made = true;
        if let Some(schedule) = replaced {
            self.cancel_schedule(&schedule.id, None).await?;
        }
        if !cancels && (successor.is_some() || !state.successors.is_empty()) {
            self.end_succession(org, successor.as_ref(), revision)
                .await?;
        }
        let changed = scheduled.as_ref().and_then(Schedule::subscription);
        let changed = changed.filter(|_| !on_meters && !changes_generation);
        let mut is_outcome_known =
            cancels || changed.is_some() || state.current.is_none() && !on_meters;
        if let (Some(before), Some(after)) = (&state.current, changed) {
            let late = self.count_late_usage(before, after, &transfer, revision);
            is_outcome_known &= !late.await?;
        }
        if let Some(subscription) = changed {
            self.settle_notes(org, subscription, true, revision).await?;
        }
        if let Some(before) = state.current.as_ref().filter(|_| on_meters)
            && (transfer.moves_levels() || notes_time)
        {
            let after = self.billing().subscription(&before.id).await?;
            self.settle_notes(org, &after, true, revision).await?;
        }
        if changes_generation {
            let state = self.read_customer_state(customer).await?;
            self.end_superseded(org, &state, change.now, revision)
                .await?;
            return Ok(());
        }
        if !cancels {
            self.end_superseded(org, state, change.now, revision)
                .await?;
        }
        if cancels || !state.is_paid_for() {
            for schedule in &state.obsolete {
                self.cancel_schedule(&schedule.id, None).await?;
            }
        }
        if cancels {
            for schedule in &state.successors {
                self.cancel_schedule(&schedule.id, None).await?;
            }
        }
        if is_outcome_known && (cancels || state.is_single()) {
            let after = scheduled.and_then(Schedule::into_subscription);
            self.note_change(org, state.current.as_ref(), after, sent_at)
                .await?;
        }
        Ok(())
    }

    /// Carries out an action. Returns the schedule that it created or changed, with its subscription.
    async fn carry_out_action(
        &self,
        org: &ResolvedOrg,
        change: PlanChange<'_>,
        state: &CustomerState,
        action: Action,
        revision: &Revision,
        is_made: &mut bool,
    ) -> Result<Option<Schedule>, Failure> {
        match action {
            Action::Nothing => {}
            Action::CancelSubscription(_) => {
                for subscription in state
                    .current
                    .iter()
                    .chain(&state.payment_pending)
                    .chain(&state.superseded)
                {
                    self.end_subscription(org, subscription, change.now, revision)
                        .await?;
                    *is_made = true;
                }
                if let Some(current) = &state.current {
                    self.note_keys(&current.id, revision).await;
                }
            }
            Action::CancelSchedule(schedule) => self.cancel_schedule(&schedule, None).await?,
            Action::Create(plan) => {
                let plan = with_revision(plan, revision);
                let create = self.billing().create_schedule(&org.customer, &plan);
                return Ok(Some(
                    self.send_step(revision.step(CHANGE_STEP, create)).await?,
                ));
            }
            Action::Replace(schedule, plan) => {
                let current = state.current.as_ref();
                let current = current.and_then(Subscription::active_schedule);
                let started = current.and_then(|schedule| schedule.current_phase);
                let started = started.map(|phase| phase.start_date);
                let replaced = self.replace(&schedule, started, plan, revision).await?;
                return Ok(Some(replaced));
            }
            Action::Adopt(subscription, plan) => {
                let adopt = self.billing();
                let adopt = adopt.adopt_subscription(&subscription, plan.generation);
                let schedule = self
                    .send_step(revision.step_without_metadata("adopt", adopt))
                    .await?;
                let started = schedule.current_phase.map(|phase| phase.start_date);
                let replaced = self.replace(&schedule.id, started, plan, revision).await?;
                return Ok(Some(replaced));
            }
        }
        Ok(None)
    }

    /// The error of a change that has to wait for Stripe's next second. On a test clock, no second passes by itself.
    fn too_soon_error(&self) -> Error {
        if self.test_clock.is_none() {
            return Error::TooSoon;
        }
        Error::Invalid(
            "the org's plan has changed in this second of its test clock, and another billing interval can only begin \
             in a later one: advance the clock"
                .to_owned(),
        )
    }

    /// Replaces the phases of a schedule.
    async fn replace(
        &self,
        schedule: &str,
        current_phase_start: Option<i64>,
        plan: NewSchedule,
        revision: &Revision,
    ) -> Result<Schedule, Failure> {
        let plan = with_revision(plan, revision);
        let replace = self
            .billing()
            .replace_phases(schedule, &plan, current_phase_start);
        Ok(self.send_step(revision.step(CHANGE_STEP, replace)).await?)
    }
}

/// The schedule that an action makes.
fn plan_of(action: &Action) -> Option<&NewSchedule> {
    match action {
        Action::Create(plan) | Action::Replace(_, plan) | Action::Adopt(_, plan) => Some(plan),
        Action::Nothing | Action::CancelSubscription(_) | Action::CancelSchedule(_) => None,
    }
}

/// Whether the plan would begin a billing period within a phase. In Stripe, only a new phase can begin one.
fn cannot_begin_period(plan: &NewSchedule) -> bool {
    let is_in_place = plan.start == ScheduleStart::WithCurrentPhase && plan.begins == Some(0);
    is_in_place && plan.phases[0].restarts_period
}

/// The plan with the revision in the metadata of each phase.
fn with_revision(mut plan: NewSchedule, revision: &Revision) -> NewSchedule {
    for phase in &mut plan.phases {
        revision.mark(&mut phase.metadata);
    }
    plan
}
