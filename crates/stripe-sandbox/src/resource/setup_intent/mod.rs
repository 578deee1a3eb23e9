//! Set-up intents: attaching a payment method for later. Their endpoints are in [`setup_intents`](crate::resource::setup_intent::routes).

pub(crate) mod routes;

use serde_json::{Value, json};

use super::billing;
use super::payment_method::{self, Named};
use crate::engine::authentication;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::table::Row;

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct SetupIntent {
    pub(crate) id: Id,
    created: i64,
    pub(crate) customer: Option<Id>,
    pub(crate) payment_method: Option<Id>,
    pub(crate) status: &'static str,
    /// Where the customer authenticates, if the intent waits for that.
    authentication_url: Option<String>,
    pub(crate) return_url: Option<String>,
    secret: String,
    pub(crate) description: Option<String>,
    pub(crate) usage: &'static str,
    metadata: Metadata,
    pub(crate) types: Vec<String>,
}

impl Row for SetupIntent {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl SetupIntent {
    /// Whether the customer has been asked to authenticate, and has not answered.
    pub(crate) fn awaits_authentication(&self) -> bool {
        self.status == "requires_action"
    }

    fn next_action(&self) -> Option<Value> {
        let url = self.authentication_url.as_ref()?;
        Some(match &self.return_url {
            Some(back) => json!({
                "redirect_to_url": {"return_url": back, "url": url},
                "type": "redirect_to_url",
            }),
            None => json!({
                "type": "use_stripe_sdk",
                "use_stripe_sdk": {"stripe_js": url, "type": "three_d_secure_redirect"},
            }),
        })
    }

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

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "setup_intent",
            "application": null,
            "automatic_payment_methods": null,
            "cancellation_reason": null,
            "client_secret": self.secret,
            "created": self.created,
            "customer": self.customer.as_deref(),
            "description": self.description,
            "flow_directions": null,
            "last_setup_error": null,
            "latest_attempt": null,
            "livemode": false,
            "mandate": null,
            "metadata": self.metadata.to_json(),
            "next_action": self.next_action(),
            "on_behalf_of": null,
            "payment_method": self.payment_method.as_deref(),
            "payment_method_options": {
                "card": {"mandate_options": null, "network": null, "request_three_d_secure": "automatic"},
            },
            "payment_method_types": self.types,
            "single_use_mandate": null,
            "status": self.status,
            "usage": self.usage,
        })
    }
}

/// Adds an intent for `customer`, which lives at `now`: checkout in `setup` mode makes one as well.
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
        secret,
        description: None,
        usage: "off_session",
        metadata,
        types: vec!["card".to_owned()],
    });
    id
}

/// Confirms with a payment method: its bank may want the customer to authenticate first.
pub(crate) fn proceed(ctx: &mut Ctx<'_>, id: &Id, method: Named) {
    if !method.card(ctx).authenticates_set_up() {
        return succeed(ctx, id, method);
    }
    choose(ctx, id, method);
    let url = authentication::url(ctx, id);
    let Some(intent) = ctx.account.setup_intents.get_mut(id) else {
        return;
    };
    intent.status = "requires_action";
    intent.authentication_url = Some(url);
    let (rendered, customer) = (intent.to_json(), intent.customer.clone());
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    ctx.event("setup_intent.requires_action", &rendered, now);
}

/// The customer authenticates, or refuses to. Returns where they go next.
pub(crate) fn authenticate(ctx: &mut Ctx<'_>, id: &str, agrees: bool) -> Option<String> {
    let intent = ctx.account.setup_intents.get_mut(id)?;
    let (id, back) = (intent.id.clone(), intent.return_url.clone());
    intent.authentication_url = None;
    if agrees {
        let method = intent.payment_method.clone()?;
        succeed(ctx, &id, Named::Existing(method));
        return back;
    }
    intent.status = "requires_payment_method";
    intent.payment_method = None;
    let (rendered, customer) = (intent.to_json(), intent.customer.clone());
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    ctx.event("setup_intent.setup_failed", &rendered, now);
    back
}

/// The payment method is there and the customer agrees: attaches it, and the intent has succeeded.
pub(crate) fn succeed(ctx: &mut Ctx<'_>, id: &Id, method: Named) {
    let customer = ctx
        .account
        .setup_intents
        .get(id)
        .and_then(|intent| intent.customer.clone());
    let method = match (&customer, method) {
        (Some(customer), method) => payment_method::attach_to(ctx, method, customer),
        (None, Named::Existing(method)) => method,
        (None, Named::Token(card)) => payment_method::insert_token(ctx, card),
    };
    if let Some(customer) = &customer {
        billing::setup_succeeded(ctx.account, customer, id, &method);
    }
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    if let Some(method) = ctx.account.payment_methods.get_mut(&method) {
        method.set_up = true;
    }
    let Some(intent) = ctx.account.setup_intents.get_mut(id) else {
        return;
    };
    intent.payment_method = Some(method);
    intent.status = "succeeded";
    let rendered = intent.to_json();
    ctx.event("setup_intent.succeeded", &rendered, now);
}

/// The payment method is chosen; it is attached on confirmation.
pub(crate) fn choose(ctx: &mut Ctx<'_>, id: &Id, method: Named) {
    let method = match method {
        Named::Existing(method) => method,
        Named::Token(card) => payment_method::insert_token(ctx, card),
    };
    if let Some(intent) = ctx.account.setup_intents.get_mut(id) {
        intent.payment_method = Some(method);
        intent.status = "requires_confirmation";
    }
}
