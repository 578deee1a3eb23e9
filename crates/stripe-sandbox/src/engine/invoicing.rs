//! Making invoices from unbilled lines, and what that changes in the subscription.

use super::discounts::record_change;
use super::finalization;
use super::sums::compose;
use super::unbilled_lines::UnbilledLine;
use crate::resource::coupon::Duration;
use crate::resource::invoice::{Invoice, InvoiceLine, Reason};
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::{Debit, Item};
use crate::store::account::Account;
use crate::store::context::Ctx;

/// Makes an invoice for the subscription, which is finalized now or later. `period` is the period that it closes.
/// Pending items on it stop being pending. Without lines, no invoice is made.
pub(crate) fn issue(
    ctx: &mut Ctx<'_>,
    position: u32,
    unbilled: Vec<UnbilledLine>,
    reason: Reason,
    period: (i64, i64),
    at: i64,
) {
    if unbilled.is_empty() {
        return;
    }
    let invoice = create_invoice(ctx, position, unbilled, reason, period, at);
    finalization::add_invoice(ctx, invoice, at);
}

/// Like [`issue`], for a credit that is lost: it is not added to the customer's balance.
pub(crate) fn issue_lost_credit(
    ctx: &mut Ctx<'_>,
    position: u32,
    unbilled: Vec<UnbilledLine>,
    period: (i64, i64),
    at: i64,
) {
    if unbilled.is_empty() {
        return;
    }
    let invoice = create_invoice(ctx, position, unbilled, Reason::Cycle, period, at);
    finalization::add_lost_credit(ctx, invoice, at);
}

/// Creates the subscription's latest invoice, without storing it. Its items stop being pending.
fn create_invoice(
    ctx: &mut Ctx<'_>,
    position: u32,
    unbilled: Vec<UnbilledLine>,
    reason: Reason,
    period: (i64, i64),
    at: i64,
) -> Invoice {
    let subscription = ctx.account.subscription(position);
    let mut invoice = compose(ctx.account, subscription, unbilled, reason, at);
    invoice.id = ctx.account.ids.next("in", 24);
    for line in &mut invoice.lines {
        line.id = ctx.account.ids.next("il", 24);
    }
    invoice.period = period;
    let taken = invoice.lines.iter();
    let taken = taken.filter_map(|line| line.invoice_item.clone());
    ctx.account
        .billing
        .invoice_items
        .mark_invoiced(taken, &invoice.id);
    let subscription = ctx.account.subscription(position);
    let discount = subscription.discount.as_ref();
    let discounted = discount.is_some_and(|discount| invoice.total_of_discount(discount) > 0);
    let subscription = ctx.account.subscription_mut(position);
    subscription.latest_invoice = Some(invoice.id.clone());
    let in_advance = |line: &InvoiceLine| {
        let licensed =
            |item: &Item| line.item.as_ref() == Some(&item.id) && item.quantity.is_some();
        line.invoice_item.is_none() && subscription.items.iter().any(licensed)
    };
    if invoice.lines.iter().any(in_advance) {
        subscription.charged_discount.clone_from(&invoice.discount);
    }
    if subscription.billing_mode.is_flexible() {
        record_debits(subscription, &invoice);
    }
    if let Some(discount) = &subscription.discount {
        let over = discount.end.is_some_and(|end| end <= at);
        if over || (discounted && discount.coupon.duration == Duration::Once) {
            let over = subscription.discount.take();
            record_change(ctx, over.as_ref(), None, at);
        }
    }
    invoice
}

/// Records the invoice's charge for each licensed item, which flexible billing credits later.
fn record_debits(subscription: &mut Subscription, invoice: &Invoice) {
    for item in subscription
        .items
        .iter_mut()
        .filter(|item| item.quantity.is_some())
    {
        let is_of_item = |line: &&InvoiceLine| {
            line.invoice_item.is_none() && line.item.as_ref() == Some(&item.id)
        };
        let debit = |line: &InvoiceLine| Debit {
            quantity: item.quantity.unwrap_or_default(),
            amount: line.line.amount - line.discount,
            period: line.line.period,
        };
        let debits: Vec<Debit> = invoice.lines.iter().filter(is_of_item).map(debit).collect();
        if !debits.is_empty() {
            item.debits = debits;
        }
    }
}

/// Records the charges of the running period, for a subscription that migrates from classic billing.
pub(crate) fn record_billed_debits(account: &mut Account, position: u32) {
    let subscription = account.subscription(position);
    // Classic billing has only one period.
    let period = subscription.first_period();
    let customer = account.customers.get(&subscription.customer);
    let positions = customer.map_or(&[][..], |customer| &customer.invoices);
    let invoices = positions.iter().rev();
    let is_for_it = |invoice: &&Invoice| {
        let is_own = invoice.subscription.as_ref() == Some(&subscription.id);
        // The first line of a backdated subscription may begin before its period.
        let is_first = invoice.reason == Reason::Create;
        let charges = |line: &InvoiceLine| {
            let (start, end) = line.line.period;
            end == period.1 && (start == period.0 || is_first)
        };
        is_own && invoice.lines.iter().any(charges)
    };
    let latest = invoices
        .filter_map(|position| account.billing.invoices.at(*position))
        .find(is_for_it);
    if let Some(invoice) = latest.cloned() {
        record_debits(account.subscription_mut(position), &invoice);
    }
}
