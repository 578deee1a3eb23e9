//! The lines of an invoice: one generator for creation, renewal, changes, cancellation and previews.

use rust_decimal::Decimal;

use super::next_period::Period;
use super::{catalog, metering, pending_items};
use crate::money::lines::Line;
use crate::money::proration::share;
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::Item;
use crate::store::account::Account;
use crate::store::ids::Id;

/// A line that is not on an invoice yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) line: Line,
    /// An invoice item may have neither a price nor a subscription item.
    pub(crate) price: Option<Id>,
    pub(crate) item: Option<Id>,
    pub(crate) invoice_item: Option<Id>,
}

/// Whether nothing is charged, and something is credited.
pub(crate) fn only_credit(drafts: &[Draft]) -> bool {
    let mut amounts = drafts.iter().map(|draft| draft.line.amount);
    amounts.all(|amount| amount <= 0) && drafts.iter().any(|draft| draft.line.amount < 0)
}

/// What follows the period that an invoice closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another period. Licensed items are charged in advance, unless it is a trial.
    Period(Period),
    /// Nothing: the invoice has only what is owed so far.
    End,
}

/// The lines of the invoice that closes the subscription's running period at `at`: pending items, newest first, then
/// the subscription's items in their order. Metered items are billed in arrears, licensed ones in advance. `only`
/// limits the pending items that are included.
pub(crate) fn closing(
    account: &Account,
    subscription: &Subscription,
    at: i64,
    next: Next,
    only: Option<&[Id]>,
) -> Vec<Draft> {
    let own = subscription.items.iter().flat_map(|item| {
        let lines = match (item.quantity, next) {
            (Some(quantity), next) => in_advance(account, subscription, item, quantity, next),
            (None, Next::End) => used(account, subscription, item, subscription.period.1),
            (None, Next::Period(period)) => {
                let until = at.min(subscription.period.1);
                if subscription.period.0 < until && item.since < until {
                    used(account, subscription, item, until)
                } else if subscription.billing_mode.is_flexible() {
                    Vec::new()
                } else {
                    let priced = catalog::priced(account, &item.price);
                    vec![priced.opening((period.start, period.end))]
                }
            }
        };
        attach(item, lines)
    });
    let taken = |draft: &Draft| {
        let id = draft.invoice_item.as_ref();
        only.is_none_or(|only| id.is_some_and(|id| only.contains(id)))
    };
    pending(account, subscription)
        .filter(taken)
        .chain(own)
        .collect()
}

/// The pending items for the subscription's next invoice, newest first.
pub(crate) fn pending<'a>(
    account: &'a Account,
    subscription: &'a Subscription,
) -> impl Iterator<Item = Draft> + use<'a> {
    pending_items::pending(account, subscription).map(|waiting| Draft {
        line: waiting.line.clone(),
        price: waiting.price.clone(),
        item: waiting.item.clone(),
        invoice_item: Some(waiting.id.clone()),
    })
}

/// The lines for a metered item's usage in the running period, up to `until`.
pub(crate) fn used(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    until: i64,
) -> Vec<Line> {
    let start = subscription.period.0;
    let (quantity, period) = if let Some(meter) = catalog::meter(account, &item.price) {
        // A meter counts for an item from when it was added.
        let period = (start.max(item.since), until);
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
    let priced = catalog::priced(account, price);
    let trial = subscription.trial;
    if trial.is_none_or(|(_, trial_end)| trial_end <= period.0) {
        return priced.charged(quantity, period);
    }
    if subscription.billing_mode.is_flexible() {
        vec![priced.free_trial(quantity, period)]
    } else {
        vec![priced.free_usage(quantity, period)]
    }
}

/// Links lines to the item that they are for.
pub(crate) fn attach(item: &Item, lines: Vec<Line>) -> Vec<Draft> {
    lines
        .into_iter()
        .map(|line| Draft {
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
    next: Next,
) -> Vec<Line> {
    let priced = catalog::priced(account, &item.price);
    match next {
        Next::End => Vec::new(),
        Next::Period(Period {
            start,
            end,
            trial: true,
            ..
        }) => {
            if subscription.billing_mode.is_flexible() {
                vec![priced.free_trial(quantity.into(), (start, end))]
            } else {
                vec![priced.trial(quantity, (start, end))]
            }
        }
        Next::Period(Period {
            start,
            end,
            whole,
            prorated,
            ..
        }) => {
            let mut lines = priced.charged(quantity.into(), (start, end));
            if (start, end) != whole && prorated {
                for line in &mut lines {
                    line.amount = share(line.amount, (start, end), whole);
                    line.proration = true;
                }
            }
            lines
        }
    }
}
