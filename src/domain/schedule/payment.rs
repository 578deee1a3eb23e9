//! The payment method of an org, and requests without phases.

use super::Subscribe;
use super::customer_state::CustomerState;
use crate::billing::{Schedule, Subscription, SubscriptionUpdate};
use crate::domain::org::{OrgInfoUpdate, ResolvedOrg, WrittenCustomer};
use crate::domain::refs::OrgName;
use crate::domain::revision::{Decisions, Revision};
use crate::domain::{Domain, Error, Failure, Result};

impl Domain {
    /// Writes the org's details and its payment method, without changing what it is subscribed to.
    pub(super) async fn write_details(&self, org: &OrgName, request: &Subscribe) -> Result<()> {
        let method = request.payment_method.as_str();
        if request.info.is_none() && method.is_empty() {
            return Ok(());
        }
        let mut info = request.info.clone().unwrap_or_default();
        let has_method = !method.is_empty();
        let shared = self.shared().await?;
        let _lock = self.hold_org(org).await?;
        let _changing = self.changing(&shared, org);
        if has_method && info.payment_method.is_empty() {
            info.payment_method = method.to_owned();
        }
        if has_method {
            info.default_payment_method = method.to_owned();
        }
        match self.write_details_once(org, &info, method).await {
            Err(Error::CustomerVanished { .. }) => {
                self.forget_customer(org).await?;
                self.write_details_once(org, &info, method).await
            }
            outcome => outcome,
        }
    }

    async fn write_details_once(
        &self,
        org: &OrgName,
        info: &OrgInfoUpdate,
        method: &str,
    ) -> Result<()> {
        let (written, default) = self.put_details(org, info, method).await?;
        let org = ResolvedOrg::new(org, written.id);
        if written.is_new {
            return self.note_new_customer(&org).await;
        }
        if let Some(default) = default {
            self.pay_with(&org.customer, &default, !method.is_empty())
                .await?;
        }
        self.note_no_change(&org).await
    }

    /// Writes `info`. Also returns the new default payment method if `info` has one and the customer existed already.
    async fn put_details(
        &self,
        org: &OrgName,
        info: &OrgInfoUpdate,
        method: &str,
    ) -> Result<(WrittenCustomer, Option<String>)> {
        let exists = match self.customer(org).await {
            Err(Error::OrgNotFound) => false,
            found => found.map(|_| true)?,
        };
        let mut info = info.clone();
        let mut new = None;
        if exists && !method.is_empty() && info.payment_method != method {
            // Both payment methods are attached. The default is the id that attaching returns.
            let customer = self.customer(org).await?;
            let attached = self.attach_and_compare(&customer, method).await?;
            info.default_payment_method.clone_from(&attached.id);
            new = Some(attached.id).filter(|_| attached.is_new);
        }
        let written = self.put_org(org, &info).await;
        if let Err(error) = &written
            && error.is_refusal()
        {
            self.detach(new.as_slice()).await;
        }
        let written = written?;
        let has_new_default = exists && !info.default_payment_method.is_empty();
        let default = written.default_payment_method.clone();
        Ok((written, default.filter(|_| has_new_default)))
    }

    /// Makes the org's subscriptions and schedules use the customer's new default payment method, if the request
    /// `is_explicit` about it, or if they have their own payment method, as after Checkout.
    pub(super) async fn pay_with(
        &self,
        customer: &str,
        method: &str,
        is_explicit: bool,
    ) -> Result<()> {
        let mut decisions = Decisions::new(customer);
        loop {
            let state = self.read_customer_state(customer).await?;
            let revision = decisions.at(state.revision);
            match self
                .apply_payment_method(&state, method, is_explicit, &revision)
                .await
            {
                Ok(()) => return Ok(()),
                Err(failure) => self.wait_before_retry(&mut decisions, failure).await?,
            }
        }
    }

    async fn apply_payment_method(
        &self,
        state: &CustomerState,
        method: &str,
        is_explicit: bool,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let applies = |current: Option<&str>| match current {
            Some(current) => current != method,
            None => is_explicit,
        };
        for subscription in state
            .current
            .iter()
            .chain(&state.superseded)
            .chain(&state.payment_pending)
        {
            if applies(subscription.default_payment_method.as_deref()) {
                self.set_subscription_method(subscription, method, revision)
                    .await?;
            }
        }
        for schedule in state.not_started.iter().chain(state.successor()) {
            if applies(schedule.default_payment_method()) {
                self.set_schedule_method(schedule, method, revision).await?;
            }
        }
        Ok(())
    }

    async fn set_subscription_method(
        &self,
        subscription: &Subscription,
        method: &str,
        revision: &Revision,
    ) -> Result<(), Failure> {
        // The schedule needs it too, or its next phase would restore the old one.
        if let Some(schedule) = subscription.active_schedule() {
            self.set_schedule_method(schedule, method, revision).await?;
        }
        let update = SubscriptionUpdate {
            default_payment_method: Some(method),
            ..SubscriptionUpdate::default()
        };
        let update_method = self
            .billing()
            .update_subscription(&subscription.id, &update);
        let step = format!("pin:{}", subscription.id);
        self.send_step(revision.step(&step, update_method.ignore_answer()))
            .await?;
        Ok(())
    }

    async fn set_schedule_method(
        &self,
        schedule: &Schedule,
        method: &str,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let update_method = self
            .billing()
            .set_schedule_payment_method(&schedule.id, method);
        let step = format!("pin:{}", schedule.id);
        self.send_step(revision.step(&step, update_method.ignore_answer()))
            .await?;
        Ok(())
    }
}
