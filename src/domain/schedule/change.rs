//! Carries out a change of plan: reads, decides, writes, and ends what is superseded.

use std::sync::Arc;

use super::Subscribe;
use super::append::appended;
use super::checks::{Attachment, check_archived};
use super::customer_state::CustomerState;
use super::notes::check_metadata_room;
use crate::billing::{Generation, NewSchedule, Schedule, ScheduleStart, Subscription};
use crate::domain::generation::{check_generation, generation_of_phases};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{self, Action, Change, CurrentPlan, CurrentState, ResolvedPhase};
use crate::domain::request_key;
use crate::domain::revision::{Decisions, Revision};
use crate::domain::{Domain, Error, Failure, Result};

/// How many times a request completes earlier changes before its own. A step that Stripe keeps refusing must not block
/// it forever.
pub(in crate::domain) const MAX_SETTLEMENTS: u32 = 3;

/// The step of a change that makes its revision.
const CHANGE: &str = "change";

impl Domain {
    /// Writes the request's details to an existing customer, and changes what it is subscribed to.
    pub(super) async fn change_plan(
        &self,
        org: &ResolvedOrg,
        asked: &[ResolvedPhase],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let customer = &org.customer;
        let state = self.read_customer_state(customer).await?;
        if state.knows(request.key.as_deref()) {
            self.complete_repeated(&state).await?;
            return Ok(());
        }
        check_archived(asked, Some(&state))?;
        if !request.appends {
            check_generations(&state, asked)?;
        }
        let current_plan = CurrentPlan::of(state.current_state(), now);
        for phase in asked {
            current_plan.check(&phase.features)?;
        }
        self.check_coupons(asked, &current_plan).await?;
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
            let change = Change {
                asked,
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

    /// Decides and writes, and repeats both if the clock or another request was faster. `known` is a state that was
    /// read already. Sets `is_made` once the change itself is made, so that a refusal of a later step is not mistaken
    /// for a refusal of the change.
    pub(super) async fn decide_and_write(
        &self,
        org: &ResolvedOrg,
        change: Change<'_>,
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
            let change = Change {
                now: self.at_stripe(change.now),
                ..change
            };
            if state.knows(key) {
                self.complete_repeated(&state).await?;
                return Ok(());
            }
            let mut revision = decisions.at(state.revision);
            if settlements < MAX_SETTLEMENTS && state.is_unsettled() {
                match self.settle_changes(org, &state, &revision).await {
                    Ok(()) => settlements += 1,
                    Err(failure) => self.before_next(&mut decisions, failure).await?,
                }
                continue;
            }
            if let Some(key) = key {
                revision.remember(request_key::with(&state.request_keys, key));
            }
            let appended = match &catalog {
                Some(catalog) => Some(appended(change, &state, catalog)?),
                None => None,
            };
            let change = appended
                .as_deref()
                .map_or(change, |asked| Change { asked, ..change });
            check_generations(&state, change.asked)?;
            let change = Change {
                unmetered: self.generation_of_first(&state, change.asked).await?,
                ..change
            };
            let written = self.write(org, change, &state, &revision, is_made);
            match written.await {
                Ok(()) => return Ok(()),
                Err(failure) => self.before_next(&mut decisions, failure).await?,
            }
        }
    }

    /// The generation of a first subscription that sells nothing metered.
    async fn generation_of_first(
        &self,
        state: &CustomerState,
        asked: &[ResolvedPhase],
    ) -> Result<Option<Generation>> {
        let begins = asked.iter().any(|phase| !phase.features.is_empty());
        match state.current_state() {
            CurrentState::Nothing if begins && generation_of_phases(asked).is_none() => {
                self.generation_of_new().await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Writes the decision, and then ends what it supersedes. The next answer about the org shows the outcome.
    pub(in crate::domain) async fn write(
        &self,
        org: &ResolvedOrg,
        change: Change<'_>,
        state: &CustomerState,
        revision: &Revision,
        is_made: &mut bool,
    ) -> Result<(), Failure> {
        let customer = &org.customer;
        let mut action = plan_change::decide(state.current_state(), change);
        if plan_of(&action).is_some_and(cannot_begin_period) {
            return Err(self.too_soon().into());
        }
        let mut successor = plan_change::successor(state.current_state(), change);
        let transfer = self
            .prepare(org, change, state, &mut action, revision)
            .await?;
        if let (Some(subscription), Action::Replace(_, plan) | Action::Adopt(_, plan)) =
            (&state.current, &action)
        {
            check_metadata_room(subscription, change.asked, &plan.phases)?;
        }
        if let Some(subscription) = &state.current {
            self.clear_levels(subscription, &transfer, revision).await?;
        }
        let cancels = matches!(action, Action::CancelSubscription(_));
        // The org's subscription stays beside a new one of another generation, until that is paid for.
        let moves = state.current.is_some() && matches!(action, Action::Create(_));
        // Unless it is replaced, since the new one is of another generation.
        let called_off = state.not_started.as_ref();
        let called_off = called_off.filter(|_| matches!(action, Action::Create(_)));
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
        if let Some(schedule) = called_off {
            self.cancel_schedule(&schedule.id, None).await?;
        }
        if !cancels && (successor.is_some() || !state.successors.is_empty()) {
            self.end_succession(org, successor.as_ref(), revision)
                .await?;
        }
        let changed = scheduled.as_ref().and_then(Schedule::subscription);
        let changed = changed.filter(|_| !on_meters && !moves);
        let mut is_known = cancels || changed.is_some() || state.current.is_none() && !on_meters;
        if let (Some(before), Some(after)) = (&state.current, changed) {
            let late = self.count_late_usage(before, after, &transfer, revision);
            is_known &= !late.await?;
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
        if moves {
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
        if is_known && (cancels || state.is_alone()) {
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
        change: Change<'_>,
        state: &CustomerState,
        action: Action,
        revision: &Revision,
        is_made: &mut bool,
    ) -> Result<Option<Schedule>, Failure> {
        match action {
            Action::Nothing => {}
            Action::CancelSubscription(_) => {
                for live in state
                    .current
                    .iter()
                    .chain(&state.others)
                    .chain(&state.superseded)
                {
                    self.end_subscription(org, live, change.now, revision)
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
                return Ok(Some(self.decided(revision.write(CHANGE, create)).await?));
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
                let schedule = self.decided(revision.once("adopt", adopt)).await?;
                let started = schedule.current_phase.map(|phase| phase.start_date);
                let replaced = self.replace(&schedule.id, started, plan, revision).await?;
                return Ok(Some(replaced));
            }
        }
        Ok(None)
    }

    /// The error of a change that has to wait for Stripe's next second. The time of a test clock does not pass.
    fn too_soon(&self) -> Error {
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
        Ok(self.decided(revision.write(CHANGE, replace)).await?)
    }
}

/// Checks the generations of the requested phases.
pub(in crate::domain) fn check_generations(
    state: &CustomerState,
    asked: &[ResolvedPhase],
) -> Result<()> {
    let later = asked.first().and_then(|first| first.effective);
    let keeps_coupon = asked.first().is_some_and(|first| first.coupon.is_none());
    let features = asked.iter().flat_map(|phase| &phase.features);
    check_generation(state.current_state(), features, later, keeps_coupon)
}

/// The schedule that an action makes.
fn plan_of(action: &Action) -> Option<&NewSchedule> {
    match action {
        Action::Create(plan) | Action::Replace(_, plan) | Action::Adopt(_, plan) => Some(plan),
        Action::Nothing | Action::CancelSubscription(_) | Action::CancelSchedule(_) => None,
    }
}

/// Whether the plan would begin a period in a phase that has begun already. Stripe begins one only with a phase.
fn cannot_begin_period(plan: &NewSchedule) -> bool {
    let stays = plan.start == ScheduleStart::WithCurrentPhase && plan.begins == Some(0);
    stays && plan.phases[0].restarts_period
}

/// The plan with the revision in the metadata of each phase.
fn with_revision(mut plan: NewSchedule, revision: &Revision) -> NewSchedule {
    for phase in &mut plan.phases {
        revision.mark(&mut phase.metadata);
    }
    plan
}
