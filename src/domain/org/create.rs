//! Making the customer that stands for an org: one, whoever makes it at the same time.

use super::{ORG, OrgInfoUpdate, ResolvedOrg, Written};
use crate::billing::NewCustomer;
use crate::domain::refs::OrgName;
use crate::domain::revision::{Attempts, Refusal};
use crate::domain::{Domain, Result};

impl Domain {
    /// Creates the org's customer. Whatever Stripe remembers of an earlier creation is looked at: the customer may exist
    /// with other particulars, be under way on another server, have been made by a call that ended in a failure, or have
    /// been deleted since.
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
        // A failure that Stripe does not call a kept one may be one all the same. That is tried once.
        let mut failed = false;
        loop {
            let key = match attempts.at(0) {
                1 => name.clone(),
                attempt => format!("{name}:{attempt}"),
            };
            let refusal = match create.clone().key(key).send_once().await {
                Ok(made) if !made.replayed => {
                    let id = self.remember_customer(org, &made.value.id).await?;
                    return Ok(Written {
                        is_new: true,
                        ..Written::new(id, made.value)
                    });
                }
                Ok(_) => None,
                Err(error) if error.is_failure_of_stripes() && !failed => {
                    failed = true;
                    Some(Refusal::Kept(error))
                }
                Err(error) => Some(Refusal::of(error)?),
            };
            // The same order everywhere: whoever comes second writes what it has to say onto what the first one made.
            if let Some(id) = self.find_recreated(org).await? {
                return self.update_customer(id, info).await;
            }
            match refusal {
                Some(refusal) => {
                    let wait = attempts.after(refusal)?;
                    tokio::time::sleep(self.stripe().first_wait() * wait).await;
                }
                // Made within a day, and deleted since.
                None => attempts.next(),
            }
        }
    }

    /// Deletes a customer that this request has made, as Stripe has refused what it was made for. One that somebody uses
    /// by now stays. The org's lock is to be held.
    pub(in crate::domain) async fn unmake_customer(&self, org: &ResolvedOrg) {
        if let Err(error) = self.delete_unused(org).await {
            let customer = &*org.customer;
            tracing::warn!(%error, customer, "a refused request left its customer behind");
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
