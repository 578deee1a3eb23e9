//! The rules of billing and payment: everything that happens to resources and between them. The engine uses the state
//! of resources and, for events, their views. It reads no parameters and does not depend on HTTP.
//!
//! [`run_until`] does everything that is due. A subscription [begins](new_subscription) with its [first
//! periods](first_periods), is [changed](change) or [updated](subscription_update), is [renewed](renewal), follows the
//! [phases] of a schedule, and ends by a [cancellation]. Its [status](subscription_status) depends on its invoices, and
//! its [cycles] on its items. Invoices are made of [unbilled lines](unbilled_lines): [`sums`] computes the totals,
//! [invoicing] creates the invoice, [finalization] makes it final, and [collection] collects it by a [payment].
//! [`catalog`] converts prices to the types of the [arithmetic](crate::money).

pub(crate) mod added_items;
pub(crate) mod authentication;
pub(crate) mod balance;
pub(crate) mod cancellation;
pub(crate) mod catalog;
pub(crate) mod change;
pub(crate) mod change_lines;
pub(crate) mod collection;
pub(crate) mod copy;
pub(crate) mod customers;
pub(crate) mod cycles;
pub(crate) mod discounts;
pub(crate) mod draft_lines;
pub(crate) mod finalization;
pub(crate) mod first_periods;
pub(crate) mod invoicing;
pub(crate) mod item_set;
pub(crate) mod metering;
pub(crate) mod new_subscription;
pub(crate) mod next_due;
pub(crate) mod next_period;
pub(crate) mod one_currency;
pub(crate) mod payment;
pub(crate) mod payment_methods;
pub(crate) mod pending_items;
pub(crate) mod pending_prorations;
pub(crate) mod phases;
pub(crate) mod preview;
pub(crate) mod proration;
pub(crate) mod renewal;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod subscription_status;
pub(crate) mod subscription_update;
pub(crate) mod sums;
pub(crate) mod unbilled_lines;

use self::cancellation::Cancellation;
use self::subscription_status::give_up;
use crate::money::period::BillingInterval;
use crate::resource::subscription::{self, INCOMPLETE_FOR, MissingMethod, Status};
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::ids::Id;

/// Does everything that is due at or before `until`, in order of time: on the test clock, or without `clock`, for the
/// customers that are on no clock.
///
/// It is called before every request for the customers without a clock, so it has to be fast when nothing is due. The
/// clock's `frozen_time` is still the old one during the call.
pub(crate) fn run_until(ctx: &mut Ctx<'_>, clock: Option<&Id>, until: i64) {
    while let Some((at, due)) = ctx.account.billing.due_queue.first(clock, until) {
        match due {
            Due::Schedule(position) => phases::start(ctx, position, at),
            Due::Invoice(position) => finalization::finalize_due(ctx, position, at),
            Due::Subscription(position) => step(ctx, position, at),
            Due::Session(position) => sessions::expire(ctx, position, at),
        }
    }
}

/// The latest time to which a clock at `from` may be advanced: two of the shortest intervals of its subscriptions.
/// `None` without subscriptions.
pub(crate) fn two_intervals(ctx: &Ctx<'_>, clock: &Id, from: i64) -> Option<i64> {
    let end =
        |interval: BillingInterval| interval.next_after(from, interval.next_after(from, from));
    ctx.account
        .billing
        .due_queue
        .on(Some(clock))
        .filter_map(|due| match due {
            Due::Subscription(position) => {
                let cycles = ctx.account.subscription(position).cycles.iter();
                cycles.map(|cycle| end(cycle.interval)).min()
            }
            Due::Schedule(_) | Due::Invoice(_) | Due::Session(_) => None,
        })
        .min()
}

/// Does one thing that is due for a subscription. If more is due at the same time, the next call does it. A phase ends
/// before a period that ends at the same time, so that the renewal charges the new items in advance.
fn step(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription(position);
    let phase_over = subscription
        .schedule
        .as_ref()
        .and_then(|id| ctx.account.billing.schedules.get(id))
        .and_then(|schedule| schedule.running())
        .is_some_and(|phase| phase.end <= at);
    let before = subscription::view::subscription(ctx.account, subscription, ctx.now);
    if subscription
        .trial_notice()
        .is_some_and(|notice| notice <= at)
    {
        ctx.event("customer.subscription.trial_will_end", &before, at);
        ctx.account.subscription_mut(position).trial_notice = None;
    } else if subscription.status == Status::Incomplete {
        if at >= subscription.created + INCOMPLETE_FOR {
            give_up(ctx, position, at);
        }
    } else if subscription
        .pause
        .and_then(|pause| pause.resumes_at)
        .is_some_and(|resumes| resumes <= at)
    {
        ctx.account.subscription_mut(position).pause = None;
    } else if phase_over {
        phases::advance(ctx, position, at);
    } else if subscription
        .ends_within_period()
        .is_some_and(|end| end <= at)
    {
        let options = Cancellation {
            invoice_now: true,
            prorate: true,
        };
        cancellation::cancel(ctx, position, options, at);
    } else if subscription.first_end() <= at && !ends_without_method(ctx, position, at) {
        renewal::renew(ctx, position, at);
    }
    next_due::reindex(ctx.account, position);
    subscription::events::changed(ctx, position, &before, at);
}

/// Cancels or pauses the subscription if its trial ends without a payment method and `trial_settings` say so. Returns
/// whether it did.
fn ends_without_method(ctx: &mut Ctx<'_>, position: u32, at: i64) -> bool {
    let subscription = ctx.account.subscription(position);
    let preferred = subscription.default_payment_method.as_ref();
    let method = collection::payment_method(ctx.account, preferred, &subscription.customer);
    if !subscription.in_trial() || method.is_some() {
        return false;
    }
    match subscription.missing_method {
        MissingMethod::CreateInvoice => return false,
        MissingMethod::Cancel => {
            let options = Cancellation {
                invoice_now: false,
                prorate: false,
            };
            cancellation::cancel(ctx, position, options, at);
        }
        MissingMethod::Pause => {
            ctx.account.subscription_mut(position).status = Status::Paused;
            let object = subscription::view::subscription(
                ctx.account,
                ctx.account.subscription(position),
                ctx.now,
            );
            ctx.event("customer.subscription.paused", &object, at);
        }
    }
    true
}
