//! Webhook endpoints: where Stripe delivers events.

use serde::{Deserialize, Serialize};

use super::object::{Object, identified};
use super::{Billing, CLASSIC, Write};
use crate::stripe::Error;

/// The events after which something that Tier remembers of a customer may be another.
const EVENTS: [&str; 46] = [
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "coupon.deleted",
    "coupon.updated",
    "customer.created",
    "customer.deleted",
    "customer.discount.created",
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.created",
    "invoice.deleted",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.updated",
    "invoice.voided",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
    "plan.deleted",
    "plan.updated",
    "price.deleted",
    "price.updated",
    "product.deleted",
    "product.updated",
    "setup_intent.succeeded",
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.created",
    "subscription_schedule.released",
    "subscription_schedule.updated",
];

/// What an endpoint is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTypes {
    /// The events that Tier heeds.
    Heeded,
    /// Every event.
    All,
}

/// An endpoint that Stripe delivers events to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WebhookEndpoint {
    /// `we_…`.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub status: String,
    /// The version that the objects in its events have; none: that of the account.
    #[serde(default)]
    pub api_version: Option<String>,
    /// The types of the events that it is sent.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// What its events are signed with (`whsec_…`): told once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

identified!(WebhookEndpoint);

impl Billing<'_> {
    /// All endpoints of the account, newest first.
    pub async fn webhook_endpoints(self) -> Result<Vec<WebhookEndpoint>, Error> {
        self.get("/v1/webhook_endpoints").list().await
    }

    /// Makes an endpoint at `url` for some types of events, in the version that Tier speaks.
    pub fn create_webhook_endpoint(self, url: &str, types: EventTypes) -> Write<WebhookEndpoint> {
        let request = self
            .post("/v1/webhook_endpoints")
            .param("url", url)
            .param("api_version", CLASSIC.0)
            .param("description", "tier");
        let types: &[&str] = match types {
            EventTypes::Heeded => &EVENTS,
            EventTypes::All => &["*"],
        };
        Write::new(types.iter().fold(request, |request, event| {
            request.param("enabled_events[]", event)
        }))
    }

    /// Deletes an endpoint.
    pub async fn delete_webhook_endpoint(self, id: &str) -> Result<(), Error> {
        let path = ("/v1/webhook_endpoints/*", id);
        self.delete(path).send::<Object>().await.map(drop)
    }
}
