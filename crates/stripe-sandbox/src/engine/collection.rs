//! Collection of finalized invoices, and how its outcome changes the invoice, the subscription and the customer.

use super::subscription_status::{expire, payment_failed, restore, subscription_of};
use super::{balance, next_due, payment};
use crate::error::Error;
use crate::money::charge_amount::too_large;
use crate::resource::customer_balance::Cause;
use crate::resource::invoice::{self, Reason, Status};
use crate::resource::payment_method::PaymentMethod;
use crate::resource::payment_method::card::{ChargeOutcome, Decline, Presence};
use crate::resource::subscription::{self, Status as SubscriptionStatus};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The outcome of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaymentOutcome {
    Paid,
    /// There is no payment method.
    NoMethod,
    Declined(Decline),
    /// The customer has to authenticate first.
    NeedsAuthentication,
    /// The customer was asked to authenticate and did not.
    NotAuthenticated,
    /// The amount is too large to be charged at once.
    TooLarge,
}

/// The payment method to charge: the `preferred` one, else the customer's default. `None` if it is not attached to the
/// customer.
pub(crate) fn payment_method<'a>(
    account: &'a Account,
    preferred: Option<&Id>,
    customer: &Id,
) -> Option<&'a PaymentMethod> {
    let default = || {
        account
            .customers
            .get(customer)?
            .default_payment_method
            .as_ref()
    };
    let method = account.payment_methods.get(preferred.or_else(default)?)?;
    Some(method).filter(|method| method.customer.as_ref() == Some(customer))
}

/// The error for a subscription that has to be paid at once and has no payment method.
pub(crate) fn no_payment_method() -> Error {
    Error::invalid("This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.")
        .code("resource_missing")
}

/// Starts the collection of a newly finalized invoice: creates its payment intent and tries to pay. With
/// `default_incomplete`, the payment waits for the customer's confirmation.
pub(crate) fn start(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    if let Some(intent) = create_intent(ctx, id, at)
        && ctx.awaits_confirmation
    {
        if let Some(method) = method_for(ctx.account, id, None) {
            payment::choose(ctx.account, &intent, method);
        }
        return payment_failed(ctx, id, PaymentOutcome::NeedsAuthentication);
    }
    collect(ctx, id, None, at);
}

/// Creates the payment intent of an invoice, if its amount can be charged.
pub(crate) fn create_intent(ctx: &mut Ctx<'_>, id: &Id, at: i64) -> Option<Id> {
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

/// Tries to pay an open invoice with the `given` payment method, else with the invoice's, the subscription's or the
/// customer's. If nothing is due, the invoice is paid without a charge.
pub(crate) fn collect(ctx: &mut Ctx<'_>, id: &Id, given: Option<&Id>, at: i64) -> PaymentOutcome {
    let outcome = attempt(ctx, id, given, at);
    apply_outcome(ctx, id, outcome, at);
    outcome
}

/// Charges the amount due.
fn attempt(ctx: &mut Ctx<'_>, id: &Id, given: Option<&Id>, at: i64) -> PaymentOutcome {
    let invoice = ctx.account.invoice(id);
    if too_large(invoice.amount_due, invoice.currency) {
        return PaymentOutcome::TooLarge;
    }
    let Some(intent) = invoice
        .payment_intent
        .clone()
        .filter(|_| invoice.amount_due > 0)
    else {
        return PaymentOutcome::Paid;
    };
    let Some(method) = method_for(ctx.account, id, given) else {
        return PaymentOutcome::NoMethod;
    };
    payment::choose(ctx.account, &intent, method);
    let charged = payment::confirm(ctx, &intent, at);
    let invoice = ctx.account.invoice_mut(id);
    invoice.attempts.any = true;
    // Recorded answers show that Stripe does not count a first payment that waits for its customer.
    let waits =
        charged == ChargeOutcome::NeedsAuthentication && ctx.presence == Presence::OnSession;
    if !(waits && invoice.reason == Reason::Create && given.is_none()) {
        invoice.attempts.count += 1;
    }
    charged.into()
}

impl From<ChargeOutcome> for PaymentOutcome {
    fn from(charged: ChargeOutcome) -> Self {
        match charged {
            ChargeOutcome::Paid => Self::Paid,
            ChargeOutcome::Declined(decline) => Self::Declined(decline),
            ChargeOutcome::NeedsAuthentication => Self::NeedsAuthentication,
        }
    }
}

/// The payment method to charge for an invoice.
fn method_for(account: &Account, id: &Id, given: Option<&Id>) -> Option<Id> {
    let invoice = account.invoice(id);
    let subscription = invoice.subscription.as_ref();
    let subscription = subscription.and_then(|id| account.billing.subscriptions.get(id));
    let default = invoice.details.default_payment_method.as_ref();
    let default = default.or_else(|| subscription?.default_payment_method.as_ref());
    let method = payment_method(account, given.or(default), &invoice.customer)?;
    Some(method.id.clone())
}

/// Applies the outcome of a direct confirmation of the invoice's payment intent.
pub(crate) fn intent_confirmed(ctx: &mut Ctx<'_>, id: &Id, outcome: PaymentOutcome, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.attempts.any = true;
    invoice.attempts.count += 1;
    apply_outcome(ctx, id, outcome, at);
}

/// Applies the outcome of a payment attempt.
fn apply_outcome(ctx: &mut Ctx<'_>, id: &Id, outcome: PaymentOutcome, at: i64) {
    if outcome == PaymentOutcome::Paid {
        return mark_paid(ctx, id, at);
    }
    let customer = ctx.account.invoice(id).customer.clone();
    if let Some(customer) = ctx.account.customers.get_mut(&customer)
        && outcome != PaymentOutcome::NoMethod
    {
        customer.delinquent = true;
    }
    payment_failed(ctx, id, outcome);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    match outcome {
        PaymentOutcome::Paid | PaymentOutcome::NoMethod => {}
        PaymentOutcome::Declined(_)
        | PaymentOutcome::NotAuthenticated
        | PaymentOutcome::TooLarge => {
            ctx.event("invoice.payment_failed", &object, at);
        }
        PaymentOutcome::NeedsAuthentication => {
            ctx.event("invoice.payment_action_required", &object, at);
            ctx.event("invoice.payment_failed", &object, at);
        }
    }
}

/// Marks the invoice as paid.
pub(crate) fn mark_paid(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.status = Status::Paid;
    invoice.paid_at = Some(at);
    let (due, customer) = (invoice.amount_due, invoice.customer.clone());
    if let Some(customer) = ctx.account.customers.get_mut(&customer)
        && due > 0
    {
        customer.delinquent = false;
    }
    save_default_method(ctx.account, id);
    restore(ctx.account, id);
    cancel_intent(ctx, id, "automatic", at);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.paid", &object, at);
    ctx.event("invoice.payment_succeeded", &object, at);
}

/// Makes the payment method that has paid the subscription's default, if `save_default_payment_method` says so.
fn save_default_method(account: &mut Account, id: &Id) {
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

/// Cancels the invoice's payment intent if it is still pending.
fn cancel_intent(ctx: &mut Ctx<'_>, id: &Id, reason: &'static str, at: i64) {
    if let Some(intent) = ctx.account.invoice(id).payment_intent.clone()
        && payment::get(ctx.account, &intent).is_pending()
    {
        payment::cancel(ctx, &intent, Some(reason), at);
    }
}

/// Sets the amount due of an invoice and of its payment intent.
pub(crate) fn set_amount_due(account: &mut Account, id: &Id, due: i64) {
    let invoice = account.invoice_mut(id);
    invoice.amount_due = due;
    if let Some(intent) = invoice.payment_intent.clone().filter(|_| due > 0) {
        payment::get_mut(account, &intent).amount = due;
    }
}

/// Voids an unpaid invoice and returns the amount that it used of the customer's balance. If it is the first invoice of
/// an incomplete subscription, the subscription expires.
pub(crate) fn void(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.status = Status::Void;
    invoice.voided_at = Some(at);
    let applied = invoice.starting_balance - invoice.ending_balance;
    let customer = invoice.customer.clone();
    let cause = Cause::UnappliedFromInvoice(id.clone());
    balance::change(ctx, &customer, applied, cause, at);
    cancel_intent(ctx, id, "void_invoice", at);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.voided", &object, at);
    let Some(position) = subscription_of(ctx.account, id) else {
        return;
    };
    let subscription = ctx.account.subscription(position);
    let first = subscription.latest_invoice.as_ref() == Some(id);
    if first && subscription.status == SubscriptionStatus::Incomplete {
        expire(ctx, position, at);
    } else {
        restore(ctx.account, id);
    }
}

/// Marks an open invoice as uncollectible; it can still be paid.
pub(crate) fn mark_uncollectible(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.status = Status::Uncollectible;
    invoice.marked_uncollectible_at = Some(at);
    restore(ctx.account, id);
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.marked_uncollectible", &object, at);
}

/// Runs `action`, which may change an invoice, and records the events of the invoice and of its subscription.
pub(crate) fn with_events<T>(
    ctx: &mut Ctx<'_>,
    id: &Id,
    at: i64,
    action: impl FnOnce(&mut Ctx<'_>) -> T,
) -> T {
    let position = subscription_of(ctx.account, id);
    let subscription_before = position.map(|position| {
        subscription::view::subscription(ctx.account, ctx.account.subscription(position), ctx.now)
    });
    let before = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    let result = action(ctx);
    let after = invoice::view::invoice(ctx.account, ctx.account.invoice(id));
    if after != before {
        ctx.update_event("invoice.updated", &before, &after, at);
    }
    if let (Some(position), Some(subscription_before)) = (position, subscription_before) {
        next_due::reindex(ctx.account, position);
        subscription::events::changed(ctx, position, &subscription_before, at);
    }
    result
}
