//! Lines that a change of items adds to the next invoice, as invoice items, in flexible billing: the usage of metered
//! items that are removed or get another price, and the free lines of items that change in a trial.

use super::change::Change;
use super::{catalog, metering, pending_items, unbilled_lines};
use crate::money::lines::Line;
use crate::resource::invoice_item::InvoiceItem;
use crate::resource::subscription::{Prorate, Subscription};
use crate::resource::subscription_item::{Item, ItemSpec};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A line with its item and price. `item` is `None` if the item does not exist yet; it is then found by its price.
#[derive(Debug)]
pub(crate) struct ChangeLine {
    item: Option<Id>,
    price: Id,
    line: Line,
}

/// The lines of a change. `matches` has, for each spec, the index of the item that it keeps.
pub(crate) fn of_change(
    account: &Account,
    subscription: &Subscription,
    change: &Change<'_>,
    matches: &[Option<usize>],
    at: i64,
) -> Vec<ChangeLine> {
    if !subscription.billing_mode.is_flexible() {
        return Vec::new();
    }
    // A period that is over is billed in any case.
    let is_billed = |end: i64| end <= at || change.prorate != Prorate::Never;
    let items = subscription.items.iter().enumerate();
    let items = items.filter(|(_, item)| is_billed(subscription.period_of(item).1));
    let ended = items.filter(|(index, item)| {
        let spec = matches.iter().position(|matched| *matched == Some(*index));
        let keeps = spec.is_some_and(|spec| change.specs[spec].price == item.price);
        item.quantity.is_none() && !keeps
    });
    let lines = ended.flat_map(|(_, item)| {
        let until = counts_until(account, subscription, item, change.specs, at);
        let lines = unbilled_lines::used(account, subscription, item, until);
        let is_used = lines.iter().any(|line| !line.quantity.is_zero());
        let lines = lines.into_iter().filter(move |_| is_used);
        lines.map(|mut line| {
            line.period.1 = line.period.1.min(at.max(line.period.0));
            ChangeLine {
                item: Some(item.id.clone()),
                price: item.price.clone(),
                line,
            }
        })
    });
    let free = if is_billed(subscription.first_end()) {
        free_lines(account, subscription, change, matches, at)
    } else {
        Vec::new()
    };
    lines.chain(free).collect()
}

/// The time up to which a metered item that ends at `at` counts usage: `at` if another item goes on with the same
/// meter, else past the latest event, which may be later than `at`.
pub(crate) fn counts_until(
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

/// The free lines of licensed items that are new or change in a trial.
fn free_lines(
    account: &Account,
    subscription: &Subscription,
    change: &Change<'_>,
    matches: &[Option<usize>],
    at: i64,
) -> Vec<ChangeLine> {
    let is_in_trial = subscription.in_trial();
    let Some(end) = change.trial_end.filter(|end| is_in_trial && at < *end) else {
        return Vec::new();
    };
    let specs = change.specs.iter().zip(matches);
    let lines = specs.filter_map(|(spec, matched)| {
        let item = matched.map(|index| &subscription.items[index]);
        if item.is_some_and(|item| spec.matches_item(item)) {
            return None;
        }
        let terms = catalog::price_terms(account, &spec.price);
        Some(ChangeLine {
            item: item.map(|item| item.id.clone()),
            price: spec.price.clone(),
            line: terms.flexible_trial(spec.quantity?.into(), (at, end)),
        })
    });
    lines.collect()
}

/// Adds the lines as pending invoice items, in their order.
pub(crate) fn add(ctx: &mut Ctx<'_>, position: u32, lines: Vec<ChangeLine>, at: i64) {
    for ChangeLine { item, price, line } in lines.into_iter().rev() {
        let subscription = ctx.account.subscription(position);
        let new_item = || {
            let mut items = subscription.items.iter().rev();
            Some(items.find(|item| item.price == price)?.id.clone())
        };
        let pending = InvoiceItem {
            item: item.or_else(new_item),
            price: Some(price),
            ..pending_items::of_subscription(subscription, line, at)
        };
        pending_items::add(ctx, pending);
    }
}
