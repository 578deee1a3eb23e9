//! What a change of items leaves to be billed in flexible billing: the usage of metered items that are removed or get
//! another price, and the free lines of items that change in a trial. They become invoice items, for the next invoice.

use super::change::Change;
use super::{catalog, drafts, metering, pending_items};
use crate::money::lines::Line;
use crate::resource::invoice_item::InvoiceItem;
use crate::resource::subscription::{Prorate, Subscription};
use crate::resource::subscription_item::{Item, ItemSpec};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A line, and the item and the price that it is for. An item that does not exist yet is found by its price.
#[derive(Debug)]
pub(crate) struct Settled {
    item: Option<Id>,
    price: Id,
    line: Line,
}

/// What a change leaves to be billed. `pairs` tells which item each spec keeps.
pub(crate) fn of_change(
    account: &Account,
    subscription: &Subscription,
    change: &Change<'_>,
    pairs: &[Option<usize>],
    at: i64,
) -> Vec<Settled> {
    if !subscription.billing_mode.is_flexible() {
        return Vec::new();
    }
    // What is over is billed in any case.
    let is_settled = |end: i64| end <= at || change.prorate != Prorate::Never;
    let items = subscription.items.iter().enumerate();
    let items = items.filter(|(_, item)| is_settled(subscription.period_of(item).1));
    let ended = items.filter(|(index, item)| {
        let spec = pairs.iter().position(|pair| *pair == Some(*index));
        let keeps = spec.is_some_and(|spec| change.specs[spec].price == item.price);
        item.quantity.is_none() && !keeps
    });
    let settled = ended.flat_map(|(_, item)| {
        let until = until(account, subscription, item, change.specs, at);
        let lines = drafts::used(account, subscription, item, until);
        let is_used = lines.iter().any(|line| !line.quantity.is_zero());
        let lines = lines.into_iter().filter(move |_| is_used);
        lines.map(|mut line| {
            line.period.1 = line.period.1.min(at.max(line.period.0));
            Settled {
                item: Some(item.id.clone()),
                price: item.price.clone(),
                line,
            }
        })
    });
    let free = if is_settled(subscription.first_end()) {
        free_lines(account, subscription, change, pairs, at)
    } else {
        Vec::new()
    };
    settled.chain(free).collect()
}

/// Until when a metered item that ends at `at` counts: everything that is known, unless another item goes on counting
/// the same meter.
pub(crate) fn until(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    specs: &[ItemSpec],
    at: i64,
) -> i64 {
    let (_, end) = subscription.period_of(item);
    let Some(meter) = catalog::meter(account, &item.price) else {
        return end;
    };
    let goes_on = |spec: &ItemSpec| catalog::meter(account, &spec.price) == Some(meter);
    if specs.iter().any(goes_on) {
        at.min(end)
    } else {
        metering::after_latest(account, meter, &subscription.customer, at).min(end)
    }
}

/// In a trial, the free lines of the licensed items that are new or change.
fn free_lines(
    account: &Account,
    subscription: &Subscription,
    change: &Change<'_>,
    pairs: &[Option<usize>],
    at: i64,
) -> Vec<Settled> {
    let is_in_trial = subscription.in_trial();
    let Some(end) = change.trial_end.filter(|end| is_in_trial && at < *end) else {
        return Vec::new();
    };
    let specs = change.specs.iter().zip(pairs);
    let lines = specs.filter_map(|(spec, pair)| {
        let item = pair.map(|index| &subscription.items[index]);
        if item.is_some_and(|item| spec.sells(item)) {
            return None;
        }
        let priced = catalog::priced(account, &spec.price);
        Some(Settled {
            item: item.map(|item| item.id.clone()),
            price: spec.price.clone(),
            line: priced.free_trial(spec.quantity?.into(), (at, end)),
        })
    });
    lines.collect()
}

/// Adds the lines as pending invoice items. The next invoice shows the first of them first.
pub(crate) fn add(ctx: &mut Ctx<'_>, position: u32, settled: Vec<Settled>, at: i64) {
    for Settled { item, price, line } in settled.into_iter().rev() {
        let subscription = ctx.account.subscription(position);
        let made = || {
            let mut items = subscription.items.iter().rev();
            Some(items.find(|item| item.price == price)?.id.clone())
        };
        let pending = InvoiceItem {
            item: item.or_else(made),
            price: Some(price),
            ..pending_items::of_subscription(subscription, line, at)
        };
        pending_items::add(ctx, pending);
    }
}
