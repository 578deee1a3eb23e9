//! Changes of plan: usage stands still while they are made, and Stripe knows all of it before.

use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};

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
