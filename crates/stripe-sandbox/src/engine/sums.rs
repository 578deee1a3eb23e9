//! The totals of an invoice: discount, sums, and the customer's balance.

use super::catalog;
use super::unbilled_lines::UnbilledLine;
use crate::money::charge_amount;
use crate::money::discount::spread;
use crate::resource::discount::Discount;
use crate::resource::invoice::{Invoice, InvoiceLine, Reason, TaxStatus, UsageDiscount};
use crate::resource::subscription::Subscription;
use crate::store::account::Account;
use crate::store::ids::Id;

/// The unpaid invoice of these lines, with its sums, discount and balance. It is not stored, and it and its lines have
/// no ids.
pub(crate) fn compose(
    account: &Account,
    subscription: &Subscription,
    unbilled: Vec<UnbilledLine>,
    reason: Reason,
    at: i64,
) -> Invoice {
    let lines = unbilled.into_iter().map(|draft| InvoiceLine {
        id: Id::from(""),
        line: draft.line,
        price: draft.price,
        item: draft.item,
        invoice_item: draft.invoice_item,
        discount: 0,
    });
    let lines: Vec<InvoiceLine> = lines.collect();
    let customer = subscription.customer.clone();
    let row = account.customers.get(&customer);
    let mut invoice = Invoice {
        subscription: Some(subscription.id.clone()),
        clock: subscription.clock.clone(),
        discount: applicable(account, subscription, at),
        usage_discount: usage_discount(account, subscription, &lines, at),
        lines,
        auto_advance: true,
        automatic_tax: row
            .filter(|_| subscription.automatic_tax)
            .map(TaxStatus::of),
        subscription_metadata: subscription.metadata.clone(),
        ..Invoice::new(customer, subscription.currency, reason, at)
    };
    recompute(account, &mut invoice);
    invoice
}

/// Recomputes the discount of each line and the totals of an invoice.
pub(crate) fn recompute(account: &Account, invoice: &mut Invoice) {
    let amount = |line: &InvoiceLine| (line.line.amount, line.line.discountable);
    let amounts: Vec<(i64, bool)> = invoice.lines.iter().map(amount).collect();
    let parts = match &invoice.usage_discount {
        None => discount_parts(invoice.discount.as_ref(), &amounts),
        Some(usage) => {
            let is_usage = |index: usize| usage.applies_to(&invoice.lines[index]);
            let of_usage = discount_parts(
                usage.discount.as_ref(),
                &discountable_if(&amounts, is_usage),
            );
            // The amounts after that discount.
            let left = amounts.iter().zip(&of_usage);
            let left: Vec<_> = left
                .map(|((amount, discountable), part)| (amount - part, *discountable))
                .collect();
            let others = discountable_if(&left, |index| !is_usage(index));
            let of_others = discount_parts(invoice.discount.as_ref(), &others);
            let both = of_usage.into_iter().zip(of_others);
            both.map(|(usage, other)| usage + other).collect()
        }
    };
    for (line, part) in invoice.lines.iter_mut().zip(parts) {
        line.discount = part;
    }
    sum_up(account, invoice);
}

/// The amounts with only `some` of them discountable, by their index.
fn discountable_if(amounts: &[(i64, bool)], some: impl Fn(usize) -> bool) -> Vec<(i64, bool)> {
    let amounts = amounts.iter().enumerate();
    let discountable =
        amounts.map(|(index, (amount, discountable))| (*amount, *discountable && some(index)));
    discountable.collect()
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

/// The discount on each of these amounts; see [`spread`].
fn discount_parts(discount: Option<&Discount>, amounts: &[(i64, bool)]) -> Vec<i64> {
    let off = discount.map(|discount| catalog::reduction(&discount.coupon));
    off.map_or_else(|| vec![0; amounts.len()], |off| spread(off, amounts))
}

/// The discount of the usage on an invoice at `at`, if a phase with another discount begins then.
fn usage_discount(
    account: &Account,
    subscription: &Subscription,
    lines: &[InvoiceLine],
    at: i64,
) -> Option<UsageDiscount> {
    let ended = subscription.ended_phase_discount.as_ref();
    let (_, discount) = ended.filter(|(end, _)| *end == at)?;
    let id = |discount: &Discount| discount.id.clone();
    if discount.as_ref().map(id) == applicable(account, subscription, at).as_ref().map(id) {
        // The discount applies to the whole invoice.
        return None;
    }
    let prices = lines.iter().filter_map(|line| line.price.as_ref());
    let metered = prices.filter(|price| catalog::meter(account, price).is_some());
    Some(UsageDiscount {
        discount: discount.clone(),
        prices: metered.cloned().collect(),
    })
}

/// The discount of an invoice at `at`: the subscription's, else the customer's.
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
