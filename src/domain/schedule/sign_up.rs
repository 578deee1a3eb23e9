//! The first subscription of an org that has no customer yet.

use super::Subscribe;
use super::checks::check_archived;
use crate::domain::generation::generation_of;
use crate::domain::org::{OrgInfoUpdate, ResolvedOrg};
use crate::domain::plan_change::{CurrentPlan, PlanChange, ResolvedPhase};
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Result};

impl Domain {
    /// Creates the org's customer with all details of the request, and subscribes it.
    pub(super) async fn sign_up(
        &self,
        org: &OrgName,
        requested: &[ResolvedPhase],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        check_archived(requested, None)?;
        generation_of(requested.iter().flat_map(|phase| &phase.features))?;
        let method = Some(request.payment_method.as_str()).filter(|method| !method.is_empty());
        self.check_coupons(requested, &CurrentPlan::default())
            .await?;
        let mut info = request.info.clone().unwrap_or_default();
        if let Some(method) = method {
            self.check_payment_method(method, None).await?;
            if info.payment_method.is_empty() {
                method.clone_into(&mut info.payment_method);
            }
        }
        let written = self.put_org(org, &info).await?;
        let org = ResolvedOrg::new(org, written.id);
        let outcome = self
            .subscribe_new(&org, &info, requested, request, now)
            .await;
        if let Err(error) = &outcome
            && written.is_new
            && error.is_definite_refusal()
        {
            self.undo_creation(&org).await;
        }
        outcome
    }

    /// Subscribes a customer that was created with `info`.
    async fn subscribe_new(
        &self,
        org: &ResolvedOrg,
        info: &OrgInfoUpdate,
        requested: &[ResolvedPhase],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let method = Some(request.payment_method.as_str()).filter(|method| !method.is_empty());
        if let Some(method) = method.filter(|method| *method != info.payment_method) {
            self.attach_payment_method(&org.customer, method).await?;
        }
        let change = PlanChange {
            requested,
            appends: request.appends,
            automatic_tax: request.automatic_tax,
            payment_method: method,
            unmetered: None,
            now,
        };
        let key = request.key.as_deref();
        self.decide_and_write(org, change, None, key, &mut false)
            .await
    }
}
