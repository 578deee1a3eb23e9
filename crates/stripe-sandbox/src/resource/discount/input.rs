//! Reading the discount of a request.

use super::AppliedCoupon;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::resource::promotion_code::input::Purchase;
use crate::resource::{coupon, promotion_code};
use crate::store::context::Ctx;

/// `coupon` or `promotion_code`: at most one. An empty one removes the discount.
pub(crate) fn given(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    purchase: Purchase<'_>,
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
            promotion_code::input::applicable(ctx, id, &param, purchase).map(FieldUpdate::Set)
        }
        (FieldUpdate::Set(id), _) => {
            let coupon = coupon::input::applicable(ctx, id, &params.name("coupon"), purchase.now)?;
            Ok(FieldUpdate::Set(coupon.into()))
        }
        (FieldUpdate::Keep, FieldUpdate::Keep) => Ok(FieldUpdate::Keep),
        _ => Ok(FieldUpdate::Unset),
    }
}
