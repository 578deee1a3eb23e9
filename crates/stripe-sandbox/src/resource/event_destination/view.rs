//! The JSON of event destinations.

use serde_json::{Value, json};

use super::Include;
use crate::resource::json::rfc3339;
use crate::resource::webhook_endpoint::{Thin, WebhookEndpoint};

pub(crate) fn destination(endpoint: &WebhookEndpoint, thin: &Thin, include: Include) -> Value {
    let mut webhook_endpoint = json!({});
    if include.url {
        webhook_endpoint["url"] = json!(endpoint.url);
    }
    if include.signing_secret {
        webhook_endpoint["signing_secret"] = json!(endpoint.secret);
    }
    let events_from = if endpoint.connect {
        "@accounts"
    } else {
        "@self"
    };
    let mut answer = json!({
        "id": &*endpoint.id,
        "object": "v2.core.event_destination",
        "created": rfc3339(endpoint.created.saturating_mul(1000)),
        "description": endpoint.description.as_deref().unwrap_or_default(),
        "enabled_events": endpoint.enabled_events,
        "event_payload": "thin",
        "events_from": [events_from],
        "livemode": false,
        "metadata": endpoint.metadata.to_json(),
        "name": thin.name,
        "status": if endpoint.disabled { "disabled" } else { "enabled" },
        "type": "webhook_endpoint",
        "updated": rfc3339(thin.updated.saturating_mul(1000)),
        "webhook_endpoint": webhook_endpoint,
    });
    if endpoint.disabled {
        answer["status_details"] = json!({"disabled": {"reason": "user"}});
    }
    answer
}
