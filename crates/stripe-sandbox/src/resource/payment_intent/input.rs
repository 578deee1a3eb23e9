//! Reading the parameters of payment intents.

use serde_json::{Value, json};

use super::{IntentDetails, NAME, PaymentIntent, Status};
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::params::Params;
use crate::resource::customer;
use crate::resource::payment_method::card::Presence;
use crate::resource::payment_method::input::presence;
use crate::resource::payment_method::{self, MethodRef};
use crate::store::context::Ctx;

/// Parameters of a confirmation that the sandbox does not model.
const CONFIRMATION_UNMODELLED: &[&str] = &[
    "error_on_requires_action",
    "mandate",
    "mandate_data",
    "radar_options",
];

const UNMODELLED: &[&str] = &[
    "application_fee_amount",
    "on_behalf_of",
    "payment_method_data",
    "payment_method_options",
    "transfer_data",
    "transfer_group",
];

/// Reads a new intent, without an id. Its payment method is read separately.
pub(super) fn read_new(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PaymentIntent> {
    let amount = params
        .integer_from("amount", 1)?
        .ok_or_else(|| params.missing("amount"))?;
    let currency = params.currency("currency")?;
    let currency = currency.ok_or_else(|| params.missing("currency"))?;
    let customer = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?.id.clone()),
        None => None,
    };
    let mut details = IntentDetails {
        manual_capture: capture_method(params)?.unwrap_or(false),
        automatic_methods: automatic_methods(params)?,
        return_url: params.string("return_url")?.map(str::to_owned),
        ..IntentDetails::default()
    };
    params.one_of_modelled("confirmation_method", &["automatic"], &["manual"])?;
    read_details(ctx, &mut details, params)?;
    params.unmodelled(CONFIRMATION_UNMODELLED)?;
    params.only_default("use_stripe_sdk", "false")?;
    charge_amount::check(amount, currency)?;
    let now = customer
        .as_ref()
        .map_or(ctx.now, |customer| ctx.time_of(customer));
    let mut intent = PaymentIntent::new(amount, currency, now, details);
    intent.customer = customer;
    Ok(intent)
}

/// Reads an update. The intent of an invoice keeps its amount.
pub(super) fn read_change(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    intent: &mut PaymentIntent,
) -> Result<()> {
    let of_invoice = ["amount", "currency", "customer"];
    if intent.invoice.is_some()
        && let Some(name) = of_invoice.into_iter().find(|name| params.has(name))
    {
        return Err(Error::invalid(format!(
            "The `{name}` of a PaymentIntent that was created by an invoice cannot be changed."
        ))
        .param(name));
    }
    if let Some(amount) = params.integer_from("amount", 1)? {
        intent.amount = amount;
    }
    if let Some(currency) = params.currency("currency")? {
        intent.currency = currency;
    }
    if let Some(id) = params.string("customer")? {
        let customer = customer::input::named(ctx, id, "customer")?;
        intent.customer = Some(customer.id.clone());
    }
    if let Some(manual) = capture_method(params)? {
        intent.details.manual_capture = manual;
    }
    read_details(ctx, &mut intent.details, params)?;
    charge_amount::check(intent.amount, intent.currency)
}

/// Reads the parameters of a confirmation, and returns whether the customer is present.
pub(super) fn read_confirmation(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    details: &mut IntentDetails,
) -> Result<Presence> {
    if let Some(url) = params.string("return_url")? {
        details.return_url = Some(url.to_owned());
    }
    if let Some(manual) = capture_method(params)? {
        details.manual_capture = manual;
    }
    read_details(ctx, details, params)?;
    params.unmodelled(CONFIRMATION_UNMODELLED)?;
    params.only_default("use_stripe_sdk", "false")?;
    read_off_session(params)
}

/// `off_session`: `true`, or the kind of payment.
pub(super) fn read_off_session(params: &Params<'_>) -> Result<Presence> {
    match params.text("off_session")? {
        Some("one_off" | "recurring") => Ok(Presence::OffSession),
        _ => presence(params),
    }
}

fn read_details(ctx: &Ctx<'_>, details: &mut IntentDetails, params: &Params<'_>) -> Result<()> {
    let text = |key| Ok::<_, Error>(params.nullable(key)?.map(str::to_owned));
    text("description")?.apply(&mut details.description);
    text("receipt_email")?.apply(&mut details.receipt_email);
    text("statement_descriptor")?.apply(&mut details.statement_descriptor);
    text("statement_descriptor_suffix")?.apply(&mut details.statement_descriptor_suffix);
    if params.is_unset("setup_future_usage") {
        params.text("setup_future_usage")?;
        details.setup_future_usage = None;
    } else if let Some(usage) =
        params.one_of("setup_future_usage", &["off_session", "on_session"])?
    {
        details.setup_future_usage = Some(usage);
    }
    if let Some(given) = params.object("shipping")? {
        let unset = params.is_unset("shipping");
        details.shipping = if unset { None } else { Some(shipping(&given)?) };
    }
    let name = payment_method::types_param(ctx.settings.version);
    let types = params.strings(name)?.unwrap_or_default();
    payment_method::cards_only(name, &types)?;
    details.metadata = params.metadata()?.apply(&details.metadata)?;
    params.unmodelled(UNMODELLED)
}

fn shipping(params: &Params<'_>) -> Result<Value> {
    let to = params
        .object("address")?
        .ok_or_else(|| params.missing("address"))?;
    Ok(json!({
        "address": to.address()?,
        "carrier": params.nullable("carrier")?.value(),
        "name": params.required("name")?,
        "phone": params.nullable("phone")?.value(),
        "tracking_number": params.nullable("tracking_number")?.value(),
    }))
}

fn capture_method(params: &Params<'_>) -> Result<Option<bool>> {
    let method = params.one_of_modelled(
        "capture_method",
        &["automatic", "manual"],
        &["automatic_async"],
    )?;
    Ok(method.map(|method| method == "manual"))
}

/// `automatic_payment_methods`: the sandbox only has cards.
fn automatic_methods(params: &Params<'_>) -> Result<Option<Value>> {
    let Some(object) = params.object("automatic_payment_methods")? else {
        return Ok(None);
    };
    let enabled = object
        .boolean("enabled")?
        .ok_or_else(|| object.missing("enabled"))?;
    let redirects = object.one_of("allow_redirects", &["always", "never"])?;
    Ok(enabled.then(|| json!({"allow_redirects": redirects.unwrap_or("always"), "enabled": true})))
}

/// `payment_method`, which must not belong to somebody else.
pub(super) fn payment_method_param(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: Option<&str>,
) -> Result<Option<MethodRef>> {
    let Some(id) = params.string("payment_method")? else {
        return Ok(None);
    };
    let method = ctx.account.payment_methods.get(id);
    if method.is_some_and(|method| method.customer.is_some()) && customer.is_none() {
        return Err(Error::invalid("The PaymentMethod provided belongs to a Customer. Please include the Customer in the `customer` parameter on the PaymentIntent.").param("payment_method"));
    }
    payment_method::input::usable(ctx, id, customer, "payment_method").map(Some)
}

impl PaymentIntent {
    /// Checks `client_secret`, with which a client without a secret key proves its access to the intent.
    pub(crate) fn check_secret(&self, params: &Params<'_>) -> Result<()> {
        match params.string("client_secret")? {
            Some(secret) if secret != self.secret => Err(Error::invalid(
                "The client_secret provided does not match the client_secret associated with the PaymentIntent.",
            )
            .code("payment_intent_invalid_parameter")
            .param("client_secret")),
            _ => Ok(()),
        }
    }
}

/// Reads the amount to capture.
pub(super) fn read_capture(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<i64> {
    let intent = find(ctx)?;
    let amount = params.integer_from("amount_to_capture", 1)?;
    params.unmodelled(&[
        "application_fee_amount",
        "metadata",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
    ])?;
    if intent.status != Status::RequiresCapture {
        return Err(unexpected_state(
            intent,
            format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
                intent.status.as_str()
            ),
        ));
    }
    let amount = amount.unwrap_or(intent.amount);
    charge_amount::check_step(amount, intent.currency, "amount_to_capture")?;
    if amount > intent.amount {
        return Err(Error::invalid(format!(
            "The provided `amount_to_capture` ({amount}) is greater than the `amount_capturable` ({}) of this PaymentIntent.",
            intent.amount
        ))
        .code("amount_too_large")
        .param("amount_to_capture"));
    }
    Ok(amount)
}

/// Reads the reason of a cancellation.
pub(super) fn read_cancel(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Option<&'static str>> {
    let reason = params.one_of(
        "cancellation_reason",
        &[
            "abandoned",
            "duplicate",
            "fraudulent",
            "requested_by_customer",
        ],
    )?;
    let intent = find(ctx)?;
    if intent.invoice.is_some() {
        return Err(unexpected_state(
            intent,
            "You cannot cancel this PaymentIntent because it was created by an invoice. Void the invoice instead.".to_owned(),
        ));
    }
    if !intent.is_pending() && intent.status != Status::RequiresCapture {
        return Err(unexpected_state(
            intent,
            format!(
                "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, requires_action, processing.",
                intent.status.as_str()
            ),
        ));
    }
    Ok(reason)
}

/// The error for an action that the intent's status does not allow.
pub(super) fn unexpected_state(intent: &PaymentIntent, message: String) -> Error {
    Error::invalid(message)
        .code("payment_intent_unexpected_state")
        .field("payment_intent", intent.to_json())
}

pub(super) fn no_method() -> Error {
    Error::invalid("You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.")
        .code("payment_intent_unexpected_state")
}

pub(super) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a PaymentIntent> {
    let id = ctx.arg(0);
    let intent = ctx.account.payments.intents.get(&id);
    intent.ok_or_else(|| Error::not_found(NAME, &id).param("intent"))
}
