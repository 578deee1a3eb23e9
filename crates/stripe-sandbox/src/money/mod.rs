//! The arithmetic of billing, and nothing else: no state, no HTTP, no clock, no JSON.
//!
//! Periods ([`period`]), what a quantity costs ([`rating`]), what usage records add up to ([`usage`]), the lines
//! of an invoice ([`lines`]), prorations ([`proration`]), discounts ([`discount`]), [currencies](currency), what can be
//! [charged](charge_amount), and amounts as [text](mod@format). Amounts are whole cents, times are seconds since 1970;
//! anything finer is [`Decimal`], and a float appears nowhere.

pub(crate) mod charge_amount;
pub(crate) mod currency;
pub(crate) mod discount;
pub(crate) mod format;
pub(crate) mod lines;
pub(crate) mod period;
pub(crate) mod proration;
pub(crate) mod rating;
pub(crate) mod usage;

use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};

/// Whole cents, halves away from zero, as Stripe rounds a line. What no `i64` can hold saturates: the API refuses
/// such quantities and prices before they get here, so this only keeps the arithmetic total.
pub(crate) fn round_half_up(amount: Decimal) -> i64 {
    let whole = amount.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    whole.to_i64().unwrap_or(if whole.is_sign_negative() {
        i64::MIN
    } else {
        i64::MAX
    })
}

/// `a * b`, saturating: see [`round_half_up`].
pub(crate) fn times(a: Decimal, b: Decimal) -> Decimal {
    a.checked_mul(b)
        .unwrap_or(if a.is_sign_negative() == b.is_sign_negative() {
            Decimal::MAX
        } else {
            Decimal::MIN
        })
}
