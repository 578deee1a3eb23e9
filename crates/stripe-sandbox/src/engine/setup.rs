//! Set-up intents: how they are confirmed and authenticated, and what a failure leaves.

use super::payment_methods;
use crate::error::{Error, Result};
use crate::params::metadata::Metadata;
use crate::resource::payment_method::{MethodRef, PaymentMethod};
use crate::resource::setup_intent::SetupIntent;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Creates a set-up intent for `customer`, whose time is `now`. Checkout in `setup` mode uses it, too.
pub(crate) fn insert(ctx: &mut Ctx<'_>, customer: Option<Id>, metadata: Metadata, now: i64) -> Id {
    let id = ctx.account.ids.next("seti", 24);
    let secret = format!("{id}_secret_{}", ctx.account.ids.text(24));
    ctx.account.setup_intents.insert(SetupIntent {
        id: id.clone(),
        created: now,
        customer,
        payment_method: None,
        status: "requires_payment_method",
        authentication_url: None,
        return_url: None,
        last_error: None,
        secret,
        description: None,
        usage: "off_session",
        metadata,
        types: vec!["card".to_owned()],
    });
    id
}

/// Confirms with a payment method. Its bank may require authentication first.
pub(crate) fn proceed(ctx: &mut Ctx<'_>, id: &Id, method: MethodRef) {
    if !method.card(ctx).authenticates_set_up() {
        return succeed(ctx, id, method);
    }
    choose(ctx, id, method);
    let url = ctx.settings.authentication_url(id);
    let Some(intent) = ctx.account.setup_intents.get_mut(id) else {
        return;
    };
    intent.status = "requires_action";
    intent.authentication_url = Some(url);
    let (rendered, customer) = (intent.to_json(), intent.customer.clone());
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    ctx.event("setup_intent.requires_action", &rendered, now);
}

/// The customer confirms with a payment method. It is declined, set up, or has to be authenticated first.
///
/// # Errors
/// If it is declined.
pub(crate) fn confirm(
    ctx: &mut Ctx<'_>,
    id: &Id,
    method: MethodRef,
    return_url: Option<String>,
) -> Result<()> {
    if let (Some(url), Some(intent)) = (return_url, ctx.account.setup_intents.get_mut(id)) {
        intent.return_url = Some(url);
    }
    if let Err(error) = method.card(ctx).check_attachable() {
        fail(ctx, id, method, &error);
        return Err(error);
    }
    proceed(ctx, id, method);
    Ok(())
}

/// The customer authenticates or refuses. Returns the URL to go to next.
pub(crate) fn authenticate(ctx: &mut Ctx<'_>, id: &str, agrees: bool) -> Option<String> {
    let intent = ctx.account.setup_intents.get(id)?;
    let (id, back) = (intent.id.clone(), intent.url_to_return_to(agrees));
    let method = MethodRef::Existing(intent.payment_method.clone()?);
    if agrees {
        succeed(ctx, &id, method);
        return back;
    }
    let error = Error::invalid(
        "The latest attempt to set up the payment method has failed because authentication failed.",
    )
    .code("setup_intent_authentication_failure");
    fail(ctx, &id, method, &error);
    back
}

/// Records that the bank declined the card or the customer refused to authenticate. The intent waits for another card.
pub(crate) fn fail(ctx: &mut Ctx<'_>, id: &Id, method: MethodRef, error: &Error) {
    choose(ctx, id, method);
    let Some(intent) = ctx.account.setup_intents.get_mut(id) else {
        return;
    };
    let method = intent.payment_method.take();
    let payment_method = method.and_then(|method| ctx.account.payment_methods.get(&method));
    let mut error = error.to_json()["error"].take();
    error["payment_method"] = payment_method
        .map(PaymentMethod::to_json)
        .unwrap_or_default();
    intent.status = "requires_payment_method";
    intent.authentication_url = None;
    intent.last_error = Some(error);
    let (rendered, customer) = (intent.to_json(), intent.customer.clone());
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    ctx.event("setup_intent.setup_failed", &rendered, now);
}

/// Attaches the payment method and marks the intent as succeeded.
pub(crate) fn succeed(ctx: &mut Ctx<'_>, id: &Id, method: MethodRef) {
    let customer = ctx
        .account
        .setup_intents
        .get(id)
        .and_then(|intent| intent.customer.clone());
    let method = match (&customer, method) {
        (Some(customer), method) => payment_methods::attach_to(ctx, method, customer),
        (None, MethodRef::Existing(method)) => method,
        (None, MethodRef::Token(card)) => payment_methods::insert_token(ctx, card),
    };
    if let Some(customer) = &customer {
        setup_succeeded(ctx.account, customer, id, &method);
    }
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    if let Some(method) = ctx.account.payment_methods.get_mut(&method) {
        method.is_set_up = true;
    }
    let Some(intent) = ctx.account.setup_intents.get_mut(id) else {
        return;
    };
    intent.payment_method = Some(method);
    intent.status = "succeeded";
    intent.authentication_url = None;
    intent.last_error = None;
    let rendered = intent.to_json();
    ctx.event("setup_intent.succeeded", &rendered, now);
}

/// Sets the payment method, which is attached on confirmation.
pub(crate) fn choose(ctx: &mut Ctx<'_>, id: &Id, method: MethodRef) {
    let method = match method {
        MethodRef::Existing(method) => method,
        MethodRef::Token(card) => payment_methods::insert_token(ctx, card),
    };
    if let Some(intent) = ctx.account.setup_intents.get_mut(id) {
        intent.payment_method = Some(method);
        intent.status = "requires_confirmation";
    }
}

/// Gives the subscription that waited for this set-up intent its payment method.
fn setup_succeeded(account: &mut Account, customer: &Id, intent: &Id, method: &Id) {
    for position in account.subscriptions_of(customer) {
        let subscription = account.subscription_mut(position);
        if subscription.pending_setup_intent.as_ref() == Some(intent) {
            subscription.pending_setup_intent = None;
            subscription.default_payment_method = Some(method.clone());
        }
    }
}
