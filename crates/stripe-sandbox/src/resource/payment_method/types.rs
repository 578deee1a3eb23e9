//! The types of payment methods. The sandbox only has cards.

use crate::error::{Error, Result};
use crate::version::ApiVersion;

/// Stripe's other types, which the sandbox does not model.
pub(super) const OTHER_TYPES: &[&str] = &[
    "acss_debit",
    "affirm",
    "afterpay_clearpay",
    "alipay",
    "au_becs_debit",
    "bacs_debit",
    "bancontact",
    "blik",
    "boleto",
    "card_present",
    "cashapp",
    "customer_balance",
    "eps",
    "fpx",
    "giropay",
    "grabpay",
    "ideal",
    "interac_present",
    "klarna",
    "konbini",
    "link",
    "oxxo",
    "p24",
    "paynow",
    "paypal",
    "pix",
    "promptpay",
    "sepa_debit",
    "sofort",
    "us_bank_account",
    "wechat_pay",
    "zip",
];

/// Refuses types of payment methods other than cards.
pub(crate) fn cards_only(param: &str, types: &[&str]) -> Result<()> {
    let Some(other) = types.iter().find(|kind| **kind != "card") else {
        return Ok(());
    };
    let message = if OTHER_TYPES.contains(other) {
        format!(
            "The sandbox does not model payment methods of type `{other}`: use `card`, or Stripe's test mode for it."
        )
    } else {
        format!(
            "Invalid {param}: must be one of card, {}",
            OTHER_TYPES.join(", ")
        )
    };
    Err(Error::malformed(param, message))
}

/// The parameter with the types of payment methods. In later versions, Stripe chooses the types, and the parameter only
/// restricts the choice.
pub(crate) fn types_param(version: ApiVersion) -> &'static str {
    match version {
        ApiVersion::V2022_11_15 => "payment_method_types",
        ApiVersion::V2026_10_28 => "allowed_payment_method_types",
    }
}
