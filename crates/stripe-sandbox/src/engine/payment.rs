//! Payments: how payment intents are confirmed, authenticated, charged, captured and canceled, and how charges are
//! refunded.
//!
//! A failed payment is not an error here: it leaves a failed charge, and the intent waits for another payment method.

use super::{payment, payment_methods};
use crate::error::Error;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::resource::charge::{Charge, Failure};
use crate::resource::payment_intent::{IntentDetails, PaymentIntent, Status};
use crate::resource::payment_method::card::{ChargeOutcome, Decline, Presence};
use crate::resource::payment_method::{self, PaymentMethod};
use crate::resource::refund::Refund;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

/// Creates an intent and records its event.
pub(crate) fn insert(ctx: &mut Ctx<'_>, mut intent: PaymentIntent) -> Id {
    intent.id = ctx.account.ids.next("pi", 24);
    intent.secret = format!("{}_secret_{}", intent.id, ctx.account.ids.text(25));
    let (id, now, object) = (intent.id.clone(), intent.created, intent.to_json());
    ctx.account.payments.intents.insert(intent);
    ctx.event("payment_intent.created", &object, now);
    id
}

/// Creates the intent of an invoice. It keeps the payment method for later charges.
pub(crate) fn insert_for_invoice(
    ctx: &mut Ctx<'_>,
    invoice: &Id,
    customer: &Id,
    (amount, currency): (i64, Currency),
    description: &str,
    at: i64,
) -> Id {
    let details = IntentDetails {
        description: Some(description.to_owned()),
        setup_future_usage: Some("off_session"),
        ..IntentDetails::default()
    };
    let mut intent = PaymentIntent::new(amount, currency, at, details);
    intent.customer = Some(customer.clone());
    intent.invoice = Some(invoice.clone());
    insert(ctx, intent)
}

/// Sets the payment method with which the intent will be confirmed.
pub(crate) fn choose(account: &mut Account, id: &Id, method: Id) {
    let intent = get_mut(account, id);
    intent.payment_method = Some(method);
    intent.authentication_url = None;
    intent.status = Status::RequiresConfirmation;
}

/// Charges the chosen payment method.
pub(crate) fn confirm(ctx: &mut Ctx<'_>, id: &Id, at: i64) -> ChargeOutcome {
    let intent = get(ctx.account, id);
    let method = intent.payment_method.clone();
    let method = method.expect("the caller has chosen a payment method");
    let charged = ctx.account.payment_methods.get(&method);
    let charged = charged.expect("payment methods are never deleted");
    let customer = charged.customer.clone();
    let charged = payment_methods::outcome(ctx.account, charged, ctx.presence);
    let customer = customer.and_then(|id| ctx.account.customers.get_mut(&id));
    if let Some(customer) = customer {
        customer.set_next_payment_fails(false);
    }
    match charged {
        ChargeOutcome::Paid => pay(ctx, id, &method, at),
        ChargeOutcome::Declined(decline) => decline_with(ctx, id, &method, decline, at),
        ChargeOutcome::NeedsAuthentication => await_authentication(ctx, id, at),
    }
    charged
}

fn pay(ctx: &mut Ctx<'_>, id: &Id, method: &Id, at: i64) {
    attach_for_reuse(ctx, id, method);
    let intent = get(ctx.account, id);
    let manual = intent.details.manual_capture;
    let charge = add_charge(ctx, id, method, None, at);
    let intent = get_mut(ctx.account, id);
    intent.latest_charge = Some(charge);
    intent.last_error = None;
    intent.authentication_url = None;
    if manual {
        intent.status = Status::RequiresCapture;
        record_event(ctx, id, "payment_intent.amount_capturable_updated", at);
    } else {
        intent.received = intent.amount;
        intent.status = Status::Succeeded;
        record_event(ctx, id, "payment_intent.succeeded", at);
    }
}

/// Attaches a payment method that will be used again, and allows charging it off-session. An unattached payment method
/// can be used for one payment only.
fn attach_for_reuse(ctx: &mut Ctx<'_>, id: &Id, method: &Id) {
    let intent = get(ctx.account, id);
    let customer = intent.customer.clone();
    let again = intent.details.setup_future_usage.is_some();
    if let (true, Some(customer)) = (again, customer) {
        let named = payment_method::MethodRef::Existing(method.clone());
        payment_methods::attach_to(ctx, named, &customer);
    }
    if let Some(method) = ctx.account.payment_methods.get_mut(method) {
        method.is_set_up |= again;
        method.is_used_up |= method.customer.is_none();
    }
}

fn decline_with(ctx: &mut Ctx<'_>, id: &Id, method: &Id, decline: Decline, at: i64) {
    let charge = add_charge(ctx, id, method, Some(Failure::of(decline)), at);
    get_mut(ctx.account, id).latest_charge = Some(charge.clone());
    let error = decline.error().field("charge", (&*charge).into());
    fail(ctx, id, method, &error, at);
}

/// Marks the attempt as failed; the intent waits for another payment method.
fn fail(ctx: &mut Ctx<'_>, id: &Id, method: &Id, error: &Error, at: i64) {
    let payment_method = ctx.account.payment_methods.get(method);
    let payment_method = payment_method.map(PaymentMethod::to_json);
    let mut error = error.to_json()["error"].take();
    error["payment_method"] = payment_method.unwrap_or_default();
    let intent = get_mut(ctx.account, id);
    intent.status = Status::RequiresPaymentMethod;
    intent.payment_method = None;
    intent.authentication_url = None;
    intent.last_error = Some(error);
    record_event(ctx, id, "payment_intent.payment_failed", at);
}

fn await_authentication(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let url = ctx.settings.authentication_url(id);
    let intent = get_mut(ctx.account, id);
    intent.status = Status::RequiresAction;
    intent.authentication_url = Some(url);
    record_event(ctx, id, "payment_intent.requires_action", at);
}

/// Fails an attempt that needs authentication while the customer is absent.
pub(crate) fn authentication_required(ctx: &mut Ctx<'_>, id: &Id, at: i64) -> Error {
    let method = get(ctx.account, id).payment_method.clone();
    let method = method.expect("it was confirmed with one");
    let decline = Decline::authentication_required();
    decline_with(ctx, id, &method, decline, at);
    decline.error()
}

/// The customer has authenticated or refused. After a refusal, nothing is charged.
pub(crate) fn authenticate(
    ctx: &mut Ctx<'_>,
    id: &Id,
    agrees: bool,
    at: i64,
) -> Option<ChargeOutcome> {
    if agrees {
        ctx.presence = Presence::Authenticated;
        return Some(confirm(ctx, id, at));
    }
    let method = get(ctx.account, id).payment_method.clone();
    let method = method.expect("it was confirmed with one");
    let error = Error::invalid("We are unable to authenticate your payment method. Please choose a different payment method and try again.")
        .kind("invalid_request_error")
        .code("payment_intent_authentication_failure");
    fail(ctx, id, &method, &error, at);
    None
}

/// Captures all or a part of the amount that a charge has authorized.
pub(crate) fn capture(ctx: &mut Ctx<'_>, id: &Id, amount: i64, at: i64) {
    let intent = get_mut(ctx.account, id);
    intent.received = amount;
    intent.status = Status::Succeeded;
    let charge = intent.latest_charge.clone();
    let charge = charge.expect("a charge has authorized the amount");
    let charge = charge_mut(ctx.account, &charge);
    charge.captured = amount;
    charge.captured_at = Some(at);
    charge.is_uncaptured = false;
    // The rest is released.
    charge.refunded = charge.amount - amount;
    let charge = charge.id.clone();
    record_charge(ctx, &charge, "charge.captured", at);
    record_event(ctx, id, "payment_intent.succeeded", at);
}

/// Cancels an intent that has not succeeded, and releases the amount that its charge has authorized.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, id: &Id, reason: Option<&'static str>, at: i64) {
    let intent = get_mut(ctx.account, id);
    let authorized = intent.status == Status::RequiresCapture;
    intent.status = Status::Canceled;
    intent.canceled_at = Some(at);
    intent.cancellation_reason = reason;
    intent.authentication_url = None;
    if let Some(charge) = intent.latest_charge.clone().filter(|_| authorized) {
        let row = charge_mut(ctx.account, &charge);
        row.refunded = row.amount;
        record_charge(ctx, &charge, "charge.refunded", at);
    }
    record_event(ctx, id, "payment_intent.canceled", at);
}

fn add_charge(
    ctx: &mut Ctx<'_>,
    intent: &Id,
    method: &Id,
    failure: Option<Failure>,
    at: i64,
) -> Id {
    let id = ctx.account.ids.next("ch", 24);
    let charge = Charge::new(id.clone(), get(ctx.account, intent), method, failure, at);
    let kind = if charge.failure.is_some() {
        "charge.failed"
    } else {
        "charge.succeeded"
    };
    ctx.account.payments.charges.insert(charge);
    record_charge(ctx, &id, kind, at);
    id
}

fn record_charge(ctx: &mut Ctx<'_>, id: &Id, kind: &'static str, at: i64) {
    let charge = ctx.account.payments.charges.get(id);
    let object = charge.map(|charge| charge.to_json(ctx.account));
    if let Some(object) = object {
        ctx.event(kind, &object, at);
    }
}

fn record_event(ctx: &mut Ctx<'_>, id: &Id, kind: &'static str, at: i64) {
    let object = get(ctx.account, id).to_json();
    ctx.event(kind, &object, at);
}

/// An intent that is known to exist.
pub(crate) fn get<'a>(account: &'a Account, id: &Id) -> &'a PaymentIntent {
    let intent = account.payments.intents.get(id);
    intent.expect("the caller has found it")
}

/// See [`get`].
pub(crate) fn get_mut<'a>(account: &'a mut Account, id: &Id) -> &'a mut PaymentIntent {
    let intent = account.payments.intents.get_mut(id);
    intent.expect("the caller has found it")
}

fn charge_mut<'a>(account: &'a mut Account, id: &Id) -> &'a mut Charge {
    let charge = account.payments.charges.get_mut(id);
    charge.expect("a charge is deleted only with its intent")
}

/// Refunds `amount` of a charge, which must have that much left.
pub(crate) fn refund_charge(
    ctx: &mut Ctx<'_>,
    charge: &Id,
    amount: i64,
    reason: Option<&'static str>,
    metadata: Metadata,
    at: i64,
) -> Id {
    let id = ctx.account.ids.next("re", 24);
    let row = ctx.account.payments.charges.get_mut(charge);
    let row = row.expect("the caller has found it");
    row.refunded += amount;
    let refund = Refund {
        id: id.clone(),
        created: at,
        charge: charge.clone(),
        intent: row.intent.clone(),
        amount,
        currency: row.currency,
        reason,
        metadata,
    };
    ctx.account.payments.refunds.insert(refund);
    payment::record_charge(ctx, charge, "charge.refunded", at);
    id
}

/// Deletes the payments of a customer that is being erased.
pub(crate) fn customer_erased(account: &mut Account, customer: &Id) {
    let payments = &mut account.payments;
    let refunds = remove_rows(&mut payments.charges, |charge| {
        charge.customer.as_ref() == Some(customer)
    });
    remove_rows(&mut payments.intents, |intent| {
        intent.customer.as_ref() == Some(customer)
    });
    remove_rows(&mut payments.refunds, |refund| {
        refunds.contains(&refund.charge)
    });
}

/// Removes rows and returns their ids.
fn remove_rows<T: Row>(table: &mut Table<T>, is_removed: impl Fn(&T) -> bool) -> Vec<Id> {
    let removed: Vec<Id> = table
        .iter()
        .filter(|row| is_removed(row))
        .map(|row| row.id().clone())
        .collect();
    for id in &removed {
        table.remove(id);
    }
    removed
}
