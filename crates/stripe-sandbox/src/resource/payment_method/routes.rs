//! `/v1/payment_methods`, and a customer's.

use serde_json::Value;

use super::input::{attachable, card_given, expiry, missing};
use super::{OTHER_TYPES, PaymentMethod, WHAT, cards_only};
use crate::engine::payment_methods::{attach_to, detach_from, insert};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/payment_methods";

pub(crate) const ROUTES: &[Route] = &[
    route(
        "GET",
        "/v1/customers/:id/payment_methods",
        list_of_customer,
        "list:payment_method",
    ),
    route(
        "GET",
        "/v1/customers/:id/payment_methods/:id",
        retrieve_of_customer,
        "payment_method",
    ),
    route("POST", "/v1/payment_methods", create, "payment_method"),
    route("GET", "/v1/payment_methods", list, "list:payment_method"),
    route("GET", "/v1/payment_methods/:id", retrieve, "payment_method"),
    route("POST", "/v1/payment_methods/:id", update, "payment_method"),
    route(
        "POST",
        "/v1/payment_methods/:id/attach",
        attach,
        "payment_method",
    ),
    route(
        "POST",
        "/v1/payment_methods/:id/detach",
        detach,
        "payment_method",
    ),
];

/// `POST /v1/payment_methods`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let kind = params.required("type")?;
    cards_only("type", &[kind])?;
    let mut method = card_given(ctx, params)?;
    method.change(params)?;
    params.unmodelled(&["customer", "payment_method", "radar_options"])?;
    params.unmodelled(OTHER_TYPES)?;
    params.finish()?;
    let id = insert(ctx, method);
    Ok(find(ctx, &id)?.to_json())
}

/// `GET /v1/payment_methods/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `GET /v1/customers/:id/payment_methods/:id`
pub(crate) fn retrieve_of_customer(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let customer = crate::resource::customer::input::find(ctx, &ctx.arg(0))?;
    let id = ctx.arg(1);
    let method = ctx.account.payment_methods.get(&id);
    let theirs = method.filter(|method| method.customer.as_ref() == Some(&customer.id));
    let theirs = theirs.ok_or_else(|| missing(ctx.account, &id, "payment_method").status(404))?;
    Ok(theirs.to_json())
}

/// `POST /v1/payment_methods/:id`: of one that is attached.
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut method = find(ctx, &ctx.arg(0))?.clone();
    let before = method.to_json();
    method.change(params)?;
    if let Some(card) = params.object("card")? {
        let month = card.integer("exp_month")?.unwrap_or(method.expiry.month);
        let year = card.integer("exp_year")?.unwrap_or(method.expiry.year);
        if card.has("exp_month") || card.has("exp_year") {
            method.expiry = expiry(month, year, ctx.now)?;
        }
    }
    params.unmodelled(OTHER_TYPES)?;
    let Some(customer) = method.customer.clone() else {
        return Err(Error::invalid(
            "You must save this PaymentMethod to a customer before you can update it.",
        ));
    };
    params.finish()?;
    let now = ctx.time_of(&customer);
    let after = method.to_json();
    if let Some(row) = ctx.account.payment_methods.get_mut(&method.id) {
        row.clone_from(&method);
    }
    if after != before {
        ctx.update_event("payment_method.updated", &before, &after, now);
    }
    Ok(after)
}

/// `POST /v1/payment_methods/:id/attach`
pub(crate) fn attach(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = params.required("customer")?;
    let customer = crate::resource::customer::input::named(ctx, customer, "customer")?
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
    let method = find(ctx, &ctx.arg(0))?;
    let (id, before) = (method.id.clone(), method.to_json());
    let Some(customer) = method.customer.clone() else {
        return Err(Error::invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
        ));
    };
    let now = ctx.time_of(&customer);
    detach_from(ctx, &id, &customer);
    let after = find(ctx, &id)?.to_json();
    ctx.update_event("payment_method.detached", &before, &after, now);
    Ok(after)
}

/// `GET /v1/payment_methods?customer=`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = params.required("customer")?;
    let customer = crate::resource::customer::input::named(ctx, customer, "customer")?
        .id
        .clone();
    of_customer(ctx, params, &customer, URL)
}

/// `GET /v1/customers/:id/payment_methods`
pub(crate) fn list_of_customer(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let customer = crate::resource::customer::input::find(ctx, &ctx.arg(0))?
        .id
        .clone();
    let url = format!("/v1/customers/{customer}/payment_methods");
    of_customer(ctx, params, &customer, &url)
}

/// The customer's payment methods; of types that the sandbox does not model, nobody has any.
fn of_customer(ctx: &Ctx<'_>, params: &Params<'_>, customer: &str, url: &str) -> Result<Value> {
    let page = Page::read(params)?;
    let kind = params.string("type")?;
    if let Some(kind) = kind
        && !OTHER_TYPES.contains(&kind)
    {
        cards_only("type", &[kind])?;
    }
    params.finish()?;
    let customer = crate::resource::customer::input::find(ctx, customer)?;
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
    method.ok_or_else(|| missing(ctx.account, id, "payment_method").status(404))
}
