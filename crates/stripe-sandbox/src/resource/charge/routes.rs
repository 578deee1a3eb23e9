//! `/v1/charges`

use serde_json::Value;

use super::{Charge, NAME};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/charges";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", URL, "list:charge", read_list, list),
        Route::without_params("GET", "/v1/charges/:id", "charge", retrieve),
        Route::new("POST", "/v1/charges/:id", "charge", read_update, update),
    ]
}

/// The filter of a list.
struct Filter {
    page: Page,
    created: Created,
    customer: Option<Id>,
    intent: Option<String>,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let filter = Filter {
        page: Page::read(params)?,
        created: Created::read(params)?,
        customer: customer::input::customer_param(ctx, params)?.map(|customer| customer.id.clone()),
        intent: params.string("payment_intent")?.map(str::to_owned),
    };
    params.unmodelled(&["transfer_group"])?;
    Ok(filter)
}

/// `GET /v1/charges`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let (customer, intent) = (filter.customer.as_ref(), filter.intent.as_deref());
    let charges = &ctx.account.payments.charges;
    let rows = filter.page.of_table(charges, NAME, |charge| {
        filter.created.accepts(charge.created)
            && customer.is_none_or(|id| charge.customer.as_ref() == Some(id))
            && intent.is_none_or(|id| &*charge.intent == id)
    })?;
    Ok(rows.to_json(URL, |charge| charge.to_json(ctx.account)))
}

/// `GET /v1/charges/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.account))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Charge> {
    let mut charge = find(ctx, &ctx.arg(0))?.clone();
    let text = |key| Ok::<_, Error>(params.nullable(key)?.map(str::to_owned));
    text("description")?.apply(&mut charge.description);
    text("receipt_email")?.apply(&mut charge.receipt_email);
    charge.metadata = params.metadata()?.apply(&charge.metadata)?;
    params.unmodelled(&["customer", "fraud_details", "shipping", "transfer_group"])?;
    Ok(charge)
}

/// `POST /v1/charges/:id`: updates its texts.
fn update(ctx: &mut Ctx<'_>, charge: Charge) -> Result<Value> {
    let before = find(ctx, &charge.id)?.to_json(ctx.account);
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
    charge.ok_or_else(|| Error::not_found(NAME, id))
}
