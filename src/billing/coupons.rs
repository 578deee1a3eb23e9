//! Coupons, and discounts by them.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::Billing;
use super::object::{Metadata, decimal, identified};
use crate::stripe::Error;

/// A coupon in force.
#[derive(Clone, Debug, Deserialize)]
pub struct Discount {
    /// `di_…`.
    #[serde(default)]
    pub id: String,
    /// Its terms.
    pub coupon: Coupon,
    /// Unix seconds.
    #[serde(default)]
    pub start: i64,
    /// Unix seconds; none: it has no end.
    #[serde(default)]
    pub end: Option<i64>,
}

/// A coupon's terms.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Coupon {
    /// Chosen by whoever made it.
    pub id: String,
    /// Free pairs.
    pub metadata: Metadata,
    /// Unix seconds.
    pub created: i64,
    /// Cents.
    pub amount_off: Option<i64>,
    /// Of `amount_off`.
    pub currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    pub duration: String,
    /// For `repeating`.
    pub duration_in_months: Option<i64>,
    /// How often it may be used.
    pub max_redemptions: Option<i64>,
    /// Display name.
    pub name: Option<String>,
    /// Percent, with decimals.
    #[serde(deserialize_with = "decimal")]
    pub percent_off: Option<Decimal>,
    /// Unix seconds.
    pub redeem_by: Option<i64>,
    /// How often it was used.
    pub times_redeemed: i64,
    /// Whether it can be used still.
    pub valid: bool,
}

identified!(Coupon);

impl Billing<'_> {
    /// A coupon.
    pub async fn coupon(self, id: &str) -> Result<Coupon, Error> {
        let path = ("/v1/coupons/*", id);
        self.get(path).send().await
    }
}
