//! Creates the customer that stands for an org: one customer, however many requests create it at the same time.

use super::{ORG, OrgInfoUpdate, ResolvedOrg, Written};
use crate::billing::NewCustomer;
use crate::domain::refs::OrgName;
use crate::domain::revision::{Attempts, Refusal};
use crate::domain::{Domain, Result};

impl Domain {
    /// Creates the org's customer. The customer may already exist with other details, be in creation on another server,
    /// have been created by a call that failed, or have been deleted since.
    pub(super) async fn create_customer(
        &self,
        org: &OrgName,
        info: &OrgInfoUpdate,
    ) -> Result<Written> {
        let name = self.creation_name(org);
        let create = self.billing().create_customer(&NewCustomer {
            mark: (ORG, org.as_str()),
            test_clock: self.test_clock.as_deref(),
            payment_method: info.attaches(),
            details: info.update(None),
        });
        let mut attempts = Attempts::default();
        // Stripe may replay a failure without saying so, so one more attempt is made.
        let mut failed = false;
        loop {
            let key = match attempts.at(0) {
                1 => name.clone(),
                attempt => format!("{name}:{attempt}"),
            };
            let refusal = match create.clone().key(key).send_detecting_replay().await {
                Ok(made) if !made.replayed => {
                    let id = self.remember_customer(org, &made.value.id).await?;
                    return Ok(Written {
                        is_new: true,
                        ..Written::new(id, made.value)
                    });
                }
                Ok(_) => None,
                Err(error) if error.is_stripe_failure() && !failed => {
                    failed = true;
                    Some(Refusal::Replayed(error))
                }
                Err(error) => Some(Refusal::of(error)?),
            };
            // All servers follow this order: the second request writes its details to the customer that the first one
            // created.
            if let Some(id) = self.find_recreated(org).await? {
                return self.update_customer(id, info).await;
            }
            match refusal {
                Some(refusal) => {
                    let wait = attempts.wait_after(refusal)?;
                    tokio::time::sleep(self.stripe().first_wait() * wait).await;
                }
                // It was created within the last day, and has been deleted since.
                None => attempts.use_next_key(),
            }
        }
    }

    /// Deletes a customer that this request has created, after Stripe has refused the rest of the request. A customer
    /// that is already in use stays. The caller holds the org's lock.
    pub(in crate::domain) async fn undo_creation(&self, org: &ResolvedOrg) {
        if let Err(error) = self.delete_unused(org).await {
            let customer = &*org.customer;
            tracing::warn!(%error, customer, "cannot delete the customer that a refused request created");
        }
    }

    async fn delete_unused(&self, org: &ResolvedOrg) -> Result<()> {
        if self.billing().is_customer_used(&org.customer).await? {
            return Ok(());
        }
        self.billing().delete_customer(&org.customer).await?;
        self.forget_customer(&org.name).await
    }

    fn creation_name(&self, org: &OrgName) -> String {
        let credentials = self.stripe().credentials();
        let account = credentials.account.as_deref().unwrap_or_default();
        let clock = self.test_clock.as_deref().unwrap_or_default();
        format!("customer:create:{org}{account}{clock}")
    }
}
