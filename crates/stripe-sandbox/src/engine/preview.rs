//! Upcoming invoices: the next invoice of a subscription, as of the end of the running period that ends first, with the
//! usage so far.
//!
//! A preview shows the current items and ignores later phases of a schedule (our choice). If the subscription ends with
//! the period, it shows the last invoice.

use super::draft_lines;
use super::next_period;
use super::proration::ProrationContext;
use super::sums::{compose, recompute};
use super::unbilled_lines::{self, Next, UnbilledLine};
use crate::resource::invoice::{Invoice, Reason};
use crate::resource::subscription::{Status, Subscription};
use crate::store::account::Account;
use crate::store::ids::Id;

/// The next invoice of a subscription, if there will be one.
pub(crate) fn of_subscription(account: &Account, subscription: &Subscription) -> Option<Invoice> {
    if subscription.status.is_ended()
        || matches!(subscription.status, Status::Incomplete | Status::Paused)
    {
        return None;
    }
    let end = subscription.ends_within_period();
    let at = end.unwrap_or(subscription.first_end());
    let periods = next_period::of_due(subscription, at);
    let next = match end {
        Some(_) => Next::End,
        None => Next::Periods(&periods),
    };
    let closing = unbilled_lines::closing(account, subscription, at, next, None);
    let credits = match end {
        // The credits at the end of a schedule depend on its last phase and are not shown (our choice).
        Some(_) if subscription.schedule.is_none() && !subscription.in_trial() => {
            ProrationContext::new(account, subscription, at, at).credits_at_end()
        }
        _ => Vec::new(),
    };
    let credits = credits.into_iter().map(UnbilledLine::from);
    let unbilled: Vec<UnbilledLine> = credits.chain(closing).collect();
    if unbilled.is_empty() {
        return None;
    }
    let mut invoice = compose(account, subscription, unbilled, Reason::Upcoming, at);
    invoice.period = (subscription.first_period().0, at);
    assign_line_ids(&mut invoice);
    Some(invoice)
}

/// The invoice of a customer's pending items without a subscription, if there are any.
pub(crate) fn of_pending(account: &Account, customer: &Id, at: i64) -> Option<Invoice> {
    let waiting = account.billing.invoice_items.pending(customer).rev();
    let waiting: Vec<_> = waiting.filter(|item| item.subscription.is_none()).collect();
    let currency = waiting.first()?.currency;
    let lines = waiting.iter().filter(|item| item.currency == currency);
    let lines = lines.map(|item| draft_lines::line_of(item)).collect();
    let row = account.customers.get(customer)?;
    let mut invoice = Invoice {
        clock: row.test_clock.clone(),
        discount: row.discount().cloned(),
        lines,
        auto_advance: true,
        ..Invoice::new(customer.clone(), currency, Reason::Upcoming, at)
    };
    recompute(account, &mut invoice);
    assign_line_ids(&mut invoice);
    Some(invoice)
}

/// Gives temporary ids to the lines of an upcoming invoice.
pub(crate) fn assign_line_ids(invoice: &mut Invoice) {
    for (index, line) in invoice.lines.iter_mut().enumerate() {
        line.id = temporary(line.item.as_deref(), index);
    }
}

/// The next invoice of a customer: the upcoming invoice of the subscription that is billed first.
pub(crate) fn of_customer(account: &Account, customer: &str) -> Option<Invoice> {
    let customer = account.customers.get(customer)?;
    let invoices = customer
        .subscriptions
        .iter()
        .filter_map(|position| of_subscription(account, account.subscription(*position)));
    invoices.min_by_key(|invoice| invoice.created)
}

/// A temporary id for an upcoming line, which only distinguishes it from the others.
fn temporary(item: Option<&str>, index: usize) -> Id {
    let item = item.unwrap_or_default().trim_start_matches("si_");
    format!("il_tmp_{item}{index:04}").into()
}
