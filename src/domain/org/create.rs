//! Making the customer that stands for an org: one, whoever makes it at the same time.

use super::{ORG, OrgInfoUpdate, Written};
use crate::domain::refs::OrgName;
use crate::domain::revision::{Attempts, Refusal};
use crate::domain::{Domain, Result};
use crate::stripe::Request;
use crate::stripe::types::{Customer, Object, Page};

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
        let request = self
            .stripe()
            .post("/v1/customers")
            .param(format!("metadata[{ORG}]"), org)
            .param_some("test_clock", self.test_clock.as_deref())
            .form(info.creation_form());
        let mut attempts = Attempts::default();
        // A failure that Stripe does not call a kept one may be one all the same. That is tried once.
        let mut failed = false;
        loop {
            let key = match attempts.at(0) {
                1 => name.clone(),
                attempt => format!("{name}:{attempt}"),
            };
            let create: Request = request.clone().idempotency_key(key);
            let refusal = match create.send_once::<Customer>().await {
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
    pub(in crate::domain) async fn unmake_customer(&self, org: &OrgName, customer: &str) {
        if let Err(error) = self.delete_unused(org, customer).await {
            tracing::warn!(%error, customer, "a refused request left its customer behind");
        }
    }

    async fn delete_unused(&self, org: &OrgName, customer: &str) -> Result<()> {
        let list = |path: &str| {
            let list = self.stripe().get(path.to_owned());
            list.param("customer", customer).param("limit", 1)
        };
        for list in [
            list("/v1/subscriptions").param("status", "all"),
            list("/v1/subscription_schedules"),
            list("/v1/checkout/sessions"),
        ] {
            let page: Page<Object> = list.send().await?;
            if !page.data.is_empty() {
                return Ok(());
            }
        }
        let path = format!("/v1/customers/{customer}");
        self.stripe().delete(path).send::<Object>().await?;
        self.forget_customer(org).await
    }

    fn creation_name(&self, org: &OrgName) -> String {
        let credentials = self.stripe().credentials();
        let account = credentials.account.as_deref().unwrap_or_default();
        let clock = self.test_clock.as_deref().unwrap_or_default();
        format!("customer:create:{org}{account}{clock}")
    }
}
