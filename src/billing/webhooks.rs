//! Webhook endpoints, to which Stripe delivers events.

use serde::{Deserialize, Serialize};

use super::object::{Object, identified};
use super::{Billing, CLASSIC, Write};
use crate::stripe::Error;

/// The events that may outdate what Tier caches about a customer.
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

/// Which events an endpoint receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTypes {
    /// The events that Tier acts on.
    Relevant,
    /// Every event.
    All,
}

/// An endpoint that Stripe delivers events to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WebhookEndpoint {
    /// `we_…`.
    pub id: String,
    /// Its URL.
    pub url: String,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub status: String,
    /// The API version of the objects in its events. None: the account's default.
    #[serde(default)]
    pub api_version: Option<String>,
    /// The types of events that it receives.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// The secret that signs its events (`whsec_…`). Stripe returns it only on creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

identified!(WebhookEndpoint);

impl Billing<'_> {
    /// All endpoints of the account, newest first.
    pub async fn webhook_endpoints(self) -> Result<Vec<WebhookEndpoint>, Error> {
        self.get("/v1/webhook_endpoints").list().await
    }

    /// Creates an endpoint at `url` for some types of events, with Tier's API version.
    pub fn create_webhook_endpoint(self, url: &str, types: EventTypes) -> Write<WebhookEndpoint> {
        let request = self
            .post("/v1/webhook_endpoints")
            .param("url", url)
            .param("api_version", CLASSIC.0)
            .param("description", "tier");
        let types: &[&str] = match types {
            EventTypes::Relevant => &EVENTS,
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
