//! The JSON of webhook endpoints.

use serde_json::{Value, json};

use super::WebhookEndpoint;
use crate::version::ApiVersion;

/// An endpoint without its secret, which is only shown on creation.
pub(crate) fn endpoint(endpoint: &WebhookEndpoint) -> Value {
    json!({
        "id": &*endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version.map(ApiVersion::as_str),
        "application": null,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": endpoint.enabled_events,
        "livemode": false,
        "metadata": endpoint.metadata.to_json(),
        "status": if endpoint.disabled { "disabled" } else { "enabled" },
        "url": endpoint.url,
    })
}
