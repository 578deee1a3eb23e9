//! `/v1/charges`

use serde_json::Value;

use super::{Charge, WHAT};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/charges";

pub(crate) const ROUTES: &[Route] = &[
    route("GET", URL, list, "list:charge"),
    route("GET", "/v1/charges/:id", retrieve, "charge"),
    route("POST", "/v1/charges/:id", update, "charge"),
];

/// `GET /v1/charges`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let customer = params.string("customer")?;
    if let Some(id) = customer {
        customer::input::named(ctx, id, "customer")?;
    }
    let intent = params.string("payment_intent")?;
    params.unmodelled(&["transfer_group"])?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.payments.charges, WHAT, |charge| {
        created.accepts(charge.created)
            && customer.is_none_or(|id| charge.customer.as_deref() == Some(id))
            && intent.is_none_or(|id| &*charge.intent == id)
    })?;
    Ok(cut.to_json(URL, |charge| charge.to_json(ctx.account)))
}

/// `GET /v1/charges/:id`
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.account))
}

/// `POST /v1/charges/:id`: its texts.
fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut charge = find(ctx, &ctx.arg(0))?.clone();
    let before = charge.to_json(ctx.account);
    let text = |key| Ok::<_, Error>(params.nullable(key)?.map(str::to_owned));
    text("description")?.apply(&mut charge.description);
    text("receipt_email")?.apply(&mut charge.receipt_email);
    charge.metadata = params.metadata()?.apply(&charge.metadata)?;
    params.unmodelled(&["customer", "fraud_details", "shipping", "transfer_group"])?;
    params.finish()?;
    let after = charge.to_json(ctx.account);
    let customer = charge.customer.clone();
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    if let Some(row) = ctx.account.payments.charges.get_mut(&charge.id) {
        row.clone_from(&charge);
    }
    if after != before {
        ctx.update_event("charge.updated", &before, &after, now);
    }
    Ok(after)
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Charge> {
    let charge = ctx.account.payments.charges.get(id);
    charge.ok_or_else(|| Error::not_found(WHAT, id))
}
