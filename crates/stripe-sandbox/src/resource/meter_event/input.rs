//! Reading meter events and adjustments.

use chrono::DateTime;
use indexmap::IndexMap;
use rust_decimal::Decimal;

use crate::error::{Error, Result};
use crate::money::metering::Formula;
use crate::params::Params;
use crate::resource::meter::input::{MAX_NAME, limited};
use crate::resource::meter::{self, Meter};
use crate::resource::thin_event::DropReason;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// How old an event may be, in seconds: 35 days.
const OLDEST: i64 = 35 * 24 * 60 * 60;

/// How far in the future an event may be, in seconds, because clocks differ.
const AHEAD: i64 = 300;

/// Limits of a value's digits before and after the decimal point. Stripe limits them, too, but does not document the
/// limits.
const MAX_WHOLE: i64 = 999_999_999_999_999;
const MAX_PLACES: u32 = 12;

/// How a version of the API writes times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// Seconds since 1970.
    Unix,
    /// RFC 3339, in `/v2`.
    Text,
}

/// An accepted event. It may still be dropped when it is processed.
pub(super) struct AcceptedEvent {
    pub(super) event_name: String,
    pub(super) identifier: Option<String>,
    pub(super) payload: IndexMap<String, String>,
    pub(super) timestamp: i64,
    pub(super) meter: Id,
    /// The customer and value to count, or the reason why processing will drop the event. Stripe answers 200 in both
    /// cases.
    pub(super) counts: Result<Count, DropReason>,
    pub(super) time_format: TimeFormat,
}

/// The customer and value of an event.
pub(super) struct Count {
    pub(super) customer: Id,
    pub(super) value: Decimal,
}

pub(super) fn event(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    time_format: TimeFormat,
) -> Result<AcceptedEvent> {
    let event_name = limited(params, "event_name", MAX_NAME)?;
    let event_name = event_name.ok_or_else(|| params.missing("event_name"))?;
    let payload = payload(params)?;
    let identifier = limited(params, "identifier", MAX_NAME)?;
    let meter = meter::of_event(&ctx.account.meters, event_name);
    let meter = meter.ok_or_else(|| {
        Error::invalid(format!(
            "No active meter found for event name {event_name}."
        ))
    })?;
    let now = payload
        .get(&meter.customer_key)
        .map_or(ctx.now, |customer| ctx.time_of(customer));
    let timestamp = timestamp(params, time_format)?.unwrap_or(now);
    check_time(timestamp, now)?;
    if identifier.is_some_and(|id| ctx.account.meter_events.has(id, ctx.now_millis)) {
        let identifier = identifier.unwrap_or_default();
        return Err(Error::invalid(format!(
            "An event already exists with identifier {identifier}."
        )));
    }
    Ok(AcceptedEvent {
        event_name: event_name.to_owned(),
        identifier: identifier.map(str::to_owned),
        meter: meter.id.clone(),
        counts: value(ctx, meter, &payload),
        payload,
        timestamp,
        time_format,
    })
}

/// `payload`: texts by their keys.
fn payload(params: &Params<'_>) -> Result<IndexMap<String, String>> {
    let payload = params.object("payload")?;
    let payload = payload.ok_or_else(|| params.missing("payload"))?;
    let pair = |key: &str| {
        let text = payload.text(key)?.unwrap_or_default();
        Ok((key.to_owned(), text.to_owned()))
    };
    payload.keys().into_iter().map(pair).collect()
}

fn timestamp(params: &Params<'_>, time_format: TimeFormat) -> Result<Option<i64>> {
    if time_format == TimeFormat::Unix {
        return params.timestamp("timestamp");
    }
    let Some(text) = params.string("timestamp")? else {
        return Ok(None);
    };
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(Some(time.timestamp())),
        Err(_) => Err(Error::malformed(
            "timestamp",
            format!("Invalid timestamp: must be in RFC 3339, not {text}."),
        )),
    }
}

fn check_time(timestamp: i64, now: i64) -> Result<()> {
    let refused = |message: &str| Err(Error::invalid(message).param("timestamp"));
    if timestamp < now - OLDEST {
        return refused(
            "The timestamp is too far in the past: an event must be within the past 35 calendar days.",
        );
    }
    if timestamp > now + AHEAD {
        return refused("The timestamp is in the future: an event can be at most 5 minutes ahead.");
    }
    Ok(())
}

fn value(
    ctx: &Ctx<'_>,
    meter: &Meter,
    payload: &IndexMap<String, String>,
) -> Result<Count, DropReason> {
    let (customer_key, value_key) = (&meter.customer_key, &meter.value_key);
    let customer = payload.get(customer_key).ok_or_else(|| DropReason {
        code: "meter_event_no_customer_defined",
        message: format!("Customer mapping key {customer_key} not found in payload."),
    })?;
    let known = ctx.account.customers.get(customer);
    let known = known.ok_or_else(|| DropReason {
        code: "meter_event_customer_not_found",
        message: format!("No customer was found matching {customer_key} {customer}."),
    })?;
    let value = match (meter.formula, payload.get(value_key)) {
        (_, Some(text)) => number(text)?,
        (Formula::Count, None) => Decimal::ONE,
        (Formula::Last | Formula::Sum, None) => {
            return Err(DropReason {
                code: "meter_event_value_not_found",
                message: format!("Value key {value_key} not found in payload."),
            });
        }
    };
    Ok(Count {
        customer: known.id.clone(),
        value,
    })
}

fn number(text: &str) -> Result<Decimal, DropReason> {
    let number: Decimal = text.trim().parse().map_err(|_| DropReason {
        code: "meter_event_invalid_value",
        message: format!("The value {text} is not a number."),
    })?;
    let number = number.normalize();
    if number.abs().trunc() > Decimal::from(MAX_WHOLE) || number.scale() > MAX_PLACES {
        return Err(DropReason {
            code: "meter_event_value_too_many_digits",
            message: format!("The value {text} has too many digits."),
        });
    }
    Ok(number)
}

/// The adjustment of an event: its cancellation.
pub(super) struct Adjustment {
    pub(super) event_name: String,
    pub(super) identifier: String,
}

pub(super) fn adjustment(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Adjustment> {
    let event_name = limited(params, "event_name", MAX_NAME)?;
    let event_name = event_name.ok_or_else(|| params.missing("event_name"))?;
    if params.one_of("type", &["cancel"])?.is_none() {
        return Err(params.missing("type"));
    }
    let cancel = params.object("cancel")?;
    let identifier = match &cancel {
        Some(cancel) => limited(cancel, "identifier", MAX_NAME)?,
        None => None,
    };
    // It is optional in `/v1`, but an adjustment is useless without it.
    let Some(identifier) = identifier else {
        let missing = cancel.map_or_else(
            || params.missing("cancel"),
            |cancel| cancel.missing("identifier"),
        );
        return Err(missing);
    };
    let events = &ctx.account.meter_events;
    let received = events.received(identifier, ctx.now_millis);
    if received.is_none_or(|received| &*received.event_name != event_name) {
        return Err(Error::invalid(format!(
            "No meter event of the last 24 hours found with event name {event_name} and identifier {identifier}."
        ))
        .param("cancel[identifier]"));
    }
    Ok(Adjustment {
        event_name: event_name.to_owned(),
        identifier: identifier.to_owned(),
    })
}
