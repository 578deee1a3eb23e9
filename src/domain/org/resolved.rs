//! An org together with its customer.

use std::sync::Arc;

use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};

/// An org and its Stripe customer.
#[derive(Clone, Debug)]
pub(in crate::domain) struct ResolvedOrg {
    pub(in crate::domain) name: OrgName,
    pub(in crate::domain) customer: Arc<str>,
    /// Whether it was resolved again because an earlier customer was gone.
    is_second: bool,
}

impl ResolvedOrg {
    pub(in crate::domain) fn new(name: &OrgName, customer: Arc<str>) -> Self {
        Self {
            name: name.clone(),
            customer,
            is_second: false,
        }
    }
}

impl Domain {
    /// Finds the customer of an org.
    ///
    /// # Errors
    /// [`Error::OrgNotFound`] if it has none.
    pub(in crate::domain) async fn resolve_org(&self, name: &OrgName) -> Result<ResolvedOrg> {
        Ok(ResolvedOrg::new(name, self.customer(name).await?))
    }

    /// Finds the customer that an org has now, after an operation on `org` failed because the customer is gone. The
    /// operation can then be retried with the result, once.
    ///
    /// # Errors
    /// `failure` if it has another cause. [`Error::OrgNotFound`] if the org has no customer, or if the second one is
    /// gone too: Stripe's search may name a customer that was deleted a moment ago.
    pub(in crate::domain) async fn resolve_again(
        &self,
        org: &ResolvedOrg,
        failure: Error,
    ) -> Result<ResolvedOrg> {
        if !matches!(failure, Error::CustomerVanished { .. }) {
            return Err(failure);
        }
        self.forget_customer(&org.name).await?;
        if org.is_second {
            return Err(Error::OrgNotFound);
        }
        Ok(ResolvedOrg {
            is_second: true,
            ..self.resolve_org(&org.name).await?
        })
    }
}
