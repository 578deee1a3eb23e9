//! Moves a subscription from one period to the next.

use super::drafts::{self, Next};
use super::invoicing::issue;
use super::next_period::{Anchor, Period};
use super::timeline;
use crate::resource::invoice::Reason;
use crate::resource::subscription::{Status, Subscription};
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Closes the running period at `at`, begins the next one, and invoices both.
pub(crate) fn renew(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let closed = (ctx.account.subscription(position).period.0, at);
    let next = Period::next(ctx.account.subscription(position), at, Anchor::Unchanged);
    roll(ctx, position, next, Reason::Cycle, closed, None);
}

/// Closes the running period at `at` because of a change, and begins another. The invoice's period is the time of the
/// change. `only` limits the pending items that it includes.
pub(crate) fn restart(
    ctx: &mut Ctx<'_>,
    position: u32,
    at: i64,
    anchoring: Anchor,
    only: Option<&[Id]>,
) {
    let next = Period::next(ctx.account.subscription(position), at, anchoring);
    roll(ctx, position, next, Reason::Update, (at, at), only);
}

/// Begins the first period and invoices it.
pub(crate) fn begin(ctx: &mut Ctx<'_>, position: u32, at: i64, next: Period) {
    roll(ctx, position, next, Reason::Create, (at, at), None);
}

/// Begins the first period without an invoice, because it is free.
pub(crate) fn begin_free(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription_mut(position);
    let next = Period::next(subscription, at, Anchor::Unchanged);
    enter(subscription, next);
    timeline::reindex(ctx.account, position);
}

fn roll(
    ctx: &mut Ctx<'_>,
    position: u32,
    next: Period,
    reason: Reason,
    closed: (i64, i64),
    only: Option<&[Id]>,
) {
    let at = next.start;
    let subscription = ctx.account.subscription(position);
    let drafts = drafts::closing(ctx.account, subscription, at, Next::Period(next), only);
    enter(ctx.account.subscription_mut(position), next);
    issue(ctx, position, drafts, reason, closed, at);
    ctx.account.subscription_mut(position).ended_discount = None;
    timeline::reindex(ctx.account, position);
}

fn enter(subscription: &mut Subscription, next: Period) {
    subscription.trial = match subscription.trial {
        Some((first, _)) if next.trial && !subscription.billing_mode.is_flexible() => {
            Some((first, next.end))
        }
        _ if next.trial => Some((next.start, next.end)),
        Some((first, end)) => Some((first, end.min(next.start))),
        None => None,
    };
    subscription.trial_notice = None;
    if next.trial {
        subscription.announce_trial_end(next.end, next.start);
    }
    subscription.anchor = next.anchor;
    subscription.period = (next.start, next.end);
    subscription.whole = next.whole;
    subscription.status = match subscription.status {
        _ if next.trial => Status::Trialing,
        Status::Trialing => Status::Active,
        status => status,
    };
}
