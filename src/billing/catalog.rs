//! Products and prices.
//!
//! A price decides how the usage of what it sells is told to Stripe: see [`usage`](super::usage).

use rust_decimal::Decimal;
use serde::Deserialize;

use super::object::{Metadata, decimal, identified, or_default};
use super::words::words;
use super::{Billing, Write, segment};
use crate::num;
use crate::stripe::{Error, Form, Page, Request};

/// How many prices can be asked for by their lookup keys in one call.
pub const KEYS_PER_CALL: usize = 10;

/// A price, with its tiers if they were expanded.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    /// `price_…`.
    pub id: String,
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

/// The terms of a price to make.
#[derive(Clone, Debug)]
pub struct NewPrice {
    /// Unique in the account.
    pub lookup_key: String,
    /// Free pairs, in the order in which they are sent.
    pub metadata: Vec<(&'static str, String)>,
    /// Three lower-case letters.
    pub currency: String,
    /// The unit of a period, and how many of them a period has.
    pub period: (RecurringInterval, u64),
    /// How usage adds up, for a metered price; none: it is licensed.
    pub metered: Option<AggregateUsage>,
    /// What it costs.
    pub amount: NewAmount,
    /// How a quantity is divided before it is multiplied.
    pub transform_quantity: Option<TransformQuantity>,
}

/// What a new price costs.
#[derive(Clone, Debug)]
pub enum NewAmount {
    /// Cents for a unit.
    PerUnit(Decimal),
    /// What the tiers say.
    Tiered(TiersMode, Vec<NewTier>),
}

/// One tier of a new price.
#[derive(Clone, Copy, Debug)]
pub struct NewTier {
    /// Up to and including this quantity; none: without end.
    pub up_to: Option<i64>,
    /// Cents for a unit.
    pub unit_amount: Decimal,
    /// Cents for reaching the tier.
    pub flat_amount: i64,
}

/// The product that a new price is of.
#[derive(Clone, Debug)]
pub enum PriceProduct {
    /// One that is made with it.
    New {
        /// Chosen by the caller.
        id: String,
        /// For people.
        name: String,
    },
    /// One that is there, by its id.
    Existing(String),
}

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

impl NewPrice {
    /// Its parameters, but for the product.
    pub(crate) fn form(&self) -> Form {
        let mut form = Form::new();
        form.push("lookup_key", &self.lookup_key);
        for (key, value) in &self.metadata {
            form.push(format!("metadata[{key}]"), value);
        }
        form.push("currency", &self.currency);
        let (interval, count) = &self.period;
        form.push("recurring[interval]", interval.as_str());
        form.push("recurring[interval_count]", count);
        let usage = match self.metered {
            Some(_) => UsageType::Metered,
            None => UsageType::Licensed,
        };
        form.push("recurring[usage_type]", usage.as_str());
        let aggregate = self.metered.as_ref().map(AggregateUsage::as_str);
        form.push_some("recurring[aggregate_usage]", aggregate);
        self.amount.push_to(&mut form);
        if let Some(divide) = &self.transform_quantity {
            form.push("transform_quantity[divide_by]", divide.divide_by);
            form.push("transform_quantity[round]", divide.round.as_str());
        }
        form
    }
}

impl NewAmount {
    fn push_to(&self, form: &mut Form) {
        match self {
            Self::PerUnit(amount) => {
                form.push("billing_scheme", BillingScheme::PerUnit.as_str());
                form.push("unit_amount_decimal", num::plain(*amount));
            }
            Self::Tiered(mode, tiers) => {
                form.push("billing_scheme", BillingScheme::Tiered.as_str());
                form.push("tiers_mode", mode.as_str());
                for (i, tier) in tiers.iter().enumerate() {
                    let up_to = tier.up_to.map(|up_to| up_to.to_string());
                    let up_to = up_to.unwrap_or_else(|| "inf".to_owned());
                    let unit_amount = num::plain(tier.unit_amount);
                    form.push(format!("tiers[{i}][up_to]"), up_to);
                    form.push(format!("tiers[{i}][unit_amount_decimal]"), unit_amount);
                    form.push(format!("tiers[{i}][flat_amount]"), tier.flat_amount);
                }
            }
        }
    }
}

impl PriceProduct {
    pub(crate) fn form(&self) -> Form {
        let mut form = Form::new();
        match self {
            Self::New { id, name } => {
                form.push("product_data[id]", id);
                form.push("product_data[name]", name);
            }
            Self::Existing(id) => form.push("product", id),
        }
        form
    }
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
        let path = format!("/v1/products/{}", segment(id));
        self.get(path).send().await
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

fn with_tiers(request: Request) -> Request {
    request.expand("data.tiers")
}
