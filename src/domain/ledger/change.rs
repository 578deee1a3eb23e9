//! Changes of plan: usage stands still while they are made, and Stripe knows all of it before.

use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use super::target::target_of;
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::ledger::state::Event;

/// How long a report waits for a change of plan.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// When a client whose report did not get through should come back.
const COME_BACK: Duration = Duration::from_secs(1);

impl Domain {
    /// Lets reports of the org wait until the guard is dropped, and tells Stripe all that was used before: what it bills with
    /// the plan that ends. Without a ledger Stripe knows already.
    ///
    /// # Errors
    /// [`Error::Undelivered`] if Stripe does not take it. Then nothing may be changed.
    pub(in crate::domain) async fn before_plan_change(
        &self,
        org: &OrgName,
    ) -> Result<Option<OwnedRwLockWriteGuard<()>>> {
        let Some(handle) = self.ledger() else {
            return Ok(None);
        };
        let shared = self.shared().await?;
        let held = self.hold(&shared.reports, org.as_str()).await?;
        self.deliver_org(handle, org).await?;
        Ok(Some(held))
    }

    /// A change of plan has set a level on an item of a subscription, at a second: from now on it is the ledger's, which can
    /// lower it too.
    pub(in crate::domain) async fn hand_level_to_ledger(
        &self,
        org: &OrgName,
        subscription: &Subscription,
        item: &SubscriptionItem,
        n: i64,
        at: i64,
    ) -> Result<()> {
        let Some(ledger) = self.opened_ledger() else {
            return Ok(());
        };
        let Some(target) = target_of(org, subscription, item) else {
            return Ok(());
        };
        let now = self.ledger_time().await?;
        let taken = Event::TakeOver {
            target,
            n,
            timestamp: at,
        };
        let answers = ledger.submit(vec![taken], now).await?;
        if let Some(Err(refusal)) = answers.into_iter().next() {
            tracing::error!(%refusal, %org, item = item.id, "a level that a change has moved is not the ledger's");
        }
        Ok(())
    }

    /// Keeps the org's plan from being changed until the guard is dropped.
    pub(super) async fn before_report(&self, org: &OrgName) -> Result<OwnedRwLockReadGuard<()>> {
        let shared = self.shared().await?;
        let open = self.share(&shared.reports, org.as_str());
        let open = tokio::time::timeout(LONGEST_WAIT, open).await;
        open.map_err(|_| Error::Busy {
            retry_after: COME_BACK,
            source: None,
        })?
    }
}
