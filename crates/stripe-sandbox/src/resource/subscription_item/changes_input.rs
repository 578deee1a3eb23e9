//! Reading the changes of a request to the items of a subscription.

use super::input::{PLAN_PARAM, by_plan, check, price, spec};
use super::{Item, ItemSpec, clear_usage, unchanged_spec};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::subscription::Subscription;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The items after an update: items named by `id` are changed or deleted, others are added, and the rest stays.
pub(crate) fn read_change(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    key: &str,
    subscription: &Subscription,
) -> Result<Option<Vec<ItemSpec>>> {
    let specs = changed_items(ctx, params, key, subscription)?;
    if let Some(specs) = &specs {
        clear_usage::check_kept(subscription, specs)?;
    }
    Ok(specs)
}

fn changed_items(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    key: &str,
    subscription: &Subscription,
) -> Result<Option<Vec<ItemSpec>>> {
    let items = &subscription.items;
    let current_prices = current_prices(items);
    let Some(given) = params.objects(key)? else {
        let only = by_plan(ctx, params, items.first(), &current_prices)?;
        if only.is_some() && items.len() > 1 {
            return Err(Error::invalid(
                "A subscription with several items cannot be changed by `plan` and `quantity`: use `items`.",
            ));
        }
        return Ok(only.map(|only| vec![only]));
    };
    let mut specs: Vec<Option<ItemSpec>> = items
        .iter()
        .map(|item| Some(unchanged_spec(item)))
        .collect();
    for change in &given {
        let deleted = change.boolean("deleted")?.unwrap_or(false);
        let Some(id) = change.string("id")? else {
            clear_usage::refuse_for_new(change)?;
            specs.push(Some(added(ctx, change, &current_prices)?));
            continue;
        };
        let index = items.iter().position(|item| &*item.id == id);
        let index =
            index.ok_or_else(|| Error::no_such("subscription item", id, change.name("id")))?;
        let item = &items[index];
        let mut changed = changed(ctx, change, item, &current_prices)?;
        if deleted {
            clear_usage::read_of_removed(ctx, change, subscription, item)?;
        } else {
            changed.clear_usage = clear_usage::read_of_changed(change, item, &changed)?;
        }
        specs[index] = (!deleted).then_some(changed);
    }
    let specs: Vec<ItemSpec> = specs.into_iter().flatten().collect();
    if specs.is_empty() {
        return Err(nothing_left().param(params.name(key)));
    }
    let mode = subscription.billing_mode;
    check(ctx, &specs, mode, &params.name(key), PLAN_PARAM)?;
    Ok(Some(specs))
}

/// The current prices of a subscription.
fn current_prices(items: &[Item]) -> Vec<Id> {
    items.iter().map(|item| item.price.clone()).collect()
}

fn nothing_left() -> Error {
    Error::invalid(
        "A subscription must have at least one active plan. Cancel the subscription to end it.",
    )
}

fn added(ctx: &Ctx<'_>, params: &Params<'_>, current_prices: &[Id]) -> Result<ItemSpec> {
    let price = price(ctx, params, current_prices)?.ok_or_else(|| params.missing("price"))?;
    Ok(ItemSpec {
        is_new: true,
        ..spec(ctx, params, price, None)?
    })
}

fn changed(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    item: &Item,
    current_prices: &[Id],
) -> Result<ItemSpec> {
    let other = price(ctx, params, current_prices)?;
    let current = ctx.account.price(&item.price);
    spec(ctx, params, other.unwrap_or(current), Some(item))
}

/// A change to one item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ItemChange {
    Add,
    Change(usize),
    Remove(usize),
}

/// The items after a request that adds, changes or removes one of them.
pub(super) fn read_one(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    subscription: &Subscription,
    change: ItemChange,
) -> Result<Vec<ItemSpec>> {
    let items = &subscription.items;
    let mut specs: Vec<ItemSpec> = items.iter().map(unchanged_spec).collect();
    let current_prices = current_prices(items);
    match change {
        ItemChange::Add => specs.push(added(ctx, params, &current_prices)?),
        ItemChange::Change(index) => {
            specs[index] = changed(ctx, params, &items[index], &current_prices)?;
        }
        ItemChange::Remove(index) => {
            clear_usage::read_of_removed(ctx, params, subscription, &items[index])?;
            specs.remove(index);
        }
    }
    if specs.is_empty() {
        return Err(nothing_left());
    }
    let param = params.name("price");
    check(ctx, &specs, subscription.billing_mode, &param, &param)?;
    clear_usage::check_kept(subscription, &specs)?;
    Ok(specs)
}
