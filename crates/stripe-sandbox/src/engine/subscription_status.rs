//! The status of a subscription, which depends on its invoices.

use super::collection::{self, PaymentOutcome};
use super::{pending_items, phases};
use crate::resource::invoice::{Invoice, Reason, Status as InvoiceStatus};
use crate::resource::subscription::Status;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Updates the subscription after a failed payment.
pub(crate) fn payment_failed(ctx: &mut Ctx<'_>, id: &Id, outcome: PaymentOutcome) {
    let invoice = ctx.account.invoice(id);
    let customer = ctx.account.customers.get(&invoice.customer);
    let never_had_one = customer.is_some_and(|customer| !customer.had_payment_method);
    let Some(position) = subscription_of(ctx.account, id) else {
        return;
    };
    let subscription = ctx.account.subscription_mut(position);
    // Our choice: a subscription made by a schedule stays active if its customer never had a payment method.
    if outcome == PaymentOutcome::NoMethod && subscription.is_from_schedule && never_had_one {
        return;
    }
    if matches!(subscription.status, Status::Active | Status::Trialing) {
        subscription.status = Status::PastDue;
    }
}

/// Restores the subscription of an invoice that no longer needs to be paid. A past due subscription depends on its
/// latest invoice that is not void.
pub(crate) fn restore(account: &mut Account, id: &Id) {
    let Some(position) = subscription_of(account, id) else {
        return;
    };
    let subscription = account.subscription(position);
    let recovers = match subscription.status {
        // Only a payment makes it active.
        Status::Incomplete => {
            subscription.latest_invoice.as_ref() == Some(id)
                && account.invoice(id).status == InvoiceStatus::Paid
        }
        Status::PastDue => latest(account, position).is_none_or(|latest| {
            matches!(
                latest.status,
                InvoiceStatus::Paid | InvoiceStatus::Uncollectible
            )
        }),
        _ => false,
    };
    if recovers {
        let subscription = account.subscription_mut(position);
        subscription.status = if subscription.in_trial() {
            Status::Trialing
        } else {
            Status::Active
        };
    }
}

/// Whether an invoice affects the status of its subscription. Void and manual invoices do not.
fn affects_status(invoice: &Invoice) -> bool {
    invoice.status != InvoiceStatus::Void && invoice.reason != Reason::Manual
}

/// The latest invoice that affects the subscription's status.
fn latest(account: &Account, position: u32) -> Option<&Invoice> {
    let subscription = account.subscription(position);
    let customer = account.customers.get(&subscription.customer)?;
    let newest_first = customer.invoices.iter().rev();
    newest_first
        .filter_map(|position| account.billing.invoices.at(*position))
        .find(|invoice| {
            affects_status(invoice) && invoice.subscription.as_ref() == Some(&subscription.id)
        })
}

/// Ends a subscription whose first payment did not come in time, or that is canceled before it. The first invoice is
/// voided.
pub(crate) fn give_up(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    pending_items::remove_prorations(ctx, position, at);
    let first = ctx.account.subscription(position).latest_invoice.clone();
    // Copies for trying changes out have no invoices.
    let open = |id: &Id| {
        let invoice = ctx.account.billing.invoices.get(id);
        invoice.is_some_and(|invoice| invoice.status == InvoiceStatus::Open)
    };
    match first.filter(open) {
        Some(first) => collection::void(ctx, &first, at),
        None => expire(ctx, position, at),
    }
}

/// Marks a subscription as expired because its first payment will not come.
pub(crate) fn expire(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription_mut(position);
    subscription.status = Status::IncompleteExpired;
    subscription.ended_at = Some(at);
    if let Some(schedule) = phases::schedule_of(ctx.account, position) {
        phases::subscription_ended(ctx, schedule, at);
    }
}

/// The subscription whose status an invoice affects.
pub(crate) fn subscription_of(account: &Account, id: &Id) -> Option<u32> {
    let invoice = account.invoice(id);
    let subscription = invoice.subscription.as_ref();
    let subscription = subscription.filter(|_| invoice.reason != Reason::Manual);
    account.billing.subscriptions.position(subscription?)
}
