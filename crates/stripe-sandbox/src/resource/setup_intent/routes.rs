//! `/v1/setup_intents`

use serde_json::Value;

use super::SetupIntent;
use crate::engine::setup::{choose, insert, proceed};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::payment_method::{self, Named};
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;

const WHAT: &str = "setupintent";

const UNMODELLED: &[&str] = &[
    "mandate_data",
    "payment_method_data",
    "payment_method_options",
];

pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/v1/setup_intents", create, "setup_intent"),
    route("GET", "/v1/setup_intents/:id", retrieve, "setup_intent"),
    route(
        "POST",
        "/v1/setup_intents/:id/confirm",
        confirm,
        "setup_intent",
    ),
];

/// `POST /v1/setup_intents`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = match params.string("customer")? {
        Some(id) => Some(
            crate::resource::customer::input::named(ctx, id, "customer")?
                .id
                .clone(),
        ),
        None => None,
    };
    let method = method(ctx, params, customer.as_deref())?;
    let confirm = params.boolean("confirm")?.unwrap_or(false);
    let description = params.nullable("description")?.value().map(str::to_owned);
    let usage = params.one_of("usage", &["off_session", "on_session"])?;
    let types = types(params)?;
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    let return_url = params.string("return_url")?.map(str::to_owned);
    params.only("use_stripe_sdk", "false")?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&[
        "attach_to_self",
        "automatic_payment_methods",
        "flow_directions",
        "on_behalf_of",
        "single_use",
    ])?;
    if confirm {
        let method = method.as_ref().ok_or_else(no_method)?;
        method.card(ctx).check_attachable()?;
    }
    params.finish()?;
    let now = customer
        .as_ref()
        .map_or(ctx.now, |customer| ctx.time_of(customer));
    let id = insert(ctx, customer, metadata, now);
    if let Some(intent) = ctx.account.setup_intents.get_mut(&id) {
        intent.description = description;
        intent.return_url = return_url;
        intent.usage = usage.unwrap_or("off_session");
        intent.types = types.unwrap_or_else(|| vec!["card".to_owned()]);
    }
    let created = find(ctx, &id)?.to_json();
    ctx.event("setup_intent.created", &created, now);
    match method {
        Some(method) if confirm => proceed(ctx, &id, method),
        Some(method) => choose(ctx, &id, method),
        None => {}
    }
    Ok(find(ctx, &id)?.to_json())
}

fn types(params: &Params<'_>) -> Result<Option<Vec<String>>> {
    let Some(types) = params.strings("payment_method_types")? else {
        return Ok(None);
    };
    payment_method::cards_only("payment_method_types", &types)?;
    Ok(Some(types.into_iter().map(str::to_owned).collect()))
}

fn method(ctx: &Ctx<'_>, params: &Params<'_>, customer: Option<&str>) -> Result<Option<Named>> {
    params
        .string("payment_method")?
        .map(|id| payment_method::input::usable(ctx, id, customer, "payment_method"))
        .transpose()
}

fn no_method() -> Error {
    Error::invalid("You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with a payment method and then confirm it again.")
        .code("setup_intent_unexpected_state")
}

/// `GET /v1/setup_intents/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let intent = find(ctx, &ctx.arg(0))?;
    intent.check_secret(params)?;
    params.finish()?;
    Ok(intent.to_json())
}

/// `POST /v1/setup_intents/:id/confirm`
pub(crate) fn confirm(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let intent = find(ctx, &ctx.arg(0))?;
    intent.check_secret(params)?;
    let (id, customer, chosen, status) = (
        intent.id.clone(),
        intent.customer.clone(),
        intent.payment_method.clone(),
        intent.status,
    );
    let given = method(ctx, params, customer.as_deref())?;
    let return_url = params.string("return_url")?.map(str::to_owned);
    params.only("use_stripe_sdk", "false")?;
    params.unmodelled(UNMODELLED)?;
    if status == "succeeded" {
        return Err(Error::invalid(
            "You cannot confirm this SetupIntent because it has already succeeded.",
        )
        .code("setup_intent_unexpected_state"));
    }
    let method = given
        .or(chosen.map(Named::Existing))
        .ok_or_else(no_method)?;
    method.card(ctx).check_attachable()?;
    params.finish()?;
    if let (Some(url), Some(intent)) = (return_url, ctx.account.setup_intents.get_mut(&id)) {
        intent.return_url = Some(url);
    }
    proceed(ctx, &id, method);
    Ok(find(ctx, &id)?.to_json())
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a SetupIntent> {
    let intent = ctx.account.setup_intents.get(id);
    intent.ok_or_else(|| Error::not_found(WHAT, id).param("intent"))
}

impl SetupIntent {
    /// `client_secret`, by which a client without a secret key shows that the intent is its own.
    pub(crate) fn check_secret(&self, params: &Params<'_>) -> Result<()> {
        match params.string("client_secret")? {
            Some(secret) if secret != self.secret => Err(Error::invalid(
                "The client_secret provided does not match the client_secret associated with the SetupIntent.",
            )
            .code("setup_intent_invalid_parameter")
            .param("client_secret")),
            _ => Ok(()),
        }
    }
}
