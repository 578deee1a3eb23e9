//! Readies the current subscription for a change of plan.

use super::customer_state::CustomerState;
use super::transfer::{ItemChange, Transfer};
use super::usage_charge::UsageCharge;
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{Action, Change};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result};

impl Domain {
    /// Readies the current subscription for an action: its usage, and what is noted of the time that is left. What was
    /// used of meters before a change is billed by Stripe itself.
    pub(super) async fn prepare(
        &self,
        org: &ResolvedOrg,
        change: Change<'_>,
        state: &CustomerState,
        action: &mut Action,
        revision: &Revision,
    ) -> Result<Transfer, Failure> {
        if let Some(current) = state.current.as_ref().filter(|one| one.is_on_meters()) {
            self.await_events(current).await?;
        }
        let transfer = self
            .plan_transfer(&org.customer, change, state, action, revision)
            .await?;
        self.note_unused_time(&org.customer, change, state, action)
            .await?;
        Ok(transfer)
    }

    /// Computes which usage of the current subscription an action transfers, and notes it in the phase that begins.
    async fn plan_transfer(
        &self,
        customer: &str,
        change: Change<'_>,
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
            metadata.extend(UsageCharge::notes(&transfer.charges, revision.made()));
        }
        Ok(transfer)
    }
}
