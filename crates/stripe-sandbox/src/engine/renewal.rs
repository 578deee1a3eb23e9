//! Moves the billing cycles of a subscription from one period to the next.

use super::invoicing::issue;
use super::next_due;
use super::next_period::{self, Anchor, Period};
use super::unbilled_lines::{self, Next, UnbilledLine};
use crate::resource::invoice::Reason;
use crate::resource::subscription::{Status, Subscription};
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Closes the running periods that are over at `at`, begins the next ones, and makes one invoice for all of them.
pub(crate) fn renew(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription(position);
    let closed = (subscription.first_period().0, at);
    let next = next_period::of_due(subscription, at);
    let unbilled = closing(ctx, position, &next, at, None);
    begin_and_invoice(ctx, position, &next, at, unbilled, Reason::Cycle, closed);
}

/// Closes the running periods at `at` because of a change, and begins new ones. The invoice's period is empty, at the
/// time of the change. `only` limits the pending items that the invoice includes.
pub(crate) fn restart(
    ctx: &mut Ctx<'_>,
    position: u32,
    at: i64,
    anchoring: Anchor,
    only: Option<&[Id]>,
) {
    let next = next_period::of_all(ctx.account.subscription(position), at, anchoring);
    let unbilled = closing(ctx, position, &next, at, only);
    begin_and_invoice(ctx, position, &next, at, unbilled, Reason::Update, (at, at));
}

/// Begins the first periods and invoices them. `lines` are for the time before and come first.
pub(crate) fn begin(
    ctx: &mut Ctx<'_>,
    position: u32,
    at: i64,
    next: &[Period],
    mut lines: Vec<UnbilledLine>,
) {
    lines.extend(closing(ctx, position, next, at, None));
    begin_and_invoice(ctx, position, next, at, lines, Reason::Create, (at, at));
}

/// Begins the first periods without an invoice, because they are free.
pub(crate) fn begin_free(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription_mut(position);
    let next = next_period::of_all(subscription, at, Anchor::Unchanged);
    begin_periods(subscription, &next);
    next_due::reindex(ctx.account, position);
}

/// The lines of the invoice between the running periods and the next ones.
fn closing(
    ctx: &Ctx<'_>,
    position: u32,
    next: &[Period],
    at: i64,
    only: Option<&[Id]>,
) -> Vec<UnbilledLine> {
    let subscription = ctx.account.subscription(position);
    unbilled_lines::closing(ctx.account, subscription, at, Next::Periods(next), only)
}

fn begin_and_invoice(
    ctx: &mut Ctx<'_>,
    position: u32,
    next: &[Period],
    at: i64,
    unbilled: Vec<UnbilledLine>,
    reason: Reason,
    closed: (i64, i64),
) {
    begin_periods(ctx.account.subscription_mut(position), next);
    issue(ctx, position, unbilled, reason, closed, at);
    ctx.account.subscription_mut(position).ended_phase_discount = None;
    next_due::reindex(ctx.account, position);
}

/// Begins these periods. Either all of them are a trial or none is.
fn begin_periods(subscription: &mut Subscription, periods: &[Period]) {
    let Some(first) = periods.first() else {
        return;
    };
    subscription.trial = match subscription.trial {
        Some((start, _)) if first.is_trial && !subscription.billing_mode.is_flexible() => {
            Some((start, first.end))
        }
        _ if first.is_trial => Some((first.start, first.end)),
        Some((start, end)) => Some((start, end.min(first.start))),
        None => None,
    };
    subscription.trial_notice = None;
    if first.is_trial {
        subscription.announce_trial_end(first.end, first.start);
    }
    subscription.anchor = first.anchor;
    for cycle in &mut subscription.cycles {
        let next = periods
            .iter()
            .filter(|period| period.interval == cycle.interval);
        for period in next {
            cycle.period = (period.start, period.end);
            cycle.full_period = period.full;
        }
    }
    subscription.status = match subscription.status {
        _ if first.is_trial => Status::Trialing,
        Status::Trialing => Status::Active,
        status => status,
    };
}
