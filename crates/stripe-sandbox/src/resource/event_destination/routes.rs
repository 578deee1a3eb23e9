//! `/v2/core/event_destinations`

use serde_json::{Value, json};

use super::{Include, URL, input, view};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::Route;
use crate::resource::thin_event::ThinEvent;
use crate::resource::webhook_endpoint::WebhookEndpoint;
use crate::store::context::Ctx;
use crate::store::locked;
use crate::store::page::Page;
use crate::version::ApiVersion;

const OBJECT: &str = "v2.core.event_destination";

/// The field that requests can `include`.
const INCLUDABLE: [&str; 1] = ["webhook_endpoint.url"];

/// The fields that the creation can `include`.
const INCLUDABLE_ON_CREATE: [&str; 2] = ["webhook_endpoint.url", "webhook_endpoint.signing_secret"];

pub(crate) fn routes() -> Vec<Route> {
    let by_id = "/v2/core/event_destinations/:id";
    let routes = [
        Route::new("POST", URL, OBJECT, read_create, create),
        Route::new("GET", URL, OBJECT, read_list, list),
        Route::new("GET", by_id, OBJECT, read_retrieve, retrieve),
        Route::new("POST", by_id, OBJECT, read_update, update),
        Route::without_params("DELETE", by_id, OBJECT, delete),
        Route::without_params(
            "POST",
            "/v2/core/event_destinations/:id/disable",
            OBJECT,
            |ctx| switch(ctx, true),
        ),
        Route::without_params(
            "POST",
            "/v2/core/event_destinations/:id/enable",
            OBJECT,
            |ctx| switch(ctx, false),
        ),
        Route::without_params(
            "POST",
            "/v2/core/event_destinations/:id/ping",
            "v2.core.event",
            ping,
        ),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.since(ApiVersion::V2026_10_28))
        .collect()
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(WebhookEndpoint, Include)> {
    let existing = locked(&ctx.account.webhook_endpoints).iter().count();
    let endpoint = input::new(params, existing, ctx.now)?;
    Ok((endpoint, input::include(params, &INCLUDABLE_ON_CREATE)?))
}

/// `POST /v2/core/event_destinations`
fn create(ctx: &mut Ctx<'_>, (endpoint, include): (WebhookEndpoint, Include)) -> Result<Value> {
    let endpoint = endpoint.with_id_and_secret(&mut ctx.account.ids);
    let answer = to_json(&endpoint, include);
    locked(&ctx.account.webhook_endpoints).insert(endpoint);
    Ok(answer)
}

fn read_retrieve(_: &Ctx<'_>, params: &Params<'_>) -> Result<Include> {
    input::include(params, &INCLUDABLE)
}

/// `GET /v2/core/event_destinations/:id`
fn retrieve(ctx: &mut Ctx<'_>, include: Include) -> Result<Value> {
    Ok(to_json(&find(ctx)?, include))
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<(Page, Include)> {
    Ok((Page::read_v2(params)?, input::include(params, &INCLUDABLE)?))
}

/// `GET /v2/core/event_destinations`
fn list(ctx: &mut Ctx<'_>, (page, include): (Page, Include)) -> Result<Value> {
    let endpoints = locked(&ctx.account.webhook_endpoints);
    let rows = page.of_table(&endpoints, "event destination", |endpoint| {
        endpoint.thin.is_some()
    })?;
    let url = if include.url {
        format!("{URL}?include[0]={}", INCLUDABLE[0])
    } else {
        URL.to_owned()
    };
    Ok(rows.to_v2_json(&page, &url, |endpoint| to_json(endpoint, include)))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(WebhookEndpoint, Include)> {
    let endpoint = input::updated(params, find(ctx)?, ctx.now)?;
    Ok((endpoint, input::include(params, &INCLUDABLE)?))
}

/// `POST /v2/core/event_destinations/:id`
fn update(ctx: &mut Ctx<'_>, (endpoint, include): (WebhookEndpoint, Include)) -> Result<Value> {
    let answer = to_json(&endpoint, include);
    let mut endpoints = locked(&ctx.account.webhook_endpoints);
    if let Some(row) = endpoints.get_mut(&endpoint.id.clone()) {
        *row = endpoint;
    }
    Ok(answer)
}

/// `DELETE /v2/core/event_destinations/:id`
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = find(ctx)?.id;
    locked(&ctx.account.webhook_endpoints).remove(&id);
    Ok(json!({"id": &*id, "object": OBJECT}))
}

/// `POST /v2/core/event_destinations/:id/disable`, and `…/enable`
fn switch(ctx: &mut Ctx<'_>, disabled: bool) -> Result<Value> {
    let mut endpoint = find(ctx)?;
    endpoint.disabled = disabled;
    if let Some(thin) = &mut endpoint.thin {
        thin.updated = ctx.now;
    }
    update(ctx, (endpoint, Include::default()))
}

/// `POST /v2/core/event_destinations/:id/ping`: sends it an event.
fn ping(ctx: &mut Ctx<'_>) -> Result<Value> {
    let endpoint = find(ctx)?;
    let id = ctx.account.ids.next("evt_test", 46);
    let event = ThinEvent::ping(id, &endpoint.id, URL, ctx.now_millis);
    let answer = event.to_json();
    let account = &ctx.account.profile.id;
    let to = endpoint.destination(&ctx.account.webhook_endpoints, account, false);
    ctx.thin_event(event, vec![to]);
    Ok(answer)
}

fn to_json(endpoint: &WebhookEndpoint, include: Include) -> Value {
    let thin = endpoint.thin.as_ref();
    let thin = thin.expect("a destination was looked for");
    view::destination(endpoint, thin, include)
}

fn find(ctx: &Ctx<'_>) -> Result<WebhookEndpoint> {
    let id = ctx.arg(0);
    let endpoints = locked(&ctx.account.webhook_endpoints);
    let endpoint = endpoints.get(&id).cloned();
    let endpoint = endpoint.filter(|endpoint| endpoint.thin.is_some());
    endpoint.ok_or_else(|| Error::not_found("event destination", &id).code("not_found"))
}
