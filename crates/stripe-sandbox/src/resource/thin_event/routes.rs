//! `/v2/core/events`

use serde_json::Value;

use super::ThinEvent;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;
use crate::version::ApiVersion;

const URL: &str = "/v2/core/events";

const OBJECT: &str = "v2.core.event";

/// How many types a filter may have.
const MAX_TYPES: usize = 20;

pub(crate) fn routes() -> Vec<Route> {
    let routes = [
        Route::new("GET", URL, OBJECT, read_list, list),
        Route::without_params("GET", "/v2/core/events/:id", OBJECT, retrieve),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.since(ApiVersion::V2026_10_28))
        .collect()
}

/// `GET /v2/core/events/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let event = ctx.account.thin_events.table.get(&id);
    let event = event.filter(|event| event.created <= ctx.now_millis);
    let event = event.ok_or_else(|| Error::not_found("event", &id).code("not_found"))?;
    Ok(event.to_json())
}

/// The filter of a list.
struct Filter {
    page: Page,
    object: Option<String>,
    types: Option<Vec<String>>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    params.unmodelled(&["created"])?;
    let types = params.strings("types")?;
    if types.as_ref().is_some_and(|types| types.len() > MAX_TYPES) {
        let message = format!("Array types exceeded maximum {MAX_TYPES} allowed elements.");
        return Err(Error::malformed("types", message));
    }
    Ok(Filter {
        page: Page::read_v2(params)?,
        object: params.string("object_id")?.map(str::to_owned),
        types: types.map(|types| types.into_iter().map(str::to_owned).collect()),
    })
}

/// `GET /v2/core/events`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let events = &ctx.account.thin_events.table;
    let (object, types) = (filter.object.as_deref(), filter.types.as_deref());
    let keep = |event: &ThinEvent| {
        event.created <= ctx.now_millis
            && object.is_none_or(|object| event.is_about(object))
            && types.is_none_or(|types| types.iter().any(|kind| kind == event.kind))
    };
    let rows = filter.page.of_table(events, "event", keep)?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(object.map(|object| ("object_id", object)));
    for (index, kind) in types.unwrap_or_default().iter().enumerate() {
        query.append_pair(&format!("types[{index}]"), kind);
    }
    let url = match &*query.finish() {
        "" => URL.to_owned(),
        query => format!("{URL}?{query}"),
    };
    Ok(rows.to_v2_json(&filter.page, &url, ThinEvent::to_json))
}
