//! Prepares the current subscription for a change of plan.

use super::customer_state::CustomerState;
use super::transfer::{ItemChange, Transfer};
use super::usage_charge::UsageCharge;
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{Action, PlanChange};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result};

impl Domain {
    /// Plans the transfer of the current subscription's usage, and notes its unused time in the action. With meters,
    /// waits for the events first: Stripe itself bills what they count before the change.
    pub(super) async fn plan_usage_and_time(
        &self,
        org: &ResolvedOrg,
        change: PlanChange<'_>,
        state: &CustomerState,
        action: &mut Action,
        revision: &Revision,
    ) -> Result<Transfer, Failure> {
        if let Some(current) = state
            .current
            .as_ref()
            .filter(|current| current.is_on_meters())
        {
            self.await_events(current).await?;
        }
        let transfer = self
            .plan_transfer(&org.customer, change, state, action, revision)
            .await?;
        self.note_unused_time(&org.customer, change, state, action)
            .await?;
        Ok(transfer)
    }

    /// Plans which usage of the current subscription an action transfers, and notes it in the phase that begins.
    async fn plan_transfer(
        &self,
        customer: &str,
        change: PlanChange<'_>,
        state: &CustomerState,
        action: &mut Action,
        revision: &Revision,
    ) -> Result<Transfer, Failure> {
        let Some(change) = ItemChange::of(change, state, action) else {
            return Ok(Transfer::default());
        };
        let transfer = if change.subscription.is_on_meters() {
            self.transfer_on_meters(change).await?
        } else {
            self.transfer(customer, change).await?
        };
        if let Action::Replace(_, plan) | Action::Adopt(_, plan) = action
            && let Some(begins) = plan.begins
        {
            let metadata = &mut plan.phases[begins].metadata;
            metadata.extend(transfer.figures.clone());
            metadata.extend(UsageCharge::notes(&transfer.charges, revision.next()));
        }
        Ok(transfer)
    }
}
