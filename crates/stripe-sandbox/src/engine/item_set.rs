//! Replacement of a subscription's items, and with them its cycles.

use super::{catalog, change_lines, cycles};
use crate::money::usage::Records;
use crate::resource::subscription_item::{Item, ItemSpec};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// For each spec, the index of the item that it keeps: the item that the spec names, else the first free item with the
/// same price.
pub(crate) fn match_items(items: &[Item], specs: &[ItemSpec]) -> Vec<Option<usize>> {
    let named = |spec: &ItemSpec| {
        spec.item
            .as_ref()
            .and_then(|id| items.iter().position(|item| item.id == *id))
    };
    let mut taken = vec![false; items.len()];
    for index in specs.iter().filter_map(named) {
        taken[index] = true;
    }
    let mut by_price = |spec: &ItemSpec| {
        let index =
            (0..items.len()).find(|index| !taken[*index] && items[*index].price == spec.price)?;
        taken[index] = true;
        Some(index)
    };
    specs
        .iter()
        .map(|spec| {
            let kept = named(spec);
            kept.or_else(|| (!spec.is_new).then(|| by_price(spec))?)
        })
        .collect()
}

/// Replaces the subscription's items by those of the specs. `matches` has, for each spec, the index of the item that it
/// keeps.
pub(crate) fn replace_items(
    ctx: &mut Ctx<'_>,
    position: u32,
    specs: &[ItemSpec],
    matches: &[Option<usize>],
    at: i64,
) {
    record_counted_until(ctx, position, specs, matches, at);
    let counted_until = ctx.account.subscription(position).counted_until.clone();
    let mut old: Vec<Option<Item>> =
        std::mem::take(&mut ctx.account.subscription_mut(position).items)
            .into_iter()
            .map(Some)
            .collect();
    let mut items = Vec::with_capacity(specs.len());
    for (spec, matched) in specs.iter().zip(matches) {
        let kept = matched.and_then(|index| old[index].take());
        items.push(match kept {
            Some(item) => keep(ctx.account, item, spec, &counted_until, at),
            None => Item {
                id: ctx.account.ids.next("si", 14),
                counts_since: counts_since(ctx.account, spec, &counted_until, at),
                ..item_of(spec, at)
            },
        });
    }
    for removed in old.into_iter().flatten() {
        ctx.account.billing.items.remove(&removed.id);
    }
    for item in &items {
        ctx.account.billing.items.insert(item.id.clone(), position);
    }
    let subscription = ctx.account.subscription_mut(position);
    subscription.items = items;
    cycles::follow_items(subscription, at);
}

/// Records the time up to which the items that end now have counted.
fn record_counted_until(
    ctx: &mut Ctx<'_>,
    position: u32,
    specs: &[ItemSpec],
    matches: &[Option<usize>],
    at: i64,
) {
    let subscription = ctx.account.subscription(position);
    let ended = subscription
        .items
        .iter()
        .enumerate()
        .filter(|(index, item)| {
            let mut kept = specs.iter().zip(matches);
            !kept.any(|(spec, matched)| *matched == Some(*index) && spec.price == item.price)
        });
    let counted_until = ended.filter_map(|(_, item)| {
        let meter = catalog::meter(ctx.account, &item.price)?.clone();
        let until = change_lines::counts_until(ctx.account, subscription, item, specs, at);
        Some((meter, until))
    });
    let earlier = subscription.counted_until.iter().cloned();
    let all = earlier
        .chain(counted_until)
        .filter(|(_, until)| *until > at);
    let all = all.collect();
    ctx.account.subscription_mut(position).counted_until = all;
}

/// The time from which an item counts usage if it gets its price now.
fn counts_since(account: &Account, spec: &ItemSpec, counted_until: &[(Id, i64)], at: i64) -> i64 {
    let meter = catalog::meter(account, &spec.price);
    let counted_until = counted_until.iter().filter(|(of, _)| Some(of) == meter);
    counted_until.map(|(_, until)| *until).fold(at, i64::max)
}

/// The item as the spec describes it. Usage records belong to the item and move with it to another metered price. Meter
/// events belong to the customer, and another price counts them from now on. Debits for another interval are dropped,
/// because they are not for the item's period (our choice).
fn keep(
    account: &Account,
    item: Item,
    spec: &ItemSpec,
    counted_until: &[(Id, i64)],
    at: i64,
) -> Item {
    let metered = item.quantity.is_none() && spec.quantity.is_none();
    let by_meter = |price: &str| catalog::meter(account, price).is_some();
    let moves = if by_meter(&item.price) || by_meter(&spec.price) {
        item.price == spec.price
    } else {
        metered && !spec.clear_usage
    };
    Item {
        id: item.id,
        created: item.created,
        debits: if item.interval == spec.interval {
            item.debits
        } else {
            Vec::new()
        },
        counts_since: if moves {
            item.counts_since
        } else {
            counts_since(account, spec, counted_until, at)
        },
        records: if moves {
            item.records
        } else {
            Records::default()
        },
        ..item_of(spec, at)
    }
}

/// A new item for a spec, without an id.
pub(crate) fn item_of(spec: &ItemSpec, at: i64) -> Item {
    Item {
        id: Id::from(""),
        price: spec.price.clone(),
        interval: spec.interval,
        quantity: spec.quantity,
        created: at,
        counts_since: at,
        metadata: spec.metadata.clone(),
        records: Records::default(),
        debits: Vec::new(),
    }
}
