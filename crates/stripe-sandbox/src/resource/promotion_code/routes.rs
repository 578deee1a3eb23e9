//! `/v1/promotion_codes`

use std::sync::Arc;

use serde_json::Value;

use super::input::{check_free, restrictions};
use super::{OBJECT, PromotionCode, WHAT};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::customer;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/promotion_codes";

/// The endpoints.
pub(crate) const ROUTES: &[Route] = &[
    route("POST", URL, create, OBJECT),
    route("GET", URL, list, "list:promotion_code"),
    route("GET", "/v1/promotion_codes/:id", retrieve, OBJECT),
    route("POST", "/v1/promotion_codes/:id", update, OBJECT),
];

/// `POST /v1/promotion_codes`
fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let coupon = crate::resource::coupon::input::applicable(
        ctx,
        params.required("coupon")?,
        "coupon",
        ctx.now,
    )?;
    let given = params.string("code")?;
    let customer = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?.id.clone()),
        None => None,
    };
    let active = params.boolean("active")?.unwrap_or(true);
    let expires_at = params.timestamp("expires_at")?;
    if expires_at.is_some_and(|at| at <= ctx.now) {
        return Err(Error::malformed(
            "expires_at",
            "Invalid timestamp: `expires_at` must be in the future.",
        ));
    }
    let max_redemptions = params.integer_from("max_redemptions", 1)?;
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    let restrictions = restrictions(params)?;
    if let Some(code) = given.filter(|_| active) {
        check_free(ctx, code, customer.as_ref())?;
    }
    params.finish()?;
    let code = match given {
        Some(code) => code.to_owned(),
        None => ctx.account.ids.text(11).to_uppercase(),
    };
    let made = PromotionCode {
        id: ctx.account.ids.next("promo", 24),
        code,
        coupon,
        created: ctx.now,
        active,
        customer,
        expires_at,
        max_redemptions,
        metadata,
        restrictions,
        times_redeemed: Arc::default(),
    };
    let answer = made.to_json(ctx.now);
    ctx.account.promotion_codes.insert(Arc::new(made));
    ctx.event("promotion_code.created", &answer, ctx.now);
    Ok(answer)
}

/// `GET /v1/promotion_codes/:id`
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.now))
}

/// `POST /v1/promotion_codes/:id`
fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let old = find(ctx, &ctx.arg(0))?.clone();
    let before = old.to_json(ctx.now);
    let active = params.boolean("active")?.unwrap_or(old.active);
    let metadata = params.metadata()?.apply(&old.metadata)?;
    params.unmodelled(&["restrictions"])?;
    if active && !old.active {
        check_free(ctx, &old.code, old.customer.as_ref())?;
    }
    params.finish()?;
    let changed = PromotionCode {
        id: old.id.clone(),
        code: old.code.clone(),
        coupon: old.coupon.clone(),
        customer: old.customer.clone(),
        active,
        metadata,
        times_redeemed: old.times_redeemed.clone(),
        created: old.created,
        expires_at: old.expires_at,
        max_redemptions: old.max_redemptions,
        restrictions: old.restrictions,
    };
    let after = changed.to_json(ctx.now);
    if let Some(row) = ctx.account.promotion_codes.get_mut(&old.id) {
        *row = Arc::new(changed);
    }
    if after != before {
        ctx.update_event("promotion_code.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `GET /v1/promotion_codes`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let active = params.boolean("active")?;
    let [code, coupon, customer] = ["code", "coupon", "customer"].map(|key| params.string(key));
    let (code, coupon, customer) = (code?, coupon?, customer?);
    params.finish()?;
    let cut = page.of_table(&ctx.account.promotion_codes, WHAT, |one| {
        created.accepts(one.created)
            && active.is_none_or(|active| active == one.usable(ctx.now))
            && code.is_none_or(|code| one.code.eq_ignore_ascii_case(code))
            && coupon.is_none_or(|coupon| &*one.coupon.id == coupon)
            && customer.is_none_or(|customer| one.customer.as_deref() == Some(customer))
    })?;
    Ok(cut.to_json(URL, |one| one.to_json(ctx.now)))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Arc<PromotionCode>> {
    let code = ctx.account.promotion_codes.get(id);
    code.ok_or_else(|| Error::not_found(WHAT, id))
}
