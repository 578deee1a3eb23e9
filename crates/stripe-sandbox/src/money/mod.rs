//! The arithmetic of billing, without state, HTTP, clock or JSON.
//!
//! Periods ([`period`]), the cost of a quantity ([`rating`]), the total of usage records ([`usage`]) and of meter
//! events ([`metering`]), invoice lines ([`lines`]), prorations ([`proration`]), discounts ([`discount`]),
//! [currencies](currency), [chargeable amounts](charge_amount), and amounts as [text](mod@format). Amounts are whole
//! cents and times are seconds since 1970. Anything finer is a [`Decimal`]; floats are not used.

pub(crate) mod charge_amount;
pub(crate) mod currency;
pub(crate) mod discount;
pub(crate) mod format;
pub(crate) mod lines;
pub(crate) mod metering;
pub(crate) mod period;
pub(crate) mod proration;
pub(crate) mod rating;
pub(crate) mod usage;

use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};

/// Rounds to whole cents, halves away from zero, as Stripe rounds a line. Saturates beyond `i64`, though the API
/// refuses quantities and prices that would get there.
pub(crate) fn round_half_up(amount: Decimal) -> i64 {
    let rounded = amount.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    rounded.to_i64().unwrap_or(if rounded.is_sign_negative() {
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
