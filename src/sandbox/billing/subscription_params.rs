//! Reading what a subscription is created with and changed by.

use super::added_items::AddedItem;
use super::new_subscription::{FirstAnchor, FirstPayment, NewSubscription};
use super::pause::{self, Pause};
use super::payment_params::{self, Behavior};
use super::phase_params::{
    automatic_tax, collection_method, discount, payment_method, prorate, same_currency,
};
use super::schedule::{ItemSpec, Prorate};
use super::subscription::{MissingMethod, PaymentSettings, Subscription};
use super::{added_items, catalog, items};
use crate::sandbox::context::Ctx;
use crate::sandbox::coupon::Applied;
use crate::sandbox::customer;
use crate::sandbox::cycle::period::DAY;
use crate::sandbox::error::{Error, Result};
use crate::sandbox::field_update::FieldUpdate;
use crate::sandbox::ids::Id;
use crate::sandbox::metadata::Metadata;
use crate::sandbox::params::Params;

/// Stripe's limit for a trial, in days: two years.
pub(super) const LONGEST_TRIAL: i64 = 730;
const UNMODELLED: &[&str] = &[
    "application_fee_percent",
    "billing_thresholds?",
    "days_until_due",
    "default_tax_rates?",
    "on_behalf_of?",
    "pending_invoice_item_interval?",
];

/// Reads a new subscription, and the customer's time.
pub(crate) fn read_new(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(NewSubscription, i64)> {
    let holder = customer::named(ctx, params.required("customer")?, "customer")?;
    let now = ctx.time_of(&holder.id);
    let specs = items::read(ctx, params, "items", &[])?;
    let currency = items::currency(ctx, &specs);
    same_currency(params, currency)?;
    super::currency::check(ctx.account, holder, currency, None)?;
    super::subscriptions::check_room(ctx.account, holder)?;
    let trial_end = trial_end(ctx, params, &specs, now)?;
    let method = payment_method(ctx, params, &holder.id)?.value();
    let behavior = payment_params::behavior(params)?;
    let anchor = anchor(ctx, params, &specs, trial_end, now)?;
    // There is nothing else to prorate yet.
    let free_before = prorate(params)? == Some(Prorate::Never);
    collection_method(params)?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&["backdate_start_date", "default_source", "transfer_data"])?;
    let new = NewSubscription {
        customer: holder.id.clone(),
        clock: holder.test_clock.clone(),
        currency,
        start_date: now,
        anchor: anchor.map(|at| FirstAnchor { at, free_before }),
        trial_end,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        description: params.nullable("description")?.value().map(str::to_owned),
        default_payment_method: method,
        coupon: discount(ctx, params, Some(holder), &specs, now)?.value(),
        automatic_tax: automatic_tax(params)?.unwrap_or(false),
        schedule: None,
        cancel_at: cancel_at(params, now)?.value(),
        cancel_at_period_end: params.boolean("cancel_at_period_end")?.unwrap_or(false),
        first_payment: match behavior {
            Behavior::Default => FirstPayment::AwaitsConfirmation,
            Behavior::Allow | Behavior::Error => FirstPayment::Needed,
        },
        payment_settings: payment_params::payment_settings(params, PaymentSettings::default())?,
        missing_method: payment_params::trial_settings(params, MissingMethod::default())?,
        added: added_items::read(ctx, params, currency)?,
        specs,
    };
    if new.cancel_at.is_some() && new.cancel_at_period_end {
        return Err(one_end_only());
    }
    payment_params::check(ctx, &new, behavior, now)?;
    Ok((new, now))
}

/// `billing_cycle_anchor`: when the first whole period begins, which is not later than it would without.
fn anchor(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    specs: &[ItemSpec],
    trial_end: Option<i64>,
    now: i64,
) -> Result<Option<i64>> {
    let Some(anchor) = params.timestamp("billing_cycle_anchor")? else {
        return Ok(None);
    };
    let start = trial_end.unwrap_or(now);
    let natural = catalog::every(ctx.account, specs).next_after(start, start);
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

fn one_end_only() -> Error {
    Error::invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
        .param("cancel_at")
}

/// `trial_end`, `trial_period_days`, or with `trial_from_plan` the days that the prices say.
fn trial_end(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    specs: &[ItemSpec],
    now: i64,
) -> Result<Option<i64>> {
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
        let days = |spec: &ItemSpec| {
            catalog::price(ctx.account, &spec.price)
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

fn cancel_at(params: &Params<'_>, now: i64) -> Result<FieldUpdate<i64>> {
    if params.nullable("cancel_at")? == FieldUpdate::Unset {
        return Ok(FieldUpdate::Unset);
    }
    match params.timestamp("cancel_at")? {
        Some(at) if at <= now => {
            Err(Error::invalid("`cancel_at` must be in the future.").param("cancel_at"))
        }
        Some(at) => Ok(FieldUpdate::Set(at)),
        None => Ok(FieldUpdate::Keep),
    }
}

/// What a request changes on a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) specs: Option<Vec<ItemSpec>>,
    pub(crate) added: Vec<AddedItem>,
    /// A time that has come ends the trial.
    pub(crate) trial_end: Option<i64>,
    pub(crate) cancel_at: FieldUpdate<i64>,
    pub(crate) cancel_at_period_end: Option<bool>,
    /// The coupon to apply, or none to take the discount away.
    pub(crate) coupon: FieldUpdate<Applied>,
    pub(crate) default_payment_method: FieldUpdate<Id>,
    pub(crate) description: FieldUpdate<String>,
    pub(crate) metadata: Metadata,
    pub(crate) automatic_tax: Option<bool>,
    pub(crate) prorate: Prorate,
    /// What happens if what falls due is not paid.
    pub(crate) behavior: Behavior,
    pub(crate) pause: FieldUpdate<Pause>,
    pub(crate) payment_settings: PaymentSettings,
    pub(crate) missing_method: MissingMethod,
    pub(crate) prorate_from: Option<i64>,
    /// `billing_cycle_anchor=now`
    pub(crate) anchored: bool,
}

impl Update {
    /// The same for trying it out: its coupon is not counted as redeemed.
    pub(super) fn without_count(&self) -> Self {
        Self {
            coupon: self.coupon.clone().map(Applied::without_count),
            ..self.clone()
        }
    }
}

/// Reads an update.
pub(crate) fn read_update(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    now: i64,
) -> Result<Update> {
    let specs = items::read_change(ctx, params, "items", &subscription.items)?;
    let currency = specs
        .as_ref()
        .map_or(subscription.currency, |specs| items::currency(ctx, specs));
    if currency != subscription.currency {
        return Err(items::other_currency(params.name("items")));
    }
    let holder = customer::named(ctx, &subscription.customer, "customer")?;
    let kept = || subscription.items.iter().map(items::kept).collect();
    let sold: Vec<ItemSpec> = specs.clone().unwrap_or_else(kept);
    let coupon = discount(ctx, params, Some(holder), &sold, now)?;
    let behavior = payment_params::behavior(params)?;
    collection_method(params)?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&["cancellation_details", "default_source?", "transfer_data?"])?;
    params.only("trial_from_plan", "false")?;
    let update = Update {
        specs,
        added: added_items::read(ctx, params, currency)?,
        trial_end: trial_end_given(params, now)?,
        cancel_at: cancel_at(params, now)?,
        cancel_at_period_end: params.boolean("cancel_at_period_end")?,
        coupon,
        default_payment_method: payment_method(ctx, params, &subscription.customer)?,
        description: params.nullable("description")?.map(str::to_owned),
        metadata: params.metadata()?.apply(&subscription.metadata)?,
        automatic_tax: automatic_tax(params)?,
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
        behavior,
        pause: pause::read(params, now)?,
        payment_settings: payment_params::payment_settings(params, subscription.payment_settings)?,
        missing_method: payment_params::trial_settings(params, subscription.missing_method)?,
        prorate_from: prorate_from(params, subscription)?,
        anchored: params.one_of("billing_cycle_anchor", &["now", "unchanged"])? == Some("now"),
    };
    if update.cancel_at_period_end == Some(true) && matches!(update.cancel_at, FieldUpdate::Set(_))
    {
        return Err(one_end_only());
    }
    check_directed(subscription, &update)?;
    Ok(update)
}

/// Reads what else a request says that changes one item of a subscription, for which `specs` are the items then.
pub(crate) fn read_item_update(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    specs: Vec<ItemSpec>,
) -> Result<Update> {
    if items::currency(ctx, &specs) != subscription.currency {
        return Err(items::other_currency(params.name("price")));
    }
    Ok(Update {
        specs: Some(specs),
        added: Vec::new(),
        pause: FieldUpdate::Keep,
        behavior: payment_params::behavior(params)?,
        trial_end: None,
        cancel_at: FieldUpdate::Keep,
        cancel_at_period_end: None,
        coupon: FieldUpdate::Keep,
        default_payment_method: FieldUpdate::Keep,
        description: FieldUpdate::Keep,
        metadata: subscription.metadata.clone(),
        automatic_tax: None,
        payment_settings: subscription.payment_settings,
        missing_method: subscription.missing_method,
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
        prorate_from: prorate_from(params, subscription)?,
        anchored: false,
    })
}

/// `proration_date`, which is within the running period.
fn prorate_from(params: &Params<'_>, subscription: &Subscription) -> Result<Option<i64>> {
    let from = params.timestamp("proration_date")?;
    let (start, end) = subscription.period;
    if from.is_some_and(|from| from < start || from > end) {
        return Err(Error::invalid(
            "Cannot specify a proration_date outside of the subscription's current billing period.",
        )
        .param("proration_date"));
    }
    Ok(from)
}

/// What only the schedule may say of a subscription that it directs.
fn check_directed(subscription: &Subscription, update: &Update) -> Result<()> {
    let Some(schedule) = &subscription.schedule else {
        return Ok(());
    };
    if update.cancel_at != FieldUpdate::Keep || update.cancel_at_period_end.is_some() {
        return Err(Error::invalid(format!(
            "The subscription is managed by the subscription schedule `{schedule}`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        )));
    }
    Ok(())
}
