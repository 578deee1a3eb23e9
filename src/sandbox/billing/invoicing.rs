//! Making invoices of drafts: discount, balance, payment, and what they do to the subscription.

use super::drafts::Draft;
use super::invoice::{Credited, Details, Invoice, InvoiceLine, Reason, Status};
use super::subscription::{Item, Subscription};
use super::{catalog, collection, invoice_json};
use crate::sandbox::context::Ctx;
use crate::sandbox::coupon::{Discount, Duration, tell_change};
use crate::sandbox::cycle::discount::spread;
use crate::sandbox::ids::Id;
use crate::sandbox::state::Account;

/// The invoice that these drafts make, unpaid: sums, discount and the customer's balance are worked out, and
/// nothing is changed. Its id and those of its lines are empty.
pub(crate) fn compose(
    account: &Account,
    subscription: &Subscription,
    drafts: Vec<Draft>,
    reason: Reason,
    at: i64,
) -> Invoice {
    let discount = applicable(account, subscription, at);
    let amounts: Vec<(i64, bool)> = drafts
        .iter()
        .map(|draft| (draft.line.amount, draft.line.discountable))
        .collect();
    let parts = taken_off(discount.as_ref(), &amounts);
    let lines: Vec<InvoiceLine> = drafts
        .into_iter()
        .zip(parts)
        .map(|(draft, discount)| InvoiceLine {
            id: Id::from(""),
            line: draft.line,
            price: draft.price,
            item: draft.item,
            invoice_item: draft.invoice_item,
            discount,
        })
        .collect();
    let sum =
        |amount: fn(&InvoiceLine) -> i64| lines.iter().map(amount).fold(0, i64::saturating_add);
    let subtotal = sum(|line| line.line.amount);
    let total = subtotal.saturating_sub(sum(|line| line.discount));
    let starting_balance = account
        .customers
        .get(&subscription.customer)
        .map_or(0, |customer| customer.balance);
    let owed = total.saturating_add(starting_balance);
    // A debt below the smallest charge waits on the balance, and a credit stays there.
    let ending_balance = if owed < catalog::smallest_charge(subscription.currency) {
        owed
    } else {
        0
    };
    Invoice {
        id: Id::from(""),
        customer: subscription.customer.clone(),
        subscription: Some(subscription.id.clone()),
        clock: subscription.clock.clone(),
        created: at,
        currency: subscription.currency,
        number: None,
        status: Status::Open,
        reason,
        period: (at, at),
        lines,
        discount,
        subtotal,
        total,
        starting_balance,
        ending_balance,
        amount_due: owed - ending_balance,
        attempts: 0,
        paid_out_of_band: false,
        credited: Credited::default(),
        details: Details::default(),
        payment_intent: None,
        finalized_at: None,
        paid_at: None,
        marked_uncollectible_at: None,
        voided_at: None,
        automatic_tax: subscription.automatic_tax,
        subscription_metadata: subscription.metadata.clone(),
    }
}

/// What the discount takes off each of these amounts; see [`spread`].
pub(crate) fn taken_off(discount: Option<&Discount>, amounts: &[(i64, bool)]) -> Vec<i64> {
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

/// Makes, finalises and tries to collect an invoice of the subscription; `period` is the one that it closes.
/// What was pending is on it and waits no more. Without drafts there is no invoice.
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
    enter(ctx, position, &mut invoice, at);
    let id = invoice.id.clone();
    record(ctx, invoice, at);
    collection::begin(ctx, &id, at);
}

/// Finalizes the invoice: it gets its number, takes what the customer's balance has, and is the subscription's latest.
fn enter(ctx: &mut Ctx<'_>, position: u32, invoice: &mut Invoice, at: i64) {
    invoice.finalized_at = Some(at);
    if let Some(customer) = ctx.account.customers.get_mut(&invoice.customer) {
        invoice.number = Some(customer.next_invoice_number());
        customer.balance = invoice.ending_balance;
        customer.currency = Some(invoice.currency);
    }
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

/// Stores the invoice and tells of it.
fn record(ctx: &mut Ctx<'_>, invoice: Invoice, at: i64) {
    let id = invoice.id.clone();
    if let Some(discount) = &invoice.discount {
        ctx.account
            .billing
            .discounts
            .insert(discount.id.clone(), discount.clone());
    }
    ctx.account.insert_invoice(invoice);
    let invoice = collection::get(ctx.account, &id);
    let object = invoice_json::invoice(ctx.account, invoice);
    ctx.event("invoice.created", &object, at);
    ctx.event("invoice.finalized", &object, at);
}
