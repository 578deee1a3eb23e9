//! `subscribe`: changes an org's phases in Stripe to the requested ones.

mod append;
mod change;
mod checks;
mod customer_state;
mod end;
mod last_credit;
mod notes;
mod payment;
mod preparation;
mod proration;
mod sign_up;
mod successor;
mod transfer;
mod usage_charge;
mod write;

pub(super) use change::{MAX_SETTLEMENTS, check_generations};
pub(super) use customer_state::CustomerState;

use super::org::OrgInfoUpdate;
use super::plan_change::{self, CurrentPlan, ResolvedPhase};
use super::refs::{OrgName, Reference};
use super::{Domain, Error, Result};

/// What to subscribe an org to.
#[derive(Clone, Debug, Default)]
pub struct Subscribe {
    /// The org's details to write, if any.
    pub info: Option<OrgInfoUpdate>,
    /// The phases, in order. None: only `info` and `payment_method` are written. A phase without features cancels.
    pub phases: Vec<RequestedPhase>,
    /// The payment method, or empty for none. Without phases, it becomes the default.
    pub payment_method: String,
    /// Whether Stripe computes tax in all phases. None: no change.
    pub automatic_tax: Option<bool>,
    /// Whether the phases are added to those that the org has, instead of replacing them.
    pub appends: bool,
    /// The digest of the request's key, set by [`Domain::subscribe_once`]. A request that was carried out before is not
    /// repeated.
    pub key: Option<String>,
}

/// A requested phase.
#[derive(Clone, Debug, Default)]
pub struct RequestedPhase {
    /// Unix seconds. None: now.
    pub effective: Option<i64>,
    /// Whether the whole phase is a trial.
    pub trial: bool,
    /// Plans and features. None: the subscription ends.
    pub features: Vec<Reference>,
    /// The id of a coupon, or empty for no coupon. None: keep the current one.
    pub coupon: Option<String>,
}

impl Domain {
    /// Carries out `request`, after checking all of it.
    pub async fn subscribe(&self, org: &OrgName, request: &Subscribe) -> Result<()> {
        let outcome = self.carry_out(org, request).await;
        outcome.map_err(|error| self.error_to_report(error))
    }

    async fn carry_out(&self, org: &OrgName, request: &Subscribe) -> Result<()> {
        if let Some(info) = &request.info {
            info.check()?;
        }
        if request.phases.is_empty() {
            if request.automatic_tax.is_some() {
                return Err(Error::Invalid(
                    "tax can only be set together with phases".into(),
                ));
            }
            return self.write_details(org, request).await;
        }
        let now = self.now().await?;
        let requested = plan_change::normalise(self.resolve(&request.phases).await?, now)?;
        for phase in &requested {
            CurrentPlan::default().check(&phase.features)?;
        }
        let shared = self.shared().await?;
        let lock = self.hold_org(org).await?;
        let _reports = self.hold_reports(org, &lock).await?;
        let _changing = self.changing(&shared, org);
        match self.change_or_sign_up(org, &requested, request, now).await {
            Err(Error::CustomerVanished { .. }) => {
                self.forget_customer(org).await?;
                self.change_or_sign_up(org, &requested, request, now).await
            }
            outcome => outcome,
        }
    }

    async fn change_or_sign_up(
        &self,
        org: &OrgName,
        requested: &[ResolvedPhase],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        match self.resolve_org(org).await {
            Ok(org) => self.change_plan(&org, requested, request, now).await,
            Err(Error::OrgNotFound) => self.sign_up(org, requested, request, now).await,
            Err(error) => Err(error),
        }
    }

    /// Looks up the features of all phases together.
    async fn resolve(&self, phases: &[RequestedPhase]) -> Result<Vec<ResolvedPhase>> {
        let lists: Vec<&[Reference]> = phases
            .iter()
            .map(|phase| phase.features.as_slice())
            .collect();
        let resolved = self.expand_all(&lists).await?;
        let requested = phases
            .iter()
            .zip(resolved)
            .map(|(phase, features)| ResolvedPhase {
                effective: phase.effective,
                trial: phase.trial,
                features,
                coupon: phase.coupon.clone(),
            });
        Ok(requested.collect())
    }
}
