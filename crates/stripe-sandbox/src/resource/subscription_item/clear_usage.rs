//! `clear_usage`: what a request that changes an item says of the usage that was reported for it.
//!
//! Usage is never dropped unless the request says so, and `clear_usage` is never taken where it clears nothing.

use super::{Item, ItemSpec};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::subscription::Subscription;

/// Reads `clear_usage` of an item that is added: there is nothing to clear.
pub(super) fn of_new(params: &Params<'_>) -> Result<()> {
    match params.boolean("clear_usage")? {
        Some(true) => Err(refused(
            params,
            "`clear_usage` is for an item that the subscription has.",
        )),
        _ => Ok(()),
    }
}

/// Reads `clear_usage` of an item that goes. Stripe lets a metered item go only together with its usage, which the
/// request has to say. It asks for that whether any usage was reported or not: its error is about the item's plan
/// (clients such as Laravel Cashier always send `clear_usage` for one).
pub(super) fn of_removed(params: &Params<'_>, item: &Item) -> Result<()> {
    if read(params, item)? || item.quantity.is_some() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "When deleting the subscription item {} with a metered plan, all related usage records must be cleared too by setting `clear_usage=true`.",
        item.id
    )))
}

/// Reads `clear_usage` of an item that becomes `spec`. Stripe's reference allows it for items that are deleted; its
/// guide to changing prices, for those that get another price, too.
pub(super) fn of_changed(params: &Params<'_>, item: &Item, spec: &ItemSpec) -> Result<bool> {
    let clears = read(params, item)?;
    if clears && item.price == spec.price {
        return Err(refused(
            params,
            "`clear_usage` is allowed only when `deleted` is set to `true`, or with another price.",
        ));
    }
    Ok(clears)
}

/// Whether usage of the running period would be lost with the items that become `specs`: a licensed price has none to
/// bill. Stripe's words for an item that is deleted serve for this, too (our choice: it does not say what it does).
pub(super) fn check_kept(subscription: &Subscription, specs: &[ItemSpec]) -> Result<()> {
    let start = subscription.period.0;
    for item in &subscription.items {
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
