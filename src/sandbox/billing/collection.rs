//! Collecting what finalized invoices ask for, and what becomes of them, of the subscription and of the customer.

use super::invoice::{Invoice, Status};
use super::subscription::Status as Standing;
use super::{invoice_json, phases, render, timeline};
use crate::sandbox::card::{Charged, Decline};
use crate::sandbox::context::Ctx;
use crate::sandbox::error::Error;
use crate::sandbox::ids::Id;
use crate::sandbox::payment_method::PaymentMethod;
use crate::sandbox::state::Account;

/// How a payment went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Paid,
    /// There is nothing to pay with.
    NoMethod,
    Declined(Decline),
    /// The customer has to authenticate first.
    NeedsAuthentication,
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

/// Tries to pay an open invoice: with the payment method that is `given`, else with its subscription's or the
/// customer's. Where nothing is due, nothing is charged.
pub(crate) fn collect(ctx: &mut Ctx<'_>, id: &Id, given: Option<&Id>, at: i64) -> Outcome {
    let outcome = attempt(ctx, id, given);
    let invoice = get(ctx.account, id);
    let due = invoice.amount_due;
    let customer = invoice.customer.clone();
    if outcome == Outcome::Paid {
        return settle(ctx, id, at);
    }
    if let Some(customer) = ctx.account.customers.get_mut(&customer)
        && outcome != Outcome::NoMethod
        && due > 0
    {
        customer.delinquent = true;
    }
    unpaid(ctx, id, outcome);
    let object = invoice_json::invoice(ctx.account, get(ctx.account, id));
    match outcome {
        Outcome::Paid | Outcome::NoMethod => {}
        Outcome::Declined(_) => ctx.event("invoice.payment_failed", &object, at),
        Outcome::NeedsAuthentication => {
            ctx.event("invoice.payment_action_required", &object, at);
            ctx.event("invoice.payment_failed", &object, at);
        }
    }
    outcome
}

/// Charges, and counts the attempt.
fn attempt(ctx: &mut Ctx<'_>, id: &Id, given: Option<&Id>) -> Outcome {
    let account = &*ctx.account;
    let invoice = get(account, id);
    if invoice.amount_due == 0 {
        return Outcome::Paid;
    }
    let subscription = account.billing.subscriptions.get(&invoice.subscription);
    let own = subscription.and_then(|subscription| subscription.default_payment_method.as_ref());
    let method = payment_method(account, given.or(own), &invoice.customer);
    let Some(method) = method else {
        return Outcome::NoMethod;
    };
    let charged = method.charge(ctx.presence);
    get_mut(ctx.account, id).attempts += 1;
    match charged {
        Charged::Paid => Outcome::Paid,
        Charged::Declined(decline) => Outcome::Declined(decline),
        Charged::NeedsAuthentication => Outcome::NeedsAuthentication,
    }
}

/// The invoice is paid, or nothing is left to pay.
pub(crate) fn settle(ctx: &mut Ctx<'_>, id: &Id, at: i64) -> Outcome {
    let invoice = get_mut(ctx.account, id);
    invoice.status = Status::Paid;
    invoice.paid_at = Some(at);
    let (due, customer) = (invoice.amount_due, invoice.customer.clone());
    if let Some(customer) = ctx.account.customers.get_mut(&customer)
        && due > 0
    {
        customer.delinquent = false;
    }
    restore(ctx.account, id);
    let object = invoice_json::invoice(ctx.account, get(ctx.account, id));
    ctx.event("invoice.paid", &object, at);
    ctx.event("invoice.payment_succeeded", &object, at);
    Outcome::Paid
}

/// What a payment that did not succeed does to the subscription.
fn unpaid(ctx: &mut Ctx<'_>, id: &Id, outcome: Outcome) {
    let invoice = get(ctx.account, id);
    let customer = ctx.account.customers.get(&invoice.customer);
    let never_had_one = customer.is_some_and(|customer| !customer.had_payment_method);
    let Some(position) = subscription_of(ctx.account, id) else {
        return;
    };
    let subscription = ctx.account.subscription_mut(position);
    // Our choice: what a schedule sells to somebody who never had a payment method goes on.
    if outcome == Outcome::NoMethod && subscription.from_schedule && never_had_one {
        return;
    }
    if matches!(subscription.status, Standing::Active | Standing::Trialing) {
        subscription.status = Standing::PastDue;
    }
}

/// The invoice is settled in one way or another: its subscription recovers, if that was what it waited for. A past
/// due one goes by its latest invoice; one that is void does not count.
fn restore(account: &mut Account, id: &Id) {
    let Some(position) = subscription_of(account, id) else {
        return;
    };
    let subscription = account.subscription(position);
    let recovers = match subscription.status {
        Standing::Incomplete => subscription.latest_invoice.as_ref() == Some(id),
        Standing::PastDue => latest(account, position)
            .is_none_or(|latest| matches!(latest.status, Status::Paid | Status::Uncollectible)),
        _ => false,
    };
    if recovers {
        let subscription = account.subscription_mut(position);
        subscription.status = if subscription.in_trial() {
            Standing::Trialing
        } else {
            Standing::Active
        };
    }
}

/// The latest invoice of a subscription that is not void.
fn latest(account: &Account, position: u32) -> Option<&Invoice> {
    let subscription = account.subscription(position);
    let customer = account.customers.get(&subscription.customer)?;
    let newest_first = customer.invoices.iter().rev();
    newest_first
        .filter_map(|position| account.billing.invoices.at(*position))
        .find(|invoice| invoice.subscription == subscription.id && invoice.status != Status::Void)
}

/// Voids an invoice that is not paid: what it had taken from the customer's balance goes back. A subscription whose
/// first invoice it is never begins.
pub(crate) fn void(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = get_mut(ctx.account, id);
    invoice.status = Status::Void;
    invoice.voided_at = Some(at);
    let applied = invoice.starting_balance - invoice.ending_balance;
    let customer = invoice.customer.clone();
    if let Some(customer) = ctx.account.customers.get_mut(&customer) {
        customer.balance = customer.balance.saturating_add(applied);
    }
    let object = invoice_json::invoice(ctx.account, get(ctx.account, id));
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

/// The first payment will not come any more.
fn expire(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let subscription = ctx.account.subscription_mut(position);
    subscription.status = Standing::IncompleteExpired;
    subscription.ended_at = Some(at);
    if let Some(schedule) = phases::schedule_of(ctx.account, position) {
        phases::subscription_ended(ctx, schedule, at);
    }
}

/// Gives up an open invoice; it can still be paid.
pub(crate) fn mark_uncollectible(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let invoice = get_mut(ctx.account, id);
    invoice.status = Status::Uncollectible;
    invoice.marked_uncollectible_at = Some(at);
    restore(ctx.account, id);
    let object = invoice_json::invoice(ctx.account, get(ctx.account, id));
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
    let held = position
        .map(|position| render::subscription(ctx.account, ctx.account.subscription(position)));
    let before = invoice_json::invoice(ctx.account, get(ctx.account, id));
    let result = action(ctx);
    let after = invoice_json::invoice(ctx.account, get(ctx.account, id));
    if after != before {
        ctx.update_event("invoice.updated", &before, &after, at);
    }
    if let (Some(position), Some(held)) = (position, held) {
        timeline::reindex(ctx.account, position);
        render::changed(ctx, position, &held, at);
    }
    result
}

fn subscription_of(account: &Account, id: &Id) -> Option<u32> {
    let invoice = get(account, id);
    account
        .billing
        .subscriptions
        .position(&invoice.subscription)
}

/// An invoice that is known to be there.
pub(crate) fn get<'a>(account: &'a Account, id: &Id) -> &'a Invoice {
    let invoice = account.billing.invoices.get(id);
    invoice.expect("the caller has found it")
}

/// See [`get`].
pub(crate) fn get_mut<'a>(account: &'a mut Account, id: &Id) -> &'a mut Invoice {
    let invoice = account.billing.invoices.get_mut(id);
    invoice.expect("the caller has found it")
}
