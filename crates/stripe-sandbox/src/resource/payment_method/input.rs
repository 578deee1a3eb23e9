//! Reading the payment methods that requests name or describe.

use super::card::{self, Presence, card_error};
use super::{Expiry, MethodRef, NAME, PaymentMethod};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::locked;

/// Looks up `id`: a `pm_…` of the account, or a test token.
pub(crate) fn named(ctx: &Ctx<'_>, id: &str, param: &str) -> Result<MethodRef> {
    if let Some(found) = ctx.account.payment_methods.get(id) {
        return Ok(MethodRef::Existing(found.id.clone()));
    }
    let card = card::by_token(id, "pm_card_", param)?;
    card.map(MethodRef::Token)
        .ok_or_else(|| missing(ctx.account, id, param))
}

/// The error for a payment method that does not exist. For a platform, it mentions the connected accounts.
pub(crate) fn missing(account: &Account, id: &str, param: &str) -> Error {
    let mut error = Error::no_such(NAME, id, param);
    if locked(&account.connected).iter().next().is_some() {
        error.message.push_str("; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should retry this request on that connected account. Learn more at https://stripe.com/docs/connect/authentication");
    }
    error
}

/// Like [`named`], for use by `customer` (`None` for a customer that is about to be created, or for no customer).
/// Refuses a payment method that is attached to another customer or was detached.
pub(crate) fn usable(
    ctx: &Ctx<'_>,
    id: &str,
    customer: Option<&str>,
    param: &str,
) -> Result<MethodRef> {
    let named = named(ctx, id, param)?;
    if let MethodRef::Existing(id) = &named
        && let Some(found) = ctx.account.payment_methods.get(id)
    {
        if found.is_used_up {
            return Err(Error::invalid(
                "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.",
            ));
        }
        let attached_to = found.customer.as_deref();
        if attached_to.is_some() && attached_to != customer {
            return Err(Error::invalid(
                "The payment method you provided has already been attached to a customer.",
            )
            .code("resource_already_exists")
            .param(param));
        }
    }
    Ok(named)
}

/// Like [`usable`], but also refuses a card that its bank does not allow to attach.
pub(crate) fn attachable(
    ctx: &Ctx<'_>,
    id: &str,
    customer: Option<&str>,
    param: &str,
) -> Result<MethodRef> {
    let named = usable(ctx, id, customer, param)?;
    named.card(ctx).check_attachable()?;
    Ok(named)
}

/// The error for a payment method that is not the customer's.
pub(crate) fn not_theirs(id: &str, param: impl Into<String>) -> Error {
    Error::invalid(format!("The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer."))
        .code("resource_missing")
        .param(param)
}

/// The card of `card[token]=tok_visa`, or of the number of a test card.
pub(super) fn card_param(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PaymentMethod> {
    let object = params
        .object("card")?
        .ok_or_else(|| params.missing("card"))?;
    if let Some(token) = object.string("token")? {
        let name = object.name("token");
        let card = card::by_token(token, "tok_", &name)?;
        let card = card.ok_or_else(|| Error::no_such("token", token, name))?;
        return Ok(PaymentMethod::new(card, ctx.now));
    }
    let number = object.required("number")?;
    let month = object
        .integer("exp_month")?
        .ok_or_else(|| object.missing("exp_month"))?;
    let year = object
        .integer("exp_year")?
        .ok_or_else(|| object.missing("exp_year"))?;
    let cvc = object.string("cvc")?;
    let expiry = expiry(month, year, ctx.now)?;
    let mut method = PaymentMethod::new(card::by_number(number)?, ctx.now);
    method.expiry = expiry;
    method.cvc_check = cvc.map(|_| "pass");
    Ok(method)
}

/// Checks the expiry: a month that is not over, at most 50 years from now.
pub(super) fn expiry(month: i64, year: i64, now: i64) -> Result<Expiry> {
    use chrono::Datelike as _;
    if !(1..=12).contains(&month) {
        return Err(card_error(
            "Your card's expiration month is invalid.",
            "invalid_expiry_month",
            "exp_month",
        ));
    }
    let today = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
    let this = (i64::from(today.year()), i64::from(today.month()));
    let year = if (0..100).contains(&year) {
        year + 2000
    } else {
        year
    };
    if (year, month) < this || year > this.0 + 50 {
        return Err(card_error(
            "Your card's expiration year is invalid.",
            "invalid_expiry_year",
            "exp_year",
        ));
    }
    Ok(Expiry { month, year })
}

impl PaymentMethod {
    /// Reads the parameters that creation and update share.
    pub(crate) fn change(&mut self, params: &Params<'_>) -> Result<()> {
        if let Some(details) = params.object("billing_details")? {
            let billing = &mut self.billing;
            let text = |key| Ok::<_, Error>(details.nullable(key)?.map(str::to_owned));
            text("email")?.apply(&mut billing.email);
            text("name")?.apply(&mut billing.name);
            text("phone")?.apply(&mut billing.phone);
            if let Some(address) = details.object("address")? {
                let unset = details.is_unset("address");
                billing.address = if unset {
                    None
                } else {
                    Some(address.address()?)
                };
            }
        }
        self.metadata = params.metadata()?.apply(&self.metadata)?;
        Ok(())
    }
}

/// `off_session`. By default, the customer is present when a call pays.
pub(crate) fn presence(params: &Params<'_>) -> Result<Presence> {
    Ok(match params.boolean("off_session")? {
        Some(true) => Presence::OffSession,
        _ => Presence::OnSession,
    })
}
