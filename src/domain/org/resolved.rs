//! An org together with its customer.

use std::sync::Arc;

use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};

/// An org and its Stripe customer.
#[derive(Clone, Debug)]
pub(in crate::domain) struct ResolvedOrg {
    pub(in crate::domain) name: OrgName,
    pub(in crate::domain) customer: Arc<str>,
    /// Whether it was resolved again because its first customer was deleted.
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

    /// Finds the org's customer again, after an operation on `org` failed because its customer was deleted. The
    /// operation can be retried with the result, once.
    ///
    /// # Errors
    /// `failure` if it has another cause. [`Error::OrgNotFound`] if the org has no customer, or if the second one was
    /// deleted too: Stripe's search may still find a customer that was just deleted.
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
