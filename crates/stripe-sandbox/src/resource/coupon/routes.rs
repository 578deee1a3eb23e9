//! `/v1/coupons`

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::input::{duration, off};
use super::{Coupon, NAME, Texts};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::locked;
use crate::store::page::Page;

const URL: &str = "/v1/coupons";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", "/v1/coupons", "coupon", read_create, create),
        Route::new("GET", "/v1/coupons", "list:coupon", read_list, list),
        Route::without_params("GET", "/v1/coupons/:id", "coupon", retrieve),
        Route::new("POST", "/v1/coupons/:id", "coupon", read_update, update),
        Route::without_params("DELETE", "/v1/coupons/:id", "coupon", delete),
    ]
}

/// Reads a new coupon. Without an `id` parameter, its id is empty.
fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Coupon> {
    let id = params.string("id")?;
    if id.is_some_and(|id| ctx.account.coupons.contains(id)) {
        return Err(Error::invalid("Coupon already exists.")
            .code("resource_already_exists")
            .param("id"));
    }
    let off = off(params)?;
    let duration = duration(params)?;
    let max_redemptions = params.integer_from("max_redemptions", 1)?;
    let redeem_by = params.timestamp("redeem_by")?;
    if redeem_by.is_some_and(|by| by <= ctx.now) {
        return Err(Error::malformed(
            "redeem_by",
            "Invalid timestamp: `redeem_by` must be in the future.",
        ));
    }
    let name = params.nullable("name")?.value().map(str::to_owned);
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    params.unmodelled(&["applies_to", "currency_options"])?;
    Ok(Coupon {
        id: id.unwrap_or_default().into(),
        created: ctx.now,
        off,
        duration,
        max_redemptions,
        redeem_by,
        texts: Mutex::new(Texts { name, metadata }),
        times_redeemed: 0.into(),
    })
}

/// `POST /v1/coupons`
fn create(ctx: &mut Ctx<'_>, mut coupon: Coupon) -> Result<Value> {
    if coupon.id.is_empty() {
        coupon.id = ctx.account.ids.text(11).into();
    }
    let answer = coupon.to_json(ctx.now);
    ctx.account.coupons.insert(Arc::new(coupon));
    ctx.event("coupon.created", &answer, ctx.now);
    Ok(answer)
}

/// `GET /v1/coupons/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.now))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Texts> {
    let coupon = find(ctx, &ctx.arg(0))?;
    let mut texts = locked(&coupon.texts).clone();
    params
        .nullable("name")?
        .map(str::to_owned)
        .apply(&mut texts.name);
    texts.metadata = params.metadata()?.apply(&texts.metadata)?;
    params.unmodelled(&["currency_options"])?;
    Ok(texts)
}

/// `POST /v1/coupons/:id`: updates its texts.
fn update(ctx: &mut Ctx<'_>, texts: Texts) -> Result<Value> {
    let coupon = find(ctx, &ctx.arg(0))?.clone();
    let before = coupon.to_json(ctx.now);
    *locked(&coupon.texts) = texts;
    let after = coupon.to_json(ctx.now);
    if after != before {
        ctx.update_event("coupon.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<(Page, Created)> {
    Ok((Page::read(params)?, Created::read(params)?))
}

/// `GET /v1/coupons`
fn list(ctx: &mut Ctx<'_>, (page, created): (Page, Created)) -> Result<Value> {
    let rows = page.of_table(&ctx.account.coupons, NAME, |coupon| {
        created.accepts(coupon.created)
    })?;
    Ok(rows.to_json(URL, |coupon| coupon.to_json(ctx.now)))
}

/// `DELETE /v1/coupons/:id`: the coupon can no longer be applied, but its discounts stay.
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let before = find(ctx, &id)?.to_json(ctx.now);
    ctx.account.coupons.remove(&id);
    ctx.event("coupon.deleted", &before, ctx.now);
    Ok(json!({"id": id, "object": "coupon", "deleted": true}))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Arc<Coupon>> {
    let coupon = ctx.account.coupons.get(id);
    coupon.ok_or_else(|| Error::not_found(NAME, id))
}
