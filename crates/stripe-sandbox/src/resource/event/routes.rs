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
        Route::without_params("GET", "/v1/events/:id", "event", retrieve),
    ]
}

/// `GET /v1/events/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let event = ctx.account.events.get(&id);
    let event = event.filter(|event| event.is_kept(ctx.now));
    Ok(event
        .ok_or_else(|| Error::not_found("event", &id))?
        .to_json())
}

/// How many types a filter may have.
const MAX_TYPES: usize = 20;

/// The filter of a list.
struct Filter {
    page: Page,
    types: Option<Vec<String>>,
    created: Created,
    delivery_success: Option<bool>,
}

/// Reads the types of a filter.
fn read_types(params: &Params<'_>) -> Result<Option<Vec<String>>> {
    let one = params.string("type")?.map(str::to_owned);
    let several = params.strings("types")?;
    match (one, several) {
        (None, None) => Ok(None),
        (Some(one), None) => Ok(Some(vec![one])),
        (Some(_), Some(_)) => Err(Error::malformed(
            "types",
            "You may only specify one of these parameters: type, types.",
        )),
        (None, Some(several)) if several.len() > MAX_TYPES => Err(Error::malformed(
            "types",
            format!("Array types exceeded maximum {MAX_TYPES} allowed elements."),
        )),
        (None, Some(several)) => Ok(Some(several.into_iter().map(str::to_owned).collect())),
    }
}

/// Whether a type matches: `customer.created`, or with a star at the end, `customer.*`.
fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == pattern,
    }
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    Ok(Filter {
        page: Page::read(params)?,
        types: read_types(params)?,
        created: Created::read(params)?,
        delivery_success: params.boolean("delivery_success")?,
    })
}

/// `GET /v1/events`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let events = &ctx.account.events.table;
    let rows = filter.page.of_table(events, "event", |event| {
        let delivered = event.pending() == 0;
        event.is_kept(ctx.now)
            && (filter.types.as_ref())
                .is_none_or(|types| types.iter().any(|pattern| matches(pattern, event.kind)))
            && filter.created.accepts(event.created)
            && filter
                .delivery_success
                .is_none_or(|wanted| wanted == delivered)
    })?;
    Ok(rows.to_json("/v1/events", |event| event.to_json()))
}
