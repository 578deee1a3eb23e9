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

/// A level that a change of plan has set on another item.
#[derive(Clone, Copy)]
pub(in crate::domain) struct MovedLevel<'a> {
    /// The item that has it now, and its subscription.
    pub(in crate::domain) to: (&'a Subscription, &'a SubscriptionItem),
    /// Units.
    pub(in crate::domain) n: i64,
    /// The second at which it is recorded.
    pub(in crate::domain) at: i64,
    /// The item that it left, if that belongs to another subscription.
    pub(in crate::domain) from: Option<(&'a Subscription, &'a SubscriptionItem)>,
}

impl Domain {
    /// Holds the org's reports to a ledger or to meters until the guard is dropped. A ledger delivers all earlier usage,
    /// which Stripe bills with the old plan.
    ///
    /// # Errors
    /// [`Error::Undelivered`] if Stripe does not accept all usage. The plan must not be changed then.
    pub(in crate::domain) async fn before_plan_change(
        &self,
        org: &OrgName,
    ) -> Result<OwnedRwLockWriteGuard<()>> {
        let shared = self.shared().await?;
        let held = self.hold(&shared.reports, org.as_str()).await?;
        if let Some(handle) = self.ledger() {
            self.deliver_org(handle, org).await?;
        }
        Ok(held)
    }

    /// Whether the ledger knows the level of an item, which may be 0.
    pub(in crate::domain) fn is_level_in_ledger(
        &self,
        org: &OrgName,
        item: &SubscriptionItem,
    ) -> bool {
        let known = self.ledger_before_read(org);
        let mut own = known.iter().filter(|one| one.item.as_str() == item.id);
        own.any(|one| one.has_level)
    }

    /// Hands a level to the ledger that a change of plan has set, so that the ledger can lower it too.
    pub(in crate::domain) async fn hand_level_to_ledger(
        &self,
        org: &OrgName,
        level: MovedLevel<'_>,
    ) -> Result<()> {
        let Some(ledger) = self.opened_ledger() else {
            return Ok(());
        };
        let target = |(subscription, item)| target_of(org, subscription, item);
        let Some(to) = target(level.to) else {
            return Ok(());
        };
        let now = self.ledger_time().await?;
        let taken = Event::TakeOver {
            target: to,
            n: level.n,
            timestamp: level.at,
            from: level.from.and_then(target),
        };
        let answers = ledger.submit(vec![taken], self.by_clock(now)).await?;
        if let Some(Err(refusal)) = answers.into_iter().next() {
            let item = &level.to.1.id;
            tracing::error!(%refusal, %org, item, "a level that a change has moved is not the ledger's");
        }
        Ok(())
    }

    /// Prevents changes of the org's plan until the guard is dropped.
    pub(in crate::domain) async fn before_report(
        &self,
        org: &OrgName,
    ) -> Result<OwnedRwLockReadGuard<()>> {
        let shared = self.shared().await?;
        let open = self.share(&shared.reports, org.as_str());
        let open = tokio::time::timeout(MAX_WAIT, open).await;
        open.map_err(|_| Error::Busy {
            retry_after: RETRY_AFTER,
            source: None,
        })?
    }
}
