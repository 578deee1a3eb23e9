//! Actions on final invoices: `/v1/invoices/:id/pay` and the like.

use serde_json::Value;

use super::drafts::find;
use super::{Invoice, Status, view};
use crate::engine::collection::{self, PaymentOutcome};
use crate::engine::finalization;
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::params::Params;
use crate::resource::payment_method;
use crate::resource::payment_method::card::Presence;
use crate::resource::payment_method::input::presence;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The parameters of a payment.
pub(super) struct PaymentParams {
    method: Option<Id>,
    out_of_band: bool,
    presence: Presence,
}

pub(super) fn read_pay(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PaymentParams> {
    let presence = presence(params)?;
    let invoice = find(ctx)?;
    let payment = PaymentParams {
        method: payment_method_param(ctx, params, invoice)?,
        out_of_band: params.boolean("paid_out_of_band")?.unwrap_or(false),
        presence,
    };
    params.unmodelled(&["forgive", "mandate", "source"])?;
    check_payable(invoice)?;
    if !payment.out_of_band && invoice.amount_due > 0 {
        // Credit notes may have reduced the amount below the smallest charge.
        charge_amount::check(invoice.amount_due, invoice.currency)?;
    }
    Ok(payment)
}

/// `POST /v1/invoices/:id/pay`: by card, or `paid_out_of_band`. Unlike other errors, a failed payment changes
/// something: it records the attempt.
pub(super) fn pay(ctx: &mut Ctx<'_>, payment: PaymentParams) -> Result<Value> {
    ctx.presence = payment.presence;
    let invoice = find(ctx)?;
    let (id, at) = (invoice.id.clone(), ctx.time_of(&invoice.customer));
    let (intent, currency) = (invoice.payment_intent.clone(), invoice.currency);
    let draft = invoice.status == Status::Draft;
    let outcome = collection::with_events(ctx, &id, at, |ctx| {
        if draft {
            finalization::mark_final(ctx, &id, at);
            collection::create_intent(ctx, &id, at);
        }
        if payment.out_of_band {
            ctx.account.invoice_mut(&id).paid_out_of_band = true;
            collection::mark_paid(ctx, &id, at);
            return PaymentOutcome::Paid;
        }
        collection::collect(ctx, &id, payment.method.as_ref(), at)
    });
    match outcome {
        PaymentOutcome::Paid => Ok(view::invoice(ctx.account, find(ctx)?)),
        PaymentOutcome::NoMethod => Err(Error::invalid("There is no `default_payment_method` set on this Customer or Invoice. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.").code("resource_missing")),
        PaymentOutcome::Declined(decline) => Err(with_intent(ctx, intent.as_ref(), decline.error())),
        PaymentOutcome::NeedsAuthentication | PaymentOutcome::NotAuthenticated => Err(with_intent(ctx, intent.as_ref(), needs_action())),
        PaymentOutcome::TooLarge => Err(charge_amount::above_largest(currency)),
    }
}

/// Adds the payment intent to the error.
fn with_intent(ctx: &Ctx<'_>, intent: Option<&Id>, error: Error) -> Error {
    match intent.and_then(|id| ctx.account.payments.intents.get(id)) {
        Some(intent) => error.field("payment_intent", intent.to_json()),
        None => error,
    }
}

fn needs_action() -> Error {
    Error::invalid("This payment requires additional user action before it can be completed successfully. Payment can be completed using the PaymentIntent associated with the invoice. For more details see: https://stripe.com/docs/billing/subscriptions/overview#requires-action")
        .kind("card_error")
        .code("invoice_payment_intent_requires_action")
        .status(402)
}

/// `payment_method`, which must belong to the customer.
fn payment_method_param(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    invoice: &Invoice,
) -> Result<Option<Id>> {
    const PARAM: &str = "payment_method";
    let Some(id) = params.string(PARAM)? else {
        return Ok(None);
    };
    let method = ctx.account.payment_methods.get(id);
    let method = method.ok_or_else(|| payment_method::input::missing(ctx.account, id, PARAM))?;
    if method.customer.as_ref() != Some(&invoice.customer) {
        return Err(payment_method::input::not_theirs(id, PARAM));
    }
    Ok(Some(method.id.clone()))
}

fn check_payable(invoice: &Invoice) -> Result<()> {
    match invoice.status {
        Status::Draft | Status::Open | Status::Uncollectible => Ok(()),
        Status::Paid => Err(Error::invalid("Invoice is already paid")),
        Status::Void => Err(Error::invalid("This invoice can no longer be paid")),
    }
}

/// `POST /v1/invoices/:id/void`
pub(super) fn void(ctx: &mut Ctx<'_>) -> Result<Value> {
    let invoice = find(ctx)?;
    if !invoice.is_payable() {
        return Err(not_open());
    }
    let (id, at) = (invoice.id.clone(), ctx.time_of(&invoice.customer));
    collection::with_events(ctx, &id, at, |ctx| collection::void(ctx, &id, at));
    Ok(view::invoice(ctx.account, find(ctx)?))
}

/// `POST /v1/invoices/:id/mark_uncollectible`
pub(super) fn mark_uncollectible(ctx: &mut Ctx<'_>) -> Result<Value> {
    let invoice = find(ctx)?;
    if invoice.status != Status::Open {
        return Err(not_open());
    }
    let (id, at) = (invoice.id.clone(), ctx.time_of(&invoice.customer));
    collection::with_events(ctx, &id, at, |ctx| {
        collection::mark_uncollectible(ctx, &id, at);
    });
    Ok(view::invoice(ctx.account, find(ctx)?))
}

fn not_open() -> Error {
    Error::invalid("You can only pass in open invoices. This invoice isn't open.")
}
