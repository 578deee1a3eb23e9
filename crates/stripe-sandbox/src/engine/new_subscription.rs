//! Creation of subscriptions by the API, a schedule, or a checkout.

use super::first_periods::{elapsed, first_periods, running};
use super::item_set::{item_of, replace_items};
use super::next_period::Period;
use super::sums::compose;
use super::unbilled_lines::{self, Next, UnbilledLine};
use super::{added_items, collection, phases, renewal, setup};
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::resource::discount::{AppliedCoupon, Discount};
use crate::resource::invoice::Reason;
use crate::resource::invoice_item::AddedItem;
use crate::resource::subscription::cycle::{CancelAt, Cycle, intervals};
use crate::resource::subscription::{
    self, BillingMode, MissingMethod, PaymentSettings, Status, Subscription,
};
use crate::resource::subscription_item::ItemSpec;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The checked parts of a new subscription.
#[derive(Clone, Debug)]
pub(crate) struct NewSubscription {
    pub(crate) customer: Id,
    pub(crate) clock: Option<Id>,
    pub(crate) currency: Currency,
    pub(crate) billing_mode: BillingMode,
    /// Whether a shortened first period is charged in part, and the time since a past start date is charged.
    pub(crate) prorates: bool,
    pub(crate) specs: Vec<ItemSpec>,
    pub(crate) added: Vec<AddedItem>,
    /// If it is in the past, the subscription is backdated; see [`first_periods`](super::first_periods).
    pub(crate) start_date: i64,
    /// When the first full period begins, if not at once or at the end of the trial.
    pub(crate) anchor: Option<FirstAnchor>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) default_payment_method: Option<Id>,
    pub(crate) coupon: Option<AppliedCoupon>,
    pub(crate) automatic_tax: bool,
    pub(crate) schedule: Option<Id>,
    pub(crate) cancel_at: Option<CancelAt>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) first_payment: FirstPayment,
    pub(crate) payment_settings: PaymentSettings,
    pub(crate) missing_method: MissingMethod,
}

/// What happens if the first payment is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstPayment {
    /// The subscription begins anyway and is `past_due`.
    Owed,
    /// The subscription is `incomplete`.
    Needed,
    /// The subscription is `incomplete`, and nothing is charged until the customer confirms the payment.
    AwaitsConfirmation,
}

/// When the first full period begins, if a request sets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstAnchor {
    pub(crate) at: i64,
    /// Whether the time until then is free instead of prorated.
    pub(crate) is_free_before: bool,
}

/// Creates the subscription and its first invoice, and returns its id.
pub(crate) fn create(ctx: &mut Ctx<'_>, new: &NewSubscription, at: i64) -> Id {
    let id = ctx.account.ids.next("sub", 24);
    ctx.awaits_confirmation = new.first_payment == FirstPayment::AwaitsConfirmation;
    let subscription = before_first_period(id.clone(), new, at);
    let position = ctx.account.insert_subscription(subscription);
    if new.coupon.is_some() {
        phases::discount(ctx, position, new.coupon.clone(), at);
    }
    let specs = &new.specs;
    replace_items(ctx, position, specs, &vec![None; specs.len()], at);
    count_usage(ctx.account.subscription_mut(position), new, at);
    let first = first_periods(ctx.account.subscription(position), new, at);
    added_items::add(ctx, position, &new.added, common_period(&first, at), at);
    if new.is_free_at_first(at) {
        renewal::begin_free(ctx, position, at);
    } else {
        let subscription = ctx.account.subscription(position);
        let elapsed = elapsed(ctx.account, subscription, new, &first, at);
        renewal::begin(ctx, position, at, &first, elapsed);
    }
    // A trial does not move an anchor that was set explicitly.
    if let (Some(anchor), Some(_)) = (new.anchor, new.trial(at)) {
        ctx.account.subscription_mut(position).anchor = anchor.at;
    }
    let subscription = ctx.account.subscription_mut(position);
    if new.first_payment != FirstPayment::Owed && subscription.status == Status::PastDue {
        subscription.status = Status::Incomplete;
    }
    if ctx.awaits_confirmation {
        collect_later(ctx, position, at);
    }
    crate::engine::next_due::reindex(ctx.account, position);
    let object =
        subscription::view::subscription(ctx.account, ctx.account.subscription(position), ctx.now);
    ctx.event("customer.subscription.created", &object, at);
    id
}

/// Adds a set-up intent that collects a payment method, if nothing is due yet and there is none.
fn collect_later(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription(position);
    let customer = subscription.customer.clone();
    let preferred = subscription.default_payment_method.as_ref();
    if subscription.status == Status::Incomplete
        || collection::payment_method(ctx.account, preferred, &customer).is_some()
    {
        return;
    }
    let intent = setup::insert(ctx, Some(customer), Metadata::default(), at);
    ctx.account.subscription_mut(position).pending_setup_intent = Some(intent);
}

/// The amount due of the first invoice, if the subscription were created.
pub(crate) fn first_amount_due(account: &Account, new: &NewSubscription, at: i64) -> i64 {
    let (subscription, unbilled) = first_invoice(account, new, at);
    if unbilled.is_empty() {
        // There is no invoice, so the customer's balance is not applied.
        return 0;
    }
    compose(account, &subscription, unbilled, Reason::Create, at).amount_due
}

/// The number of lines of the first invoice, if the subscription were created.
pub(crate) fn first_lines(account: &Account, new: &NewSubscription, at: i64) -> usize {
    first_invoice(account, new, at).1.len()
}

/// The subscription before its first invoice, and the lines of that invoice.
fn first_invoice(
    account: &Account,
    new: &NewSubscription,
    at: i64,
) -> (Subscription, Vec<UnbilledLine>) {
    let mut subscription = before_first_period(Id::default(), new, at);
    if new.is_free_at_first(at) {
        return (subscription, Vec::new());
    }
    let items = new.specs.iter().map(|spec| item_of(spec, at));
    subscription.items = items.collect();
    count_usage(&mut subscription, new, at);
    subscription.discount = new.coupon.clone().map(|applied| Discount {
        id: Id::default(),
        coupon: applied.coupon,
        promotion_code: None,
        customer: new.customer.clone(),
        subscription: None,
        start: at,
        end: None,
    });
    let first = first_periods(&subscription, new, at);
    let added = new.added.iter();
    let added = added.map(|item| item.unbilled_line(account, common_period(&first, at)));
    let elapsed = elapsed(account, &subscription, new, &first, at);
    let closing = unbilled_lines::closing(account, &subscription, at, Next::Periods(&first), None);
    let unbilled = added.chain(elapsed).chain(closing).collect();
    (subscription, unbilled)
}

/// Sets the time from which the usage of the items counts.
fn count_usage(subscription: &mut Subscription, new: &NewSubscription, at: i64) {
    for item in &mut subscription.items {
        item.counts_since = new.counts_from(at);
    }
}

/// The time that all running periods share. Invoice items are for it.
fn common_period(periods: &[Period], at: i64) -> (i64, i64) {
    let end = running(periods, at).map(|period| period.end).min();
    (at, end.unwrap_or(at))
}

/// The subscription before its first periods: they are empty.
fn before_first_period(id: Id, new: &NewSubscription, at: i64) -> Subscription {
    let cycles = intervals(new.specs.iter().map(|spec| spec.interval)).into_iter();
    let cycles = cycles.map(|interval| Cycle::about_to_begin(interval, at));
    // In classic billing, a start in the past does not move the periods.
    let began = if new.billing_mode.is_flexible() {
        new.start_date
    } else {
        at
    };
    let mut subscription = Subscription {
        id,
        customer: new.customer.clone(),
        clock: new.clock.clone(),
        created: at,
        start_date: new.start_date,
        status: Status::Active,
        currency: new.currency,
        billing_mode: new.billing_mode,
        anchor: new.anchor.map_or(began, |anchor| anchor.at),
        cycles: cycles.collect(),
        items: Vec::new(),
        trial: None,
        trial_notice: None,
        cancel_at: None,
        cancel_at_period_end: new.cancel_at_period_end,
        canceled_at: (new.cancel_at_period_end || new.cancel_at.is_some()).then_some(at),
        ended_at: None,
        cancellation_reason: None,
        is_from_schedule: new.schedule.is_some(),
        schedule: new.schedule.clone(),
        default_payment_method: new.default_payment_method.clone(),
        payment_settings: new.payment_settings,
        missing_method: new.missing_method,
        pause: None,
        pending_setup_intent: None,
        description: new.description.clone(),
        metadata: new.metadata.clone(),
        discount: None,
        charged_discount: None,
        ended_phase_discount: None,
        counted_until: Vec::new(),
        automatic_tax: new.automatic_tax,
        latest_invoice: None,
        due: None,
    };
    // `cancel_at` may name the end of a period, so the periods are computed without it first.
    let periods = first_periods(&subscription, new, at);
    let ends = running(&periods, at).map(|period| period.end);
    subscription.cancel_at = new.cancel_at.and_then(|end| end.resolve(ends));
    subscription
}
