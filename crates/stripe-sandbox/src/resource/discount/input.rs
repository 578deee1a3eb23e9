//! Reading the discount of a request.

use super::AppliedCoupon;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::resource::promotion_code::input::Redemption;
use crate::resource::{coupon, promotion_code};
use crate::store::context::Ctx;

/// The discount of a subscription: `discounts`, or in 2022-11-15 `coupon` or `promotion_code`.
pub(crate) fn of_subscription(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    redemption: Redemption<'_>,
) -> Result<FieldUpdate<AppliedCoupon>> {
    if !ctx.has_meters() {
        return by_coupon_or_code(ctx, params, redemption);
    }
    match single_discount(params)? {
        FieldUpdate::Set(discount) => by_coupon_or_code(ctx, &discount, redemption),
        FieldUpdate::Unset => Ok(FieldUpdate::Unset),
        FieldUpdate::Keep => Ok(FieldUpdate::Keep),
    }
}

/// The discount of a customer, which only 2022-11-15 takes from a request.
pub(crate) fn of_customer(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    redemption: Redemption<'_>,
) -> Result<FieldUpdate<AppliedCoupon>> {
    if ctx.has_meters() {
        return Ok(FieldUpdate::Keep);
    }
    by_coupon_or_code(ctx, params, redemption)
}

/// The element of `discounts`; an empty list removes the discount. The sandbox models neither several discounts nor
/// existing ones (`discount`) here.
pub(crate) fn single_discount<'a>(params: &Params<'a>) -> Result<FieldUpdate<Params<'a>>> {
    let Some(given) = params.objects("discounts")? else {
        return Ok(FieldUpdate::Keep);
    };
    let mut given = given.into_iter();
    let Some(discount) = given.next() else {
        return Ok(FieldUpdate::Unset);
    };
    if let Some(second) = given.next() {
        let name = second.name("");
        return Err(Error::unmodelled(name.trim_end_matches("[]")));
    }
    discount.unmodelled(&["discount"])?;
    Ok(FieldUpdate::Set(discount))
}

/// `coupon` or `promotion_code`: at most one. An empty one removes the discount.
pub(crate) fn by_coupon_or_code(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    redemption: Redemption<'_>,
) -> Result<FieldUpdate<AppliedCoupon>> {
    let coupon = params.nullable("coupon")?;
    let code = params.nullable("promotion_code")?;
    match (coupon, code) {
        (FieldUpdate::Set(_), FieldUpdate::Set(_)) => Err(Error::invalid(
            "You may only specify one of these parameters: coupon, promotion_code.",
        )
        .param(params.name("coupon"))),
        (_, FieldUpdate::Set(id)) => {
            let param = params.name("promotion_code");
            promotion_code::input::applicable(ctx, id, &param, redemption).map(FieldUpdate::Set)
        }
        (FieldUpdate::Set(id), _) => {
            let coupon =
                coupon::input::applicable(ctx, id, &params.name("coupon"), redemption.now)?;
            Ok(FieldUpdate::Set(coupon.into()))
        }
        (FieldUpdate::Keep, FieldUpdate::Keep) => Ok(FieldUpdate::Keep),
        _ => Ok(FieldUpdate::Unset),
    }
}
