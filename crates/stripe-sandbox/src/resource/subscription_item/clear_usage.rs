//! `clear_usage`: whether a request about an item drops the reported usage.
//!
//! Usage is dropped only if the request says so, and `clear_usage` is refused if there is nothing to clear.

use super::{Item, ItemSpec};
use crate::engine::catalog;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::subscription::Subscription;
use crate::store::context::Ctx;

/// Refuses `clear_usage` for an item that is added.
pub(super) fn refuse_for_new(params: &Params<'_>) -> Result<()> {
    match params.boolean("clear_usage")? {
        Some(true) => Err(refused(
            params,
            "`clear_usage` is for an item that the subscription has.",
        )),
        _ => Ok(()),
    }
}

/// Reads `clear_usage` of a removed item. Stripe requires it to remove a metered item, even if no usage was reported:
/// its error refers only to the plan. (Clients such as Laravel Cashier always send it.)
///
/// Meter events belong to the customer, so `clear_usage` does not affect them, and flexible billing refuses it.
pub(super) fn read_of_removed(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    item: &Item,
) -> Result<()> {
    let clears = read(params, item)?;
    if catalog::meter(ctx.account, &item.price).is_some() {
        if clears && subscription.billing_mode.is_flexible() {
            return Err(refused(
                params,
                "`clear_usage` is not allowed for subscriptions with `billing_mode=flexible`.",
            ));
        }
        return Ok(());
    }
    if clears || item.quantity.is_some() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "When deleting the subscription item {} with a metered plan, all related usage records must be cleared too by setting `clear_usage=true`.",
        item.id
    )))
}

/// Reads `clear_usage` of an item that becomes `spec`. Stripe's reference allows it for deleted items; its guide to
/// changing prices also for items that get another price.
pub(super) fn read_of_changed(params: &Params<'_>, item: &Item, spec: &ItemSpec) -> Result<bool> {
    let clears = read(params, item)?;
    if clears && item.price == spec.price {
        return Err(refused(
            params,
            "`clear_usage` is allowed only when `deleted` is set to `true`, or with another price.",
        ));
    }
    Ok(clears)
}

/// Refuses a change to a licensed price that would lose usage of the running period. The error is Stripe's for deleted
/// items (our choice: Stripe does not document this case).
pub(super) fn check_kept(subscription: &Subscription, specs: &[ItemSpec]) -> Result<()> {
    for item in &subscription.items {
        let start = subscription.period_of(item).0;
        let spec = specs
            .iter()
            .find(|spec| spec.item.as_ref() == Some(&item.id));
        let loses = spec.is_some_and(|spec| spec.quantity.is_some() && !spec.clear_usage);
        if loses && item.quantity.is_none() && item.records.any_since(start) {
            return Err(Error::invalid(format!(
                "When changing the subscription item {} with a metered plan to a licensed one, all related usage records must be cleared too by setting `clear_usage=true`.",
                item.id
            )));
        }
    }
    Ok(())
}

fn read(params: &Params<'_>, item: &Item) -> Result<bool> {
    let clears = params.boolean("clear_usage")?.unwrap_or(false);
    if clears && item.quantity.is_some() {
        return Err(refused(
            params,
            "`clear_usage` is allowed only when the current plan's `usage_type` is `metered`.",
        ));
    }
    Ok(clears)
}

fn refused(params: &Params<'_>, message: &str) -> Error {
    Error::invalid(message).param(params.name("clear_usage"))
}
