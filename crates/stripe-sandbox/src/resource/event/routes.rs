//! `/v1/events`

use serde_json::Value;

use super::Event;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/v1/events", list, "list:event"),
    route("GET", "/v1/events/:id", retrieve, "event"),
];

/// `GET /v1/events/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let event = ctx.account.events.get(&id);
    Ok(event
        .ok_or_else(|| Error::not_found("event", &id))?
        .to_json())
}

/// `GET /v1/events`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let kind = params.string("type")?;
    let kinds = params.strings("types")?;
    let created = crate::params::filter::Created::read(params)?;
    params.unmodelled(&["delivery_success"])?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.events.table, "event", |event| {
        kind.is_none_or(|kind| matches(kind, event.kind))
            && kinds
                .as_ref()
                .is_none_or(|kinds| kinds.iter().any(|kind| matches(kind, event.kind)))
            && created.accepts(event.created)
    })?;
    Ok(cut.to_json("/v1/events", Event::to_json))
}

/// Whether a type is the one asked for: `customer.created`, or with a star at the end, `customer.*`.
fn matches(asked: &str, kind: &str) -> bool {
    match asked.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == asked,
    }
}
