//! Prorations as pending invoice items.

use super::pending_items;
use super::proration::Proration;
use crate::money::lines::{Line, ProrationKind};
use crate::resource::invoice::InvoiceLine;
use crate::resource::invoice_item::{CreditedLines, InvoiceItem};
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::Debit;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Adds prorations as pending invoice items and returns their ids. Invoices show pending items newest first, so the
/// last proration is added first. The subscription must already have the items of the change.
pub(crate) fn add(
    ctx: &mut Ctx<'_>,
    position: u32,
    prorations: Vec<Proration>,
    at: i64,
) -> Vec<Id> {
    settle_debits(ctx.account.subscription_mut(position), &prorations);
    let add = |proration| {
        let Proration {
            item,
            price,
            kind,
            line,
        } = proration;
        let subscription = ctx.account.subscription(position);
        let new_item = || {
            let mut items = subscription.items.iter().rev();
            let new_item = items.find(|item| item.price == price);
            new_item
                .expect("every charged price has an item")
                .id
                .clone()
        };
        let item = item.unwrap_or_else(new_item);
        if kind == ProrationKind::Charge {
            debit(ctx.account.subscription_mut(position), &item, &line);
        }
        let subscription = ctx.account.subscription(position);
        let credited = match kind {
            ProrationKind::Credit => {
                credited(ctx.account, subscription, &item, &price, line.period.1)
            }
            ProrationKind::Charge => None,
        };
        let pending = InvoiceItem {
            item: Some(item),
            price: Some(price),
            credited: credited.map(Box::new),
            ..pending_items::of_subscription(subscription, line, at)
        };
        pending_items::add(ctx, pending)
    };
    prorations.into_iter().rev().map(add).collect()
}

/// Removes the debits that these prorations credit.
fn settle_debits(subscription: &mut Subscription, prorations: &[Proration]) {
    for item in &mut subscription.items {
        let credits = |proration: &Proration| {
            proration.kind == ProrationKind::Credit && proration.item.as_ref() == Some(&item.id)
        };
        if prorations.iter().any(credits) {
            item.debits.clear();
        }
    }
}

/// Records a proration's charge as a debit of its item.
fn debit(subscription: &mut Subscription, item: &Id, line: &Line) {
    if !subscription.billing_mode.is_flexible() {
        return;
    }
    let charged = subscription
        .items
        .iter_mut()
        .find(|charged| charged.id == *item);
    if let Some(charged) = charged {
        charged.debits.push(Debit {
            quantity: charged.quantity.unwrap_or_default(),
            amount: line.amount,
            period: line.period,
        });
    }
}

/// The lines of the last invoice that charged an item for the time up to `end`.
fn credited(
    account: &Account,
    subscription: &Subscription,
    item: &Id,
    price: &Id,
    end: i64,
) -> Option<CreditedLines> {
    let charges = |line: &&InvoiceLine| {
        line.item.as_ref() == Some(item)
            && line.price.as_ref() == Some(price)
            && line.line.period.1 == end
            && line.line.amount >= 0
    };
    let customer = account.customers.get(&subscription.customer)?;
    let mut newest_first = customer.invoices.iter().rev();
    newest_first.find_map(|position| {
        let invoice = account.billing.invoices.at(*position)?;
        let lines = invoice.lines.iter().filter(charges);
        let lines: Vec<Id> = lines.map(|line| line.id.clone()).collect();
        (!lines.is_empty()).then(|| CreditedLines {
            invoice: invoice.id.clone(),
            lines,
        })
    })
}

/// Unlinks prorations from their ended subscription, so that the customer's next invoice includes them.
pub(crate) fn unlink_from_subscription(account: &mut Account, ids: &[Id]) {
    for id in ids {
        if let Some(waiting) = account.billing.invoice_items.table.get_mut(id) {
            waiting.subscription = None;
            waiting.item = None;
        }
    }
}
