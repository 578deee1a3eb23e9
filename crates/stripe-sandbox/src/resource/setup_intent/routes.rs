//! `/v1/setup_intents`

use serde_json::Value;

use super::SetupIntent;
use crate::engine::setup::{self, choose, insert, proceed};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer;
use crate::resource::payment_method::{self, MethodRef};
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;

const NAME: &str = "setupintent";

const UNMODELLED: &[&str] = &[
    "mandate_data",
    "payment_method_data",
    "payment_method_options",
];

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/v1/setup_intents",
            "setup_intent",
            read_create,
            create,
        ),
        Route::new(
            "GET",
            "/v1/setup_intents/:id",
            "setup_intent",
            read_retrieve,
            retrieve,
        ),
        Route::new(
            "POST",
            "/v1/setup_intents/:id/confirm",
            "setup_intent",
            read_confirm,
            confirm,
        ),
    ]
}

/// A set-up intent to create.
struct NewSetupIntent {
    customer: Option<Id>,
    method: Option<MethodRef>,
    confirm: bool,
    description: Option<String>,
    usage: Option<&'static str>,
    types: Option<Vec<String>>,
    metadata: Metadata,
    return_url: Option<String>,
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<NewSetupIntent> {
    let customer = customer::input::customer_param(ctx, params)?;
    let customer = customer.map(|customer| customer.id.clone());
    let new = NewSetupIntent {
        method: method(ctx, params, customer.as_deref())?,
        customer,
        confirm: params.boolean("confirm")?.unwrap_or(false),
        description: params.nullable("description")?.value().map(str::to_owned),
        usage: params.one_of("usage", &["off_session", "on_session"])?,
        types: types(ctx, params)?,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        return_url: params.string("return_url")?.map(str::to_owned),
    };
    params.only_default("use_stripe_sdk", "false")?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&[
        "attach_to_self",
        "automatic_payment_methods",
        "flow_directions",
        "on_behalf_of",
        "single_use",
    ])?;
    if new.confirm {
        let method = new.method.as_ref().ok_or_else(no_method)?;
        method.card(ctx).check_attachable()?;
    }
    Ok(new)
}

/// `POST /v1/setup_intents`
fn create(ctx: &mut Ctx<'_>, new: NewSetupIntent) -> Result<Value> {
    let now = new
        .customer
        .as_ref()
        .map_or(ctx.now, |customer| ctx.time_of(customer));
    let id = insert(ctx, new.customer, new.metadata, now);
    if let Some(intent) = ctx.account.setup_intents.get_mut(&id) {
        intent.description = new.description;
        intent.return_url = new.return_url;
        intent.usage = new.usage.unwrap_or("off_session");
        intent.types = new.types.unwrap_or_else(|| vec!["card".to_owned()]);
    }
    let created = find(ctx, &id)?.to_json();
    ctx.event("setup_intent.created", &created, now);
    match new.method {
        Some(method) if new.confirm => proceed(ctx, &id, method),
        Some(method) => choose(ctx, &id, method),
        None => {}
    }
    Ok(find(ctx, &id)?.to_json())
}

fn types(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Option<Vec<String>>> {
    let name = payment_method::types_param(ctx.settings.version);
    let Some(types) = params.strings(name)? else {
        return Ok(None);
    };
    payment_method::cards_only(name, &types)?;
    Ok(Some(types.into_iter().map(str::to_owned).collect()))
}

fn method(ctx: &Ctx<'_>, params: &Params<'_>, customer: Option<&str>) -> Result<Option<MethodRef>> {
    params
        .string("payment_method")?
        .map(|id| payment_method::input::usable(ctx, id, customer, "payment_method"))
        .transpose()
}

fn no_method() -> Error {
    Error::invalid("You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with a payment method and then confirm it again.")
        .code("setup_intent_unexpected_state")
}

fn read_retrieve(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<()> {
    find(ctx, &ctx.arg(0))?.check_secret(params)
}

/// `GET /v1/setup_intents/:id`
fn retrieve(ctx: &mut Ctx<'_>, (): ()) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// The parameters of a confirmation.
struct Confirmation {
    method: MethodRef,
    return_url: Option<String>,
}

fn read_confirm(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Confirmation> {
    let intent = find(ctx, &ctx.arg(0))?;
    intent.check_secret(params)?;
    let given = method(ctx, params, intent.customer.as_deref())?;
    let return_url = params.string("return_url")?.map(str::to_owned);
    params.only_default("use_stripe_sdk", "false")?;
    params.unmodelled(UNMODELLED)?;
    intent.check_unconfirmed()?;
    let chosen = intent.payment_method.clone();
    let method = given
        .or(chosen.map(MethodRef::Existing))
        .ok_or_else(no_method)?;
    Ok(Confirmation { method, return_url })
}

/// `POST /v1/setup_intents/:id/confirm`
fn confirm(ctx: &mut Ctx<'_>, confirmation: Confirmation) -> Result<Value> {
    let id = find(ctx, &ctx.arg(0))?.id.clone();
    let Confirmation { method, return_url } = confirmation;
    setup::confirm(ctx, &id, method, return_url)?;
    Ok(find(ctx, &id)?.to_json())
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a SetupIntent> {
    let intent = ctx.account.setup_intents.get(id);
    intent.ok_or_else(|| Error::not_found(NAME, id).param("intent"))
}

impl SetupIntent {
    /// Checks `client_secret`, with which a client without a secret key proves its access to the intent.
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

    /// Refuses to confirm an intent that has succeeded.
    pub(crate) fn check_unconfirmed(&self) -> Result<()> {
        if self.status == "succeeded" {
            return Err(Error::invalid(
                "You cannot confirm this SetupIntent because it has already succeeded.",
            )
            .code("setup_intent_unexpected_state"));
        }
        Ok(())
    }
}
