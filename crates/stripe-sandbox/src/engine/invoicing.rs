//! Making invoices of draft lines, and the effects on the subscription.

use super::discounts::record_change;
use super::drafts::Draft;
use super::finalization;
use super::sums::compose;
use crate::resource::coupon::Duration;
use crate::resource::invoice::{Invoice, InvoiceLine, Reason};
use crate::resource::subscription_item::Item;
use crate::store::context::Ctx;

/// Makes an invoice for the subscription, which is finalized now or later. `period` is the period that it closes.
/// Pending items on it are no longer pending. Without lines there is no invoice.
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

/// Makes the invoice the subscription's latest and takes its items out of the pending ones.
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
            record_change(ctx, over.as_ref(), None, at);
        }
    }
}
