//! Reading the parameters of coupons.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Coupon, Duration, NAME, Off};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::context::Ctx;

/// The coupon with this id, if it is valid at `now`.
pub(crate) fn applicable(ctx: &Ctx<'_>, id: &str, param: &str, now: i64) -> Result<Arc<Coupon>> {
    let coupon = ctx.account.coupons.get(id);
    let coupon = coupon.ok_or_else(|| Error::no_such(NAME, id, param))?;
    if !coupon.is_valid(now) {
        return Err(
            Error::invalid(format!("This coupon is no longer valid: {id}"))
                .code("coupon_expired")
                .param(param),
        );
    }
    Ok(coupon.clone())
}

pub(super) fn off(params: &Params<'_>) -> Result<Off> {
    let percent = params.decimal("percent_off")?;
    let amount = params.integer_from("amount_off", 1)?;
    let currency = params.currency("currency")?;
    match (amount, percent) {
        (Some(_), Some(_)) => Err(Error::invalid(
            "You may only specify one of these parameters: amount_off, percent_off.",
        )),
        (None, None) => Err(Error::malformed(
            "amount_off",
            "Must provide percent_off or amount_off.",
        )
        .code("parameter_missing")),
        (Some(amount), None) if amount > crate::resource::price::MAX_AMOUNT => Err(
            Error::malformed("amount_off", "Invalid integer: the amount is too large."),
        ),
        (Some(amount), None) => match currency {
            Some(currency) => Ok(Off::Amount(amount, currency)),
            None => Err(Error::malformed(
                "currency",
                "You must pass currency when passing amount_off.",
            )
            .code("parameter_missing")),
        },
        (None, Some(percent)) if percent <= Decimal::ZERO || percent > Decimal::ONE_HUNDRED => {
            Err(Error::malformed(
                "percent_off",
                "Invalid decimal: percent_off must be greater than 0 and at most 100.",
            ))
        }
        (None, Some(percent)) => Ok(Off::Percent(percent)),
    }
}

pub(super) fn duration(params: &Params<'_>) -> Result<Duration> {
    let months = params.integer_from("duration_in_months", 1)?;
    let kind = params.one_of("duration", &["forever", "once", "repeating"])?;
    match (kind, months) {
        (Some("repeating"), Some(months)) => match u32::try_from(months) {
            Ok(months) if months <= 1_200 => Ok(Duration::Repeating(months)),
            _ => Err(Error::malformed(
                "duration_in_months",
                "Invalid integer: at most 1200 months.",
            )),
        },
        (Some("repeating"), None) => Err(params.missing("duration_in_months")),
        (_, Some(_)) => Err(Error::malformed(
            "duration_in_months",
            "You can only pass duration_in_months when duration is `repeating`.",
        )),
        (Some("forever"), None) => Ok(Duration::Forever),
        (_, None) => Ok(Duration::Once),
    }
}
