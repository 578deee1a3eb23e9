//! Reading the update of a subscription or one of its items.

use super::input::{UNMODELLED, UNMODELLED_2026, cancel_at, one_end_only, trial_end_param};
use super::pause::{self, Pause};
use super::shared_input::{
    automatic_tax_with_location, collection_method, discount, payment_method, prorate,
};
use super::{Prorate, Status, Subscription, payment_input};
use crate::engine::subscription_update::Update;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::resource::subscription_item::{self, ItemSpec};
use crate::resource::{customer, invoice_item};
use crate::store::context::Ctx;

/// Reads an update.
pub(crate) fn read(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    now: i64,
) -> Result<Update> {
    let specs = subscription_item::changes_input::read_change(ctx, params, "items", subscription)?;
    if ctx.has_meters() {
        params.unmodelled(UNMODELLED_2026)?;
    }
    let currency = specs.as_ref().map_or(subscription.currency, |specs| {
        subscription_item::input::currency(ctx, specs)
    });
    if currency != subscription.currency {
        return Err(subscription_item::input::other_currency(
            params.name("items"),
        ));
    }
    let customer = customer::input::named(ctx, &subscription.customer, "customer")?;
    let sold = specs
        .clone()
        .unwrap_or_else(|| subscription.unchanged_specs());
    let coupon = discount(ctx, params, Some(customer), &sold, now)?;
    let behavior = payment_input::behavior(params)?;
    collection_method(params)?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&["cancellation_details", "default_source?", "transfer_data?"])?;
    params.only_default("trial_from_plan", "false")?;
    let update = Update {
        specs,
        added: invoice_item::input::read_added(ctx, params, currency)?,
        trial_end: trial_end_param(params, now)?,
        cancel_at: cancel_at(ctx, params, subscription.billing_mode, now)?,
        cancel_at_period_end: params.boolean("cancel_at_period_end")?,
        coupon,
        default_payment_method: payment_method(ctx, params, &subscription.customer)?,
        description: params.nullable("description")?.map(str::to_owned),
        metadata: params.metadata()?.apply(&subscription.metadata)?,
        automatic_tax: automatic_tax_with_location(params, customer)?,
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
        behavior,
        pause: pause_param(params, now)?,
        payment_settings: payment_input::payment_settings(params, subscription.payment_settings)?,
        missing_method: payment_input::trial_settings(params, subscription.missing_method)?,
        prorate_from: prorate_from(params, subscription)?,
        resets_anchor: params.one_of("billing_cycle_anchor", &["now", "unchanged"])? == Some("now"),
    };
    if update.cancel_at_period_end == Some(true) && matches!(update.cancel_at, FieldUpdate::Set(_))
    {
        return Err(one_end_only());
    }
    check_anchor(subscription, &update, now)?;
    check_directed(subscription, &update)?;
    Ok(update)
}

/// Reads the other parameters of a request that changes one item. `specs` are the items after the change.
pub(crate) fn read_for_item(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    specs: Vec<ItemSpec>,
) -> Result<Update> {
    if subscription_item::input::currency(ctx, &specs) != subscription.currency {
        return Err(subscription_item::input::other_currency(
            params.name("price"),
        ));
    }
    Ok(Update {
        specs: Some(specs),
        behavior: payment_input::behavior(params)?,
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
        prorate_from: prorate_from(params, subscription)?,
        ..Update::unchanged(subscription)
    })
}

/// `proration_date`, which must be within a running period.
fn prorate_from(params: &Params<'_>, subscription: &Subscription) -> Result<Option<i64>> {
    let from = params.timestamp("proration_date")?;
    let runs = |from: i64| {
        let mut cycles = subscription.cycles.iter();
        cycles.any(|cycle| cycle.period.0 <= from && from <= cycle.period.1)
    };
    if from.is_some_and(|from| !runs(from)) {
        return Err(Error::invalid(
            "Cannot specify a proration_date outside of the subscription's current billing period.",
        )
        .param("proration_date"));
    }
    Ok(from)
}

/// Checks that a billing cycle does not restart before the trial ends.
fn check_anchor(subscription: &Subscription, update: &Update, now: i64) -> Result<()> {
    let running = subscription.in_trial().then_some(subscription.first_end());
    let trial_end = update.trial_end.or(running);
    if update.resets_anchor && trial_end.is_some_and(|end| end > now) {
        return Err(Error::invalid(
            "The `billing_cycle_anchor` cannot be earlier than the end of the trial: end it with `trial_end=now`, or leave `billing_cycle_anchor` out.",
        )
        .param("billing_cycle_anchor"));
    }
    Ok(())
}

/// Refuses changes that only the subscription's schedule may make.
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

/// `pause_collection`; an empty value ends the pause.
fn pause_param(params: &Params<'_>, now: i64) -> Result<FieldUpdate<Pause>> {
    let Some(given) = params.object(PAUSE)? else {
        return Ok(FieldUpdate::Keep);
    };
    if params.is_unset(PAUSE) {
        return Ok(FieldUpdate::Unset);
    }
    let behavior = given.variant(
        "behavior",
        &pause::PauseBehavior::ALL,
        pause::PauseBehavior::as_str,
    )?;
    let behavior = behavior.ok_or_else(|| given.missing("behavior"))?;
    let resumes_at = given.timestamp("resumes_at")?;
    if resumes_at.is_some_and(|at| at <= now) {
        return Err(Error::malformed(
            given.name("resumes_at"),
            "Invalid timestamp: `resumes_at` must be in the future.",
        ));
    }
    Ok(FieldUpdate::Set(Pause {
        behavior,
        resumes_at,
    }))
}

const PAUSE: &str = "pause_collection";

/// Checks that a subscription has not ended. After that, only its metadata can be changed.
pub(crate) fn check_live(subscription: &Subscription) -> Result<()> {
    if subscription.status.is_ended() {
        return Err(Error::invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
        ));
    }
    Ok(())
}

/// The parameters that may be updated before the first payment. Stripe's documentation of the status mentions the
/// metadata and the source; the others concern that payment, or change nothing.
const BEFORE_PAYMENT: &[&str] = &[
    "metadata",
    "default_source",
    "default_payment_method",
    "payment_settings",
    "expand",
];

/// Checks that an incomplete subscription is updated only by the parameters in [`BEFORE_PAYMENT`].
pub(crate) fn check_allowed_if_incomplete(
    subscription: &Subscription,
    params: &Params<'_>,
) -> Result<()> {
    let changes = |key: &&str| !BEFORE_PAYMENT.contains(key);
    match params.keys().iter().find(|key| changes(key)) {
        Some(key) => check_begun(subscription).map_err(|error| error.param((*key).to_owned())),
        None => Ok(()),
    }
}

/// Checks that a subscription has begun: that it does not wait for its first payment.
pub(crate) fn check_begun(subscription: &Subscription) -> Result<()> {
    if subscription.status != Status::Incomplete {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The subscription `{}` is incomplete: until its first invoice is paid, only its `metadata` and `default_source` can be updated.",
        subscription.id
    )))
}
