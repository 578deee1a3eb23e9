//! Completes pending work on an org's subscriptions in the background.
//!
//! Checkout may add a subscription beside an existing one, or before a schedule has started. The newest paid
//! subscription is the org's. The older ones are ended; otherwise they would be billed until the next change of plan. A
//! scheduled change also leaves work, because earlier usage is then only on an invoice. A read that finds such a state
//! queues a task and continues.

use super::identity::SharedState;
use super::org::ResolvedOrg;
use super::refs::{FeatureName, OrgName};
use super::revision::{self, Decisions, Revision};
use super::schedule::CustomerState;
use super::subscription::Subscriptions;
use super::usage::Carried;
use super::{CallerState, Domain, Failure, Lane, Result};
use crate::billing::Subscription;
use telemetry::error_chain;

impl Domain {
    /// Queues the pending work on the subscriptions, if any. The caller does not wait for it.
    pub(super) async fn settle_in_background(&self, org: &ResolvedOrg, found: &Subscriptions) {
        let Ok(shared) = self.shared().await else {
            return;
        };
        if found.current.is_some() {
            // If this customer's subscription ends later, it must be checked again.
            shared.forget_settled(org);
        }
        if is_needed(&shared, org, found) {
            self.start_settling(org, &shared);
        }
    }

    /// Queues the work on levels that a scheduled change has left on removed items.
    pub(super) async fn settle_levels_in_background(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        removed: &Carried,
    ) {
        let has_item = |feature: &FeatureName| {
            let mut items = subscription.items.iter();
            items.any(|item| {
                let name = item.price.feature_plan();
                item.price.is_level() && name.is_some_and(|name| name.feature() == *feature)
            })
        };
        if removed.levels().any(|(feature, _)| has_item(feature))
            && let Ok(shared) = self.shared().await
        {
            self.start_settling(org, &shared);
        }
    }

    fn start_settling(&self, org: &ResolvedOrg, shared: &SharedState) {
        let clock = self.test_clock.as_deref().unwrap_or_default();
        let org = org.name.clone();
        let name = format!("settle:{}:{clock}:{org}", shared.number);
        // A separate caller state records whether anything was written.
        let caller = CallerState::new();
        let domain = Self {
            stripe: self.stripe.for_caller(Lane::Bulk, caller),
            admission: None,
            ..self.clone()
        };
        self.background().start(name, async move {
            let outcome = match domain.settle(&org).await {
                Ok(()) => "ok",
                Err(error) => {
                    // The next read of the org queues it again.
                    tracing::warn!(error = error_chain(&error), %org, "could not settle an org's subscriptions");
                    "failed"
                }
            };
            domain.stripe().metrics().count_run("settle", outcome);
        });
    }

    async fn settle(&self, org: &OrgName) -> Result<()> {
        let shared = self.shared().await?;
        let lock = self.hold_org(org).await?;
        let _reports = self.hold_reports(org, &lock).await?;
        let _changing = self.changing(&shared, org);
        let org = self.resolve_org(org).await?;
        let mut decisions = Decisions::new(&org.customer);
        loop {
            let state = self.read_customer_state(&org.customer).await?;
            let revision = decisions.at(state.revision);
            match self.settle_state(&org, &state, &revision).await {
                Ok(()) => return Ok(()),
                Err(failure) => self.wait_before_retry(&mut decisions, failure).await?,
            }
        }
    }

    async fn settle_state(
        &self,
        org: &ResolvedOrg,
        state: &CustomerState,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let now = self.now().await?;
        self.end_superseded(org, state, now, revision).await?;
        self.settle_changes(org, state, revision).await?;
        if let Some(current) = &state.current {
            self.settle_levels(org, current, revision).await?;
        }
        // A last invoice may not be final yet, so the next read checks again.
        let mut ended = state.ended_unsettled.iter();
        if ended.any(Subscription::may_have_lost_credit) {
            return Ok(());
        }
        let shared = self.shared().await?;
        let current = state.current.as_ref();
        let settled = current.map_or(&*org.customer, |current| current.id.as_str());
        let memory = shared.memory.entitlements();
        memory.note_settled(&shared.key(&org.name), settled);
        Ok(())
    }
}

impl SharedState {
    /// Forgets that an org's customer has no pending work: a subscription that ends may leave some.
    pub(super) fn forget_settled(&self, org: &ResolvedOrg) {
        let memory = self.memory.entitlements();
        memory.forget_settled(&self.key(&org.name), &org.customer);
    }

    fn is_settled(&self, org: &OrgName, id: &str) -> bool {
        self.memory.entitlements().is_settled(&self.key(org), id)
    }
}

fn is_needed(shared: &SharedState, org: &ResolvedOrg, found: &Subscriptions) -> bool {
    if !found.superseded.is_empty() || !found.ended_unsettled.is_empty() {
        return true;
    }
    if let Some(current) = &found.current {
        return current.is_unsettled() || may_have_waiting_schedule(shared, &org.name, current);
    }
    // Whether an ended subscription left pending work is checked once.
    !shared.is_settled(&org.name, &org.customer)
}

/// Whether an unstarted schedule may exist beside a subscription from Checkout. This is checked once.
fn may_have_waiting_schedule(shared: &SharedState, org: &OrgName, current: &Subscription) -> bool {
    current.is_paid_for()
        && current.schedule_id().is_none()
        && !revision::is_marked(&current.metadata)
        && !shared.is_settled(org, &current.id)
}
