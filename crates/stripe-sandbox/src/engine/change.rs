//! Changes of a subscription's items and of its trial.

use super::invoicing::issue;
use super::item_set::{match_items, replace_items};
use super::next_period::Anchor;
use super::proration::{Proration, ProrationContext};
use super::unbilled_lines::{self, UnbilledLine};
use super::{catalog, change_lines, next_due, pending_prorations, renewal};
use crate::resource::invoice::Reason;
use crate::resource::subscription::cycle::intervals;
use crate::resource::subscription::{Prorate, Subscription, view};
use crate::resource::subscription_item::ItemSpec;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A new set of items and a new trial for a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) specs: &'a [ItemSpec],
    /// Invoice items that come with the change and go on its invoice, if there is one.
    pub(crate) added: &'a [Id],
    /// When the trial is to end. `None` or a time in the past means no trial.
    pub(crate) trial_end: Option<i64>,
    pub(crate) prorate: Prorate,
    /// `proration_date`: prorations are computed as if the change were made then.
    pub(crate) prorate_from: Option<i64>,
    /// `billing_cycle_anchor=now`: a new period begins in any case.
    pub(crate) resets_anchor: bool,
}

/// The effect of a change on the running periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The periods go on. `cut` is the time within one of them at which the subscription is to end, which also ends the
    /// period.
    Keep { cut: Option<i64> },
    /// The running trial gets another end.
    MoveTrial(i64),
    /// A trial begins, with a period of the same length.
    StartTrial(i64),
    /// New periods begin now, and the anchor moves to now.
    Restart,
}

impl Change<'_> {
    fn effect(&self, account: &Account, subscription: &Subscription, at: i64) -> Effect {
        let within = at < subscription.first_end();
        let goal = self.trial_end.filter(|end| *end > at);
        // In classic billing, a trial does not outlast the subscription.
        let is_flexible = subscription.billing_mode.is_flexible();
        let cut = |end| subscription.ends_between(at, end).filter(|_| !is_flexible);
        let goal = goal.map(|end| cut(end).unwrap_or(end));
        match (subscription.in_trial(), goal) {
            (true, Some(end)) => Effect::MoveTrial(end),
            (false, Some(end)) => Effect::StartTrial(end),
            (true, None) if within => Effect::Restart,
            _ if self.restarts(account, subscription) => Effect::Restart,
            _ => Effect::Keep {
                cut: subscription.ends_between(at, subscription.last_end()),
            },
        }
    }

    /// Whether the billing cycle restarts: on request, and in classic billing also when the interval changes or paid
    /// prices replace free ones.
    fn restarts(&self, account: &Account, subscription: &Subscription) -> bool {
        if subscription.billing_mode.is_flexible() {
            return self.resets_anchor;
        }
        let free = |price: &Id| catalog::is_free(account, price);
        let was_free = subscription.items.iter().all(|item| free(&item.price));
        self.resets_anchor
            || intervals(self.specs.iter().map(|spec| spec.interval))
                != intervals(subscription.items.iter().map(|item| item.interval))
            || was_free && !self.specs.iter().all(|spec| free(&spec.price))
    }

    /// The credits and charges of the change for the running periods.
    fn prorations(
        &self,
        account: &Account,
        subscription: &Subscription,
        matches: &[Option<usize>],
        effect: Effect,
        at: i64,
    ) -> Vec<Proration> {
        if subscription.in_trial() || self.prorate == Prorate::Never {
            return Vec::new();
        }
        let from = self.prorate_from.unwrap_or(at);
        let restart = !matches!(effect, Effect::Keep { .. });
        ProrationContext::new(account, subscription, from, at)
            .credits_and_charges(self.specs, matches, restart)
    }
}

/// Applies a change at `at`, and makes the invoices that must be made at once.
pub(crate) fn apply(ctx: &mut Ctx<'_>, position: u32, change: &Change<'_>, at: i64) {
    let subscription = ctx.account.subscription(position);
    let effect = change.effect(ctx.account, subscription, at);
    if effect == Effect::Restart && subscription.in_trial() && at < subscription.first_end() {
        let object = view::subscription(ctx.account, subscription, ctx.now);
        ctx.event("customer.subscription.trial_will_end", &object, at);
    }
    let subscription = ctx.account.subscription(position);
    let first_period = subscription.first_period();
    let matches = match_items(&subscription.items, change.specs);
    let prorations = change.prorations(ctx.account, subscription, &matches, effect, at);
    let lines = change_lines::of_change(ctx.account, subscription, change, &matches, at);
    replace_items(ctx, position, change.specs, &matches, at);
    change_lines::add(ctx, position, lines, at);
    let proration_items = pending_prorations::add(ctx, position, prorations, at);
    let anchor = match effect {
        Effect::MoveTrial(end) => {
            // In classic billing, Stripe makes either no invoice here, or one for all items. The sandbox makes none.
            let subscription = ctx.account.subscription_mut(position);
            move_trial(subscription, end, at);
            if subscription.billing_mode.is_flexible() {
                invoice_change(ctx, position, change, &matches, at);
            }
            None
        }
        Effect::Keep { cut } => {
            if let Some(cut) = cut {
                shorten(ctx, position, cut, change.prorate, at);
            }
            // If a period ends now, the renewal's invoice has all lines. But a cycle without items has no renewal.
            let goes_on = at < ctx.account.subscription(position).first_end();
            if goes_on && first_period.1 <= at {
                let unbilled =
                    unbilled_lines::pending(ctx.account, ctx.account.subscription(position));
                let unbilled = unbilled.collect();
                issue(ctx, position, unbilled, Reason::Update, first_period, at);
                ctx.account.subscription_mut(position).ended_phase_discount = None;
            } else if goes_on {
                invoice_change(ctx, position, change, &matches, at);
            }
            None
        }
        Effect::StartTrial(end) => Some(Anchor::TrialEnd(end)),
        Effect::Restart => Some(Anchor::Now),
    };
    if let Some(anchor) = anchor {
        // In classic billing, an invoice for prorations contains only these.
        let subscription = ctx.account.subscription(position);
        let is_flexible = subscription.billing_mode.is_flexible();
        let only = [&proration_items[..], change.added].concat();
        let only = (change.prorate == Prorate::Invoice && !is_flexible).then_some(&only[..]);
        renewal::restart(ctx, position, at, anchor, only);
    }
    next_due::reindex(ctx.account, position);
}

/// Makes the invoice of a change when the periods go on, if the change is to be invoiced at once.
fn invoice_change(
    ctx: &mut Ctx<'_>,
    position: u32,
    change: &Change<'_>,
    matches: &[Option<usize>],
    at: i64,
) {
    if change.prorate == Prorate::Invoice {
        let closed = (ctx.account.subscription(position).first_period().0, at);
        let unbilled = immediate_lines(ctx.account, position, matches, at);
        issue(ctx, position, unbilled, Reason::Update, closed, at);
    }
}

/// The lines of an immediate invoice when the periods go on: all pending items, and in classic billing a line of
/// amount 0 for each new metered item.
fn immediate_lines(
    account: &Account,
    position: u32,
    matches: &[Option<usize>],
    at: i64,
) -> Vec<UnbilledLine> {
    let subscription = account.subscription(position);
    let items = subscription.items.iter().zip(matches);
    let is_classic = !subscription.billing_mode.is_flexible();
    let new =
        items.filter(|(item, matched)| is_classic && matched.is_none() && item.quantity.is_none());
    let lines = new.flat_map(|(item, _)| {
        let period = (at, subscription.period_of(item).1);
        let line = catalog::price_terms(account, &item.price).first_invoice_line(period);
        unbilled_lines::attach(item, vec![line])
    });
    unbilled_lines::pending(account, subscription)
        .chain(lines)
        .collect()
}

fn move_trial(subscription: &mut Subscription, end: i64, at: i64) {
    subscription.anchor = end;
    for cycle in &mut subscription.cycles {
        cycle.period.1 = end;
        cycle.full_period = cycle.period;
    }
    subscription.trial = subscription.trial.map(|(first, _)| (first, end));
    subscription.announce_trial_end(end, at);
}

/// Ends the running periods at `cut`, when the subscription is to end, and credits the charges for the time after it.
/// In classic billing, `cut` becomes the billing cycle anchor.
fn shorten(ctx: &mut Ctx<'_>, position: u32, cut: i64, prorate: Prorate, at: i64) {
    if prorate != Prorate::Never {
        let subscription = ctx.account.subscription(position);
        let credits = ProrationContext::new(ctx.account, subscription, cut, at).credits_at_end();
        pending_prorations::add(ctx, position, credits, at);
    }
    let subscription = ctx.account.subscription_mut(position);
    for cycle in &mut subscription.cycles {
        cycle.period.1 = cycle.period.1.min(cut);
    }
    if !subscription.billing_mode.is_flexible() {
        subscription.anchor = cut;
    }
}

/// Makes a separate invoice for the usage of metered items that no spec keeps. Stripe does this when a schedule enters
/// its next phase, but not for a change by request.
pub(crate) fn bill_removed_usage(ctx: &mut Ctx<'_>, position: u32, specs: &[ItemSpec], at: i64) {
    let subscription = ctx.account.subscription(position);
    let closed = (subscription.first_period().0, at);
    let matches = match_items(&subscription.items, specs);
    let unbilled = removed_usage(ctx.account, subscription, specs, &matches, at);
    issue(ctx, position, unbilled, Reason::Update, closed, at);
}

fn removed_usage(
    account: &Account,
    subscription: &Subscription,
    specs: &[ItemSpec],
    matches: &[Option<usize>],
    at: i64,
) -> Vec<UnbilledLine> {
    subscription
        .items
        .iter()
        .enumerate()
        .filter(|(index, item)| item.quantity.is_none() && !matches.contains(&Some(*index)))
        .flat_map(|(_, item)| {
            let until = change_lines::counts_until(account, subscription, item, specs, at);
            unbilled_lines::attach(
                item,
                unbilled_lines::used(account, subscription, item, until),
            )
        })
        .collect()
}
