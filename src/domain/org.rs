//! Orgs and their Stripe customers.
//!
//! A look-up searches for the metadata pair `tier.org` and, since search lags behind creation, lists one page of the
//! customers created in the last minutes. It never pages through all customers, unless Stripe does not support search
//! for the account.

mod create;
mod directory;
mod info;
mod listing;
mod resolved;
mod search;
mod update;

pub use info::{OrgInfo, OrgInfoUpdate};
pub(super) use resolved::ResolvedOrg;
pub(super) use search::newest_customer;
pub(super) use update::WrittenCustomer;

use std::sync::Arc;

use serde_json::Value;

use super::refs::OrgName;
use super::{Domain, Error, Result};
use crate::billing::CustomerAccount;

pub(super) use directory::{Customers, Directory};

/// The metadata key, on a customer, of its org's name.
pub(super) const ORG: &str = "tier.org";

/// An org's payment methods, as Stripe returns them.
#[derive(Clone, Debug)]
pub struct PaymentMethods {
    /// Stripe's objects, unchanged.
    pub methods: Vec<Value>,
}

/// An org's customer with its payment details.
#[derive(Clone, Debug)]
pub struct OrgAccount {
    /// The customer.
    pub customer: CustomerAccount,
    /// Its page in Stripe's dashboard, if it has one.
    pub url: Option<String>,
}

impl Domain {
    /// The Stripe id of the org's customer. A deleted customer does not count.
    pub async fn whois(&self, org: &OrgName) -> Result<Arc<str>> {
        Ok(self.lookup_org(org).await?.0)
    }

    /// The org's customer and its details, read from Stripe.
    pub async fn lookup_org(&self, org: &OrgName) -> Result<(Arc<str>, OrgInfo)> {
        let mut org = self.resolve_org(org).await?;
        loop {
            match self.existing_customer(&org.customer).await {
                Ok(customer) => return Ok((org.customer, customer.into())),
                Err(error) => org = self.resolve_again(&org, error).await?,
            }
        }
    }

    /// The org's customer with its payment details.
    pub async fn lookup_org_account(&self, org: &OrgName) -> Result<OrgAccount> {
        let mut org = self.resolve_org(org).await?;
        loop {
            match self.billing().customer_account(&org.customer).await {
                Ok(customer) if !customer.deleted => {
                    let page = format!("customers/{}", org.customer);
                    let url = self.dashboard_page(&page);
                    return Ok(OrgAccount { customer, url });
                }
                deleted_or_failed => {
                    let error = match deleted_or_failed {
                        Ok(_) => Error::CustomerVanished { source: None },
                        Err(error) => error.into(),
                    };
                    org = self.resolve_again(&org, error).await?;
                }
            }
        }
    }

    /// The payment methods attached to the org's customer.
    pub async fn payment_methods(&self, org: &OrgName) -> Result<PaymentMethods> {
        let mut org = self.resolve_org(org).await?;
        loop {
            match self.billing().payment_methods(&org.customer).await {
                Ok(methods) => return Ok(PaymentMethods { methods }),
                Err(error) => org = self.resolve_again(&org, error.into()).await?,
            }
        }
    }

    /// Creates the org's customer, or writes `info` to the one that exists.
    pub(super) async fn put_org(
        &self,
        org: &OrgName,
        info: &OrgInfoUpdate,
    ) -> Result<WrittenCustomer> {
        match self.customer(org).await {
            Ok(id) => match self.update_customer(id, info).await {
                // It was deleted meanwhile, though search may still find it.
                Err(Error::CustomerVanished { .. }) => {
                    self.forget_customer(org).await?;
                    match self.find_created(org).await? {
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

    /// The org with its customer, which is created without details if there is none. Also returns whether this call
    /// created it.
    pub(super) async fn resolve_or_create_org(&self, org: &OrgName) -> Result<(ResolvedOrg, bool)> {
        match self.resolve_org(org).await {
            Err(Error::OrgNotFound) => {
                let info = OrgInfoUpdate::default();
                let created = self.create_customer(org, &info).await?;
                Ok((ResolvedOrg::new(org, created.id), created.is_new))
            }
            found => Ok((found?, false)),
        }
    }
}
