//! What schedules do: start a subscription, move it from phase to phase, and end.

use std::sync::Arc;

use super::cancellation::{self, Cancellation};
use super::change::{self, Change};
use super::discounts::record_change;
use super::new_subscription::{self, FirstPayment, NewSubscription};
use super::sums::applicable;
use super::{added_items, next_due};
use crate::params::metadata::{Changes, Metadata};
use crate::resource::coupon::Coupon;
use crate::resource::discount::{AppliedCoupon, Discount};
use crate::resource::subscription::cycle::CancelAt;
use crate::resource::subscription::{MissingMethod, PaymentSettings, Prorate};
use crate::resource::subscription_schedule::{
    self, Defaults, EndBehavior, Phase, Schedule, Status,
};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::due_queue;
use crate::store::ids::Id;

/// Starts a schedule: creates the subscription of its first phase, with its first invoice.
pub(crate) fn start(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let schedule = ctx.account.schedule(position);
    let clock = schedule.clock.clone();
    let starts = schedule.phases.first().map(|phase| phase.start);
    if let Some(starts) = starts {
        let due = due_queue::Due::Schedule(position);
        ctx.account
            .billing
            .due_queue
            .remove(clock.as_ref(), starts, due);
    }
    let schedule = ctx.account.schedule(position);
    let (Status::NotStarted, Some(phase)) = (schedule.status, schedule.phases.first()) else {
        return;
    };
    let new = subscription_of(schedule, phase);
    let schedule = ctx.account.schedule_mut(position);
    schedule.status = Status::Active;
    schedule.current = Some(0);
    let subscription = new_subscription::create(ctx, &new, at);
    ctx.account.schedule_mut(position).subscription = Some(subscription);
    record_event(ctx, position, "subscription_schedule.updated", at);
}

/// The subscription that a schedule's first phase describes.
fn subscription_of(schedule: &Schedule, phase: &Phase) -> NewSubscription {
    NewSubscription {
        customer: schedule.customer.clone(),
        clock: schedule.clock.clone(),
        currency: phase.currency,
        billing_mode: schedule.billing_mode,
        prorates: true,
        specs: phase.items.clone(),
        added: phase.added.clone(),
        start_date: phase.start,
        anchor: None,
        trial_end: phase.trial_end,
        metadata: merged(&Metadata::default(), &phase.metadata),
        description: phase
            .description
            .clone()
            .or_else(|| schedule.defaults.description.clone()),
        default_payment_method: payment_method(phase, &schedule.defaults),
        coupon: phase.coupon.clone().map(AppliedCoupon::from),
        automatic_tax: phase
            .automatic_tax
            .unwrap_or(schedule.defaults.automatic_tax),
        schedule: Some(schedule.id.clone()),
        cancel_at: schedule.ends_at().map(CancelAt::Time),
        cancel_at_period_end: false,
        first_payment: FirstPayment::Owed,
        payment_settings: PaymentSettings::default(),
        missing_method: MissingMethod::default(),
    }
}

fn payment_method(phase: &Phase, defaults: &Defaults) -> Option<Id> {
    phase
        .default_payment_method
        .clone()
        .or_else(|| defaults.default_payment_method.clone())
}

/// Ends the running phase of a subscription's schedule: the next one begins, or the schedule ends.
pub(crate) fn advance(ctx: &mut Ctx<'_>, subscription: u32, at: i64) {
    let Some(position) = schedule_of(ctx.account, subscription) else {
        return;
    };
    let schedule = ctx.account.schedule_mut(position);
    let Some(index) = schedule.current else {
        return;
    };
    if index + 1 < schedule.phases.len() {
        schedule.current = Some(index + 1);
        let previous_coupon = schedule.phases[index].coupon.clone();
        follow_end(ctx.account, subscription, at);
        apply_running_phase(
            ctx,
            subscription,
            position,
            previous_coupon.as_ref(),
            PhaseChange::Transition,
            at,
        );
        record_event(ctx, position, "subscription_schedule.updated", at);
        return;
    }
    match schedule.end_behavior {
        EndBehavior::Release => release(ctx, position, at),
        EndBehavior::Cancel => {
            let options = Cancellation {
                invoice_now: true,
                prorate: schedule.phases[index].prorate != Prorate::Never,
            };
            schedule.status = Status::Completed;
            schedule.completed_at = Some(at);
            schedule.current = None;
            cancellation::cancel(ctx, subscription, options, at);
            record_event(ctx, position, "subscription_schedule.completed", at);
        }
    }
}

/// Releases a schedule: its subscription, if there is one, goes on without it.
pub(crate) fn release(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    unschedule_start(ctx.account, position);
    let schedule = ctx.account.schedule_mut(position);
    schedule.release(at);
    let subscription = schedule.released_subscription.clone();
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        ctx.account.subscription_mut(subscription).schedule = None;
        follow_end(ctx.account, subscription, at);
        next_due::reindex(ctx.account, subscription);
    }
    record_event(ctx, position, "subscription_schedule.released", at);
}

/// Sets the subscription's `cancel_at` to the end of the schedule, if the schedule cancels it, and removes it
/// otherwise. Stripe sets it when the last phase begins. A release removes it (`preserve_cancel_date` is false by
/// default).
pub(crate) fn follow_end(account: &mut Account, subscription: u32, now: i64) {
    let schedule = schedule_of(account, subscription);
    let end = schedule.and_then(|position| account.schedule(position).ends_at());
    account
        .subscription_mut(subscription)
        .end_with_schedule(end, now);
}

/// Cancels the active schedule of a subscription that has ended for another reason.
pub(crate) fn subscription_ended(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let schedule = ctx.account.schedule(position);
    if schedule.status == Status::Active {
        let id = schedule.id.clone();
        cancel_schedule(ctx, &id, at);
    }
}

/// Cancels a live schedule without touching its subscription.
pub(crate) fn cancel_schedule(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let Some(position) = ctx.account.billing.schedules.position(id) else {
        return;
    };
    unschedule_start(ctx.account, position);
    let schedule = ctx.account.schedule_mut(position);
    schedule.status = Status::Canceled;
    schedule.canceled_at = Some(at);
    schedule.current = None;
    record_event(ctx, position, "subscription_schedule.canceled", at);
}

/// Removes a schedule that has not started from the due queue.
pub(crate) fn unschedule_start(account: &mut Account, position: u32) {
    let schedule = account.schedule(position);
    let clock = schedule.clock.clone();
    if let (Status::NotStarted, Some(phase)) = (schedule.status, schedule.phases.first()) {
        let at = phase.start;
        let due = due_queue::Due::Schedule(position);
        account.billing.due_queue.remove(clock.as_ref(), at, due);
    }
}

/// Why the subscription is changed to match its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PhaseChange {
    /// The phase begins.
    Transition,
    /// A request has changed the running phase, with this proration behavior.
    Request(Prorate),
}

/// Changes the subscription to match the running phase. `previous_coupon` is the coupon of the phase before; if the new
/// phase has the same one, the discount stays, even when it is used up.
pub(crate) fn apply_running_phase(
    ctx: &mut Ctx<'_>,
    subscription: u32,
    schedule: u32,
    previous_coupon: Option<&Arc<Coupon>>,
    cause: PhaseChange,
    at: i64,
) {
    let directing = ctx.account.schedule(schedule);
    let Some(phase) = directing.running().cloned() else {
        return;
    };
    let method = payment_method(&phase, &directing.defaults);
    let resets_anchor = phase
        .resets_anchor
        .unwrap_or(directing.defaults.resets_anchor);
    let tax = phase
        .automatic_tax
        .unwrap_or(directing.defaults.automatic_tax);
    let same =
        previous_coupon.map(|coupon| &coupon.id) == phase.coupon.as_ref().map(|coupon| &coupon.id);
    let is_flexible = ctx
        .account
        .subscription(subscription)
        .billing_mode
        .is_flexible();
    if cause == PhaseChange::Transition && !is_flexible {
        // The usage of the ending phase is billed with that phase's discount.
        change::bill_removed_usage(ctx, subscription, &phase.items, at);
    }
    if !same {
        if cause == PhaseChange::Transition && is_flexible {
            keep_for_usage(ctx.account, subscription, at);
        }
        discount(
            ctx,
            subscription,
            phase.coupon.clone().map(AppliedCoupon::from),
            at,
        );
    }
    let changed = ctx.account.subscription_mut(subscription);
    changed.metadata = merged(&changed.metadata, &phase.metadata);
    changed.automatic_tax = tax;
    if method.is_some() {
        changed.default_payment_method = method;
    }
    if phase.description.is_some() {
        changed.description.clone_from(&phase.description);
    }
    let added = match cause {
        PhaseChange::Transition => {
            let (_, end) = ctx.account.subscription(subscription).common_period();
            let period = (at, end.max(at));
            added_items::add(ctx, subscription, &phase.added, period, at)
        }
        // These were added when the phase began.
        PhaseChange::Request(_) => Vec::new(),
    };
    let change = Change {
        specs: &phase.items,
        added: &added,
        trial_end: phase.trial_end,
        prorate: match cause {
            PhaseChange::Transition => phase.prorate,
            PhaseChange::Request(prorate) => prorate,
        },
        prorate_from: None,
        resets_anchor: cause == PhaseChange::Transition && resets_anchor,
    };
    change::apply(ctx, subscription, &change, at);
}

/// If the phase ends with its period, keeps the phase's discount for the usage on the renewal's invoice.
fn keep_for_usage(account: &mut Account, subscription: u32, at: i64) {
    let changed = account.subscription(subscription);
    if changed.first_end() <= at {
        let discount = applicable(account, changed, at);
        account.subscription_mut(subscription).ended_phase_discount = Some((at, discount));
    }
}

/// Replaces the subscription's discount by one from `coupon`, or removes it.
pub(crate) fn discount(ctx: &mut Ctx<'_>, position: u32, coupon: Option<AppliedCoupon>, at: i64) {
    let subscription = ctx.account.subscription(position);
    let (id, customer) = (subscription.id.clone(), subscription.customer.clone());
    let before = subscription.discount.clone();
    let discount = coupon.map(|coupon| Discount::new(ctx, coupon, customer, Some(id), at));
    record_change(ctx, before.as_ref(), discount.as_ref(), at);
    let subscription = ctx.account.subscription_mut(position);
    subscription.discount = discount;
    subscription.charged_discount = None;
}

/// Merges a phase's metadata into the subscription's: keys are added or replaced, and keys with an empty value are
/// removed.
fn merged(before: &Metadata, phase: &Metadata) -> Metadata {
    let mut changes = Changes::default();
    for (key, value) in phase.iter() {
        if changes.set(key, value, "metadata").is_err() {
            return before.clone();
        }
    }
    // An object has at most 50 keys; a phase that would exceed them adds none.
    changes.apply(before).unwrap_or_else(|_| before.clone())
}

/// The position of the live schedule of a subscription.
pub(crate) fn schedule_of(account: &Account, subscription: u32) -> Option<u32> {
    let id = account.subscription(subscription).schedule.as_ref()?;
    account.billing.schedules.position(id)
}

/// Records an event with the current state of a schedule.
pub(crate) fn record_event(ctx: &mut Ctx<'_>, position: u32, kind: &'static str, at: i64) {
    let object = subscription_schedule::view::schedule(ctx.account.schedule(position));
    ctx.event(kind, &object, at);
}
