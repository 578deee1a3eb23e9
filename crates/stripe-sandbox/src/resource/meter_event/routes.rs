//! `/v1/billing/meter_events` and `/v1/billing/meter_event_adjustments`, and both in `/v2`.

use serde_json::{Value, json};

use super::Received;
use super::input::{self, AcceptedEvent, Adjustment, TimeFormat};
use crate::engine::metering;
use crate::error::Result;
use crate::params::Params;
use crate::resource::json::rfc3339;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::version::ApiVersion;

pub(crate) fn routes() -> Vec<Route> {
    let routes = [
        Route::new(
            "POST",
            "/v1/billing/meter_events",
            "billing.meter_event",
            |ctx, params| input::event(ctx, params, TimeFormat::Unix),
            report,
        ),
        Route::new(
            "POST",
            "/v2/billing/meter_events",
            "v2.billing.meter_event",
            |ctx, params| input::event(ctx, params, TimeFormat::Text),
            report,
        ),
        Route::new(
            "POST",
            "/v1/billing/meter_event_adjustments",
            "billing.meter_event_adjustment",
            read_adjustment,
            adjust,
        ),
        Route::new(
            "POST",
            "/v2/billing/meter_event_adjustments",
            "v2.billing.meter_event_adjustment",
            read_adjustment,
            adjust_v2,
        ),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.since(ApiVersion::V2026_10_28))
        .collect()
}

/// `POST /v1/billing/meter_events`, `POST /v2/billing/meter_events`
fn report(ctx: &mut Ctx<'_>, event: AcceptedEvent) -> Result<Value> {
    let identifier = event.identifier.unwrap_or_else(|| ctx.account.ids.text(36));
    let counted = match event.counts {
        Ok(counts) => Some(metering::record(
            ctx,
            &event.meter,
            &counts.customer,
            event.timestamp,
            counts.value,
        )),
        Err(invalid) => {
            metering::report_dropped(ctx, &event.meter, &identifier, invalid, ctx.now_millis);
            None
        }
    };
    let received = Received {
        event_name: event.event_name.as_str().into(),
        counted,
        at_millis: ctx.now_millis,
    };
    ctx.account.meter_events.remember(&identifier, received);
    let (object, time): (_, fn(i64) -> Value) = match event.time_format {
        TimeFormat::Unix => ("billing.meter_event", |at| json!(at)),
        TimeFormat::Text => ("v2.billing.meter_event", rfc3339_seconds),
    };
    Ok(json!({
        "object": object,
        "created": time(ctx.now),
        "event_name": event.event_name,
        "identifier": identifier,
        "livemode": false,
        "payload": event.payload,
        "timestamp": time(event.timestamp),
    }))
}

/// A time as `/v2` writes it.
fn rfc3339_seconds(at: i64) -> Value {
    rfc3339(at.saturating_mul(1000))
}

fn read_adjustment(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Adjustment> {
    input::adjustment(ctx, params)
}

/// `POST /v1/billing/meter_event_adjustments`: cancels an event. It never changes a final invoice.
fn adjust(ctx: &mut Ctx<'_>, adjustment: Adjustment) -> Result<Value> {
    metering::cancel(ctx, &adjustment.identifier);
    Ok(json!({
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": adjustment.identifier},
        "event_name": adjustment.event_name,
        "livemode": false,
        "status": "complete",
        "type": "cancel",
    }))
}

/// `POST /v2/billing/meter_event_adjustments`
fn adjust_v2(ctx: &mut Ctx<'_>, adjustment: Adjustment) -> Result<Value> {
    let id = ctx.account.ids.next("mtr_event_adj", 24);
    let mut answer = adjust(ctx, adjustment)?;
    answer["id"] = json!(&*id);
    answer["object"] = json!("v2.billing.meter_event_adjustment");
    answer["created"] = rfc3339_seconds(ctx.now);
    Ok(answer)
}
