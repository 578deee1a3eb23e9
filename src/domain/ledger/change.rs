//! Changes of plan: reports are held meanwhile, and Stripe receives all earlier usage first.

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
const AGAIN: Duration = Duration::from_millis(10);

/// The right to change an org.
pub(in crate::domain) struct ChangeLock {
    /// Among the servers that share the ledger.
    held: Option<HeldOrg>,
    /// Among the requests of this one.
    _own: OwnedRwLockWriteGuard<()>,
}

/// An org whose reports wait.
pub(in crate::domain) struct HeldReports {
    /// At other servers.
    _change: Option<PlanChange>,
    /// At this one.
    _own: OwnedRwLockWriteGuard<()>,
}

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
    /// Allows no other change of the org until the lock is dropped, in this server and in those that share its ledger.
    pub(in crate::domain) async fn hold_org(&self, org: &OrgName) -> Result<ChangeLock> {
        let shared = self.shared().await?;
        let own = self.hold(&shared.changes, org.as_str()).await?;
        let held = match self.ledger() {
            Some(handle) => {
                let held = handle.0.replicas.hold(org_in_ledger(org));
                Some(self.acquire(None, held).await??)
            }
            None => None,
        };
        Ok(ChangeLock { held, _own: own })
    }

    /// Holds the org's reports at this server until the guard is dropped, and at those that share its ledger. Usage that is
    /// reported to an item while it is removed would be lost. A ledger delivers all earlier usage, which Stripe bills with
    /// the old plan.
    ///
    /// # Errors
    /// [`Error::Undelivered`] if Stripe does not accept all usage, and [`Error::Unprocessed`] if it does not process it in
    /// time. The plan must not be changed then.
    pub(in crate::domain) async fn before_plan_change(
        &self,
        org: &OrgName,
        lock: &ChangeLock,
    ) -> Result<HeldReports> {
        let shared = self.shared().await?;
        let own = self.hold(&shared.reports, org.as_str()).await?;
        let mut change = None;
        if let Some((handle, held)) = self.ledger().zip(lock.held.as_ref()) {
            let ledger = handle.opened()?;
            change = held.begin_plan_change(ledger).await?;
            self.deliver_org(handle, org).await?;
            self.await_ledger_events(ledger, org).await?;
            held.check()?;
        }
        Ok(HeldReports {
            _change: change,
            _own: own,
        })
    }

    /// Waits for the end of a change of plan at another server, after which the org is read anew.
    ///
    /// # Errors
    /// [`Error::PlanChanging`] if it does not end before `deadline`.
    pub(super) async fn await_plan_change(
        &self,
        handle: &LedgerHandle,
        org: &OrgName,
        deadline: Instant,
    ) -> Result<()> {
        let ledger = handle.opened()?;
        let ended = async {
            let shared = self.shared().await?;
            // One request asks for all.
            let _own = shared.changes.exclusive(org.as_str()).await;
            if ledger.plan(org.as_str()).is_changing() {
                let held = handle.0.replicas.hold(org_in_ledger(org)).await?;
                held.end_plan_change(ledger).await?;
            }
            // Stripe may be away, and what is remembered of the org is of the plan before.
            tokio::time::sleep(AGAIN).await;
            Ok(())
        };
        let ended = self.acquire(None, timeout_at(deadline, ended)).await?;
        ended.map_err(|_| Error::PlanChanging)?
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
    ///
    /// # Errors
    /// [`Error::PlanChanging`] if a change takes longer than [`MAX_WAIT`].
    pub(in crate::domain) async fn before_report(
        &self,
        org: &OrgName,
    ) -> Result<OwnedRwLockReadGuard<()>> {
        let shared = self.shared().await?;
        let open = self.share(&shared.reports, org.as_str());
        let open = tokio::time::timeout(MAX_WAIT, open).await;
        open.map_err(|_| Error::PlanChanging)?
    }
}
