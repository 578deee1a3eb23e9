//! `/v1/coupons`

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::input::{duration, off};
use super::{Coupon, Texts, WHAT};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::locked;
use crate::store::page::Page;

const URL: &str = "/v1/coupons";

pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/v1/coupons", create, "coupon"),
    route("GET", "/v1/coupons", list, "list:coupon"),
    route("GET", "/v1/coupons/:id", retrieve, "coupon"),
    route("POST", "/v1/coupons/:id", update, "coupon"),
    route("DELETE", "/v1/coupons/:id", delete, "coupon"),
];

/// `POST /v1/coupons`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
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
    params.finish()?;
    let coupon = Coupon {
        id: match id {
            Some(id) => id.into(),
            None => ctx.account.ids.text(11).into(),
        },
        created: ctx.now,
        off,
        duration,
        max_redemptions,
        redeem_by,
        texts: Mutex::new(Texts { name, metadata }),
        times_redeemed: 0.into(),
    };
    let answer = coupon.to_json(ctx.now);
    ctx.account.coupons.insert(Arc::new(coupon));
    ctx.event("coupon.created", &answer, ctx.now);
    Ok(answer)
}

/// `GET /v1/coupons/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.now))
}

/// `POST /v1/coupons/:id`: what it says.
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let coupon = find(ctx, &id)?.clone();
    let mut texts = locked(&coupon.texts).clone();
    params
        .nullable("name")?
        .map(str::to_owned)
        .apply(&mut texts.name);
    texts.metadata = params.metadata()?.apply(&texts.metadata)?;
    params.unmodelled(&["currency_options"])?;
    params.finish()?;
    let before = coupon.to_json(ctx.now);
    *locked(&coupon.texts) = texts;
    let after = coupon.to_json(ctx.now);
    if after != before {
        ctx.update_event("coupon.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `GET /v1/coupons`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.coupons, WHAT, |coupon| {
        created.accepts(coupon.created)
    })?;
    Ok(cut.to_json(URL, |coupon| coupon.to_json(ctx.now)))
}

/// `DELETE /v1/coupons/:id`: it can no longer be applied; discounts that it gave stay.
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let before = find(ctx, &id)?.to_json(ctx.now);
    ctx.account.coupons.remove(&id);
    ctx.event("coupon.deleted", &before, ctx.now);
    Ok(json!({"id": id, "object": "coupon", "deleted": true}))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Arc<Coupon>> {
    let coupon = ctx.account.coupons.get(id);
    coupon.ok_or_else(|| Error::not_found(WHAT, id))
}
