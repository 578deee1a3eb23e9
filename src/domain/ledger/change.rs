//! Changes of plan: reports are held meanwhile, and Stripe receives all earlier usage first.

use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use super::target::target_of;
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::ledger::state::Event;

/// How long a report waits for a change of plan.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// How long a client should wait before repeating a report that could not wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Domain {
    /// Holds the org's reports until the guard is dropped, and delivers all earlier usage, which Stripe bills with the
    /// old plan. Without a ledger, Stripe has all usage already.
    ///
    /// # Errors
    /// [`Error::Undelivered`] if Stripe does not accept all usage. The plan must not be changed then.
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

    /// Hands a level to the ledger that a change of plan has set on an item at `timestamp`, so that the ledger can
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

    /// Prevents changes of the org's plan until the guard is dropped.
    pub(super) async fn before_report(&self, org: &OrgName) -> Result<OwnedRwLockReadGuard<()>> {
        let shared = self.shared().await?;
        let open = self.share(&shared.reports, org.as_str());
        let open = tokio::time::timeout(MAX_WAIT, open).await;
        open.map_err(|_| Error::Busy {
            retry_after: RETRY_AFTER,
            source: None,
        })?
    }
}
