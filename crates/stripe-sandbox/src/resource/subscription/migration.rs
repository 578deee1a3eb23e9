//! `/v1/subscriptions/:id/migrate`: from classic to flexible billing.

use serde_json::Value;

use super::input::find;
use super::{BillingMode, events, update_input, view};
use crate::engine::{invoicing, phases};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::meter;
use crate::resource::subscription_item::Item;
use crate::store::context::Ctx;

pub(super) fn read(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<()> {
    let mode = params.object("billing_mode")?;
    let mode = mode.ok_or_else(|| params.missing("billing_mode"))?;
    if mode.one_of("type", &["flexible"])?.is_none() {
        return Err(mode.missing("type"));
    }
    if let Some(flexible) = mode.object("flexible")? {
        flexible.one_of_modelled("proration_discounts", &["included"], &["itemized"])?;
    }
    let subscription = ctx.account.subscription(find(ctx)?);
    update_input::check_live(subscription)?;
    if subscription.billing_mode.is_flexible() {
        return Err(Error::invalid(
            "The subscription is in the flexible billing mode already.",
        ));
    }
    let aggregated = |item: &Item| {
        let recurring = ctx.account.price(&item.price).recurring.as_ref();
        recurring.is_some_and(|recurring| recurring.aggregate_usage().is_some())
    };
    if subscription.items.iter().any(aggregated) {
        return Err(meter::required());
    }
    Ok(())
}

/// `POST /v1/subscriptions/:id/migrate`: from classic to flexible billing, for good.
pub(super) fn migrate(ctx: &mut Ctx<'_>, (): ()) -> Result<Value> {
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    let now = ctx.time_of(&subscription.customer);
    let before = view::subscription(ctx.account, subscription, ctx.now);
    let subscription = ctx.account.subscription_mut(position);
    subscription.billing_mode = BillingMode::Flexible {
        updated_at: Some(now),
    };
    let mode = subscription.billing_mode;
    invoicing::record_billed_debits(ctx.account, position);
    if let Some(schedule) = phases::schedule_of(ctx.account, position) {
        ctx.account.schedule_mut(schedule).billing_mode = mode;
    }
    events::changed(ctx, position, &before, now);
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
        ctx.now,
    ))
}
