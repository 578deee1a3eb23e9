//! `/v1/webhook_endpoints`

use serde_json::{Value, json};

use super::{NAME, URL, WebhookEndpoint, input, view};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::locked;
use crate::store::page::Page;

const OBJECT: &str = "webhook_endpoint";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", "/v1/webhook_endpoints", OBJECT, read_create, create),
        Route::new(
            "GET",
            "/v1/webhook_endpoints",
            "list:webhook_endpoint",
            read_list,
            list,
        ),
        Route::without_params("GET", "/v1/webhook_endpoints/:id", OBJECT, retrieve),
        Route::new(
            "POST",
            "/v1/webhook_endpoints/:id",
            OBJECT,
            read_update,
            update,
        ),
        Route::without_params("DELETE", "/v1/webhook_endpoints/:id", OBJECT, delete),
    ]
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<WebhookEndpoint> {
    let existing = locked(&ctx.account.webhook_endpoints).iter().count();
    input::new(params, existing, ctx.now)
}

/// `POST /v1/webhook_endpoints`
fn create(ctx: &mut Ctx<'_>, endpoint: WebhookEndpoint) -> Result<Value> {
    let endpoint = endpoint.with_id_and_secret(&mut ctx.account.ids);
    let mut answer = view::endpoint(&endpoint);
    answer["secret"] = json!(endpoint.secret);
    locked(&ctx.account.webhook_endpoints).insert(endpoint);
    Ok(answer)
}

/// `GET /v1/webhook_endpoints/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(view::endpoint(&find(ctx)?))
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/webhook_endpoints`
fn list(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let endpoints = locked(&ctx.account.webhook_endpoints);
    let rows = page.of_table(&endpoints, NAME, |endpoint| endpoint.thin.is_none())?;
    Ok(rows.to_json(URL, view::endpoint))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<WebhookEndpoint> {
    input::updated(params, find(ctx)?)
}

/// `POST /v1/webhook_endpoints/:id`
fn update(ctx: &mut Ctx<'_>, endpoint: WebhookEndpoint) -> Result<Value> {
    let answer = view::endpoint(&endpoint);
    let mut endpoints = locked(&ctx.account.webhook_endpoints);
    if let Some(row) = endpoints.get_mut(&endpoint.id.clone()) {
        *row = endpoint;
    }
    Ok(answer)
}

/// `DELETE /v1/webhook_endpoints/:id`
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = find(ctx)?.id;
    locked(&ctx.account.webhook_endpoints).remove(&id);
    Ok(json!({"id": &*id, "object": OBJECT, "deleted": true}))
}

fn find(ctx: &Ctx<'_>) -> Result<WebhookEndpoint> {
    let id = ctx.arg(0);
    let endpoints = locked(&ctx.account.webhook_endpoints);
    let endpoint = endpoints.get(&id).cloned();
    let endpoint = endpoint.filter(|endpoint| endpoint.thin.is_none());
    endpoint.ok_or_else(|| Error::not_found(NAME, &id))
}
