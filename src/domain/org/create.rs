//! Creates the customer of an org: one customer, however many requests create it at the same time.

use super::{ORG, OrgInfoUpdate, ResolvedOrg, WrittenCustomer};
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
    ) -> Result<WrittenCustomer> {
        let name = self.creation_name(org);
        let create = self.billing().create_customer(&NewCustomer {
            mark: (ORG, org.as_str()),
            test_clock: self.test_clock.as_deref(),
            payment_method: info.method_to_attach(),
            details: info.update(None),
        });
        let mut attempts = Attempts::default();
        // Stripe may replay a failure without saying so, so one more attempt is made.
        let mut has_failed = false;
        loop {
            let key = match attempts.at(0) {
                1 => name.clone(),
                attempt => format!("{name}:{attempt}"),
            };
            let refusal = match create.clone().key(key).send_detecting_replay().await {
                Ok(created) if !created.replayed => {
                    let id = self.remember_customer(org, &created.value.id).await?;
                    return Ok(WrittenCustomer {
                        is_new: true,
                        ..WrittenCustomer::new(id, created.value)
                    });
                }
                Ok(_) => None,
                Err(error) if error.is_stripe_failure() && !has_failed => {
                    has_failed = true;
                    Some(Refusal::Replayed(error))
                }
                Err(error) => Some(Refusal::of(error)?),
            };
            // A concurrent request may have created it, on any server. This one then writes its details to that
            // customer.
            if let Some(id) = self.find_created(org).await? {
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

    /// Deletes a customer that this request has created, after Stripe refused the rest of the request. Keeps a customer
    /// that is already in use. The caller holds the org's lock.
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
