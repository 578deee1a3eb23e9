//! Reading what a subscription is created with and changed by.

use std::sync::Arc;

use super::birth::Seed;
use super::phase_params::{automatic_tax, coupon, payment_method, prorate, same_currency};
use super::schedule::{Prorate, Want};
use super::subscription::Subscription;
use super::{catalog, items};
use crate::sandbox::change::Change;
use crate::sandbox::context::Ctx;
use crate::sandbox::coupon::Coupon;
use crate::sandbox::customer::{self, Customer};
use crate::sandbox::error::{Error, Result};
use crate::sandbox::ids::Id;
use crate::sandbox::metadata::Metadata;
use crate::sandbox::params::Params;
use crate::sandbox::payment_method::PaymentMethod;

const DAY: i64 = 86_400;
/// Stripe's limit for a trial: two years.
const LONGEST_TRIAL: i64 = 730;
const UNMODELLED: &[&str] = &[
    "add_invoice_items",
    "application_fee_percent",
    "billing_cycle_anchor",
    "billing_thresholds",
    "days_until_due",
    "default_source",
    "default_tax_rates",
    "off_session",
    "on_behalf_of",
    "payment_settings",
    "pending_invoice_item_interval",
    "promotion_code",
    "transfer_data",
    "trial_settings",
];

/// Reads a new subscription, and the customer's time.
pub(crate) fn read_new(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Seed, i64)> {
    let holder = customer::named(ctx, params.required("customer")?, "customer")?;
    let now = ctx.time_of(&holder.id);
    let wants = items::read(ctx, params, "items", &[])?;
    let currency = items::currency(ctx, &wants);
    same_currency(params, currency)?;
    super::currency::check(ctx.account, holder, currency, None)?;
    let trial_end = trial_end(ctx, params, &wants, now)?;
    let method = payment_method(ctx, params, &holder.id)?.value();
    let behavior = params.one_of(
        "payment_behavior",
        &["allow_incomplete", "error_if_incomplete"],
    )?;
    if behavior == Some("error_if_incomplete") && trial_end.is_none() {
        check_payment(ctx, holder, method.as_ref(), &wants)?;
    }
    // There is nothing to prorate yet.
    prorate(params)?;
    params.one_of("collection_method", &["charge_automatically"])?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&["backdate_start_date"])?;
    let seed = Seed {
        customer: holder.id.clone(),
        clock: holder.test_clock.clone(),
        currency,
        start_date: now,
        trial_end,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        description: params.nullable("description")?.value().map(str::to_owned),
        default_payment_method: method,
        coupon: coupon(ctx, params, currency, now)?,
        automatic_tax: automatic_tax(params)?.unwrap_or(false),
        schedule: None,
        cancel_at: cancel_at(params, now)?.value(),
        cancel_at_period_end: params.boolean("cancel_at_period_end")?.unwrap_or(false),
        incomplete: true,
        wants,
    };
    if seed.cancel_at.is_some() && seed.cancel_at_period_end {
        return Err(one_end_only());
    }
    Ok((seed, now))
}

fn one_end_only() -> Error {
    Error::invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
        .param("cancel_at")
}

/// `trial_end`, `trial_period_days`, or with `trial_from_plan` the days that the prices say.
fn trial_end(ctx: &Ctx<'_>, params: &Params<'_>, wants: &[Want], now: i64) -> Result<Option<i64>> {
    let end = trial_end_given(params, now)?;
    let days = params.integer_from("trial_period_days", 0)?;
    let from_plan = params.boolean("trial_from_plan")?.unwrap_or(false);
    if end.is_some() && days.is_some() {
        return Err(Error::invalid(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
        )
        .param("trial_end"));
    }
    let planned = || {
        let days = |want: &Want| {
            catalog::price(ctx.account, &want.price)
                .recurring
                .as_ref()?
                .trial_period_days
        };
        wants.iter().filter_map(days).max().filter(|_| from_plan)
    };
    let from_days = days.or_else(planned).filter(|days| *days > 0);
    if from_days.is_some_and(|days| days > LONGEST_TRIAL) {
        return Err(too_long("trial_period_days"));
    }
    Ok(end
        .or(from_days.map(|days| now + days * DAY))
        .filter(|end| *end > now))
}

fn too_long(param: &str) -> Error {
    Error::invalid(format!(
        "Invalid {param}: a trial can last at most {LONGEST_TRIAL} days."
    ))
    .param(param)
}

fn trial_end_given(params: &Params<'_>, now: i64) -> Result<Option<i64>> {
    match params.timestamp_or_now("trial_end", now)? {
        Some(end) if end < now => Err(Error::invalid(
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
        )
        .param("trial_end")),
        Some(end) if end > now + LONGEST_TRIAL * DAY => Err(too_long("trial_end")),
        end => Ok(end),
    }
}

fn cancel_at(params: &Params<'_>, now: i64) -> Result<Change<i64>> {
    if params.nullable("cancel_at")? == Change::Unset {
        return Ok(Change::Unset);
    }
    match params.timestamp("cancel_at")? {
        Some(at) if at <= now => {
            Err(Error::invalid("`cancel_at` must be in the future.").param("cancel_at"))
        }
        Some(at) => Ok(Change::Set(at)),
        None => Ok(Change::Keep),
    }
}

/// `error_if_incomplete`: nothing is created if what is due at once cannot be paid.
fn check_payment(
    ctx: &Ctx<'_>,
    holder: &Customer,
    method: Option<&Id>,
    wants: &[Want],
) -> Result<()> {
    let due = wants.iter().any(|want| {
        want.quantity.is_some_and(|quantity| {
            catalog::priced(ctx.account, &want.price)
                .scheme
                .amount(quantity)
                > 0
        })
    });
    let method = method.or(holder.default_payment_method.as_ref());
    let method = method.and_then(|id| ctx.account.payment_methods.get(id));
    if due && method.is_some_and(PaymentMethod::declines) {
        return Err(Error::invalid("Your card was declined.")
            .kind("card_error")
            .code("card_declined")
            .status(402));
    }
    Ok(())
}

/// What a request changes on a subscription.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) wants: Option<Vec<Want>>,
    /// A time that has come ends the trial.
    pub(crate) trial_end: Option<i64>,
    pub(crate) cancel_at: Change<i64>,
    pub(crate) cancel_at_period_end: Option<bool>,
    /// The coupon to apply, or none to take the discount away.
    pub(crate) coupon: Change<Arc<Coupon>>,
    pub(crate) default_payment_method: Change<Id>,
    pub(crate) description: Change<String>,
    pub(crate) metadata: Metadata,
    pub(crate) automatic_tax: Option<bool>,
    pub(crate) prorate: Prorate,
}

/// Reads an update.
pub(crate) fn read_update(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    now: i64,
) -> Result<Update> {
    let wants = items::read_change(ctx, params, "items", &subscription.items)?;
    let currency = wants
        .as_ref()
        .map_or(subscription.currency, |wants| items::currency(ctx, wants));
    if currency != subscription.currency {
        return Err(items::other_currency(params.name("items")));
    }
    let coupon_given = params.has("coupon");
    let coupon = coupon(ctx, params, currency, now)?;
    params.one_of("payment_behavior", &["allow_incomplete"])?;
    params.one_of("collection_method", &["charge_automatically"])?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&[
        "cancellation_details",
        "pause_collection",
        "proration_date",
        "trial_from_plan",
    ])?;
    let update = Update {
        wants,
        trial_end: trial_end_given(params, now)?,
        cancel_at: cancel_at(params, now)?,
        cancel_at_period_end: params.boolean("cancel_at_period_end")?,
        coupon: match coupon {
            Some(coupon) => Change::Set(coupon),
            None if coupon_given => Change::Unset,
            None => Change::Keep,
        },
        default_payment_method: payment_method(ctx, params, &subscription.customer)?,
        description: params.nullable("description")?.map(str::to_owned),
        metadata: params.metadata()?.apply(&subscription.metadata)?,
        automatic_tax: automatic_tax(params)?,
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
    };
    if update.cancel_at_period_end == Some(true) && matches!(update.cancel_at, Change::Set(_)) {
        return Err(one_end_only());
    }
    check_directed(subscription, &update)?;
    Ok(update)
}

/// What only the schedule may say of a subscription that it directs.
fn check_directed(subscription: &Subscription, update: &Update) -> Result<()> {
    let Some(schedule) = &subscription.schedule else {
        return Ok(());
    };
    if update.cancel_at != Change::Keep || update.cancel_at_period_end.is_some() {
        return Err(Error::invalid(format!(
            "The subscription is managed by the subscription schedule `{schedule}`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        )));
    }
    Ok(())
}
