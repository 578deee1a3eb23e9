//! `/v1/payment_intents`

use serde_json::Value;

use super::input::{
    self, find, no_method, payment_method_param, read_cancel, read_capture, read_off_session,
    unexpected_state,
};
use super::{IntentDetails, NAME, PaymentIntent, Status};
use crate::engine::{collection, payment, payment_methods};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::payment_method::MethodRef;
use crate::resource::payment_method::card::{ChargeOutcome, Presence};
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/payment_intents";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", URL, NAME, read_create, create),
        Route::new("GET", URL, "list:payment_intent", read_list, list),
        Route::new(
            "GET",
            "/v1/payment_intents/:id",
            NAME,
            read_retrieve,
            retrieve,
        ),
        Route::new("POST", "/v1/payment_intents/:id", NAME, read_update, update),
        Route::new(
            "POST",
            "/v1/payment_intents/:id/confirm",
            NAME,
            read_confirm,
            confirm,
        ),
        Route::new(
            "POST",
            "/v1/payment_intents/:id/capture",
            NAME,
            read_capture,
            capture,
        ),
        Route::new(
            "POST",
            "/v1/payment_intents/:id/cancel",
            NAME,
            read_cancel,
            cancel,
        ),
    ]
}

/// A payment intent to create, without an id, and whether and how to confirm it at once.
struct NewIntent {
    intent: PaymentIntent,
    method: Option<MethodRef>,
    confirm: bool,
    presence: Presence,
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<NewIntent> {
    let intent = input::read_new(ctx, params)?;
    let new = NewIntent {
        method: payment_method_param(ctx, params, intent.customer.as_deref())?,
        intent,
        confirm: params.boolean("confirm")?.unwrap_or(false),
        presence: read_off_session(params)?,
    };
    if new.confirm && new.method.is_none() {
        return Err(no_method());
    }
    Ok(new)
}

/// `POST /v1/payment_intents`
fn create(ctx: &mut Ctx<'_>, new: NewIntent) -> Result<Value> {
    ctx.presence = new.presence;
    let at = new.intent.created;
    let id = payment::insert(ctx, new.intent);
    if let Some(method) = new.method {
        choose(ctx, &id, method);
    }
    if new.confirm {
        confirm_now(ctx, &id, at)?;
    }
    Ok(payment::get(ctx.account, &id).to_json())
}

/// Sets the payment method; a test token is turned into a payment method first.
fn choose(ctx: &mut Ctx<'_>, id: &Id, method: MethodRef) {
    let method = match method {
        MethodRef::Existing(method) => method,
        MethodRef::Token(card) => payment_methods::insert_token(ctx, card),
    };
    payment::choose(ctx.account, id, method);
}

/// Confirms the intent and updates its invoice. Unlike other errors, a failed payment changes something: it leaves a
/// failed charge on the intent.
fn confirm_now(ctx: &mut Ctx<'_>, id: &Id, at: i64) -> Result<()> {
    let alone = ctx.presence == Presence::OffSession;
    let mut failure = None;
    let invoice = payment::get(ctx.account, id).invoice.clone();
    match invoice {
        Some(invoice) => {
            let charged = collection::with_events(ctx, &invoice, at, |ctx| {
                let charged = payment::confirm(ctx, id, at);
                collection::intent_confirmed(ctx, &invoice, charged.into(), at);
                charged
            });
            if let ChargeOutcome::Declined(decline) = charged {
                failure = Some(decline.error());
            }
        }
        None => match payment::confirm(ctx, id, at) {
            ChargeOutcome::Declined(decline) => failure = Some(decline.error()),
            ChargeOutcome::NeedsAuthentication if alone => {
                failure = Some(payment::authentication_required(ctx, id, at));
            }
            ChargeOutcome::Paid | ChargeOutcome::NeedsAuthentication => {}
        },
    }
    match failure {
        None => Ok(()),
        Some(error) => Err(with_objects(ctx, id, error)),
    }
}

/// Adds the intent, its charge and the payment method to the error of a failed payment.
fn with_objects(ctx: &Ctx<'_>, id: &Id, error: Error) -> Error {
    let intent = payment::get(ctx.account, id);
    let last = intent.last_error.clone().unwrap_or_default();
    error
        .field("charge", last["charge"].clone())
        .field("payment_intent", intent.to_json())
        .field("payment_method", last["payment_method"].clone())
}

fn read_retrieve(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<()> {
    find(ctx)?.check_secret(params)
}

/// `GET /v1/payment_intents/:id`
fn retrieve(ctx: &mut Ctx<'_>, (): ()) -> Result<Value> {
    Ok(find(ctx)?.to_json())
}

/// The filter of a list.
struct Filter {
    page: Page,
    created: Created,
    customer: Option<Id>,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    Ok(Filter {
        page: Page::read(params)?,
        created: Created::read(params)?,
        customer: customer::input::customer_param(ctx, params)?.map(|customer| customer.id.clone()),
    })
}

/// `GET /v1/payment_intents`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let intents = &ctx.account.payments.intents;
    let rows = filter.page.of_table(intents, NAME, |intent| {
        filter.created.accepts(intent.created)
            && (filter.customer.as_ref()).is_none_or(|id| intent.customer.as_ref() == Some(id))
    })?;
    Ok(rows.to_json(URL, PaymentIntent::to_json))
}

/// Reads the updated intent, and its payment method.
fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(PaymentIntent, Option<MethodRef>)> {
    let mut intent = find(ctx)?.clone();
    input::read_change(ctx, params, &mut intent)?;
    let method = payment_method_param(ctx, params, intent.customer.as_deref())?;
    if !intent.is_pending() {
        return Err(unexpected_state(
            &intent,
            format!(
                "This PaymentIntent's parameters could not be updated because it has a status of {}. You may only update the parameters of a PaymentIntent with one of the following statuses: requires_payment_method, requires_confirmation, requires_action.",
                intent.status.as_str()
            ),
        ));
    }
    Ok((intent, method))
}

/// `POST /v1/payment_intents/:id`
fn update(
    ctx: &mut Ctx<'_>,
    (intent, method): (PaymentIntent, Option<MethodRef>),
) -> Result<Value> {
    let id = intent.id.clone();
    payment::get_mut(ctx.account, &id).clone_from(&intent);
    if let Some(method) = method {
        choose(ctx, &id, method);
    }
    Ok(find(ctx)?.to_json())
}

/// The parameters of a confirmation.
struct Confirmation {
    details: IntentDetails,
    method: Option<MethodRef>,
    presence: Presence,
}

fn read_confirm(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Confirmation> {
    let mut intent = find(ctx)?.clone();
    intent.check_secret(params)?;
    let presence = input::read_confirmation(ctx, params, &mut intent.details)?;
    let method = payment_method_param(ctx, params, intent.customer.as_deref())?;
    match intent.status {
        Status::RequiresPaymentMethod if method.is_none() => return Err(no_method()),
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {}
        Status::Succeeded => {
            return Err(unexpected_state(&intent, "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.".to_owned()));
        }
        Status::RequiresCapture | Status::Canceled => {
            return Err(unexpected_state(
                &intent,
                format!(
                    "You cannot confirm this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, requires_action.",
                    intent.status.as_str()
                ),
            ));
        }
    }
    Ok(Confirmation {
        details: intent.details,
        method,
        presence,
    })
}

/// `POST /v1/payment_intents/:id/confirm`
fn confirm(ctx: &mut Ctx<'_>, confirmation: Confirmation) -> Result<Value> {
    ctx.presence = confirmation.presence;
    let intent = find(ctx)?;
    let (id, at) = (intent.id.clone(), time_of(ctx, intent));
    payment::get_mut(ctx.account, &id).details = confirmation.details;
    if let Some(method) = confirmation.method {
        choose(ctx, &id, method);
    }
    confirm_now(ctx, &id, at)?;
    Ok(find(ctx)?.to_json())
}

/// `POST /v1/payment_intents/:id/capture`: captures all or a part of the authorized amount.
fn capture(ctx: &mut Ctx<'_>, amount: i64) -> Result<Value> {
    let intent = find(ctx)?;
    let (id, at) = (intent.id.clone(), time_of(ctx, intent));
    payment::capture(ctx, &id, amount, at);
    Ok(find(ctx)?.to_json())
}

/// `POST /v1/payment_intents/:id/cancel`
fn cancel(ctx: &mut Ctx<'_>, reason: Option<&'static str>) -> Result<Value> {
    let intent = find(ctx)?;
    let (id, at) = (intent.id.clone(), time_of(ctx, intent));
    payment::cancel(ctx, &id, reason, at);
    Ok(find(ctx)?.to_json())
}

fn time_of(ctx: &Ctx<'_>, intent: &PaymentIntent) -> i64 {
    let customer = intent.customer.as_ref();
    customer.map_or(ctx.now, |customer| ctx.time_of(customer))
}
