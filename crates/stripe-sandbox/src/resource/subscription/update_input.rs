//! Reading what a request changes on a subscription, or on one of its items.

use super::input::{UNMODELLED, cancel_at, one_end_only, trial_end_given};
use super::pause::{self, Pause};
use super::payment_input::{self, Behavior};
use super::shared_input::{collection_method, discount, located_tax, payment_method, prorate};
use super::{MissingMethod, PaymentSettings, Subscription};
use crate::engine::added_items::{self, AddedItem};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::params::metadata::Metadata;
use crate::resource::discount::Applied;
use crate::resource::subscription_schedule::{ItemSpec, Prorate};
use crate::resource::{customer, subscription_item};
use crate::store::context::Ctx;
use crate::store::ids::Id;

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
    pub(crate) fn without_count(&self) -> Self {
        Self {
            coupon: self.coupon.clone().map(Applied::without_count),
            ..self.clone()
        }
    }
}

/// Reads an update.
pub(crate) fn read(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    now: i64,
) -> Result<Update> {
    let specs = subscription_item::changes_input::read_change(ctx, params, "items", subscription)?;
    let currency = specs.as_ref().map_or(subscription.currency, |specs| {
        subscription_item::input::currency(ctx, specs)
    });
    if currency != subscription.currency {
        return Err(subscription_item::input::other_currency(
            params.name("items"),
        ));
    }
    let holder = customer::named(ctx, &subscription.customer, "customer")?;
    let kept = || {
        subscription
            .items
            .iter()
            .map(subscription_item::input::kept)
            .collect()
    };
    let sold: Vec<ItemSpec> = specs.clone().unwrap_or_else(kept);
    let coupon = discount(ctx, params, Some(holder), &sold, now)?;
    let behavior = payment_input::behavior(params)?;
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
        automatic_tax: located_tax(params, holder)?,
        prorate: prorate(params)?.unwrap_or(Prorate::Create),
        behavior,
        pause: pause::read(params, now)?,
        payment_settings: payment_input::payment_settings(params, subscription.payment_settings)?,
        missing_method: payment_input::trial_settings(params, subscription.missing_method)?,
        prorate_from: prorate_from(params, subscription)?,
        anchored: params.one_of("billing_cycle_anchor", &["now", "unchanged"])? == Some("now"),
    };
    if update.cancel_at_period_end == Some(true) && matches!(update.cancel_at, FieldUpdate::Set(_))
    {
        return Err(one_end_only());
    }
    check_anchor(subscription, &update, now)?;
    check_directed(subscription, &update)?;
    Ok(update)
}

/// Reads what else a request says that changes one item of a subscription, for which `specs` are the items then.
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
        added: Vec::new(),
        pause: FieldUpdate::Keep,
        behavior: payment_input::behavior(params)?,
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

/// A billing cycle does not begin before the trial ends.
fn check_anchor(subscription: &Subscription, update: &Update, now: i64) -> Result<()> {
    let running = subscription.in_trial().then_some(subscription.period.1);
    let trial_end = update.trial_end.or(running);
    if update.anchored && trial_end.is_some_and(|end| end > now) {
        return Err(Error::invalid(
            "The `billing_cycle_anchor` cannot be earlier than the end of the trial: end it with `trial_end=now`, or leave `billing_cycle_anchor` out.",
        )
        .param("billing_cycle_anchor"));
    }
    Ok(())
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
