//! Products and prices.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::object::{Metadata, decimal, identified, or_default};

/// A price, with its tiers if they were expanded.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    /// `price_…`.
    pub id: String,
    /// Unique in the account.
    #[serde(default)]
    pub lookup_key: Option<String>,
    /// Tier's `tier.*` keys.
    #[serde(default)]
    pub metadata: Metadata,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// Absent on one-time prices.
    #[serde(default)]
    pub recurring: Option<Recurring>,
    /// `per_unit` or `tiered`.
    #[serde(default)]
    pub billing_scheme: String,
    /// `graduated` or `volume`, for tiered prices.
    #[serde(default)]
    pub tiers_mode: Option<String>,
    /// The tiers, if expanded; none of a price that is not tiered.
    #[serde(default, deserialize_with = "or_default")]
    pub tiers: Vec<PriceTier>,
    /// Whole cents, if the amount is whole.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// Cents.
    #[serde(default, deserialize_with = "decimal")]
    pub unit_amount_decimal: Option<Decimal>,
    /// How a quantity is divided before it is multiplied.
    #[serde(default)]
    pub transform_quantity: Option<TransformQuantity>,
}

impl Price {
    /// Whether it recurs and is charged in advance.
    pub fn is_licensed(&self) -> bool {
        self.recurring.is_some() && !self.is_metered()
    }

    /// Whether usage is reported for it.
    pub fn is_metered(&self) -> bool {
        self.recurring
            .as_ref()
            .is_some_and(|recurring| recurring.usage_type == "metered")
    }
}

/// How a price recurs.
#[derive(Clone, Debug, Deserialize)]
pub struct Recurring {
    /// `day`, `week`, `month` or `year`.
    pub interval: String,
    /// How many of them a period has.
    #[serde(default = "one")]
    pub interval_count: u64,
    /// `licensed` or `metered`.
    #[serde(default)]
    pub usage_type: String,
    /// `sum`, `max`, `last_during_period` or `last_ever`, for metered prices.
    #[serde(default)]
    pub aggregate_usage: Option<String>,
}

fn one() -> u64 {
    1
}

/// One tier of a tiered price.
#[derive(Clone, Debug, Deserialize)]
pub struct PriceTier {
    /// Up to and including this quantity; none: without end.
    #[serde(default)]
    pub up_to: Option<i64>,
    /// Cents for reaching the tier.
    #[serde(default)]
    pub flat_amount: Option<i64>,
    /// Whole cents for a unit.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// Cents for a unit.
    #[serde(default, deserialize_with = "decimal")]
    pub unit_amount_decimal: Option<Decimal>,
}

/// Division of a quantity.
#[derive(Clone, Debug, Deserialize)]
pub struct TransformQuantity {
    /// The divisor.
    pub divide_by: i64,
    /// `up` or `down`.
    pub round: String,
}

/// A product.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// Tier chooses it: `tier__…`.
    pub id: String,
    /// `tier.model` on a plan's product.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Price);
