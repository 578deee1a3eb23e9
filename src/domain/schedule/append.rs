//! `append`: adds a phase to an org's schedule, and keeps the phases before and after it.

use super::customer_state::CustomerState;
use super::{RequestedPhase, Subscribe};
use crate::domain::catalog::Catalog;
use crate::domain::clock::CLOCK_SKEW;
use crate::domain::phases::{phases_to_come, replace_end};
use crate::domain::plan_change::{PlanChange, ResolvedPhase, with_phases_to_come};
use crate::domain::refs::{OrgName, PlanName, Reference};
use crate::domain::{Domain, Result};

impl Domain {
    /// Puts the org on `plan` from `effective` (Unix seconds) until its next phase begins. If `effective` is none, or
    /// at most [`CLOCK_SKEW`] ahead, the plan replaces the current phase.
    pub async fn append(
        &self,
        org: &OrgName,
        plan: &PlanName,
        effective: Option<i64>,
    ) -> Result<()> {
        let soon = self.now().await?.saturating_add(CLOCK_SKEW);
        let phase = RequestedPhase {
            effective: effective.filter(|effective| *effective > soon),
            features: vec![Reference::Plan(plan.clone())],
            ..RequestedPhase::default()
        };
        let request = Subscribe {
            phases: vec![phase],
            appends: true,
            ..Subscribe::default()
        };
        self.subscribe(org, &request).await
    }
}

/// All current and future phases after a change that appends some.
pub(super) fn appended(
    change: PlanChange<'_>,
    state: &CustomerState,
    catalog: &Catalog,
) -> Result<Vec<ResolvedPhase>> {
    let mut to_come = phases_to_come(state.current_state(), catalog, change.now);
    if let Some(successor) = state.successor() {
        replace_end(&mut to_come, successor, catalog);
    }
    let to_come = to_come.into_iter().map(|phase| {
        let features = phase.features.into_iter().map(Reference::Feature);
        let features: Vec<Reference> = features.collect();
        Ok(ResolvedPhase {
            effective: Some(phase.effective),
            trial: phase.trial,
            features: catalog.expand(&features)?,
            coupon: Some(phase.coupon.map(|coupon| coupon.id).unwrap_or_default()),
        })
    });
    let to_come: Result<Vec<ResolvedPhase>> = to_come.collect();
    with_phases_to_come(change.requested, to_come?, change.now)
}
