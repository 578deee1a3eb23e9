//! `/v1/payment_methods` and `/v1/customers/:id/payment_methods`.

use serde_json::Value;

use super::input::{attachable, card_param, expiry, missing};
use super::types::OTHER_TYPES;
use super::{NAME, PaymentMethod, cards_only};
use crate::engine::payment_methods::{attach_to, detach_from, insert};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::customer::{self, Customer};
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/payment_methods";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "GET",
            "/v1/customers/:id/payment_methods",
            "list:payment_method",
            read_list_of_customer,
            list_of_customer,
        ),
        Route::without_params(
            "GET",
            "/v1/customers/:id/payment_methods/:id",
            "payment_method",
            retrieve_of_customer,
        ),
        Route::new(
            "POST",
            "/v1/payment_methods",
            "payment_method",
            read_create,
            create,
        ),
        Route::new(
            "GET",
            "/v1/payment_methods",
            "list:payment_method",
            read_list,
            list,
        ),
        Route::without_params("GET", "/v1/payment_methods/:id", "payment_method", retrieve),
        Route::new(
            "POST",
            "/v1/payment_methods/:id",
            "payment_method",
            read_update,
            update,
        ),
        Route::new(
            "POST",
            "/v1/payment_methods/:id/attach",
            "payment_method",
            read_attach,
            attach,
        ),
        Route::without_params(
            "POST",
            "/v1/payment_methods/:id/detach",
            "payment_method",
            detach,
        ),
    ]
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PaymentMethod> {
    let kind = params.required("type")?;
    cards_only("type", &[kind])?;
    let mut method = card_param(ctx, params)?;
    method.change(params)?;
    params.unmodelled(&["customer", "payment_method", "radar_options"])?;
    params.unmodelled(OTHER_TYPES)?;
    Ok(method)
}

/// `POST /v1/payment_methods`
fn create(ctx: &mut Ctx<'_>, method: PaymentMethod) -> Result<Value> {
    let id = insert(ctx, method);
    Ok(find(ctx, &id)?.to_json())
}

/// `GET /v1/payment_methods/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `GET /v1/customers/:id/payment_methods/:id`
fn retrieve_of_customer(ctx: &mut Ctx<'_>) -> Result<Value> {
    let customer = crate::resource::customer::input::find(ctx, &ctx.arg(0))?;
    let id = ctx.arg(1);
    let method = ctx.account.payment_methods.get(&id);
    let method = method.filter(|method| method.customer.as_ref() == Some(&customer.id));
    let method = method.ok_or_else(|| missing(ctx.account, &id, "payment_method").status(404))?;
    Ok(method.to_json())
}

/// Reads the updated payment method, and its customer.
fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(PaymentMethod, Id)> {
    let mut method = find(ctx, &ctx.arg(0))?.clone();
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
    Ok((method, customer))
}

/// `POST /v1/payment_methods/:id`: updates one that is attached.
fn update(ctx: &mut Ctx<'_>, (method, customer): (PaymentMethod, Id)) -> Result<Value> {
    let before = find(ctx, &method.id)?.to_json();
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

/// Reads the customer to attach it to.
fn read_attach(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Id> {
    let customer = params.required("customer")?;
    Ok(customer::input::named(ctx, customer, "customer")?
        .id
        .clone())
}

/// `POST /v1/payment_methods/:id/attach`
fn attach(ctx: &mut Ctx<'_>, customer: Id) -> Result<Value> {
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

/// `POST /v1/payment_methods/:id/detach`: it is then no customer's default any more.
fn detach(ctx: &mut Ctx<'_>) -> Result<Value> {
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

/// The customer and the filter of a list.
struct Filter {
    customer: Id,
    page: Page,
    kind: Option<String>,
}

impl Filter {
    fn read(params: &Params<'_>, customer: &Customer) -> Result<Self> {
        let page = Page::read(params)?;
        let kind = params.string("type")?;
        if let Some(kind) = kind
            && !OTHER_TYPES.contains(&kind)
        {
            cards_only("type", &[kind])?;
        }
        Ok(Self {
            customer: customer.id.clone(),
            page,
            kind: kind.map(str::to_owned),
        })
    }

    /// The customer's payment methods. All of them are cards, so other types match none.
    fn list(self, ctx: &Ctx<'_>, url: &str) -> Result<Value> {
        let customer = customer::input::find(ctx, &self.customer)?;
        let kind = self.kind.as_deref();
        let rows = self.page.of_positions(
            &ctx.account.payment_methods,
            &customer.payment_methods,
            NAME,
            |_| kind.is_none_or(|kind| kind == "card"),
        )?;
        Ok(rows.to_json(url, PaymentMethod::to_json))
    }
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let customer = params.required("customer")?;
    Filter::read(params, customer::input::named(ctx, customer, "customer")?)
}

/// `GET /v1/payment_methods?customer=`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    filter.list(ctx, URL)
}

fn read_list_of_customer(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    Filter::read(params, customer::input::find(ctx, &ctx.arg(0))?)
}

/// `GET /v1/customers/:id/payment_methods`
fn list_of_customer(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let url = format!("/v1/customers/{}/payment_methods", filter.customer);
    filter.list(ctx, &url)
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a PaymentMethod> {
    let method = ctx.account.payment_methods.get(id);
    method.ok_or_else(|| missing(ctx.account, id, "payment_method").status(404))
}
