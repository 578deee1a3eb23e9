//! `/v1/events`

use serde_json::Value;

use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", "/v1/events", "list:event", read_list, list),
        Route::bare("GET", "/v1/events/:id", "event", retrieve),
    ]
}

/// `GET /v1/events/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let event = ctx.account.events.get(&id);
    Ok(event
        .ok_or_else(|| Error::not_found("event", &id))?
        .to_json())
}

/// Which events are asked for.
struct Filter {
    page: Page,
    kind: Option<String>,
    kinds: Option<Vec<String>>,
    created: Created,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let owned = |kinds: Vec<&str>| kinds.into_iter().map(str::to_owned).collect();
    let filter = Filter {
        page: Page::read(params)?,
        kind: params.string("type")?.map(str::to_owned),
        kinds: params.strings("types")?.map(owned),
        created: Created::read(params)?,
    };
    params.unmodelled(&["delivery_success"])?;
    Ok(filter)
}

/// `GET /v1/events`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let kind = filter.kind.as_deref();
    let events = &ctx.account.events.table;
    let cut = filter.page.of_table(events, "event", |event| {
        kind.is_none_or(|kind| matches(kind, event.kind))
            && filter
                .kinds
                .as_ref()
                .is_none_or(|kinds| kinds.iter().any(|kind| matches(kind, event.kind)))
            && filter.created.accepts(event.created)
    })?;
    Ok(cut.to_json("/v1/events", |event| event.to_json()))
}

/// Whether a type is the one asked for: `customer.created`, or with a star at the end, `customer.*`.
fn matches(asked: &str, kind: &str) -> bool {
    match asked.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == asked,
    }
}
