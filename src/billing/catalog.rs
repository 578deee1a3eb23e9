//! Products and prices.
//!
//! A price decides how the usage of what it sells is told to Stripe: see [`usage`](super::usage).

use rust_decimal::Decimal;
use serde::Deserialize;

use super::new_price::{NewPrice, PriceProduct};
use super::object::{Expandable, Metadata, Object, decimal, identified, or_default};
use super::words::words;
use super::{Billing, Done, Write};
use crate::stripe::{Error, Page, Request};

/// How many prices can be asked for by their lookup keys in one call.
pub const KEYS_PER_CALL: usize = 10;

/// A price, with its tiers if they were expanded.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    /// `price_…`.
    pub id: String,
    /// Whether it can be bought. Those who bought it before keep it.
    #[serde(default = "yes")]
    pub active: bool,
    /// What it is a price of, or its id.
    #[serde(default)]
    pub product: Option<Expandable<Object>>,
    /// Unique in the account.
    #[serde(default)]
    pub lookup_key: Option<String>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// Absent on one-time prices.
    #[serde(default)]
    pub recurring: Option<Recurring>,
    /// How amounts come about.
    #[serde(default)]
    pub billing_scheme: BillingScheme,
    /// For tiered prices.
    #[serde(default)]
    pub tiers_mode: Option<TiersMode>,
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
        let recurring = self.recurring.as_ref();
        recurring.is_some_and(|recurring| recurring.usage_type == UsageType::Metered)
    }

    /// How usage adds up, for metered prices.
    pub fn aggregate(&self) -> AggregateUsage {
        let recurring = self.recurring.as_ref();
        let aggregate = recurring.and_then(|recurring| recurring.aggregate_usage.clone());
        aggregate.unwrap_or(AggregateUsage::Sum)
    }

    /// Whether usage of it is a state, not a sum.
    pub fn is_level(&self) -> bool {
        self.is_metered() && self.aggregate().is_level()
    }

    /// Whether usage of it does not start again with the period.
    pub fn is_perpetual(&self) -> bool {
        self.is_metered() && self.aggregate().is_perpetual()
    }

    /// Whether it never costs anything. Of a price with tiers that were not asked for, that is not known.
    pub fn is_free(&self) -> bool {
        let nothing = |amount: Option<i64>, exact: Option<Decimal>| {
            amount.unwrap_or(0) == 0 && exact.is_none_or(|exact| exact.is_zero())
        };
        if self.billing_scheme != BillingScheme::Tiered {
            return nothing(self.unit_amount, self.unit_amount_decimal);
        }
        let free = |tier: &PriceTier| {
            nothing(tier.unit_amount, tier.unit_amount_decimal)
                && tier.flat_amount.unwrap_or(0) == 0
        };
        !self.tiers.is_empty() && self.tiers.iter().all(free)
    }
}

words! {
    /// How a price's amounts come about.
    BillingScheme {
        /// So much a unit.
        PerUnit = "per_unit",
        /// As its tiers say.
        Tiered = "tiered",
    }
}

words! {
    /// What a tier's price is for.
    TiersMode {
        /// The units within the tier.
        Graduated = "graduated",
        /// All units.
        Volume = "volume",
    }
}

words! {
    /// The unit of a billing period.
    RecurringInterval {
        /// A day.
        Day = "day",
        /// A week.
        Week = "week",
        /// A month.
        Month = "month",
        /// A year.
        Year = "year",
    }
}

words! {
    /// Where the quantity comes from.
    UsageType {
        /// It is set on the item.
        Licensed = "licensed",
        /// It is reported.
        Metered = "metered",
    }
}

words! {
    /// How reported usage adds up.
    AggregateUsage {
        /// The sum of all reports.
        Sum = "sum",
        /// The greatest report.
        Max = "max",
        /// The last report in the period.
        LastDuringPeriod = "last_during_period",
        /// The last report in whatever period.
        LastEver = "last_ever",
    }
}

impl AggregateUsage {
    /// Whether usage is a state, not a sum.
    pub fn is_level(&self) -> bool {
        *self != Self::Sum
    }

    /// Whether usage does not start again with the period.
    pub fn is_perpetual(&self) -> bool {
        *self == Self::LastEver
    }
}

words! {
    /// What becomes of a package that is not full.
    Rounding {
        /// It counts.
        Up = "up",
        /// It does not.
        Down = "down",
    }
}

/// How a price recurs.
#[derive(Clone, Debug, Deserialize)]
pub struct Recurring {
    /// The unit of a period.
    pub interval: RecurringInterval,
    /// How many of them a period has.
    #[serde(default = "one")]
    pub interval_count: u64,
    /// Where the quantity comes from.
    #[serde(default)]
    usage_type: UsageType,
    /// For metered prices.
    #[serde(default)]
    aggregate_usage: Option<AggregateUsage>,
}

fn one() -> u64 {
    1
}

fn yes() -> bool {
    true
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
    /// What becomes of a package that is not full.
    pub round: Rounding,
}

/// A product.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// Chosen by whoever made it.
    pub id: String,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Price);

/// A product to make.
#[derive(Clone, Copy, Debug)]
pub struct NewProduct<'a> {
    /// Chosen by the caller.
    pub id: &'a str,
    /// For people.
    pub name: &'a str,
    /// Whether it can be bought.
    pub active: bool,
    /// Free pairs.
    pub metadata: &'a Metadata,
}

impl Billing<'_> {
    /// All prices, without their tiers, newest first.
    pub async fn prices(self) -> Result<Vec<Price>, Error> {
        self.get(PRICES).list().await
    }

    /// All prices, newest first.
    pub async fn prices_with_tiers(self) -> Result<Vec<Price>, Error> {
        with_tiers(self.get(PRICES)).list().await
    }

    /// The prices that have one of at most [`KEYS_PER_CALL`] keys.
    pub async fn prices_by_key(self, keys: &[String]) -> Result<Vec<Price>, Error> {
        let mut request = with_tiers(self.get(PRICES).param("limit", 100));
        for key in keys {
            request = request.param("lookup_keys[]", key);
        }
        let page: Page<Price> = request.send().await?;
        Ok(page.data)
    }

    /// Makes a price, and its product perhaps.
    pub fn create_price(self, terms: &NewPrice, product: &PriceProduct) -> Write<Price> {
        let request = self.post(PRICES).form(terms.form());
        Write::new(request.form(product.form()))
    }

    /// A product.
    pub async fn product(self, id: &str) -> Result<Product, Error> {
        self.get((PRODUCT, id)).send().await
    }

    /// Lets a price be bought, or no longer.
    pub fn set_price_active(self, id: &str, active: bool) -> Write<Done> {
        let request = self.post(("/v1/prices/*", id));
        Write::new(request.param("active", active))
    }

    /// Lets the prices of a product be bought, or no longer.
    pub fn set_product_active(self, id: &str, active: bool) -> Write<Done> {
        Write::new(self.post((PRODUCT, id)).param("active", active))
    }

    /// Writes to a product's metadata.
    pub fn note_on_product(self, id: &str, metadata: &Metadata) -> Write<Done> {
        Write::new(self.post((PRODUCT, id)).metadata(metadata))
    }

    /// Makes a product.
    pub fn create_product(self, new: NewProduct<'_>) -> Write<Product> {
        let request = self
            .post("/v1/products")
            .param("id", new.id)
            .param("name", new.name)
            .param("active", new.active);
        Write::new(request.metadata(new.metadata))
    }
}

const PRICES: &str = "/v1/prices";
const PRODUCT: &str = "/v1/products/*";

fn with_tiers(request: Request) -> Request {
    request.expand("data.tiers")
}
