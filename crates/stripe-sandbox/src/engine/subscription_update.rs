//! Applying the update of a subscription.

use super::change::{self, Change};
use super::{added_items, next_due, phases};
use crate::params::field_update::FieldUpdate;
use crate::params::metadata::Metadata;
use crate::resource::discount::AppliedCoupon;
use crate::resource::invoice_item::AddedItem;
use crate::resource::subscription::cycle::CancelAt;
use crate::resource::subscription::pause::Pause;
use crate::resource::subscription::{self, MissingMethod, PaymentSettings, Prorate, Subscription};
use crate::resource::subscription_item::ItemSpec;
use crate::resource::subscription_schedule::Phase;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Applies an update and records its events.
pub(crate) fn apply_update(ctx: &mut Ctx<'_>, position: u32, update: Update, now: i64) {
    ctx.awaits_confirmation = update.behavior == PaymentBehavior::Default;
    let before =
        subscription::view::subscription(ctx.account, ctx.account.subscription(position), ctx.now);
    let (end, prorate) = (update.cancel_at.clone(), update.prorate);
    apply_fields(ctx, position, update, now);
    if let FieldUpdate::Set(end @ (CancelAt::FirstEnd | CancelAt::LastEnd)) = end {
        end_with_period(ctx, position, end, prorate, now);
    }
    next_due::reindex(ctx.account, position);
    subscription::events::changed(ctx, position, &before, now);
}

fn apply_fields(ctx: &mut Ctx<'_>, position: u32, update: Update, now: i64) {
    if !matches!(update.coupon, FieldUpdate::Keep) {
        discount(ctx, position, update.coupon.value(), now);
    }
    let subscription = ctx.account.subscription_mut(position);
    subscription.metadata = update.metadata;
    update
        .default_payment_method
        .apply(&mut subscription.default_payment_method);
    update.description.apply(&mut subscription.description);
    subscription.payment_settings = update.payment_settings;
    subscription.missing_method = update.missing_method;
    update.pause.apply(&mut subscription.pause);
    if let Some(enabled) = update.automatic_tax {
        subscription.automatic_tax = enabled;
    }
    set_end(
        subscription,
        &update.cancel_at,
        update.cancel_at_period_end,
        now,
    );
    let cut = subscription.ends_between(now, subscription.last_end());
    let period = subscription.common_period();
    let added = added_items::add(ctx, position, &update.added, period, now);
    let subscription = ctx.account.subscription(position);
    let changes = update.specs.is_some() || update.trial_end.is_some() || update.resets_anchor;
    if !changes && cut.is_none() {
        return;
    }
    let running = subscription.in_trial().then_some(subscription.first_end());
    let specs = update
        .specs
        .unwrap_or_else(|| subscription.unchanged_specs());
    let change = Change {
        specs: &specs,
        added: &added,
        trial_end: update.trial_end.or(running),
        prorate: update.prorate,
        prorate_from: update.prorate_from,
        resets_anchor: update.resets_anchor,
    };
    change::apply(ctx, position, &change, now);
    copy_to_phase(ctx, position);
}

/// Sets or removes the discount of a subscription.
pub(crate) fn discount(ctx: &mut Ctx<'_>, position: u32, coupon: Option<AppliedCoupon>, now: i64) {
    if let Some(phase) = running_phase(ctx, position) {
        phase.coupon = coupon.as_ref().map(|applied| applied.coupon.clone());
    }
    phases::discount(ctx, position, coupon, now);
}

/// Sets or removes the end of a subscription. `canceled_at` is the time of that request.
fn set_end(
    subscription: &mut Subscription,
    at: &FieldUpdate<CancelAt>,
    at_period_end: Option<bool>,
    now: i64,
) {
    let at = match at {
        FieldUpdate::Keep => FieldUpdate::Keep,
        FieldUpdate::Set(CancelAt::Time(at)) => FieldUpdate::Set(*at),
        // The end of a period is resolved after the periods have changed.
        FieldUpdate::Set(CancelAt::FirstEnd | CancelAt::LastEnd) | FieldUpdate::Unset => {
            FieldUpdate::Unset
        }
    };
    if at == FieldUpdate::Keep && at_period_end.is_none() {
        return;
    }
    if matches!(at, FieldUpdate::Set(_)) {
        subscription.cancel_at_period_end = false;
    }
    at.apply(&mut subscription.cancel_at);
    if let Some(at_period_end) = at_period_end {
        subscription.cancel_at_period_end = at_period_end;
        if at_period_end {
            subscription.cancel_at = None;
        }
    }
    let ending = subscription.cancel_at.is_some() || subscription.cancel_at_period_end;
    subscription.canceled_at = ending.then_some(now);
    subscription.cancellation_reason = ending.then_some("cancellation_requested");
}

/// Sets `cancel_at` to the end of one of the current periods, and cuts the other periods short.
fn end_with_period(ctx: &mut Ctx<'_>, position: u32, end: CancelAt, prorate: Prorate, now: i64) {
    let subscription = ctx.account.subscription_mut(position);
    let ends = subscription.cycles.iter().map(|cycle| cycle.period.1);
    let Some(end) = end.resolve(ends) else {
        return;
    };
    set_end(
        subscription,
        &FieldUpdate::Set(CancelAt::Time(end)),
        None,
        now,
    );
    if subscription
        .ends_between(now, subscription.last_end())
        .is_none()
    {
        return;
    }
    let specs = subscription.unchanged_specs();
    let change = Change {
        specs: &specs,
        added: &[],
        trial_end: subscription.in_trial().then_some(subscription.first_end()),
        prorate,
        prorate_from: None,
        resets_anchor: false,
    };
    change::apply(ctx, position, &change, now);
}

/// Copies a direct update of the subscription to the running phase of its schedule.
fn copy_to_phase(ctx: &mut Ctx<'_>, position: u32) {
    let subscription = ctx.account.subscription(position);
    let specs = subscription.unchanged_specs();
    let trial_end = subscription.in_trial().then_some(subscription.first_end());
    if let Some(phase) = running_phase(ctx, position) {
        phase.items = specs;
        phase.trial_end = trial_end.map(|end| end.min(phase.end));
    }
}

/// The running phase of a subscription's schedule.
fn running_phase<'a>(ctx: &'a mut Ctx<'_>, position: u32) -> Option<&'a mut Phase> {
    let schedule = phases::schedule_of(ctx.account, position)?;
    let schedule = ctx.account.schedule_mut(schedule);
    schedule.phases.get_mut(schedule.current?)
}

/// The changes that a request makes to a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) specs: Option<Vec<ItemSpec>>,
    pub(crate) added: Vec<AddedItem>,
    /// A time in the past ends the trial.
    pub(crate) trial_end: Option<i64>,
    pub(crate) cancel_at: FieldUpdate<CancelAt>,
    pub(crate) cancel_at_period_end: Option<bool>,
    /// The coupon to apply, or none to remove the discount.
    pub(crate) coupon: FieldUpdate<AppliedCoupon>,
    pub(crate) default_payment_method: FieldUpdate<Id>,
    pub(crate) description: FieldUpdate<String>,
    pub(crate) metadata: Metadata,
    pub(crate) automatic_tax: Option<bool>,
    pub(crate) prorate: Prorate,
    /// What happens if an amount due is not paid.
    pub(crate) behavior: PaymentBehavior,
    pub(crate) pause: FieldUpdate<Pause>,
    pub(crate) payment_settings: PaymentSettings,
    pub(crate) missing_method: MissingMethod,
    pub(crate) prorate_from: Option<i64>,
    /// `billing_cycle_anchor=now`
    pub(crate) resets_anchor: bool,
}

impl Update {
    /// An update that changes nothing.
    pub(crate) fn unchanged(subscription: &Subscription) -> Self {
        Self {
            specs: None,
            added: Vec::new(),
            trial_end: None,
            cancel_at: FieldUpdate::Keep,
            cancel_at_period_end: None,
            coupon: FieldUpdate::Keep,
            default_payment_method: FieldUpdate::Keep,
            description: FieldUpdate::Keep,
            metadata: subscription.metadata.clone(),
            automatic_tax: None,
            prorate: Prorate::Create,
            behavior: PaymentBehavior::Allow,
            pause: FieldUpdate::Keep,
            payment_settings: subscription.payment_settings,
            missing_method: subscription.missing_method,
            prorate_from: None,
            resets_anchor: false,
        }
    }

    /// The same update for a try on a copy: it does not count as a redemption of the coupon.
    pub(crate) fn without_redemption(&self) -> Self {
        Self {
            coupon: self.coupon.clone().map(AppliedCoupon::without_redemption),
            ..self.clone()
        }
    }
}

/// Stripe's `payment_behavior`: what happens if an amount due at once is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaymentBehavior {
    /// The subscription is created or changed anyway.
    Allow,
    /// The payment is not tried until the customer confirms it.
    Default,
    /// The request fails and changes nothing.
    Error,
}

impl PaymentBehavior {
    pub(crate) const ALL: [Self; 3] = [Self::Allow, Self::Default, Self::Error];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow_incomplete",
            Self::Default => "default_incomplete",
            Self::Error => "error_if_incomplete",
        }
    }
}
