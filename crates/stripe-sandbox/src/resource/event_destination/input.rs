//! Reading the parameters of event destinations.

use super::Include;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::form::Form;
use crate::params::metadata::Metadata;
use crate::resource::thin_event::KINDS;
use crate::resource::webhook_endpoint::input::{check_number, url};
use crate::resource::webhook_endpoint::{Thin, WebhookEndpoint};
use crate::store::ids::Id;

/// Reads a new destination, without an id and a secret. `existing` is the account's number of endpoints.
pub(super) fn new(params: &Params<'_>, existing: usize, now: i64) -> Result<WebhookEndpoint> {
    let transports = ["amazon_eventbridge", "azure_event_grid"];
    params.unmodelled(&transports)?;
    let transport = params.one_of_modelled("type", &["webhook_endpoint"], &transports)?;
    transport.ok_or_else(|| params.missing("type"))?;
    let payload = params.one_of_modelled("event_payload", &["thin"], &["snapshot"])?;
    payload.ok_or_else(|| params.missing("event_payload"))?;
    params.unmodelled(&["snapshot_api_version"])?;
    let name = params.required("name")?;
    let enabled_events = enabled_events(params)?.ok_or_else(|| params.missing("enabled_events"))?;
    let url = target(params)?.ok_or_else(|| params.missing("webhook_endpoint"))?;
    let endpoint = WebhookEndpoint {
        id: Id::default(),
        created: now,
        api_version: None,
        connect: is_of_other_accounts(params)?,
        description: params.text("description")?.map(str::to_owned),
        disabled: false,
        enabled_events,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        secret: String::new(),
        url,
        thin: Some(Thin {
            name: name.to_owned(),
            updated: now,
        }),
    };
    check_number(existing)?;
    Ok(endpoint)
}

/// A new destination for a program that embeds the sandbox.
pub(crate) fn permanent(url: &str, events: &[&str], now: i64) -> Result<WebhookEndpoint> {
    let body = serde_json::json!({
        "name": "sandbox",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": events,
        "webhook_endpoint": {"url": url},
    });
    let mut form = Form::default();
    form.read_json(body.to_string().as_bytes())?;
    new(&Params::new(&form), 0, now)
}

/// Reads an update.
pub(super) fn updated(
    params: &Params<'_>,
    mut endpoint: WebhookEndpoint,
    now: i64,
) -> Result<WebhookEndpoint> {
    if let Some(description) = params.text("description")? {
        endpoint.description = Some(description.to_owned());
    }
    if let Some(enabled_events) = enabled_events(params)? {
        endpoint.enabled_events = enabled_events;
    }
    if let Some(url) = target(params)? {
        endpoint.url = url;
    }
    endpoint.metadata = params.metadata()?.apply(&endpoint.metadata)?;
    let name = params.string("name")?;
    if let Some(thin) = &mut endpoint.thin {
        thin.name = name.map_or_else(|| thin.name.clone(), str::to_owned);
        thin.updated = now;
    }
    Ok(endpoint)
}

/// `include`, with only these fields allowed.
pub(super) fn include(params: &Params<'_>, fields: &[&str]) -> Result<Include> {
    let mut include = Include::default();
    for (index, field) in params.strings("include")?.iter().flatten().enumerate() {
        match *field {
            field if !fields.contains(&field) => {
                let name = format!("include[{index}]");
                let message = format!("Invalid {name}: must be one of {}", fields.join(", "));
                return Err(Error::malformed(name, message));
            }
            "webhook_endpoint.signing_secret" => include.signing_secret = true,
            _ => include.url = true,
        }
    }
    Ok(include)
}

/// The URL in `webhook_endpoint`.
fn target(params: &Params<'_>) -> Result<Option<String>> {
    let Some(endpoint) = params.object("webhook_endpoint")? else {
        return Ok(None);
    };
    let url = url(&endpoint)?;
    Ok(Some(url.ok_or_else(|| endpoint.missing("url"))?))
}

fn enabled_events(params: &Params<'_>) -> Result<Option<Vec<String>>> {
    let Some(kinds) = params.strings("enabled_events")? else {
        return Ok(None);
    };
    for (index, kind) in kinds.iter().enumerate() {
        let name = || format!("enabled_events[{index}]");
        if KINDS.contains(kind) {
            continue;
        }
        if kind.starts_with("v1.") || kind.starts_with("v2.") {
            return Err(Error::unmodelled_value(&name(), kind));
        }
        let message = format!("Invalid {}: {kind} is not a type of thin events", name());
        return Err(Error::malformed(name(), message));
    }
    Ok(Some(kinds.into_iter().map(str::to_owned).collect()))
}

/// `events_from`: whether the destination gets the events of connected accounts instead of the account's own.
fn is_of_other_accounts(params: &Params<'_>) -> Result<bool> {
    match params.strings("events_from")?.as_deref() {
        None | Some(["@self"]) => Ok(false),
        Some(["@accounts"]) => Ok(true),
        Some(other) => Err(Error::unmodelled_value("events_from", &other.join(", "))),
    }
}
