//! Exclusive access to an org among the processes that share a ledger. A process with a ledger of its own needs no
//! lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::store::StoreError;
#[cfg(feature = "postgres")]
use super::store::postgres::{Lease, Leases};
use super::values::Org;
use super::view::View;
use super::writer::Ledger;
#[cfg(not(feature = "postgres"))]
use alone::{Lease, Leases};

/// How often this process tries to store the end of a plan change. After that, the next process that holds the org
/// does.
const END_ATTEMPTS: u32 = 3;
/// The time between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The processes that share a ledger.
#[derive(Clone, Debug, Default)]
pub struct Replicas(Option<Leases>);

/// An org that no other process changes until this is dropped.
#[derive(Debug)]
pub struct HeldOrg {
    org: Org,
    /// `None` if the ledger is not shared.
    lease: Option<Arc<Lease>>,
}

/// A change of an org's plan. Until this is dropped, no process accepts usage of the org.
#[derive(Debug)]
pub struct PlanChange {
    org: Org,
    view: Arc<View>,
    /// Released once the end of the change is stored.
    lease: Arc<Lease>,
}

impl Replicas {
    /// The processes that share the database of these leases.
    #[cfg(feature = "postgres")]
    pub fn sharing(leases: Leases) -> Self {
        Self(Some(leases))
    }

    /// Waits until no other process holds the org.
    pub async fn hold(&self, org: Org) -> Result<HeldOrg, StoreError> {
        let lease = match &self.0 {
            Some(leases) => Some(Arc::new(leases.take(&format!("org {org}")).await?)),
            None => None,
        };
        Ok(HeldOrg { org, lease })
    }
}

impl HeldOrg {
    /// Checks that the lease has not run out, so that no other process can hold the org.
    pub fn check(&self) -> Result<(), StoreError> {
        match &self.lease {
            Some(lease) if !lease.is_held() => Err(StoreError::LeaseLost),
            _ => Ok(()),
        }
    }

    /// Begins a change of the org's plan; `None` if the ledger is not shared. Until the change ends, no process
    /// accepts usage of the org. After it, usage is accepted only if its target was read after the change.
    pub async fn begin_plan_change(
        &self,
        ledger: &Ledger,
    ) -> Result<Option<PlanChange>, StoreError> {
        let Some(lease) = &self.lease else {
            return Ok(None);
        };
        // Made first, so that the change is ended even if the database's answer is lost.
        let change = PlanChange {
            org: self.org.clone(),
            view: ledger.view(),
            lease: lease.clone(),
        };
        let plan = lease.begin_plan_change(&self.org).await?;
        change.view.learn_plans(vec![(self.org.clone(), plan)]);
        Ok(Some(change))
    }

    /// Ends a change of the org's plan that another process left unfinished.
    pub async fn end_plan_change(&self, ledger: &Ledger) -> Result<(), StoreError> {
        if let Some(lease) = &self.lease {
            let plan = lease.end_plan_change(&self.org).await?;
            ledger.view().learn_plans(vec![(self.org.clone(), plan)]);
        }
        Ok(())
    }
}

impl Drop for PlanChange {
    fn drop(&mut self) {
        let (org, view, lease) = (self.org.clone(), self.view.clone(), self.lease.clone());
        // Without a runtime, the next process that holds the org ends the change.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            for _ in 0..END_ATTEMPTS {
                match lease.end_plan_change(&org).await {
                    Ok(plan) => return view.learn_plans(vec![(org, plan)]),
                    Err(error) => {
                        tracing::debug!(%error, %org, "the end of a plan change is not stored yet");
                    }
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        });
    }
}

/// A program without PostgreSQL has no leases.
#[cfg(not(feature = "postgres"))]
mod alone {
    use std::future::Ready;

    use super::super::store::StoreError;
    use super::super::values::{Org, PlanNumber};

    #[derive(Clone, Debug)]
    pub(super) enum Leases {}

    #[derive(Debug)]
    pub(super) enum Lease {}

    impl Leases {
        pub(super) fn take(&self, _: &str) -> Ready<Result<Lease, StoreError>> {
            match *self {}
        }
    }

    impl Lease {
        pub(super) fn is_held(&self) -> bool {
            match *self {}
        }

        pub(super) fn begin_plan_change(&self, _: &Org) -> Ready<Result<PlanNumber, StoreError>> {
            match *self {}
        }

        pub(super) fn end_plan_change(&self, _: &Org) -> Ready<Result<PlanNumber, StoreError>> {
            match *self {}
        }
    }
}
