//! Making invoices of drafts: discount, balance, payment, and what they do to the subscription.

use super::discounts::tell_change;
use super::drafts::Draft;
use super::{catalog, finalization};
use crate::money::charge_amount;
use crate::money::discount::spread;
use crate::resource::coupon::Duration;
use crate::resource::discount::Discount;
use crate::resource::invoice::{Invoice, InvoiceLine, Reason, TaxStatus};
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::Item;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The invoice that these drafts make, unpaid: sums, discount and the customer's balance are worked out, and
/// nothing is changed. Its id and those of its lines are empty.
pub(crate) fn compose(
    account: &Account,
    subscription: &Subscription,
    drafts: Vec<Draft>,
    reason: Reason,
    at: i64,
) -> Invoice {
    let lines = drafts.into_iter().map(|draft| InvoiceLine {
        id: Id::from(""),
        line: draft.line,
        price: draft.price,
        item: draft.item,
        invoice_item: draft.invoice_item,
        discount: 0,
    });
    let customer = subscription.customer.clone();
    let holder = account.customers.get(&customer);
    let mut invoice = Invoice {
        subscription: Some(subscription.id.clone()),
        clock: subscription.clock.clone(),
        lines: lines.collect(),
        discount: applicable(account, subscription, at),
        advances: true,
        automatic_tax: holder
            .filter(|_| subscription.automatic_tax)
            .map(TaxStatus::of),
        subscription_metadata: subscription.metadata.clone(),
        ..Invoice::new(customer, subscription.currency, reason, at)
    };
    restate(account, &mut invoice);
    invoice
}

/// Works out what the discount takes off each line of an invoice, and its sums, by its lines and by the customer's
/// balance.
pub(crate) fn restate(account: &Account, invoice: &mut Invoice) {
    let amount = |line: &InvoiceLine| (line.line.amount, line.line.discountable);
    let amounts: Vec<(i64, bool)> = invoice.lines.iter().map(amount).collect();
    let parts = taken_off(invoice.discount.as_ref(), &amounts);
    for (line, part) in invoice.lines.iter_mut().zip(parts) {
        line.discount = part;
    }
    sum_up(account, invoice);
}

fn sum_up(account: &Account, invoice: &mut Invoice) {
    let lines = &invoice.lines;
    let sum =
        |amount: fn(&InvoiceLine) -> i64| lines.iter().map(amount).fold(0, i64::saturating_add);
    let subtotal = sum(|line| line.line.amount);
    let total = subtotal.saturating_sub(sum(|line| line.discount));
    let customer = account.customers.get(&invoice.customer);
    let starting_balance = customer.map_or(0, |customer| customer.balance);
    let owed = total.saturating_add(starting_balance);
    let due = charge_amount::due(owed, invoice.currency);
    invoice.subtotal = subtotal;
    invoice.total = total;
    invoice.starting_balance = starting_balance;
    invoice.ending_balance = owed - due;
    invoice.amount_due = due;
}

/// What the discount takes off each of these amounts; see [`spread`].
fn taken_off(discount: Option<&Discount>, amounts: &[(i64, bool)]) -> Vec<i64> {
    let off = discount.map(|discount| catalog::off(&discount.coupon));
    off.map_or_else(|| vec![0; amounts.len()], |off| spread(off, amounts))
}

/// The discount that an invoice at `at` gets: the subscription's, else the customer's.
pub(crate) fn applicable(
    account: &Account,
    subscription: &Subscription,
    at: i64,
) -> Option<Discount> {
    let customers = || account.customers.get(&subscription.customer)?.discount();
    subscription
        .discount
        .as_ref()
        .or_else(customers)
        .filter(|discount| discount.end.is_none_or(|end| at < end))
        .cloned()
}

/// Makes an invoice of the subscription, which is finalized now or in a while; `period` is the one that it closes.
/// What was pending is on it and waits no more. Without lines there is no invoice.
pub(crate) fn issue(
    ctx: &mut Ctx<'_>,
    position: u32,
    drafts: Vec<Draft>,
    reason: Reason,
    period: (i64, i64),
    at: i64,
) {
    if drafts.is_empty() {
        return;
    }
    let subscription = ctx.account.subscription(position);
    let mut invoice = compose(ctx.account, subscription, drafts, reason, at);
    invoice.id = ctx.account.ids.next("in", 24);
    for line in &mut invoice.lines {
        line.id = ctx.account.ids.next("il", 24);
    }
    invoice.period = period;
    enter(ctx, position, &invoice, at);
    finalization::begin(ctx, invoice, at);
}

/// The invoice is the subscription's latest, which owes no longer what is on it.
fn enter(ctx: &mut Ctx<'_>, position: u32, invoice: &Invoice, at: i64) {
    let taken = invoice.lines.iter();
    let taken = taken.filter_map(|line| line.invoice_item.clone());
    ctx.account
        .billing
        .invoice_items
        .invoiced(taken, &invoice.id);
    let discounted = invoice.discounted() > 0;
    let subscription = ctx.account.subscription_mut(position);
    subscription.latest_invoice = Some(invoice.id.clone());
    let in_advance = |line: &InvoiceLine| {
        let licensed =
            |item: &Item| line.item.as_ref() == Some(&item.id) && item.quantity.is_some();
        line.invoice_item.is_none() && subscription.items.iter().any(licensed)
    };
    if invoice.lines.iter().any(in_advance) {
        subscription.charged_with.clone_from(&invoice.discount);
    }
    if let Some(discount) = &subscription.discount {
        let over = discount.end.is_some_and(|end| end <= at);
        if over || (discounted && discount.coupon.duration == Duration::Once) {
            let over = subscription.discount.take();
            tell_change(ctx, over.as_ref(), None, at);
        }
    }
}
