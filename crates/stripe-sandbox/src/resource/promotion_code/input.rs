//! Checks of the creation and use of promotion codes.

use std::sync::Arc;

use super::{NAME, PromotionCode, Restrictions};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::params::Params;
use crate::resource::customer::Customer;
use crate::resource::discount::AppliedCoupon;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The redemption of a promotion code: the customer, the amount, and the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redemption<'a> {
    /// `None` for a customer that does not exist yet.
    pub(crate) customer: Option<&'a Customer>,
    /// The amount before the discount, if it is known.
    pub(crate) amount: Option<(i64, Currency)>,
    pub(crate) now: i64,
}

/// The promotion code that a parameter names, if it is valid for the purchase.
pub(crate) fn applicable(
    ctx: &Ctx<'_>,
    id: &str,
    param: &str,
    redemption: Redemption<'_>,
) -> Result<AppliedCoupon> {
    let code = ctx.account.promotion_codes.get(id);
    let code = code.ok_or_else(|| Error::no_such(NAME, id, param))?;
    let refused = |why: &str| {
        let message = format!("This promotion code cannot be redeemed because {why}.");
        Err(Error::invalid(message).param(param))
    };
    if !code.is_usable(redemption.now) {
        return refused("it is expired, inactive, or has been redeemed as often as it can be");
    }
    let customer = redemption.customer;
    let is_theirs = |id: &Id| customer.is_some_and(|customer| customer.id == *id);
    if code.customer.as_ref().is_some_and(|only| !is_theirs(only)) {
        return refused("it is for another customer");
    }
    let Restrictions {
        first_time_transaction,
        minimum_amount,
    } = code.restrictions;
    if first_time_transaction && customer.is_some_and(Customer::has_invoices) {
        return refused("the associated customer has prior transactions");
    }
    match (minimum_amount, redemption.amount) {
        (Some(_), None) => {
            return Err(Error::malformed(
                param,
                "The sandbox does not model promotion codes with a minimum amount on customers: use them on subscriptions.",
            ));
        }
        (Some((least, of)), Some((amount, currency))) if of != currency || amount < least => {
            return refused("the minimum amount has not been met");
        }
        _ => {}
    }
    Ok(AppliedCoupon {
        coupon: code.coupon.clone(),
        code: Some(code.clone()),
    })
}

/// The promotion code that a customer has entered, ignoring case, if it is valid for the purchase.
pub(crate) fn entered(
    ctx: &Ctx<'_>,
    text: &str,
    redemption: Redemption<'_>,
) -> Result<AppliedCoupon> {
    const PARAM: &str = "promotion_code";
    let customer = redemption.customer.map(|customer| &customer.id);
    let is_theirs = |code: &&Arc<PromotionCode>| {
        code.is_usable(redemption.now)
            && code.code.eq_ignore_ascii_case(text)
            && (code.customer.is_none() || code.customer.as_ref() == customer)
    };
    let mut codes = ctx.account.promotion_codes.iter();
    let code = codes.find(is_theirs);
    let code = code.ok_or_else(|| Error::invalid("This code is invalid.").param(PARAM))?;
    applicable(ctx, &code.id, PARAM, redemption)
}

/// Checks that no active promotion code for the same customers has the same code, ignoring case.
pub(super) fn check_free(ctx: &Ctx<'_>, code: &str, customer: Option<&Id>) -> Result<()> {
    let mut all = ctx.account.promotion_codes.iter();
    let taken = all.any(|other| {
        let for_other_customers =
            other.customer.is_some() && customer.is_some() && other.customer.as_ref() != customer;
        other.active && !for_other_customers && other.code.eq_ignore_ascii_case(code)
    });
    if taken {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(Error::invalid(message).code("resource_already_exists"));
    }
    Ok(())
}

pub(super) fn restrictions(params: &Params<'_>) -> Result<Restrictions> {
    let Some(given) = params.object("restrictions")? else {
        return Ok(Restrictions::default());
    };
    let amount = given.integer_from("minimum_amount", 1)?;
    let currency = given.currency("minimum_amount_currency")?;
    given.unmodelled(&["currency_options"])?;
    let minimum_amount = match (amount, currency) {
        (Some(amount), Some(currency)) => Some((amount, currency)),
        (Some(_), None) => return Err(given.missing("minimum_amount_currency")),
        (None, Some(_)) => return Err(given.missing("minimum_amount")),
        (None, None) => None,
    };
    Ok(Restrictions {
        first_time_transaction: given.boolean("first_time_transaction")?.unwrap_or(false),
        minimum_amount,
    })
}
