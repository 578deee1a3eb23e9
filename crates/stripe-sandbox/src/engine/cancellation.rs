//! The end of a subscription.

use super::invoicing::{issue, issue_lost_credit};
use super::proration::ProrationContext;
use super::subscription_status::give_up;
use super::unbilled_lines::{self, Next};
use super::{collection, finalization, next_due, pending_items, pending_prorations, phases};
use crate::resource::invoice::Reason;
use crate::resource::subscription::Status;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The options of a cancellation, by Stripe's names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancellation {
    /// Whether to make a last invoice, with the metered usage.
    pub(crate) invoice_now: bool,
    /// Whether to credit the unused time of licensed items.
    pub(crate) prorate: bool,
}

/// Ends the subscription at `at`. Without a last invoice, the credit and all earlier pending prorations go on the
/// customer's next invoice: a newer version of Stripe was recorded to do this, and without the earlier prorations the
/// credit would be too large. With neither a last invoice nor a credit, pending prorations are removed, as Stripe's
/// reference says.
///
/// A subscription whose first payment is outstanding expires instead: nothing was paid, so there is nothing to credit.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, position: u32, options: Cancellation, at: i64) {
    let subscription = ctx.account.subscription(position);
    if subscription.status == Status::Incomplete {
        give_up(ctx, position, at);
        return next_due::reindex(ctx.account, position);
    }
    stop_collecting(ctx, position, at);
    let subscription = ctx.account.subscription(position);
    let closed = (subscription.first_period().0, at);
    if options.prorate && at < subscription.last_end() && !subscription.in_trial() {
        let credits = ProrationContext::new(ctx.account, subscription, at, at).credits_at_end();
        let proration_items = pending_prorations::add(ctx, position, credits, at);
        if !options.invoice_now {
            pending_prorations::unlink_from_subscription(ctx.account, &proration_items);
        }
    } else if !options.prorate && !options.invoice_now {
        pending_items::remove_prorations(ctx, position, at);
    }
    if options.invoice_now {
        let subscription = ctx.account.subscription(position);
        let unbilled = unbilled_lines::closing(ctx.account, subscription, at, Next::End, None);
        let loses_credit = ctx.settings.loses_last_credit && ctx.has_meters();
        if loses_credit && unbilled_lines::is_only_credit(&unbilled) {
            issue_lost_credit(ctx, position, unbilled, closed, at);
        } else {
            issue(ctx, position, unbilled, Reason::Update, closed, at);
        }
    }
    let subscription = ctx.account.subscription_mut(position);
    subscription.status = Status::Canceled;
    subscription.canceled_at.get_or_insert(at);
    subscription.ended_at = Some(at);
    if let Some(schedule) = phases::schedule_of(ctx.account, position) {
        phases::subscription_ended(ctx, schedule, at);
    }
    next_due::reindex(ctx.account, position);
}

/// Stops collection for a canceled subscription, apart from its last invoice. Earlier open or draft invoices stay as
/// they are until a request continues them.
fn stop_collecting(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription(position);
    let customer = ctx.account.customers.get(&subscription.customer);
    let positions = customer.map_or(&[][..], |customer| &customer.invoices);
    let invoices = positions
        .iter()
        .filter_map(|position| ctx.account.billing.invoices.at(*position))
        .filter(|invoice| {
            invoice.subscription.as_ref() == Some(&subscription.id)
                && invoice.advances_automatically()
        });
    let invoices: Vec<Id> = invoices.map(|invoice| invoice.id.clone()).collect();
    for id in invoices {
        collection::with_events(ctx, &id, at, |ctx| {
            finalization::advance(ctx, &id, false, at);
        });
    }
}
