//! Reading the phases and default settings of schedules.

use std::sync::Arc;

use super::{Defaults, Phase};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::period::{BillingInterval, IntervalUnit};
use crate::params::Params;
use crate::resource::coupon::Coupon;
use crate::resource::invoice_item;
use crate::resource::subscription::shared_input::{
    self, automatic_tax, collection_method, payment_method, prorate, same_currency,
};
use crate::resource::subscription::{BillingMode, Prorate};
use crate::resource::subscription_item::{self, ItemSpec, shortest_interval};
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Stripe's limit for current and future phases.
const MAX_PHASES: usize = 10;

/// Far more than real plans have. It keeps reading a phase cheap.
const MAX_ITERATIONS: i64 = 1200;

const PHASE_UNMODELLED: &[&str] = &[
    "application_fee_percent",
    "billing_thresholds?",
    "default_tax_rates?",
    "invoice_settings",
    "on_behalf_of",
    "plans",
    "tax_percent",
    "transfer_data",
];

const DEFAULTS_UNMODELLED: &[&str] = &[
    "application_fee_percent",
    "billing_thresholds?",
    "invoice_settings",
    "on_behalf_of?",
    "transfer_data?",
];

/// The context in which phases are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhaseContext<'a> {
    pub(crate) customer: &'a str,
    pub(crate) billing_mode: BillingMode,
    pub(crate) now: i64,
    /// The start of the first phase, unless it has its own.
    pub(crate) start: Option<i64>,
    /// The start of the running phase. Phases that end at or before it are over.
    pub(crate) running: Option<i64>,
    /// Whether phases may have a start date: in updates, not on creation.
    pub(crate) allows_start_dates: bool,
    /// The subscription's anchor, if there is a subscription.
    pub(crate) anchor: Option<i64>,
    /// The subscription's currency, if there is a subscription.
    pub(crate) currency: Option<Currency>,
    /// The current prices of the schedule and its subscription, which may be archived.
    pub(crate) current_prices: &'a [Id],
    /// The running phase's coupon.
    pub(crate) coupon: Option<&'a Arc<Coupon>>,
}

/// Reads `phases`. Each starts where the one before it ends. `None` if the request has none.
pub(super) fn read(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    phase_context: PhaseContext<'_>,
) -> Result<Option<Vec<Phase>>> {
    let Some(given) = params.objects("phases")? else {
        return Ok(None);
    };
    if given.is_empty() {
        return Err(params.missing("phases"));
    }
    if given.len() > MAX_PHASES {
        return Err(Error::invalid(format!(
            "A subscription schedule can have at most {MAX_PHASES} current and future phases."
        ))
        .param("phases"));
    }
    let mut phases: Vec<Phase> = Vec::with_capacity(given.len());
    for (index, params) in given.iter().enumerate() {
        let start_date = start_of(params, phase_context)?;
        let start = match phases.last() {
            Some(before) => before.end,
            None => start_date
                .or(phase_context.start)
                .ok_or_else(|| params.missing("start_date"))?,
        };
        if start_date.is_some_and(|start_date| start_date != start) {
            return Err(Error::invalid(format!("The `start_date` of a phase must be the `end_date` of the phase before it: expected {start}.")).param(params.name("start_date")));
        }
        // A phase without an end ends at the start date of the next one.
        let next = match given.get(index + 1) {
            Some(next) => start_of(next, phase_context)?,
            None => None,
        };
        let before = phases.last();
        phases.push(phase(ctx, params, phase_context, start, next, before)?);
    }
    Ok(Some(phases))
}

fn start_of(params: &Params<'_>, phase_context: PhaseContext<'_>) -> Result<Option<i64>> {
    if phase_context.allows_start_dates {
        return params.timestamp_or_now("start_date", phase_context.now);
    }
    Ok(None)
}

fn phase(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    phase_context: PhaseContext<'_>,
    start: i64,
    next: Option<i64>,
    before: Option<&Phase>,
) -> Result<Phase> {
    let mode = phase_context.billing_mode;
    let items =
        subscription_item::input::read(ctx, params, "items", phase_context.current_prices, mode)?;
    let currency = subscription_item::input::currency(ctx, &items);
    same_currency(params, currency)?;
    let expected = before
        .map(|before| before.currency)
        .or(phase_context.currency);
    if expected.is_some_and(|expected| expected != currency) {
        return Err(subscription_item::input::other_currency(
            params.name("items"),
        ));
    }
    let resets_anchor = resets_anchor(params)?;
    let end = end(ctx, params, &items, phase_context, start, next)?;
    let trial_end = trial_end(params, phase_context, start, end)?;
    let has_collection_method = collection_method(params)?.is_some();
    params.unmodelled(PHASE_UNMODELLED)?;
    Ok(Phase {
        start,
        end,
        trial_end,
        coupon: coupon_of_phase(ctx, params, currency, phase_context, start, before)?,
        currency,
        metadata: params.metadata()?.deferred()?,
        description: params.nullable("description")?.value().map(str::to_owned),
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
        added: invoice_item::input::read_added(ctx, params, currency)?,
        automatic_tax: automatic_tax(params)?,
        default_payment_method: payment_method(ctx, params, phase_context.customer)?.value(),
        has_collection_method,
        resets_anchor,
        items,
    })
}

fn end(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    specs: &[ItemSpec],
    phase_context: PhaseContext<'_>,
    start: i64,
    next: Option<i64>,
) -> Result<i64> {
    let date = params.timestamp_or_now("end_date", phase_context.now)?;
    let interval = shortest_interval(specs);
    let (length, name) = if ctx.has_meters() {
        (duration(params)?, "duration")
    } else {
        let iterations = iterations(params)?;
        (iterations.map(|count| (interval, count)), "iterations")
    };
    if date.is_some() && length.is_some() {
        return Err(Error::invalid(format!(
            "You may only specify one of these parameters: end_date, {name}."
        ))
        .param(params.name("end_date")));
    }
    let end = match (date, length, next) {
        (Some(date), ..) => date,
        (None, Some((interval, count)), _) => after(interval, phase_context, start, count),
        (None, None, Some(next)) => next,
        (None, None, None) => after(interval, phase_context, start, 1),
    };
    let past = phase_context.running.is_some_and(|running| end <= running);
    let wrong = end <= start || (end < phase_context.now && !past);
    if wrong || end > 253_402_300_799 {
        return Err(Error::invalid(format!("A phase must end after it starts, and not in the past: {end} is not a possible end of a phase that starts at {start}.")).param(params.name("end_date")));
    }
    Ok(end)
}

/// `iterations` of 2022-11-15: a number of intervals of the prices. If these differ, the shortest counts (our choice).
fn iterations(params: &Params<'_>) -> Result<Option<i64>> {
    let iterations = params.integer_from("iterations", 1)?;
    if iterations.is_some_and(|iterations| iterations > MAX_ITERATIONS) {
        return Err(Error::malformed(
            params.name("iterations"),
            format!("This value must be less than or equal to {MAX_ITERATIONS}."),
        )
        .code("parameter_invalid_integer"));
    }
    Ok(iterations)
}

/// `duration` of later versions: an interval of its own.
fn duration(params: &Params<'_>) -> Result<Option<(BillingInterval, i64)>> {
    let Some(given) = params.object("duration")? else {
        return Ok(None);
    };
    let unit = given.variant("interval", &IntervalUnit::ALL, IntervalUnit::as_str)?;
    let unit = unit.ok_or_else(|| given.missing("interval"))?;
    let count = given.integer_from("interval_count", 1)?.unwrap_or(1);
    let name = given.name("interval_count");
    let count = u32::try_from(count)
        .ok()
        .filter(|count| i64::from(*count) <= MAX_ITERATIONS);
    let count = count.ok_or_else(|| {
        let message = format!("This value must be less than or equal to {MAX_ITERATIONS}.");
        Error::malformed(name, message).code("parameter_invalid_integer")
    })?;
    Ok(Some((BillingInterval { unit, count }, 1)))
}

/// The time `iterations` intervals after `start`. If the phase starts with one of the subscription's periods, intervals
/// are counted from the subscription's anchor. If that time has passed, the first boundary in the future.
fn after(
    interval: BillingInterval,
    phase_context: PhaseContext<'_>,
    start: i64,
    iterations: i64,
) -> i64 {
    let anchor = phase_context
        .anchor
        .filter(|anchor| interval.containing(*anchor, start).0 == start)
        .unwrap_or(start);
    let mut end = start;
    for _ in 0..iterations {
        end = interval.next_after(anchor, end);
    }
    if end <= phase_context.now {
        end = interval.next_after(anchor, phase_context.now);
    }
    end
}

fn trial_end(
    params: &Params<'_>,
    phase_context: PhaseContext<'_>,
    start: i64,
    end: i64,
) -> Result<Option<i64>> {
    let whole = params.boolean("trial")?.unwrap_or(false);
    let at = params.timestamp_or_now("trial_end", phase_context.now)?;
    match (whole, at) {
        (true, Some(_)) => Err(Error::invalid(
            "You may only specify one of these parameters: trial, trial_end.",
        )
        .param(params.name("trial"))),
        (true, None) => Ok(Some(end)),
        (false, Some(at)) if at > end || at < start => Err(Error::invalid(
            "The `trial_end` of a phase must be within the phase.",
        )
        .param(params.name("trial_end"))),
        (false, at) => Ok(at),
    }
}

/// The coupon. If the previous or the running phase already has it, it is not redeemed again, so it may be used up or
/// deleted by now.
fn coupon_of_phase(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    currency: Currency,
    phase_context: PhaseContext<'_>,
    start: i64,
    before: Option<&Phase>,
) -> Result<Option<Arc<Coupon>>> {
    let from_before = match before {
        _ if phase_context.running == Some(start) => phase_context.coupon,
        Some(phase) => phase.coupon.as_ref(),
        None => None,
    };
    let Some((id, param)) = shared_input::coupon_of_phase(ctx, params)? else {
        return Ok(None);
    };
    match from_before {
        Some(coupon) if id == &*coupon.id => Ok(Some(coupon.clone())),
        _ => shared_input::coupon_named(ctx, id, &param, currency, phase_context.now).map(Some),
    }
}

fn resets_anchor(params: &Params<'_>) -> Result<Option<bool>> {
    let anchor = params.one_of("billing_cycle_anchor", &["automatic", "phase_start"])?;
    Ok(anchor.map(|anchor| anchor == "phase_start"))
}

/// Reads `default_settings`, applied to the current ones.
pub(super) fn defaults(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: &str,
    before: &Defaults,
) -> Result<Defaults> {
    let mut defaults = before.clone();
    let Some(given) = params.object("default_settings")? else {
        return Ok(defaults);
    };
    if let Some(enabled) = automatic_tax(&given)? {
        defaults.automatic_tax = enabled;
    }
    payment_method(ctx, &given, customer)?.apply(&mut defaults.default_payment_method);
    given
        .nullable("description")?
        .map(str::to_owned)
        .apply(&mut defaults.description);
    if let Some(resets_anchor) = resets_anchor(&given)? {
        defaults.resets_anchor = resets_anchor;
    }
    collection_method(&given)?;
    given.unmodelled(DEFAULTS_UNMODELLED)?;
    Ok(defaults)
}
