//! Carries out a change of plan: reads, decides, writes, and ends superseded subscriptions.

use std::sync::Arc;

use super::Subscribe;
use super::append::appended;
use super::checks::{Attachment, check_archived};
use super::customer_state::CustomerState;
use super::notes::check_metadata_room;
use crate::billing::{Generation, NewSchedule, Schedule, ScheduleStart, Subscription};
use crate::domain::generation::{check_generation, generation_of_phases};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{
    self, Action, CurrentPlan, CurrentState, PlanChange, ResolvedPhase,
};
use crate::domain::request_key;
use crate::domain::revision::{Decisions, Revision};
use crate::domain::{Domain, Error, Failure, Result};

/// How many times a request tries to complete earlier changes before it makes its own. A step that Stripe keeps
/// refusing must not block the org for ever.
pub(in crate::domain) const MAX_SETTLEMENTS: u32 = 3;

/// The step that changes the revision.
const CHANGE_STEP: &str = "change";

impl Domain {
    /// Writes the request's details to an existing customer, and changes its plan.
    pub(super) async fn change_plan(
        &self,
        org: &ResolvedOrg,
        requested: &[ResolvedPhase],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let customer = &org.customer;
        let state = self.read_customer_state(customer).await?;
        if state.has_carried_out(request.key.as_deref()) {
            self.complete_repeated(&state).await?;
            return Ok(());
        }
        check_archived(requested, Some(&state))?;
        if !request.appends {
            check_generations(&state, requested)?;
        }
        let current_plan = CurrentPlan::of(state.current_state(), now);
        for phase in requested {
            current_plan.check(&phase.features)?;
        }
        self.check_coupons(requested, &current_plan).await?;
        let mut attachment = Attachment::Attached;
        if !request.payment_method.is_empty() {
            let method = request.payment_method.as_str();
            attachment = self.check_payment_method(method, Some(customer)).await?;
        }
        let before = match &request.info {
            Some(_) => Some(self.existing_customer(customer).await?),
            None => None,
        };
        let mut attached = Vec::new();
        let mut is_made = false;
        let has_own_method = current_plan.payment_method.is_some();
        let outcome = async {
            let method = self
                .write_request_details(customer, request, attachment, has_own_method, &mut attached)
                .await?;
            let change = PlanChange {
                requested,
                appends: request.appends,
                automatic_tax: request.automatic_tax,
                payment_method: method.as_deref(),
                unmetered: None,
                now,
            };
            let key = request.key.as_deref();
            self.decide_and_write(org, change, Some(state), key, &mut is_made)
                .await
        };
        let outcome = outcome.await;
        if let Err(error) = &outcome
            && error.is_refusal()
            && !is_made
        {
            if let (Some(info), Some(before)) = (&request.info, before) {
                self.restore_details(info, &before).await;
            }
            if error.is_definite_refusal() {
                self.detach(&attached).await;
            }
        }
        outcome
    }

    /// Writes the request's details, and attaches its payment method. Returns the payment method that the subscription
    /// is to change to, if any. Adds payment methods that are new to the customer to `attached`.
    async fn write_request_details(
        &self,
        customer: &Arc<str>,
        request: &Subscribe,
        attachment: Attachment,
        has_own_method: bool,
        attached: &mut Vec<String>,
    ) -> Result<Option<String>> {
        let method = Some(request.payment_method.clone()).filter(|method| !method.is_empty());
        let mut default = None;
        if let Some(info) = &request.info {
            let written = self.update_customer(customer.clone(), info).await?;
            attached.extend(written.attached);
            default = written.default_payment_method;
            default = default.filter(|_| !info.default_payment_method.is_empty());
        }
        if let (Some(method), Attachment::Unattached) = (&method, attachment) {
            attached.push(self.attach_payment_method(customer, method).await?);
        }
        // A new default has to be set on the subscription too if that has a payment method of its own.
        Ok(method.or(default.filter(|_| has_own_method)))
    }

    /// Decides and writes, and repeats both if a scheduled change or another request came first. `known` is the state,
    /// if it was read already. Sets `is_made` once the change is made, so that the refusal of a later step does not
    /// count as that of the change.
    pub(super) async fn decide_and_write(
        &self,
        org: &ResolvedOrg,
        change: PlanChange<'_>,
        mut known: Option<CustomerState>,
        key: Option<&str>,
        is_made: &mut bool,
    ) -> Result<()> {
        let customer = &org.customer;
        let mut decisions = Decisions::new(customer);
        let mut settlements = 0;
        let catalog = if change.appends {
            Some(self.catalog_with_tiers().await?)
        } else {
            None
        };
        loop {
            let state = match known.take() {
                Some(state) => state,
                None => self.read_customer_state(customer).await?,
            };
            let change = PlanChange {
                now: self.at_stripe(change.now),
                ..change
            };
            if state.has_carried_out(key) {
                self.complete_repeated(&state).await?;
                return Ok(());
            }
            let mut revision = decisions.at(state.revision);
            if settlements < MAX_SETTLEMENTS && state.is_unsettled() {
                match self.settle_changes(org, &state, &revision).await {
                    Ok(()) => settlements += 1,
                    Err(failure) => self.wait_before_retry(&mut decisions, failure).await?,
                }
                continue;
            }
            if let Some(key) = key {
                revision.set_request_keys(request_key::with(&state.request_keys, key));
            }
            let appended = match &catalog {
                Some(catalog) => Some(appended(change, &state, catalog)?),
                None => None,
            };
            let change = appended.as_deref().map_or(change, |requested| PlanChange {
                requested,
                ..change
            });
            check_generations(&state, change.requested)?;
            let change = PlanChange {
                unmetered: self
                    .generation_of_first_subscription(&state, change.requested)
                    .await?,
                ..change
            };
            let written = self.write_change(org, change, &state, &revision, is_made);
            match written.await {
                Ok(()) => return Ok(()),
                Err(failure) => self.wait_before_retry(&mut decisions, failure).await?,
            }
        }
    }

    /// The generation of a first subscription that sells nothing metered.
    async fn generation_of_first_subscription(
        &self,
        state: &CustomerState,
        requested: &[ResolvedPhase],
    ) -> Result<Option<Generation>> {
        let begins = requested.iter().any(|phase| !phase.features.is_empty());
        match state.current_state() {
            CurrentState::Nothing if begins && generation_of_phases(requested).is_none() => {
                self.generation_of_new().await.map(Some)
            }
            _ => Ok(None),
        }
    }

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

/// Checks the generations of the requested phases.
pub(in crate::domain) fn check_generations(
    state: &CustomerState,
    requested: &[ResolvedPhase],
) -> Result<()> {
    let starts = requested.first().and_then(|first| first.effective);
    let keeps_coupon = requested
        .first()
        .is_some_and(|first| first.coupon.is_none());
    let features = requested.iter().flat_map(|phase| &phase.features);
    check_generation(state.current_state(), features, starts, keeps_coupon)
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
