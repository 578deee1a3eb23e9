//! Coupons and discounts.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::Billing;
use super::object::{Metadata, decimal, identified};
use crate::stripe::Error;

/// A discount: a coupon that is applied.
#[derive(Clone, Debug, Deserialize)]
pub struct Discount {
    /// `di_…`.
    #[serde(default)]
    pub id: String,
    /// The coupon.
    pub coupon: Coupon,
    /// Unix seconds.
    #[serde(default)]
    pub start: i64,
    /// Unix seconds. None: it does not end.
    #[serde(default)]
    pub end: Option<i64>,
}

/// A coupon.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Coupon {
    /// Its id, chosen by its creator.
    pub id: String,
    /// Its metadata.
    pub metadata: Metadata,
    /// Unix seconds.
    pub created: i64,
    /// Cents.
    pub amount_off: Option<i64>,
    /// The currency of `amount_off`.
    pub currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    pub duration: String,
    /// The number of months, if `repeating`.
    pub duration_in_months: Option<i64>,
    /// How many times it may be redeemed.
    pub max_redemptions: Option<i64>,
    /// Display name.
    pub name: Option<String>,
    /// Percent, with decimals.
    #[serde(deserialize_with = "decimal")]
    pub percent_off: Option<Decimal>,
    /// Unix seconds.
    pub redeem_by: Option<i64>,
    /// How many times it was redeemed.
    pub times_redeemed: i64,
    /// Whether it can still be redeemed.
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
