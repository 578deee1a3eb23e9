//! Webhook endpoints: where an account's events are sent.

pub(crate) mod input;
pub(crate) mod routes;
pub(crate) mod view;

use std::sync::{Arc, Mutex};

use crate::params::metadata::Metadata;
use crate::resource::event::Event;
use crate::store::ids::{Id, Ids};
use crate::store::table::{Row, Table};
use crate::version::ApiVersion;

const URL: &str = "/v1/webhook_endpoints";

const NAME: &str = "webhook endpoint";

/// Stripe's limit of endpoints per account in test mode.
pub(crate) const MAX_ENDPOINTS: usize = 16;

/// An account's endpoints. They are shared, because deliveries read them while the account is busy.
pub(crate) type WebhookEndpoints = Arc<Mutex<Table<WebhookEndpoint>>>;

/// A webhook endpoint, or an event destination if `thin` is set.
#[derive(Clone, Debug)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// The version of the events for it, if it is not the account's.
    pub(crate) api_version: Option<ApiVersion>,
    /// Whether it receives the events of connected accounts instead of the account's own.
    pub(crate) connect: bool,
    pub(crate) description: Option<String>,
    pub(crate) disabled: bool,
    pub(crate) enabled_events: Vec<String>,
    pub(crate) metadata: Metadata,
    /// The secret of its signatures, `whsec_…`.
    pub(crate) secret: String,
    pub(crate) url: String,
    /// The additional fields of an event destination of `/v2`, which receives thin events.
    pub(crate) thin: Option<Thin>,
}

/// See [`WebhookEndpoint::thin`].
#[derive(Clone, Debug)]
pub(crate) struct Thin {
    pub(crate) name: String,
    pub(crate) updated: i64,
}

impl Row for WebhookEndpoint {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl WebhookEndpoint {
    /// The endpoint as a destination of an account's events.
    pub(crate) fn destination(
        &self,
        endpoints: &WebhookEndpoints,
        account: &Id,
        is_platform_endpoint: bool,
    ) -> Destination {
        Destination {
            endpoint: self.id.clone(),
            url: self.url.clone(),
            endpoints: endpoints.clone(),
            account: account.clone(),
            version: self.api_version,
            is_platform_endpoint,
        }
    }

    /// Gives a new endpoint its id and its secret.
    pub(crate) fn with_id_and_secret(self, ids: &mut Ids) -> Self {
        let id = match &self.thin {
            Some(_) => ids.next("ed_test", 46),
            None => ids.next("we", 24),
        };
        Self {
            id,
            secret: format!("whsec_{}", ids.text(32)),
            ..self
        }
    }

    /// Whether it is enabled and is to receive events of this type. An event destination lists each type (no `*`).
    pub(crate) fn receives(&self, kind: &str) -> bool {
        let mut enabled = self.enabled_events.iter();
        let has_thin_name = kind.starts_with("v1.") || kind.starts_with("v2.");
        self.thin.is_some() == has_thin_name
            && !self.disabled
            && enabled.any(|enabled| enabled == "*" || enabled == kind)
    }
}

/// An endpoint to which an event is sent.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) endpoint: Id,
    /// Its URL when the event happened.
    pub(crate) url: String,
    /// The table that contains it.
    pub(crate) endpoints: WebhookEndpoints,
    /// The account of the event.
    pub(crate) account: Id,
    /// The version of the events for it, if it is not the account's.
    pub(crate) version: Option<ApiVersion>,
    /// Whether the endpoint belongs to the platform that has connected the event's account.
    pub(crate) is_platform_endpoint: bool,
}

/// A new event and an endpoint to which it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) event: Arc<Event>,
    pub(crate) to: Destination,
    /// How long it waits before it is sent, in milliseconds.
    pub(crate) wait: i64,
}
