//! Reading new subscriptions.

use super::cycle::CancelAt;
use super::shared_input::{
    automatic_tax_with_location, billing_mode, collection_method, discount, payment_method,
    prorate, same_currency,
};
use super::{
    BillingMode, MissingMethod, NAME, PaymentSettings, Prorate, backdating_input, payment_input,
};
use crate::engine::new_subscription::{FirstAnchor, FirstPayment, NewSubscription};
use crate::engine::subscription_update::PaymentBehavior;
use crate::error::{Error, Result};
use crate::money::period::DAY;
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::params::metadata::Metadata;
use crate::resource::customer::{self, Customer};
use crate::resource::invoice_item;
use crate::resource::payment_method::card::Presence;
use crate::resource::subscription_item::{self, ItemSpec};
use crate::resource::test_clock::MAX_SUBSCRIPTIONS;
use crate::store::account::Account;
use crate::store::context::Ctx;

/// Stripe's limit of a trial, in days: two years.
pub(crate) const LONGEST_TRIAL: i64 = 730;

pub(super) const UNMODELLED: &[&str] = &[
    "application_fee_percent",
    "billing_thresholds?",
    "days_until_due",
    "default_tax_rates?",
    "on_behalf_of?",
    "pending_invoice_item_interval?",
];

/// Parameters that later versions added.
pub(super) const UNMODELLED_2026: &[&str] = &[
    "billing_cycle_anchor_config",
    "billing_schedules",
    "customer_account",
    "invoice_settings",
];

/// Reads a new subscription, and the customer's time. `presence` tells whether the customer is present to pay.
pub(crate) fn read_new(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    presence: Presence,
) -> Result<(NewSubscription, i64)> {
    let customer = customer::input::named(ctx, params.required("customer")?, "customer")?;
    let now = ctx.time_of(&customer.id);
    let billing_mode = billing_mode(ctx, params)?;
    let specs = subscription_item::input::read(ctx, params, "items", &[], billing_mode)?;
    if ctx.has_meters() {
        params.unmodelled(UNMODELLED_2026)?;
    }
    let currency = subscription_item::input::currency(ctx, &specs);
    same_currency(params, currency)?;
    crate::engine::one_currency::check(ctx.account, customer, currency, None)?;
    check_room(ctx.account, customer)?;
    let trial_end = trial_end(ctx, params, &specs, now)?;
    let method = payment_method(ctx, params, &customer.id)?.value();
    let behavior = payment_input::behavior(params)?;
    let anchor = anchor(params, &specs, trial_end, now)?;
    let prorates = prorate(params)? != Some(Prorate::Never);
    collection_method(params)?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&["default_source", "transfer_data"])?;
    let new = NewSubscription {
        customer: customer.id.clone(),
        clock: customer.test_clock.clone(),
        currency,
        billing_mode,
        start_date: backdating_input::start_date(params, now)?,
        anchor: anchor.map(|at| FirstAnchor {
            at,
            is_free_before: !prorates,
        }),
        prorates,
        trial_end,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        description: params.nullable("description")?.value().map(str::to_owned),
        default_payment_method: method,
        coupon: discount(ctx, params, Some(customer), &specs, now)?.value(),
        automatic_tax: automatic_tax_with_location(params, customer)?.unwrap_or(false),
        schedule: None,
        cancel_at: cancel_at(ctx, params, billing_mode, now)?.value(),
        cancel_at_period_end: params.boolean("cancel_at_period_end")?.unwrap_or(false),
        first_payment: match behavior {
            PaymentBehavior::Default => FirstPayment::AwaitsConfirmation,
            PaymentBehavior::Allow | PaymentBehavior::Error => FirstPayment::Needed,
        },
        payment_settings: payment_input::payment_settings(params, PaymentSettings::default())?,
        missing_method: payment_input::trial_settings(params, MissingMethod::default())?,
        added: invoice_item::input::read_added(ctx, params, currency)?,
        specs,
    };
    if new.cancel_at.is_some() && new.cancel_at_period_end {
        return Err(one_end_only());
    }
    backdating_input::check(ctx, &new, now)?;
    payment_input::check(ctx, &new, behavior, presence, now)?;
    Ok((new, now))
}

/// `billing_cycle_anchor`: when the first full period begins, at most one period (the shortest one) from now.
fn anchor(
    params: &Params<'_>,
    specs: &[ItemSpec],
    trial_end: Option<i64>,
    now: i64,
) -> Result<Option<i64>> {
    let Some(anchor) = params.timestamp("billing_cycle_anchor")? else {
        return Ok(None);
    };
    let start = trial_end.unwrap_or(now);
    let natural = specs
        .iter()
        .map(|spec| spec.interval.next_after(start, start));
    let natural = natural.min().unwrap_or(start);
    let message = if anchor <= now {
        "billing_cycle_anchor must be in the future.".to_owned()
    } else if anchor > natural {
        format!(
            "billing_cycle_anchor cannot be later than next natural billing date ({natural}) for plan"
        )
    } else {
        return Ok(Some(anchor));
    };
    Err(Error::invalid(message).param("billing_cycle_anchor"))
}

pub(super) fn one_end_only() -> Error {
    Error::invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
        .param("cancel_at")
}

/// `trial_end`, `trial_period_days`, or with `trial_from_plan` the days of the prices.
fn trial_end(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    specs: &[ItemSpec],
    now: i64,
) -> Result<Option<i64>> {
    let end = trial_end_param(params, now)?;
    let days = params.integer_from("trial_period_days", 0)?;
    let from_plan = params.boolean("trial_from_plan")?.unwrap_or(false);
    if end.is_some() && days.is_some() {
        return Err(Error::invalid(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
        )
        .param("trial_end"));
    }
    let planned = || {
        let days = |spec: &ItemSpec| {
            ctx.account
                .price(&spec.price)
                .recurring
                .as_ref()?
                .trial_period_days
        };
        specs.iter().filter_map(days).max().filter(|_| from_plan)
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

pub(super) fn trial_end_param(params: &Params<'_>, now: i64) -> Result<Option<i64>> {
    match params.timestamp_or_now("trial_end", now)? {
        Some(end) if end < now => Err(Error::invalid(
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
        )
        .param("trial_end")),
        Some(end) if end > now + LONGEST_TRIAL * DAY => Err(too_long("trial_end")),
        end => Ok(end),
    }
}

/// `cancel_at`. In flexible billing it may name the end of a period, which is resolved after the other changes of the
/// request.
pub(super) fn cancel_at(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    mode: BillingMode,
    now: i64,
) -> Result<FieldUpdate<CancelAt>> {
    let given = params.nullable("cancel_at")?;
    let by_period = match given {
        FieldUpdate::Unset => return Ok(FieldUpdate::Unset),
        FieldUpdate::Set("min_period_end") => Some(CancelAt::FirstEnd),
        FieldUpdate::Set("max_period_end") => Some(CancelAt::LastEnd),
        FieldUpdate::Set("max_billed_until") if ctx.has_meters() => {
            return Err(Error::unmodelled_value("cancel_at", "max_billed_until"));
        }
        FieldUpdate::Set(_) | FieldUpdate::Keep => None,
    };
    if let Some(end) = by_period.filter(|_| ctx.has_meters()) {
        if mode.is_flexible() {
            return Ok(FieldUpdate::Set(end));
        }
        return Err(Error::invalid(
            "`cancel_at` can be the end of a period only for subscriptions with `billing_mode=flexible`.",
        )
        .param("cancel_at"));
    }
    match params.timestamp("cancel_at")? {
        Some(at) if at <= now => {
            Err(Error::invalid("`cancel_at` must be in the future.").param("cancel_at"))
        }
        Some(at) => Ok(FieldUpdate::Set(CancelAt::Time(at))),
        None => Ok(FieldUpdate::Keep),
    }
}

/// The subscription in the URL.
pub(crate) fn find(ctx: &Ctx<'_>) -> Result<u32> {
    let id = ctx.arg(0);
    let position = ctx.account.billing.subscriptions.position(&id);
    position.ok_or_else(|| Error::not_found(NAME, &id))
}

/// Checks that a customer may have one more subscription; a test clock limits the number.
pub(crate) fn check_room(account: &Account, customer: &Customer) -> Result<()> {
    let positions = customer.subscriptions.iter();
    let live = positions.filter(|position| !account.subscription(**position).status.is_ended());
    if customer.test_clock.is_some() && live.count() >= MAX_SUBSCRIPTIONS {
        return Err(Error::invalid(format!(
            "A customer on a test clock can have at most {MAX_SUBSCRIPTIONS} subscriptions."
        ))
        .param("customer"));
    }
    Ok(())
}
