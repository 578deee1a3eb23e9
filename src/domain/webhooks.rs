//! The webhook endpoints through which Stripe reports changes.

use super::{Domain, Error, Result};

pub use crate::billing::WebhookEndpoint;

impl Domain {
    /// Makes Stripe deliver events to `url`. Stripe returns the signing secret only in this answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is an endpoint with that URL: each event would come twice.
    pub async fn create_webhook(&self, url: &str) -> Result<WebhookEndpoint> {
        let there = self.webhooks().await?;
        if let Some(there) = there.into_iter().find(|endpoint| endpoint.url == url) {
            let id = there.id;
            return Err(Error::Invalid(format!(
                "there is a webhook endpoint at {url}, and Stripe tells its secret but once: delete it first, with \
                 `tier webhook delete {id}`"
            )));
        }
        Ok(self.billing().create_webhook_endpoint(url).send().await?)
    }

    /// Every webhook endpoint of the account.
    pub async fn webhooks(&self) -> Result<Vec<WebhookEndpoint>> {
        Ok(self.billing().webhook_endpoints().await?)
    }

    /// Deletes a webhook endpoint.
    pub async fn delete_webhook(&self, id: &str) -> Result<()> {
        Ok(self.billing().delete_webhook_endpoint(id).await?)
    }
}
