//! Carries out a plan change: reads the state, checks the request, and retries what another server interrupts.

use std::sync::Arc;

use super::Subscribe;
use super::append::appended;
use super::checks::{Attachment, check_archived};
use super::customer_state::CustomerState;
use crate::billing::Generation;
use crate::domain::generation::{check_generation, generation_of_phases};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{CurrentPlan, CurrentState, PlanChange, ResolvedPhase};
use crate::domain::request_key;
use crate::domain::revision::Decisions;
use crate::domain::{Domain, Result};

/// How many times a request tries to complete earlier changes before it makes its own. A step that Stripe keeps
/// refusing must not block the org for ever.
pub(in crate::domain) const MAX_SETTLEMENTS: u32 = 3;

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
