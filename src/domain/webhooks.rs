//! Stripe's webhook endpoints.

use super::{Domain, Error, Result};

pub use crate::billing::{Event, EventTypes, METER_ERROR_EVENTS, WebhookEndpoint};

impl Domain {
    /// Creates an endpoint that receives events of these types at `url`. Stripe returns the signing secret only in this
    /// answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if an endpoint with that URL exists, since each event would be delivered twice.
    pub async fn create_webhook(&self, url: &str, types: EventTypes) -> Result<WebhookEndpoint> {
        let mut endpoints = self.webhooks().await?.into_iter();
        if let Some(existing) = endpoints.find(|endpoint| endpoint.url == url) {
            let id = existing.id;
            return Err(Error::Invalid(format!(
                "there is a webhook endpoint at {url}, and Stripe tells its secret but once: delete it first, with \
                 `tier webhook delete {id}`"
            )));
        }
        let create = self.billing().create_webhook_endpoint(url, types);
        Ok(create.send().await?)
    }

    /// Creates an event destination at `url` for meters' error reports. Stripe returns its signing secret, which
    /// differs from the webhook endpoint's, only in this answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a destination with that URL exists.
    pub async fn create_event_destination(&self, url: &str) -> Result<WebhookEndpoint> {
        let mut destinations = self.event_destinations().await?.into_iter();
        if let Some(existing) = destinations.find(|destination| destination.url == url) {
            let id = existing.id;
            return Err(Error::Invalid(format!(
                "there is an event destination at {url}, and Stripe tells its secret but once: delete it with \
                 `tier webhook delete {id}`"
            )));
        }
        Ok(self.billing().create_event_destination(url).await?)
    }

    /// The account's event destinations for meters' error reports.
    pub async fn event_destinations(&self) -> Result<Vec<WebhookEndpoint>> {
        Ok(self.billing().event_destinations().await?)
    }

    /// Every webhook endpoint of the account.
    pub async fn webhooks(&self) -> Result<Vec<WebhookEndpoint>> {
        Ok(self.billing().webhook_endpoints().await?)
    }

    /// The newest event of the account; `None` if it has none.
    pub async fn newest_event(&self) -> Result<Option<Event>> {
        Ok(self.billing().newest_event().await?)
    }

    /// The first hundred events after the event `last`, oldest first.
    pub async fn events_after(&self, last: &str) -> Result<Vec<Event>> {
        let mut events = self.billing().events_after(last).await?.items;
        events.reverse();
        Ok(events)
    }

    /// Deletes a webhook endpoint, or an event destination.
    pub async fn delete_webhook(&self, id: &str) -> Result<()> {
        if id.starts_with("ed_") {
            return Ok(self.billing().delete_event_destination(id).await?);
        }
        Ok(self.billing().delete_webhook_endpoint(id).await?)
    }
}
