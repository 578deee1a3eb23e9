//! What an org's subscriptions need although no request asks for it.
//!
//! Checkout may add a subscription beside the one that there is, or while another waits for its start: the newest that is
//! paid for is the org's, and the others are ended, or they would be billed until somebody changes the plan. A scheduled
//! change leaves what was used before it on an invoice alone. Whoever sees such a thing queues a task, and goes on.

use super::identity::SharedState;
use super::org::ResolvedOrg;
use super::refs::OrgName;
use super::revision::{self, Decisions, Revision};
use super::schedule::Found;
use super::subscription::Subscriptions;
use super::{CallerState, Domain, Failure, Lane, Result};
use crate::billing::Subscription;
use crate::telemetry::error_chain;

impl Domain {
    /// Queues what `found` shows to be needed. The caller does not wait for it.
    pub(super) async fn look_after(&self, org: &ResolvedOrg, found: &Subscriptions) {
        let Ok(shared) = self.shared().await else {
            return;
        };
        if found.current.is_some() {
            // What ends after this is another end.
            let key = (shared.number, org.customer.to_string());
            if shared.memory.settled().contains_key(&key) {
                shared.memory.settled().invalidate(&key).await;
            }
        }
        if !is_needed(&shared, &org.customer, found) {
            return;
        }
        let clock = self.test_clock.as_deref().unwrap_or_default();
        let org = org.name.clone();
        let name = format!("settle:{}:{clock}:{org}", shared.number);
        // A caller of its own, which tells whether anything was written.
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
            domain.stripe().metrics().ran("settle", outcome);
        });
    }

    async fn settle(&self, org: &OrgName) -> Result<()> {
        let shared = self.shared().await?;
        let _held = self.hold(&shared.changes, org.as_str()).await?;
        let _reports = self.before_plan_change(org).await?;
        let _changing = self.changing(&shared, org);
        let org = self.resolve_org(org).await?;
        let mut decisions = Decisions::new(&org.customer);
        loop {
            let found = self.find_current_state(&org.customer).await?;
            let revision = decisions.at(found.seen);
            match self.settle_found(&org, &found, &revision).await {
                Ok(()) => return Ok(()),
                Err(failure) => self.before_next(&mut decisions, failure).await?,
            }
        }
    }

    async fn settle_found(
        &self,
        org: &ResolvedOrg,
        found: &Found,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let now = self.now().await?;
        self.end_superseded(org, found, now, revision).await?;
        self.settle_changes(&org.customer, found, revision).await?;
        let shared = self.shared().await?;
        let current = found.current.as_ref();
        let settled = current.map_or(&*org.customer, |current| current.id.as_str());
        let key = (shared.number, settled.to_owned());
        shared.memory.settled().insert(key, ()).await;
        Ok(())
    }
}

fn is_needed(shared: &SharedState, customer: &str, found: &Subscriptions) -> bool {
    if !found.superseded.is_empty() || !found.ended_unsettled.is_empty() {
        return true;
    }
    if let Some(current) = &found.current {
        return current.is_unsettled() || may_be_waited_for(shared, current);
    }
    // Whether one that has ended left something to be done is looked up once.
    let key = (shared.number, customer.to_owned());
    !shared.memory.settled().contains_key(&key)
}

/// Whether a schedule may wait beside a subscription that Checkout made. It is looked up once.
fn may_be_waited_for(shared: &SharedState, current: &Subscription) -> bool {
    let key = (shared.number, current.id.clone());
    current.is_paid_for()
        && current.schedule.is_none()
        && !revision::is_marked(&current.metadata)
        && !shared.memory.settled().contains_key(&key)
}
