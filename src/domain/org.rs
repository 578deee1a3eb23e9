//! Orgs and the Stripe customers that stand for them.
//!
//! An org is found by one search on the pair `tier.org` of its metadata and, since search lags behind creation,
//! one page of the customers created in the last minutes. Never by paging through all of them,
//! unless Stripe does not search for this account.

mod create;
mod directory;
mod info;
mod listing;

mod update;

pub use info::{OrgInfo, OrgInfoUpdate};
pub(super) use update::Written;

use std::sync::Arc;

use serde_json::Value;

use super::refs::OrgName;
use super::{Domain, Error, Result};

pub(super) use directory::{Customers, Directory};

/// The metadata key by which a customer is an org's.
pub(super) const ORG: &str = "tier.org";

/// An org's payment methods, as Stripe has them.
#[derive(Clone, Debug)]
pub struct PaymentMethods {
    /// Stripe's objects, untouched.
    pub methods: Vec<Value>,
}

impl Domain {
    /// The customer that stands for `org`: its Stripe id. One that was deleted stands for nobody.
    pub async fn whois(&self, org: &OrgName) -> Result<Arc<str>> {
        Ok(self.lookup_org(org).await?.0)
    }

    /// What Stripe knows of the org, read fresh: its id and its particulars.
    pub async fn lookup_org(&self, org: &OrgName) -> Result<(Arc<str>, OrgInfo)> {
        self.with_customer(org, |id| async move {
            let customer = self.billing().customer(&id).await?;
            if customer.deleted {
                return Err(Error::CustomerVanished);
            }
            Ok((id, customer.into()))
        })
        .await
    }

    /// The payment methods attached to the org's customer.
    pub async fn payment_methods(&self, org: &OrgName) -> Result<PaymentMethods> {
        self.with_customer(org, |id| async move {
            Ok(PaymentMethods {
                methods: self.billing().payment_methods(&id).await?,
            })
        })
        .await
    }

    /// Runs `call` with the org's customer, and once more with a fresh look-up if Stripe says that
    /// the customer we knew is gone.
    pub(super) async fn with_customer<T, F>(
        &self,
        org: &OrgName,
        call: impl Fn(Arc<str>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let call = &call;
        let attempt = || async move { call(self.customer(org).await?).await };
        match self.again_if_gone(org, attempt).await {
            // Search may still name a customer that was deleted a moment ago.
            Err(Error::CustomerVanished) => {
                self.forget_customer(org).await?;
                Err(Error::OrgNotFound)
            }
            outcome => outcome,
        }
    }

    /// Runs `attempt`, and if it ends with the customer that was remembered for `org` gone, forgets that one and runs
    /// it once more: the org may have another.
    pub(super) async fn again_if_gone<T, F>(
        &self,
        org: &OrgName,
        attempt: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        match attempt().await {
            Err(Error::CustomerVanished) => {
                self.forget_customer(org).await?;
                attempt().await
            }
            outcome => outcome,
        }
    }

    /// Creates the org's customer, or writes `info` to the one that exists.
    pub(super) async fn put_org(&self, org: &OrgName, info: &OrgInfoUpdate) -> Result<Written> {
        match self.customer(org).await {
            Ok(id) => match self.update_customer(id, info).await {
                // Deleted since, though search may name it for a while yet.
                Err(Error::CustomerVanished) => {
                    self.forget_customer(org).await?;
                    match self.find_recreated(org).await? {
                        Some(id) => self.update_customer(id, info).await,
                        None => self.create_customer(org, info).await,
                    }
                }
                updated => updated,
            },
            Err(Error::OrgNotFound) => self.create_customer(org, info).await,
            Err(error) => Err(error),
        }
    }

    /// The org's customer, created without particulars if there is none; and whether this request has made it.
    pub(super) async fn ensure_customer(&self, org: &OrgName) -> Result<(Arc<str>, bool)> {
        match self.customer(org).await {
            Err(Error::OrgNotFound) => {
                let info = OrgInfoUpdate::default();
                let made = self.create_customer(org, &info).await?;
                Ok((made.id, made.is_new))
            }
            found => Ok((found?, false)),
        }
    }
}
