//! What a change within a period credits and charges: Stripe's prorations, discounts deducted.

use super::catalog;
use super::invoicing::{applicable, taken_off};
use super::schedule::ItemSpec;
use super::subscription::{Item, Pending, Subscription};
use crate::sandbox::context::Ctx;
use crate::sandbox::coupon::Duration;
use crate::sandbox::cycle::lines::Line;
use crate::sandbox::ids::Id;
use crate::sandbox::state::Account;

/// What a whole period of each spec costs, in cents, less the discount in force; metered ones cost nothing in
/// advance. A discount for `once` is for an invoice, not for a price.
pub(super) fn costs(
    account: &Account,
    subscription: &Subscription,
    specs: &[ItemSpec],
    at: i64,
) -> Vec<i64> {
    let cost = |spec: &ItemSpec| {
        let price = |quantity| {
            catalog::priced(account, &spec.price)
                .scheme
                .amount(quantity)
        };
        (spec.quantity.map_or(0, price), true)
    };
    let gross: Vec<(i64, bool)> = specs.iter().map(cost).collect();
    let discount = applicable(account, subscription, at)
        .filter(|discount| discount.coupon.duration != Duration::Once);
    let off = taken_off(discount.as_ref(), &gross);
    gross
        .iter()
        .zip(off)
        .map(|((gross, _), off)| gross - off)
        .collect()
}

/// What counts as [billed](Item::billed) for each spec's item after a change: with prorations, what it costs; without,
/// not more than had been billed before.
pub(super) fn billed(
    items: &[Item],
    specs: &[ItemSpec],
    pairs: &[Option<usize>],
    costs: &[i64],
    prorated: bool,
) -> Vec<i64> {
    let each = specs.iter().zip(pairs).zip(costs);
    each.map(
        |((spec, pair), cost)| match pair.map(|index| &items[index]) {
            Some(item) if spec.sells(item) => item.billed,
            _ if prorated => *cost,
            item => item.map_or(0, |item| item.billed.min(*cost)),
        },
    )
    .collect()
}

/// What a change credits or charges for an item.
#[derive(Debug)]
pub(super) struct Proration {
    /// `None` for the item that is yet to be made for the price.
    item: Option<Id>,
    price: Id,
    line: Line,
}

/// Credits for the items that change or go, then charges for what comes in their place, in the order of the items.
/// If a period begins anew, all items are credited, and charged by the new period.
pub(super) fn of_change(
    account: &Account,
    subscription: &Subscription,
    specs: &[ItemSpec],
    pairs: &[Option<usize>],
    costs: &[i64],
    restart: bool,
    at: i64,
) -> Vec<Proration> {
    let sells = |index: usize, item: &Item| {
        let spec = pairs.iter().position(|pair| *pair == Some(index));
        spec.is_some_and(|spec| specs[spec].sells(item))
    };
    let items = subscription.items.iter().enumerate();
    let changed = items.filter(|(index, item)| restart || !sells(*index, item));
    let mut prorations: Vec<Proration> = changed
        .filter_map(|(_, item)| credit(account, subscription, item, at))
        .collect();
    if !restart {
        prorations.extend(charges(account, subscription, specs, pairs, costs, at));
    }
    prorations
}

fn charges(
    account: &Account,
    subscription: &Subscription,
    specs: &[ItemSpec],
    pairs: &[Option<usize>],
    costs: &[i64],
    at: i64,
) -> Vec<Proration> {
    let each = specs.iter().zip(pairs).zip(costs);
    each.filter_map(|((spec, pair), cost)| {
        let item = pair.map(|index| &subscription.items[index]);
        if item.is_some_and(|item| spec.sells(item)) {
            return None;
        }
        let priced = catalog::priced(account, &spec.price);
        Some(Proration {
            item: item.map(|item| item.id.clone()),
            price: spec.price.clone(),
            line: priced.rest(*cost, spec.quantity?, subscription.period, at),
        })
    })
    .collect()
}

/// The credit for the rest of the period of a licensed item.
fn credit(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    at: i64,
) -> Option<Proration> {
    let priced = catalog::priced(account, &item.price);
    Some(Proration {
        item: Some(item.id.clone()),
        price: item.price.clone(),
        line: priced.unused(item.billed, item.quantity?, subscription.period, at),
    })
}

/// The credits for all items: the subscription ends.
pub(super) fn of_end(account: &Account, subscription: &Subscription, at: i64) -> Vec<Proration> {
    let items = subscription.items.iter();
    items
        .filter_map(|item| credit(account, subscription, item, at))
        .collect()
}

/// Lets prorations wait for the next invoice. The items of the change are there by now.
pub(super) fn add(ctx: &mut Ctx<'_>, position: u32, prorations: Vec<Proration>) {
    for Proration { item, price, line } in prorations {
        let id = ctx.account.ids.next("ii", 24);
        let subscription = ctx.account.subscription_mut(position);
        let made = || {
            let mut items = subscription.items.iter().rev();
            let made = items.find(|item| item.price == price);
            made.expect("what is charged is an item").id.clone()
        };
        let item = item.unwrap_or_else(made);
        subscription.pending.push(Pending {
            id,
            price,
            item,
            line,
        });
    }
}
