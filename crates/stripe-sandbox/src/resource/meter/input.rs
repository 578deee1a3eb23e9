//! Reading the parameters of meters.

use super::{Meter, of_event};
use crate::error::{Error, Result};
use crate::money::metering::{Formula, Window};
use crate::params::Params;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Stripe's limits, in characters.
const MAX_DISPLAY_NAME: usize = 250;
pub(crate) const MAX_NAME: usize = 100;

/// Reads a new meter, without an id.
pub(super) fn new(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Meter> {
    let display_name = display_name(params)?.ok_or_else(|| params.missing("display_name"))?;
    let event_name = limited(params, "event_name", MAX_NAME)?;
    let event_name = event_name.ok_or_else(|| params.missing("event_name"))?;
    let aggregation = params.object("default_aggregation")?;
    let aggregation = aggregation.ok_or_else(|| params.missing("default_aggregation"))?;
    let formula = aggregation.variant("formula", &Formula::ALL, Formula::as_str)?;
    let formula = formula.ok_or_else(|| aggregation.missing("formula"))?;
    let customer_key = customer_key(params)?;
    let value_key = match params.object("value_settings")? {
        Some(settings) => limited(&settings, "event_payload_key", MAX_NAME)?
            .ok_or_else(|| settings.missing("event_payload_key"))?,
        None => "value",
    };
    check_free(ctx, event_name)?;
    Ok(Meter {
        id: Id::default(),
        created: ctx.now,
        updated: ctx.now,
        display_name: display_name.to_owned(),
        event_name: event_name.to_owned(),
        formula,
        window: params.variant("event_time_window", &Window::ALL, Window::as_str)?,
        customer_key: customer_key.to_owned(),
        value_key: value_key.to_owned(),
        deactivated_at: None,
    })
}

fn customer_key<'a>(params: &Params<'a>) -> Result<&'a str> {
    let Some(mapping) = params.object("customer_mapping")? else {
        return Ok("stripe_customer_id");
    };
    if mapping.one_of("type", &["by_id"])?.is_none() {
        return Err(mapping.missing("type"));
    }
    let key = limited(&mapping, "event_payload_key", MAX_NAME)?;
    key.ok_or_else(|| mapping.missing("event_payload_key"))
}

/// `display_name`, the only parameter of an update.
pub(super) fn display_name<'a>(params: &Params<'a>) -> Result<Option<&'a str>> {
    limited(params, "display_name", MAX_DISPLAY_NAME)
}

/// Checks that no active meter has an event name. Stripe's own message is not known.
pub(super) fn check_free(ctx: &Ctx<'_>, event_name: &str) -> Result<()> {
    match of_event(&ctx.account.meters, event_name) {
        Some(meter) => Err(Error::invalid(format!(
            "An active meter (`{}`) already exists with event name `{event_name}`.",
            meter.id
        ))
        .param("event_name")),
        None => Ok(()),
    }
}

/// A text with at most `most` characters.
pub(crate) fn limited<'a>(params: &Params<'a>, key: &str, most: usize) -> Result<Option<&'a str>> {
    let text = params.string(key)?;
    if text.is_some_and(|text| text.chars().count() > most) {
        return Err(Error::malformed(
            params.name(key),
            format!("Invalid string: it must be at most {most} characters."),
        ));
    }
    Ok(text)
}
