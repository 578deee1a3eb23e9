//! Collecting what finalized invoices ask for, and what becomes of them, of the subscription and of the customer.

use super::subscription_status::{expire, restore, subscription_of, unpaid};
use super::{balance, payment, timeline};
use crate::error::Error;
use crate::money::charge_amount::too_large;
use crate::resource::customer_balance::Cause;
use crate::resource::invoice::{self, Reason, Status};
use crate::resource::payment_method::PaymentMethod;
use crate::resource::payment_method::card::{Charged, Decline, Presence};
use crate::resource::subscription::{self, Status as Standing};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// How a payment went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Paid,
    /// There is nothing to pay with.
    NoMethod,
    Declined(Decline),
    /// The customer has to authenticate first.
    NeedsAuthentication,
    /// The customer was asked to authenticate, and did not.
    NotAuthenticated,
    /// It is more than can be charged at once.
    TooLarge,
}

/// What pays for a subscription: its `own` payment method, else the customer's default.
pub(crate) fn payment_method<'a>(
    account: &'a Account,
    own: Option<&Id>,
    customer: &Id,
) -> Option<&'a PaymentMethod> {
    let default = || {
        account
            .customers
            .get(customer)?
            .default_payment_method
            .as_ref()
    };
    let method = account.payment_methods.get(own.or_else(default)?)?;
    Some(method).filter(|method| method.customer.as_ref() == Some(customer))
}

/// The error for a subscription that is to be paid at once, and nothing to pay with.
pub(crate) fn nothing_to_pay_with() -> Error {
    Error::invalid("This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.")
        .code("resource_missing")
}

/// Makes what is to pay an invoice that was just finalized, and tries it; or lets it wait for the customer, where the
/// call says so (`default_incomplete`).
pub(crate) fn begin(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    if let Some(intent) = prepare(ctx, id, at)
        && ctx.awaits_confirmation
    {
        if let Some(method) = method_for(ctx.account, id, None) {
            payment::choose(ctx.account, &intent, method);
        }
        return unpaid(ctx, id, Outcome::NeedsAuthentication);
    }
    collect(ctx, id, None, at);
}

/// Makes the payment intent of an invoice that asks for something that can be charged.
pub(crate) fn prepare(ctx: &mut Ctx<'_>, id: &Id, at: i64) -> Option<Id> {
    let invoice = ctx.account.invoice(id);
    if invoice.amount_due == 0 || too_large(invoice.amount_due, invoice.currency) {
        return None;
    }
    let description = match invoice.reason {
        Reason::Create => "Subscription creation",
        Reason::Cycle | Reason::Update | Reason::Upcoming => "Subscription update",
        Reason::Manual => "Payment for Invoice",
    };
    let sum = (invoice.amount_due, invoice.currency);
    let customer = invoice.customer.clone();
    let intent = payment::insert_for_invoice(ctx, id, &customer, sum, description, at);
    ctx.account.invoice_mut(id).payment_intent = Some(intent.clone());
    Some(intent)
}

/// Tries to pay an open invoice: with the payment method that is `given`, else with its subscription's or the
/// customer's. Where nothing is due, nothing is charged.
pub(crate) fn collect(ctx: &mut Ctx<'_>, id: &Id, given: Option<&Id>, at: i64) -> Outcome {
    let outcome = attempt(ctx, id, given, at);
    conclude(ctx, id, outcome, at);
    outcome
}

/// Charges what is due.
fn attempt(ctx: &mut Ctx<'_>, id: &Id, given: Option<&Id>, at: i64) -> Outcome {
    let invoice = ctx.account.invoice(id);
    if too_large(invoice.amount_due, invoice.currency) {
        return Outcome::TooLarge;
    }
    let Some(intent) = invoice
        .payment_intent
        .clone()
        .filter(|_| invoice.amount_due > 0)
    else {
        return Outcome::Paid;
    };
    let Some(method) = method_for(ctx.account, id, given) else {
        return Outcome::NoMethod;
    };
    payment::choose(ctx.account, &intent, method);
    let charged = payment::confirm(ctx, &intent, at);
    let invoice = ctx.account.invoice_mut(id);
    invoice.attempts.any = true;
    // Stripe was recorded not to count a first payment that waits for its customer.
    let waits = charged == Charged::NeedsAuthentication && ctx.presence == Presence::OnSession;
    if !(waits && invoice.reason == Reason::Create && given.is_none()) {
        invoice.attempts.count += 1;
    }
    charged.into()
}

impl From<Charged> for Outcome {
    fn from(charged: Charged) -> Self {
        match charged {
            Charged::Paid => Self::Paid,
            Charged::Declined(decline) => Self::Declined(decline),
            Charged::NeedsAuthentication => Self::NeedsAuthentication,
        }
    }
}

/// What is to be charged for an invoice.
fn method_for(account: &Account, id: &Id, given: Option<&Id>) -> Option<Id> {
    let invoice = account.invoice(id);
    let subscription = invoice.subscription.as_ref();
    let subscription = subscription.and_then(|id| account.billing.subscriptions.get(id));
    let own = invoice.details.default_payment_method.as_ref();
    let own = own.or_else(|| subscription?.default_payment_method.as_ref());
    let method = payment_method(account, given.or(own), &invoice.customer)?;
    Some(method.id.clone())
}

/// The invoice's payment intent was confirmed by itself.
pub(crate) fn confirmed(ctx: &mut Ctx<'_>, id: &Id, outcome: Outcome, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.attempts.any = true;
    invoice.attempts.count += 1;
    conclude(ctx, id, outcome, at);
}

/// What came of an attempt to pay.
fn conclude(ctx: &mut Ctx<'_>, id: &Id, outcome: Outcome, at: i64) {
    if outcome == Outcome::Paid {
        return settle(ctx, id, at);
    }
    let customer = ctx.account.invoice(id).customer.clone();
    if let Some(customer) = ctx.account.customers.get_mut(&customer)
        && outcome != Outcome::NoMethod
    {
        customer.delinquent = true;
    }
    unpaid(ctx, id, outcome);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    match outcome {
        Outcome::Paid | Outcome::NoMethod => {}
        Outcome::Declined(_) | Outcome::NotAuthenticated | Outcome::TooLarge => {
            ctx.event("invoice.payment_failed", &object, at);
        }
        Outcome::NeedsAuthentication => {
            ctx.event("invoice.payment_action_required", &object, at);
            ctx.event("invoice.payment_failed", &object, at);
        }
    }
}

/// The invoice is paid, or nothing is left to pay.
pub(crate) fn settle(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.status = Status::Paid;
    invoice.paid_at = Some(at);
    let (due, customer) = (invoice.amount_due, invoice.customer.clone());
    if let Some(customer) = ctx.account.customers.get_mut(&customer)
        && due > 0
    {
        customer.delinquent = false;
    }
    keep_method(ctx.account, id);
    restore(ctx.account, id);
    call_off(ctx, id, "automatic", at);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.paid", &object, at);
    ctx.event("invoice.payment_succeeded", &object, at);
}

/// What has paid becomes the subscription's default, if that is what it is set to do.
fn keep_method(account: &mut Account, id: &Id) {
    let intent = account.invoice(id).payment_intent.as_ref();
    let intent = intent.and_then(|intent| account.payments.intents.get(intent));
    let method = intent.and_then(|intent| intent.payment_method.clone());
    if let (Some(method), Some(position)) = (method, subscription_of(account, id)) {
        let subscription = account.subscription_mut(position);
        if subscription.payment_settings.save_default {
            subscription.default_payment_method = Some(method);
        }
    }
}

/// Cancels the invoice's payment intent, if that waits still: nothing is to be paid with it any more.
fn call_off(ctx: &mut Ctx<'_>, id: &Id, reason: &'static str, at: i64) {
    if let Some(intent) = ctx.account.invoice(id).payment_intent.clone()
        && payment::get(ctx.account, &intent).pending()
    {
        payment::cancel(ctx, &intent, Some(reason), at);
    }
}

/// Another sum is due than before.
pub(crate) fn reprice(account: &mut Account, id: &Id, due: i64) {
    let invoice = account.invoice_mut(id);
    invoice.amount_due = due;
    if let Some(intent) = invoice.payment_intent.clone().filter(|_| due > 0) {
        payment::get_mut(account, &intent).amount = due;
    }
}

/// Voids an invoice that is not paid: what it had taken from the customer's balance goes back. A subscription whose
/// first invoice it is never begins.
pub(crate) fn void(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.status = Status::Void;
    invoice.voided_at = Some(at);
    let applied = invoice.starting_balance - invoice.ending_balance;
    let customer = invoice.customer.clone();
    let cause = Cause::UnappliedFromInvoice(id.clone());
    balance::change(ctx, &customer, applied, cause, at);
    call_off(ctx, id, "void_invoice", at);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.voided", &object, at);
    let Some(position) = subscription_of(ctx.account, id) else {
        return;
    };
    let subscription = ctx.account.subscription(position);
    let first = subscription.latest_invoice.as_ref() == Some(id);
    if first && subscription.status == Standing::Incomplete {
        expire(ctx, position, at);
    } else {
        restore(ctx.account, id);
    }
}

/// Gives up an open invoice; it can still be paid.
pub(crate) fn mark_uncollectible(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.status = Status::Uncollectible;
    invoice.marked_uncollectible_at = Some(at);
    restore(ctx.account, id);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.marked_uncollectible", &object, at);
}

/// Does something to an invoice that is there already, and tells what it made of it and of its subscription.
pub(crate) fn act<T>(
    ctx: &mut Ctx<'_>,
    id: &Id,
    at: i64,
    action: impl FnOnce(&mut Ctx<'_>) -> T,
) -> T {
    let position = subscription_of(ctx.account, id);
    let held = position.map(|position| {
        subscription::view::subscription(ctx.account, ctx.account.subscription(position))
    });
    let before = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    let result = action(ctx);
    let after = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    if after != before {
        ctx.update_event("invoice.updated", &before, &after, at);
    }
    if let (Some(position), Some(held)) = (position, held) {
        timeline::reindex(ctx.account, position);
        subscription::events::changed(ctx, position, &held, at);
    }
    result
}
