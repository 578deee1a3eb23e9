//! Changes of plan. Stripe first receives all earlier usage, and reports wait until the change is done.

use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::time::{Instant, timeout_at};

use super::target::target_of;
use super::{LedgerHandle, org_in_ledger};
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::ledger::state::Event;
use crate::ledger::{HeldOrg, PlanChange};

/// How long a report waits for a change of plan.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(10);

/// The time between two attempts to record usage of an org whose plan has changed.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// The lock that allows one change of an org at a time.
pub(in crate::domain) struct ChangeLock {
    /// Locks out the other servers that share the ledger.
    shared: Option<HeldOrg>,
    /// Locks out the other requests of this server.
    _local: OwnedRwLockWriteGuard<()>,
}

/// Makes the reports of an org wait until it is dropped.
pub(in crate::domain) struct HeldReports {
    /// Makes reports at other servers wait.
    _change: Option<PlanChange>,
    /// Makes reports at this server wait.
    _local: OwnedRwLockWriteGuard<()>,
}

/// A level that a change of plan has set on another item.
#[derive(Clone, Copy)]
pub(in crate::domain) struct MovedLevel<'a> {
    /// The item that has the level now, and the item's subscription.
    pub(in crate::domain) to: (&'a Subscription, &'a SubscriptionItem),
    /// Units.
    pub(in crate::domain) n: i64,
    /// The Unix second at which the level is recorded.
    pub(in crate::domain) at: i64,
    /// The item that it left, if that belongs to another subscription.
    pub(in crate::domain) from: Option<(&'a Subscription, &'a SubscriptionItem)>,
}

impl Domain {
    /// Prevents other changes of the org until the lock is dropped, at this server and at those that share its ledger.
    pub(in crate::domain) async fn hold_org(&self, org: &OrgName) -> Result<ChangeLock> {
        let shared = self.shared().await?;
        let local = self.hold(&shared.changes, org.as_str()).await?;
        let shared = match self.ledger() {
            Some(handle) => {
                let held = handle.0.replicas.hold(org_in_ledger(org));
                Some(self.acquire(None, held).await??)
            }
            None => None,
        };
        Ok(ChangeLock {
            shared,
            _local: local,
        })
    }

    /// Makes the org's reports wait until the guard is dropped, at this server and at those that share its ledger,
    /// since usage reported on an item while it is removed would be lost. With a ledger, all earlier usage is delivered
    /// first, so that Stripe bills it with the old plan.
    ///
    /// # Errors
    /// [`Error::Undelivered`] if Stripe does not accept all usage, and [`Error::Unprocessed`] if Stripe does not
    /// process the usage in time. The plan must not be changed then.
    pub(in crate::domain) async fn hold_reports(
        &self,
        org: &OrgName,
        lock: &ChangeLock,
    ) -> Result<HeldReports> {
        let shared = self.shared().await?;
        let local = self.hold(&shared.reports, org.as_str()).await?;
        let mut change = None;
        if let Some((handle, held)) = self.ledger().zip(lock.shared.as_ref()) {
            let ledger = handle.opened()?;
            change = held.begin_plan_change(ledger).await?;
            self.deliver_org(handle, org).await?;
            self.await_ledger_events(ledger, org).await?;
            held.check()?;
        }
        Ok(HeldReports {
            _change: change,
            _local: local,
        })
    }

    /// Waits until another server has ended its change of the org's plan. The org must be read again afterwards.
    ///
    /// # Errors
    /// [`Error::PlanChanging`] if the change does not end before `deadline`.
    pub(super) async fn await_plan_change(
        &self,
        handle: &LedgerHandle,
        org: &OrgName,
        deadline: Instant,
    ) -> Result<()> {
        let ledger = handle.opened()?;
        let ended = async {
            let shared = self.shared().await?;
            // One request waits for the lease on behalf of all.
            let _local = shared.changes.exclusive(org.as_str()).await;
            if ledger.plan(org.as_str()).is_changing() {
                let held = handle.0.replicas.hold(org_in_ledger(org)).await?;
                held.end_plan_change(ledger).await?;
            }
            // If Stripe cannot be reached, the remembered org still has the old plan, and the caller tries again at
            // once.
            tokio::time::sleep(RETRY_PAUSE).await;
            Ok(())
        };
        let ended = self.acquire(None, timeout_at(deadline, ended)).await?;
        ended.map_err(|_| Error::PlanChanging)?
    }

    /// Whether the ledger has a level of the item. The level may be 0.
    pub(in crate::domain) fn ledger_has_level(
        &self,
        org: &OrgName,
        item: &SubscriptionItem,
    ) -> bool {
        let used = self.ledger_items(org);
        let mut of_item = used.iter().filter(|used| used.item.as_str() == item.id);
        of_item.any(|used| used.has_level)
    }

    /// Hands the ledger a level that a change of plan has set, so that reports can also lower it.
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
        let take_over = Event::TakeOver {
            target: to,
            n: level.n,
            timestamp: level.at,
            from: level.from.and_then(target),
        };
        let answers = ledger.submit(vec![take_over], self.by_clock(now)).await?;
        if let Some(Err(refusal)) = answers.into_iter().next() {
            let item = &level.to.1.id;
            tracing::error!(%refusal, %org, item, "the ledger refused a level that a change of plan has moved");
        }
        Ok(())
    }

    /// Prevents changes of the org's plan until the guard is dropped.
    ///
    /// # Errors
    /// [`Error::PlanChanging`] if a change takes longer than [`MAX_WAIT`].
    pub(in crate::domain) async fn prevent_plan_change(
        &self,
        org: &OrgName,
    ) -> Result<OwnedRwLockReadGuard<()>> {
        let shared = self.shared().await?;
        let guard = self.share(&shared.reports, org.as_str());
        let guard = tokio::time::timeout(MAX_WAIT, guard).await;
        guard.map_err(|_| Error::PlanChanging)?
    }
}
