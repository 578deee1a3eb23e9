//! `/v1/promotion_codes`

use std::sync::Arc;

use serde_json::Value;

use super::input::{check_free, restrictions};
use super::{NAME, OBJECT, PromotionCode};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::route::Route;
use crate::resource::{coupon, customer};
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/promotion_codes";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", URL, OBJECT, read_create, create),
        Route::new("GET", URL, "list:promotion_code", read_list, list),
        Route::without_params("GET", "/v1/promotion_codes/:id", OBJECT, retrieve),
        Route::new(
            "POST",
            "/v1/promotion_codes/:id",
            OBJECT,
            read_update,
            update,
        ),
    ]
}

/// The coupon and its parameter: `promotion[coupon]`, or in 2022-11-15 `coupon`.
fn coupon_param<'a>(ctx: &Ctx<'_>, params: &Params<'a>) -> Result<(&'a str, String)> {
    if !ctx.has_meters() {
        return Ok((params.required("coupon")?, "coupon".to_owned()));
    }
    let promotion = params.object("promotion")?;
    let promotion = promotion.ok_or_else(|| params.missing("promotion"))?;
    if promotion.one_of("type", &["coupon"])?.is_none() {
        return Err(promotion.missing("type"));
    }
    Ok((promotion.required("coupon")?, promotion.name("coupon")))
}

/// Reads a new promotion code, without an id. If no code is given, it is chosen later.
fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PromotionCode> {
    let (id, param) = coupon_param(ctx, params)?;
    let coupon = coupon::input::applicable(ctx, id, &param, ctx.now)?;
    let given = params.string("code")?;
    let customer = customer::input::customer_param(ctx, params)?;
    let customer = customer.map(|customer| customer.id.clone());
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
    Ok(PromotionCode {
        id: Id::default(),
        code: given.unwrap_or_default().to_owned(),
        coupon,
        created: ctx.now,
        active,
        customer,
        expires_at,
        max_redemptions,
        metadata,
        restrictions,
        times_redeemed: Arc::default(),
    })
}

/// `POST /v1/promotion_codes`
fn create(ctx: &mut Ctx<'_>, mut promotion_code: PromotionCode) -> Result<Value> {
    if promotion_code.code.is_empty() {
        promotion_code.code = ctx.account.ids.text(11).to_uppercase();
    }
    promotion_code.id = ctx.account.ids.next("promo", 24);
    let answer = promotion_code.to_json(ctx.now);
    ctx.account.promotion_codes.insert(Arc::new(promotion_code));
    ctx.event("promotion_code.created", &answer, ctx.now);
    Ok(answer)
}

/// `GET /v1/promotion_codes/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.now))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PromotionCode> {
    let old = find(ctx, &ctx.arg(0))?;
    let active = params.boolean("active")?.unwrap_or(old.active);
    let metadata = params.metadata()?.apply(&old.metadata)?;
    params.unmodelled(&["restrictions"])?;
    if active && !old.active {
        check_free(ctx, &old.code, old.customer.as_ref())?;
    }
    Ok(PromotionCode {
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
    })
}

/// `POST /v1/promotion_codes/:id`
fn update(ctx: &mut Ctx<'_>, changed: PromotionCode) -> Result<Value> {
    let before = find(ctx, &changed.id)?.to_json(ctx.now);
    let after = changed.to_json(ctx.now);
    if let Some(row) = ctx.account.promotion_codes.get_mut(&changed.id.clone()) {
        *row = Arc::new(changed);
    }
    if after != before {
        ctx.update_event("promotion_code.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// The filter of a list.
struct Filter {
    page: Page,
    created: Created,
    active: Option<bool>,
    code: Option<String>,
    coupon: Option<String>,
    customer: Option<String>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let text = |key| Ok::<_, Error>(params.string(key)?.map(str::to_owned));
    Ok(Filter {
        page: Page::read(params)?,
        created: Created::read(params)?,
        active: params.boolean("active")?,
        code: text("code")?,
        coupon: text("coupon")?,
        customer: text("customer")?,
    })
}

/// `GET /v1/promotion_codes`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let (code, coupon) = (filter.code.as_deref(), filter.coupon.as_deref());
    let customer = filter.customer.as_deref();
    let codes = &ctx.account.promotion_codes;
    let rows = filter.page.of_table(codes, NAME, |promotion_code| {
        filter.created.accepts(promotion_code.created)
            && (filter.active).is_none_or(|active| active == promotion_code.is_usable(ctx.now))
            && code.is_none_or(|code| promotion_code.code.eq_ignore_ascii_case(code))
            && coupon.is_none_or(|coupon| &*promotion_code.coupon.id == coupon)
            && customer.is_none_or(|customer| promotion_code.customer.as_deref() == Some(customer))
    })?;
    Ok(rows.to_json(URL, |promotion_code| promotion_code.to_json(ctx.now)))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Arc<PromotionCode>> {
    let code = ctx.account.promotion_codes.get(id);
    code.ok_or_else(|| Error::not_found(NAME, id))
}
