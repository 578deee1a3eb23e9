//! Payment methods: cards, made from Stripe's test tokens.

use serde_json::{Value, json};

use super::card::{self, Card};
use super::context::Ctx;
use super::error::{Error, Result};
use super::ids::Id;
use super::metadata::Metadata;
use super::page::Page;
use super::params::Params;
use super::table::Row;

const URL: &str = "/v1/payment_methods";
/// Stripe's name for it in messages.
pub(crate) const WHAT: &str = "PaymentMethod";

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct PaymentMethod {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// To whom it is attached.
    pub(crate) customer: Option<Id>,
    card: &'static Card,
    exp_month: i64,
    exp_year: i64,
    billing: [Option<String>; 3],
    metadata: Metadata,
}

impl Row for PaymentMethod {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl PaymentMethod {
    fn new(card: &'static Card, now: i64) -> Self {
        use chrono::Datelike;
        let year = chrono::DateTime::from_timestamp(now, 0).map_or(2030, |now| now.year());
        Self {
            id: Id::default(),
            created: now,
            customer: None,
            card,
            exp_month: 12,
            exp_year: i64::from(year) + 3,
            billing: [None, None, None],
            metadata: Metadata::default(),
        }
    }

    /// Whether charging it fails.
    pub(crate) fn declines(&self) -> bool {
        self.card.declines
    }

    pub(crate) fn to_json(&self) -> Value {
        let [email, name, phone] = &self.billing;
        json!({
            "id": &*self.id,
            "object": "payment_method",
            "billing_details": {
                "address": {
                    "city": null,
                    "country": null,
                    "line1": null,
                    "line2": null,
                    "postal_code": null,
                    "state": null,
                },
                "email": email,
                "name": name,
                "phone": phone,
            },
            "card": {
                "brand": self.card.brand,
                "checks": {
                    "address_line1_check": null,
                    "address_postal_code_check": null,
                    "cvc_check": "pass",
                },
                "country": self.card.country,
                "exp_month": self.exp_month,
                "exp_year": self.exp_year,
                "fingerprint": format!("sandbox{}{}", self.card.brand, self.card.last4),
                "funding": self.card.funding,
                "last4": self.card.last4,
                "networks": {"available": [self.card.brand], "preferred": null},
                "three_d_secure_usage": {"supported": true},
                "wallet": null,
            },
            "created": self.created,
            "customer": self.customer.as_deref(),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "type": "card",
        })
    }
}

/// What a parameter that names a payment method stands for.
#[derive(Debug)]
pub(crate) enum Named {
    /// One that is there.
    Existing(Id),
    /// A test token: a new one is made of it on use.
    Token(&'static Card),
}

/// Looks up what `id` names: a `pm_…` of the account, or a test token.
pub(crate) fn named(ctx: &Ctx<'_>, id: &str, param: &str) -> Result<Named> {
    if let Some(found) = ctx.account.payment_methods.get(id) {
        return Ok(Named::Existing(found.id.clone()));
    }
    match card::by_token(id, "pm_card_") {
        Some(card) => Ok(Named::Token(card)),
        None => Err(Error::no_such(WHAT, id, param)),
    }
}

/// Whether charging what was [named] fails.
pub(crate) fn named_declines(ctx: &Ctx<'_>, named: &Named) -> bool {
    match named {
        Named::Token(card) => card.declines,
        Named::Existing(id) => {
            let found = ctx.account.payment_methods.get(id);
            found.is_some_and(PaymentMethod::declines)
        }
    }
}

/// Like [`named`], for attaching to `customer` (`None`: one that is about to be created): what is attached to
/// somebody else is refused.
pub(crate) fn attachable(
    ctx: &Ctx<'_>,
    id: &str,
    customer: Option<&str>,
    param: &str,
) -> Result<Named> {
    let named = named(ctx, id, param)?;
    if let Named::Existing(id) = &named {
        let found = ctx.account.payment_methods.get(id);
        let holder = found.and_then(|found| found.customer.as_deref());
        if holder.is_some() && holder != customer {
            return Err(Error::invalid(
                "The payment method you provided has already been attached to a customer.",
            )
            .code("resource_already_exists")
            .param(param));
        }
    }
    Ok(named)
}

/// Makes the payment method if it is a token still, attaches it and says its id. The customer exists, and
/// nobody else holds the payment method.
pub(crate) fn attach_to(ctx: &mut Ctx<'_>, named: Named, customer: &Id) -> Id {
    let now = ctx.time_of(customer);
    let id = match named {
        Named::Existing(id) => id,
        Named::Token(card) => insert(ctx, PaymentMethod::new(card, now)),
    };
    let position = ctx.account.payment_methods.position(&id);
    let Some(position) = position else { return id };
    let Some(method) = ctx.account.payment_methods.at_mut(position) else {
        return id;
    };
    if method.customer.is_some() {
        return id;
    }
    method.customer = Some(customer.clone());
    let rendered = method.to_json();
    if let Some(holder) = ctx.account.customers.get_mut(customer) {
        holder.payment_methods.push(position);
        holder.payment_methods.sort_unstable();
    }
    ctx.event("payment_method.attached", &rendered, now);
    id
}

/// Makes the payment method that a test token stands for, without attaching it.
pub(crate) fn insert_token(ctx: &mut Ctx<'_>, card: &'static Card) -> Id {
    insert(ctx, PaymentMethod::new(card, ctx.now))
}

fn insert(ctx: &mut Ctx<'_>, mut method: PaymentMethod) -> Id {
    method.id = ctx.account.ids.next("pm", 24);
    let id = method.id.clone();
    ctx.account.payment_methods.insert(method);
    id
}

/// Refuses types of payment methods other than cards.
pub(crate) fn cards_only(param: &str, types: &[&str]) -> Result<()> {
    match types.iter().find(|kind| **kind != "card") {
        Some(other) => Err(Error::malformed(
            param,
            format!("The sandbox models payment methods of type `card` only, not `{other}`."),
        )),
        None => Ok(()),
    }
}

/// The error for a payment method that is there, and not the customer's.
pub(crate) fn not_theirs(id: &str, param: impl Into<String>) -> Error {
    Error::invalid(format!("The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer."))
        .code("resource_missing")
        .param(param)
}

/// `POST /v1/payment_methods`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let kind = params.required("type")?;
    cards_only("type", &[kind])?;
    let mut method = self::card_given(ctx, params)?;
    method.change(params)?;
    params.unmodelled(&["customer", "payment_method", "radar_options"])?;
    params.finish()?;
    let id = insert(ctx, method);
    Ok(find(ctx, &id)?.to_json())
}

/// The card by `card[token]=tok_visa`, or by the number of a test card.
fn card_given(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PaymentMethod> {
    let object = params
        .object("card")?
        .ok_or_else(|| params.missing("card"))?;
    if let Some(token) = object.string("token")? {
        let card = card::by_token(token, "tok_");
        let card = card.ok_or_else(|| Error::no_such("token", token, object.name("token")))?;
        return Ok(PaymentMethod::new(card, ctx.now));
    }
    let number = object.required("number")?;
    let month = object
        .integer("exp_month")?
        .ok_or_else(|| object.missing("exp_month"))?;
    let year = object
        .integer("exp_year")?
        .ok_or_else(|| object.missing("exp_year"))?;
    object.string("cvc")?;
    if !(1..=12).contains(&month) {
        return Err(card::card_error(
            "Your card's expiration month is invalid.",
            "invalid_expiry_month",
            "exp_month",
        ));
    }
    let mut method = PaymentMethod::new(card::by_number(number)?, ctx.now);
    let year = if year < 100 { year + 2000 } else { year };
    if !(method.exp_year - 3..=method.exp_year + 50).contains(&year) {
        return Err(card::card_error(
            "Your card's expiration year is invalid.",
            "invalid_expiry_year",
            "exp_year",
        ));
    }
    (method.exp_month, method.exp_year) = (month, year);
    Ok(method)
}

impl PaymentMethod {
    fn change(&mut self, params: &Params<'_>) -> Result<()> {
        if let Some(details) = params.object("billing_details")? {
            for (index, key) in ["email", "name", "phone"].into_iter().enumerate() {
                details
                    .nullable(key)?
                    .map(str::to_owned)
                    .apply(&mut self.billing[index]);
            }
            details.unmodelled(&["address"])?;
        }
        self.metadata = params.metadata()?.apply(&self.metadata)?;
        Ok(())
    }
}

/// `GET /v1/payment_methods/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `POST /v1/payment_methods/:id/attach`
pub(crate) fn attach(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = params.required("customer")?;
    let customer = super::customer::named(ctx, customer, "customer")?
        .id
        .clone();
    params.finish()?;
    let id = ctx.arg(0);
    let named = attachable(ctx, &id, Some(&customer), "payment_method").map_err(|error| {
        if error.code == Some("resource_missing") {
            error.status(404)
        } else {
            error
        }
    })?;
    let id = attach_to(ctx, named, &customer);
    Ok(find(ctx, &id)?.to_json())
}

/// `POST /v1/payment_methods/:id/detach`: it is no longer the customer's, nor the default of anything.
pub(crate) fn detach(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let method = find(ctx, &id)?;
    let before = method.to_json();
    let Some(customer) = method.customer.clone() else {
        return Err(Error::invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
        ));
    };
    let now = ctx.time_of(&customer);
    let position = ctx.account.payment_methods.position(&id);
    if let Some(method) = ctx.account.payment_methods.get_mut(&id) {
        method.customer = None;
    }
    if let Some(customer) = ctx.account.customers.get_mut(&customer) {
        customer
            .payment_methods
            .retain(|held| Some(*held) != position);
        if customer.default_payment_method.as_deref() == Some(&*id) {
            customer.default_payment_method = None;
        }
    }
    let after = find(ctx, &id)?.to_json();
    ctx.update_event("payment_method.detached", &before, &after, now);
    Ok(after)
}

/// `GET /v1/payment_methods?customer=`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = params.required("customer")?;
    let customer = super::customer::named(ctx, customer, "customer")?
        .id
        .clone();
    of_customer(ctx, params, &customer, URL)
}

/// `GET /v1/customers/:id/payment_methods`
pub(crate) fn list_of_customer(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = super::customer::find(ctx, &ctx.arg(0))?.id.clone();
    let url = format!("/v1/customers/{customer}/payment_methods");
    of_customer(ctx, params, &customer, &url)
}

fn of_customer(ctx: &Ctx<'_>, params: &Params<'_>, customer: &str, url: &str) -> Result<Value> {
    let page = Page::read(params)?;
    let kind = params.string("type")?;
    params.finish()?;
    let customer = super::customer::find(ctx, customer)?;
    let cut = page.of_positions(
        &ctx.account.payment_methods,
        &customer.payment_methods,
        WHAT,
        |_| kind.is_none_or(|kind| kind == "card"),
    )?;
    Ok(cut.to_json(url, PaymentMethod::to_json))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a PaymentMethod> {
    let method = ctx.account.payment_methods.get(id);
    method.ok_or_else(|| Error::not_found(WHAT, id).param("payment_method"))
}
