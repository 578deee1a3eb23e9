//! Lines that are to be on an invoice. Creation, renewal, changes, cancellation and previews all compute them here.

use rust_decimal::Decimal;

use super::next_period::{Period, PeriodCharge};
use super::{catalog, metering, pending_items};
use crate::money::lines::Line;
use crate::money::proration::share;
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::Item;
use crate::store::account::Account;
use crate::store::ids::Id;

/// A line that is not on an invoice yet.
#[derive(Clone, Debug)]
pub(crate) struct UnbilledLine {
    pub(crate) line: Line,
    /// An invoice item may have neither a price nor a subscription item.
    pub(crate) price: Option<Id>,
    pub(crate) item: Option<Id>,
    pub(crate) invoice_item: Option<Id>,
}

/// Whether nothing is charged, and something is credited.
pub(crate) fn is_only_credit(unbilled: &[UnbilledLine]) -> bool {
    let mut amounts = unbilled.iter().map(|draft| draft.line.amount);
    amounts.all(|amount| amount <= 0) && unbilled.iter().any(|draft| draft.line.amount < 0)
}

/// The periods after those that an invoice closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// The next periods of some cycles. Licensed items are charged in advance for them, except in a trial. Items of
    /// other cycles are not on the invoice.
    Periods(&'a [Period]),
    /// None: the invoice has only the amounts owed so far.
    End,
}

/// The lines of the invoice that closes running periods of the subscription at `at`: pending items, newest first, then
/// the subscription's items in their order. Metered items are billed in arrears, licensed ones in advance. `only`
/// limits the pending items that are included.
pub(crate) fn closing(
    account: &Account,
    subscription: &Subscription,
    at: i64,
    next: Next<'_>,
    only: Option<&[Id]>,
) -> Vec<UnbilledLine> {
    let of_items = subscription.items.iter().flat_map(|item| {
        let lines = match next {
            Next::Periods(periods) => {
                let next = periods
                    .iter()
                    .filter(|period| period.interval == item.interval);
                next.flat_map(|period| renewed(account, subscription, item, at, *period))
                    .collect()
            }
            Next::End if item.quantity.is_none() => {
                let (_, end) = subscription.period_of(item);
                used(account, subscription, item, end)
            }
            Next::End => Vec::new(),
        };
        attach(item, lines)
    });
    let taken = |draft: &UnbilledLine| {
        let id = draft.invoice_item.as_ref();
        only.is_none_or(|only| id.is_some_and(|id| only.contains(id)))
    };
    pending(account, subscription)
        .filter(taken)
        .chain(of_items)
        .collect()
}

/// The lines for an item whose running period is followed by the period `next`, which may already be over.
fn renewed(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    at: i64,
    next: Period,
) -> Vec<Line> {
    if let Some(quantity) = item.quantity {
        return in_advance(account, subscription, item, quantity, next);
    }
    if next.end <= at {
        return used_in(account, subscription, item, (next.start, next.end));
    }
    let (start, end) = subscription.period_of(item);
    let until = at.min(end);
    if start < until && item.counts_since < until {
        used(account, subscription, item, until)
    } else if subscription.billing_mode.is_flexible() {
        Vec::new()
    } else {
        let terms = catalog::price_terms(account, &item.price);
        vec![terms.first_invoice_line((next.start, next.end))]
    }
}

/// The pending items for the subscription's next invoice, newest first.
pub(crate) fn pending<'a>(
    account: &'a Account,
    subscription: &'a Subscription,
) -> impl Iterator<Item = UnbilledLine> + use<'a> {
    pending_items::pending(account, subscription).map(|waiting| UnbilledLine {
        line: waiting.line.clone(),
        price: waiting.price.clone(),
        item: waiting.item.clone(),
        invoice_item: Some(waiting.id.clone()),
    })
}

/// The lines for a metered item's usage in its running period, up to `until`.
pub(crate) fn used(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    until: i64,
) -> Vec<Line> {
    let (start, _) = subscription.period_of(item);
    used_in(account, subscription, item, (start, until))
}

/// The lines for a metered item's usage in a period.
fn used_in(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    (start, until): (i64, i64),
) -> Vec<Line> {
    let (quantity, period) = if let Some(meter) = catalog::meter(account, &item.price) {
        // A meter counts for an item only since the item was added.
        let period = (start.max(item.counts_since), until);
        let quantity = metering::used(account, meter, &subscription.customer, period);
        (quantity, period)
    } else {
        let aggregate = catalog::aggregate(account, &item.price);
        let quantity = aggregate.total(&item.records, start, until);
        (Decimal::from(quantity), (start, until))
    };
    usage_lines(account, subscription, &item.price, quantity, period)
}

/// The lines of usage in a period, which is free in a trial.
pub(crate) fn usage_lines(
    account: &Account,
    subscription: &Subscription,
    price: &str,
    quantity: Decimal,
    period: (i64, i64),
) -> Vec<Line> {
    let terms = catalog::price_terms(account, price);
    let trial = subscription.trial;
    if trial.is_none_or(|(_, trial_end)| trial_end <= period.0) {
        return terms.charged(quantity, period);
    }
    if subscription.billing_mode.is_flexible() {
        vec![terms.flexible_trial(quantity, period)]
    } else {
        vec![terms.classic_trial_usage(quantity, period)]
    }
}

/// Links lines to their subscription item.
pub(crate) fn attach(item: &Item, lines: Vec<Line>) -> Vec<UnbilledLine> {
    lines
        .into_iter()
        .map(|line| UnbilledLine {
            line,
            price: Some(item.price.clone()),
            item: Some(item.id.clone()),
            invoice_item: None,
        })
        .collect()
}

fn in_advance(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    quantity: i64,
    next: Period,
) -> Vec<Line> {
    let terms = catalog::price_terms(account, &item.price);
    let period = (next.start, next.end);
    if next.is_trial && subscription.billing_mode.is_flexible() {
        return vec![terms.flexible_trial(quantity.into(), period)];
    }
    if next.is_trial {
        return vec![terms.classic_trial(quantity, period)];
    }
    if next.charge == PeriodCharge::Nothing {
        return Vec::new();
    }
    let mut lines = terms.charged(quantity.into(), period);
    if period != next.full && next.charge == PeriodCharge::Part {
        for line in &mut lines {
            line.amount = share(line.amount, period, next.full);
            line.proration = true;
        }
    }
    lines
}
