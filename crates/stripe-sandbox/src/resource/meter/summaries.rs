//! `/v1/billing/meters/:id/event_summaries`: a customer's total usage of a meter.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Value, json};

use super::Meter;
use super::routes::find;
use crate::error::{Error, Result};
use crate::money::metering::Window;
use crate::params::Params;
use crate::resource::customer;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::Row;

const MINUTE: i64 = 60;

/// The maximum number of windows, so that a request cannot take long.
const MAX_WINDOWS: i64 = 10_000;

/// The parameters of a request.
pub(super) struct Range {
    page: Page,
    customer: Id,
    start: i64,
    end: i64,
    window: Option<Window>,
}

pub(super) fn read(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Range> {
    find(ctx)?;
    let customer = customer::input::named(ctx, params.required("customer")?, "customer")?;
    let window = params.variant("value_grouping_window", &Window::ALL, Window::as_str)?;
    let start = aligned(params, "start_time", window)?;
    let end = aligned(params, "end_time", window)?;
    if start >= end {
        return Err(Error::invalid("`start_time` must be before `end_time`.").param("start_time"));
    }
    let windows = (end - start) / window.map_or(end - start, Window::seconds);
    if windows > MAX_WINDOWS {
        return Err(Error::invalid(format!(
            "The range has {windows} windows; the sandbox lists at most {MAX_WINDOWS}."
        ))
        .param("value_grouping_window"));
    }
    Ok(Range {
        page: Page::read(params)?,
        customer: customer.id.clone(),
        start,
        end,
        window,
    })
}

/// A time at the beginning of a minute, or of a window of UTC.
fn aligned(params: &Params<'_>, key: &str, window: Option<Window>) -> Result<i64> {
    let at = params.timestamp(key)?.ok_or_else(|| params.missing(key))?;
    let (step, what) = match window {
        None => (MINUTE, "minute"),
        Some(window) => (window.seconds(), window.as_str()),
    };
    if at % step != 0 {
        return Err(
            Error::invalid(format!("`{key}` must align with {what} boundaries.")).param(key),
        );
    }
    Ok(at)
}

/// The total of a range.
struct Summary {
    id: Id,
    start: i64,
    end: i64,
    total: Decimal,
}

impl Row for Summary {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// `GET /v1/billing/meters/:id/event_summaries`: one for the range, or one for each window with usage, newest first.
pub(super) fn list(ctx: &mut Ctx<'_>, range: Range) -> Result<Value> {
    let meter = find(ctx)?;
    let received_until = ctx.now_millis - ctx.settings.meter_lag;
    let events = &ctx.account.meter_events;
    let of = |start: i64, end: i64| Summary {
        id: id(meter, &range.customer, start),
        start,
        end,
        total: events.total(meter, &range.customer, (start, end), Some(received_until)),
    };
    let summaries: Vec<Summary> = match range.window {
        None => vec![of(range.start, range.end)],
        Some(window) => {
            let length = window.seconds();
            let count = (range.end - range.start) / length;
            let starts = (0..count).rev().map(|index| range.start + index * length);
            let each = starts.map(|start| of(start, start + length));
            each.filter(|summary| !summary.total.is_zero()).collect()
        }
    };
    let rows: Vec<&Summary> = summaries.iter().collect();
    let url = format!("/v1/billing/meters/{}/event_summaries", meter.id);
    let rows = range.page.of_rows(&rows, "meter event summary")?;
    Ok(rows.to_json(&url, |summary| {
        json!({
            "id": &*summary.id,
            "object": "billing.meter_event_summary",
            "aggregated_value": number(summary.total),
            "end_time": summary.end,
            "livemode": false,
            "meter": &*meter.id,
            "start_time": summary.start,
        })
    }))
}

fn id(meter: &Meter, customer: &str, start: i64) -> Id {
    let meter = meter.id.trim_start_matches("mtr_test_");
    let customer = customer.trim_start_matches("cus_");
    format!("mtrusg_test_{meter}{customer}{start}").into()
}

/// A total as a JSON number. This is the only use of a float.
fn number(total: Decimal) -> Value {
    match total.to_i64() {
        Some(integer) if total.is_integer() => json!(integer),
        _ => json!(total.to_f64()),
    }
}
