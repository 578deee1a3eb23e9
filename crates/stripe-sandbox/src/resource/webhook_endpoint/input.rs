//! Reading the parameters of webhook endpoints.

use url::Url;

use super::{MAX_ENDPOINTS, WebhookEndpoint};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::form::Form;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::version::ApiVersion;

/// The longest URL that Stripe accepts.
const MAX_URL: usize = 2048;

/// Reads a new endpoint, without an id and a secret. `existing` is the account's number of endpoints.
pub(crate) fn new(params: &Params<'_>, existing: usize, now: i64) -> Result<WebhookEndpoint> {
    let enabled_events = enabled_events(params)?.ok_or_else(|| params.missing("enabled_events"))?;
    let url = url(params)?.ok_or_else(|| params.missing("url"))?;
    let endpoint = WebhookEndpoint {
        id: Id::default(),
        created: now,
        api_version: api_version(params)?,
        connect: params.boolean("connect")? == Some(true),
        description: params.nullable("description")?.value().map(str::to_owned),
        disabled: false,
        enabled_events,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        secret: String::new(),
        url,
        thin: None,
    };
    check_number(existing)?;
    Ok(endpoint)
}

/// Refuses another endpoint if the account has the maximum number.
pub(crate) fn check_number(existing: usize) -> Result<()> {
    if existing >= MAX_ENDPOINTS {
        return Err(Error::invalid(format!(
            "You have reached the maximum of {MAX_ENDPOINTS} test webhook endpoints."
        )));
    }
    Ok(())
}

/// A new endpoint for a program that embeds the sandbox.
pub(crate) fn permanent(url: &str, events: &[&str], now: i64) -> Result<WebhookEndpoint> {
    let mut form = Form::default();
    let events = events.iter().map(|event| ("enabled_events[]", *event));
    let pairs = events.chain([("url", url)]);
    let text = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    form.read(text.as_bytes())?;
    new(&Params::new(&form), 0, now)
}

/// Reads an update.
pub(super) fn updated(
    params: &Params<'_>,
    mut endpoint: WebhookEndpoint,
) -> Result<WebhookEndpoint> {
    let description = params.nullable("description")?.map(str::to_owned);
    description.apply(&mut endpoint.description);
    if let Some(disabled) = params.boolean("disabled")? {
        endpoint.disabled = disabled;
    }
    if let Some(enabled_events) = enabled_events(params)? {
        endpoint.enabled_events = enabled_events;
    }
    if let Some(url) = url(params)? {
        endpoint.url = url;
    }
    endpoint.metadata = params.metadata()?.apply(&endpoint.metadata)?;
    Ok(endpoint)
}

/// Whether Stripe has this event type.
fn is_event_type(kind: &str) -> bool {
    event_types().any(|known| known == kind)
}

fn event_types() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("event_types.txt").lines();
    lines.filter(|line| !line.starts_with('#'))
}

fn enabled_events(params: &Params<'_>) -> Result<Option<Vec<String>>> {
    let key = "enabled_events";
    // An empty text would unset the list, which is not possible.
    if params.is_unset(key) {
        params.string(key)?;
    }
    let Some(kinds) = params.strings(key)? else {
        return Ok(None);
    };
    for (index, kind) in kinds.iter().enumerate() {
        if *kind != "*" && !is_event_type(kind) {
            let name = format!("{key}[{index}]");
            let known: Vec<&str> = event_types().collect();
            let known = known.join(", ");
            let message = format!("Invalid {name}: must be one of *, {known}");
            return Err(Error::malformed(name, message));
        }
    }
    Ok(Some(kinds.into_iter().map(str::to_owned).collect()))
}

/// Reads a URL for events. Unlike Stripe, the sandbox accepts URLs of this machine.
pub(crate) fn url(params: &Params<'_>) -> Result<Option<String>> {
    let Some(text) = params.string("url")? else {
        return Ok(None);
    };
    let refused = |message: &str| {
        let message = format!("Invalid URL: {message}");
        Err(Error::malformed(params.name("url"), message).code("url_invalid"))
    };
    if !text.contains("://") {
        return refused("An explicit scheme (such as https) must be provided.");
    }
    if text.len() > MAX_URL {
        return refused("URL must be 2048 characters or less.");
    }
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            refused("The scheme must be http or https.")
        }
        Ok(url) if url.has_host() => Ok(Some(text.to_owned())),
        _ => refused("The URL cannot be read."),
    }
}

fn api_version(params: &Params<'_>) -> Result<Option<ApiVersion>> {
    let Some(given) = params.string("api_version")? else {
        return Ok(None);
    };
    match given.parse() {
        Ok(version) => Ok(Some(version)),
        Err(_) if is_version(given) => Err(Error::unmodelled_value("api_version", given)),
        Err(_) => Err(Error::malformed(
            "api_version",
            format!("Invalid Stripe API version: {given}"),
        )),
    }
}

/// Whether a text looks like a version of the API: `2022-11-15`, or `2026-10-28.endive`.
fn is_version(text: &str) -> bool {
    let (date, name) = text.split_once('.').unwrap_or((text, "none"));
    chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok()
        && date.len() == 10
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase())
}
