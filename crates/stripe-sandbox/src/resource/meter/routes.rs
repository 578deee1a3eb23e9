//! `/v1/billing/meters`

use serde_json::Value;

use super::{Meter, NAME, URL, input, summaries};
use crate::engine::metering;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;
use crate::version::ApiVersion;

const OBJECT: &str = "billing.meter";

pub(crate) fn routes() -> Vec<Route> {
    let routes = [
        Route::new("POST", URL, OBJECT, input::new, create),
        Route::new("GET", URL, "list:billing.meter", read_list, list),
        Route::without_params("GET", "/v1/billing/meters/:id", OBJECT, retrieve),
        Route::new(
            "POST",
            "/v1/billing/meters/:id",
            OBJECT,
            read_update,
            update,
        ),
        Route::without_params(
            "POST",
            "/v1/billing/meters/:id/deactivate",
            OBJECT,
            deactivate,
        ),
        Route::without_params(
            "POST",
            "/v1/billing/meters/:id/reactivate",
            OBJECT,
            reactivate,
        ),
        Route::new(
            "GET",
            "/v1/billing/meters/:id/event_summaries",
            "list:billing.meter_event_summary",
            summaries::read,
            summaries::list,
        ),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.since(ApiVersion::V2026_10_28))
        .collect()
}

/// `POST /v1/billing/meters`
fn create(ctx: &mut Ctx<'_>, mut meter: Meter) -> Result<Value> {
    meter.id = ctx.account.ids.next("mtr_test", 32);
    let answer = meter.to_json();
    ctx.account.meters.insert(meter);
    ctx.event("billing.meter.created", &answer, ctx.now);
    Ok(answer)
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<(Page, Option<bool>)> {
    let page = Page::read(params)?;
    let status = params.one_of("status", &["active", "inactive"])?;
    Ok((page, status.map(|status| status == "active")))
}

/// `GET /v1/billing/meters`
fn list(ctx: &mut Ctx<'_>, (page, active): (Page, Option<bool>)) -> Result<Value> {
    let keep = |meter: &Meter| active.is_none_or(|active| meter.is_active() == active);
    let rows = page.of_table(&ctx.account.meters, NAME, keep)?;
    Ok(rows.to_json(URL, Meter::to_json))
}

/// `GET /v1/billing/meters/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx)?.to_json())
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Meter> {
    let mut meter = find(ctx)?.clone();
    if let Some(name) = input::display_name(params)? {
        name.clone_into(&mut meter.display_name);
    }
    Ok(meter)
}

/// `POST /v1/billing/meters/:id`
fn update(ctx: &mut Ctx<'_>, meter: Meter) -> Result<Value> {
    replace(ctx, meter, "billing.meter.updated")
}

/// `POST /v1/billing/meters/:id/deactivate`: the meter then takes no events, and drops those that are not processed
/// yet.
fn deactivate(ctx: &mut Ctx<'_>) -> Result<Value> {
    let mut meter = find(ctx)?.clone();
    if !meter.is_active() {
        return Err(Error::invalid("This meter is already inactive."));
    }
    meter.deactivated_at = Some(ctx.now);
    let id = meter.id.clone();
    let answer = replace(ctx, meter, "billing.meter.deactivated")?;
    metering::drop_unprocessed(ctx, &id);
    Ok(answer)
}

/// `POST /v1/billing/meters/:id/reactivate`
fn reactivate(ctx: &mut Ctx<'_>) -> Result<Value> {
    let mut meter = find(ctx)?.clone();
    if meter.is_active() {
        return Err(Error::invalid("This meter is already active."));
    }
    input::check_free(ctx, &meter.event_name)?;
    meter.deactivated_at = None;
    replace(ctx, meter, "billing.meter.reactivated")
}

/// Stores a changed meter and records its event.
fn replace(ctx: &mut Ctx<'_>, mut meter: Meter, kind: &'static str) -> Result<Value> {
    let before = find(ctx)?.to_json();
    if meter.to_json() != before {
        meter.updated = ctx.now;
    }
    let after = meter.to_json();
    if let Some(row) = ctx.account.meters.get_mut(&meter.id.clone()) {
        *row = meter;
    }
    if after != before {
        ctx.update_event(kind, &before, &after, ctx.now);
    }
    Ok(after)
}

pub(super) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Meter> {
    let id = ctx.arg(0);
    let meter = ctx.account.meters.get(&id);
    meter.ok_or_else(|| Error::not_found(NAME, &id))
}
