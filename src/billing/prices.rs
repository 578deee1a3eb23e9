//! Prices.
//!
//! The price of an item decides how its usage is recorded: see [`usage`](super::usage).

use rust_decimal::Decimal;
use serde::Deserialize;

use super::new_price::{NewPrice, NewUsage, PriceProduct};
use super::object::{Metadata, decimal, id, identified, or_default};
use super::string_enum::string_enum;
use super::{Ack, Billing, CLASSIC, WITH_METERS, Write};
use crate::stripe::{ApiVersion, Error, Page, Request};

/// How many lookup keys one call can ask for.
pub const KEYS_PER_CALL: usize = 10;

/// A price, with its tiers if they were expanded.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    /// `price_…`.
    pub id: String,
    /// Whether it can be bought. Existing subscriptions keep it.
    #[serde(default = "yes")]
    pub active: bool,
    /// The id of its product.
    #[serde(default, deserialize_with = "id")]
    pub product: Option<String>,
    /// A key that is unique in the account.
    #[serde(default)]
    pub lookup_key: Option<String>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// The currency: three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// Absent on one-time prices.
    #[serde(default)]
    recurring: Option<Recurring>,
    /// How amounts are computed.
    #[serde(default)]
    pub billing_scheme: BillingScheme,
    /// How tiers apply, for tiered prices.
    #[serde(default)]
    pub tiers_mode: Option<TiersMode>,
    /// The tiers, if expanded. A price that is not tiered has none.
    #[serde(default, deserialize_with = "or_default")]
    pub tiers: Vec<PriceTier>,
    /// Cents per unit, if that is a whole number.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// Cents per unit.
    #[serde(default, deserialize_with = "decimal")]
    pub unit_amount_decimal: Option<Decimal>,
    /// How a quantity is divided before it is multiplied.
    #[serde(default)]
    pub transform_quantity: Option<TransformQuantity>,
}

impl Price {
    /// Its interval, and the number of intervals in a period. None: it does not recur.
    pub fn period(&self) -> Option<(&RecurringInterval, u64)> {
        let recurring = self.recurring.as_ref()?;
        Some((&recurring.interval, recurring.interval_count))
    }

    /// Whether it recurs and is charged in advance.
    pub fn is_licensed(&self) -> bool {
        self.recurring.is_some() && !self.is_metered()
    }

    /// Whether it bills reported usage.
    pub fn is_metered(&self) -> bool {
        let recurring = self.recurring.as_ref();
        recurring.is_some_and(|recurring| recurring.usage_type == UsageType::Metered)
    }

    /// Its generation. None if it is not metered.
    pub fn generation(&self) -> Option<Generation> {
        let recurring = self.recurring.as_ref().filter(|_| self.is_metered())?;
        Some(match recurring.meter {
            Some(_) => Generation::Meters,
            None => Generation::Classic,
        })
    }

    /// The meter that counts its usage: `mtr_…`.
    pub fn meter(&self) -> Option<&str> {
        self.recurring.as_ref()?.meter.as_deref()
    }

    /// How usage is aggregated. None for a price with a meter.
    pub fn aggregate_usage(&self) -> Option<&AggregateUsage> {
        let recurring = self.recurring.as_ref();
        recurring.and_then(|recurring| recurring.aggregate_usage.as_ref())
    }

    /// Whether it never costs anything. None for a tiered price whose tiers were not expanded.
    pub fn is_free(&self) -> Option<bool> {
        let is_zero = |amount: Option<i64>, exact: Option<Decimal>| {
            amount.unwrap_or(0) == 0 && exact.is_none_or(|exact| exact.is_zero())
        };
        if self.billing_scheme != BillingScheme::Tiered {
            return Some(is_zero(self.unit_amount, self.unit_amount_decimal));
        }
        let free = |tier: &PriceTier| {
            is_zero(tier.unit_amount, tier.unit_amount_decimal)
                && tier.flat_amount.unwrap_or(0) == 0
        };
        (!self.tiers.is_empty()).then(|| self.tiers.iter().all(free))
    }
}

/// How Stripe learns of the usage that a metered price bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// By usage records of subscription items.
    Classic,
    /// By the events of a billing meter.
    Meters,
}

impl Generation {
    /// The API version of calls about subscriptions to its prices.
    pub fn version(self) -> ApiVersion {
        match self {
            Self::Classic => CLASSIC,
            Self::Meters => WITH_METERS,
        }
    }

    /// Its name in settings and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Meters => "meters",
        }
    }
}

string_enum! {
    /// How the amounts of a price are computed.
    BillingScheme {
        /// A fixed amount per unit.
        PerUnit = "per_unit",
        /// By its tiers.
        Tiered = "tiered",
    }
}

string_enum! {
    /// Which units a tier prices.
    TiersMode {
        /// Only the units within the tier.
        Graduated = "graduated",
        /// All units, once the quantity reaches the tier.
        Volume = "volume",
    }
}

string_enum! {
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

string_enum! {
    /// Where the quantity comes from.
    UsageType {
        /// It is set on the subscription item.
        Licensed = "licensed",
        /// It is reported.
        Metered = "metered",
    }
}

string_enum! {
    /// How reported usage is aggregated.
    AggregateUsage {
        /// The sum of all reports in the period.
        Sum = "sum",
        /// The greatest report in the period.
        Max = "max",
        /// The last report in the period.
        LastDuringPeriod = "last_during_period",
        /// The last report, also of an earlier period.
        LastEver = "last_ever",
    }
}

impl AggregateUsage {
    /// Whether usage is a level, not a sum.
    pub fn is_level(&self) -> bool {
        *self != Self::Sum
    }

    /// Whether usage continues from one period to the next.
    pub fn is_perpetual(&self) -> bool {
        *self == Self::LastEver
    }
}

string_enum! {
    /// How a partly used package counts.
    Rounding {
        /// As a full package.
        Up = "up",
        /// Not at all.
        Down = "down",
    }
}

/// How a price recurs.
#[derive(Clone, Debug, Deserialize)]
struct Recurring {
    interval: RecurringInterval,
    /// How many intervals a period has.
    #[serde(default = "one")]
    interval_count: u64,
    /// Where the quantity comes from.
    #[serde(default)]
    usage_type: UsageType,
    /// How usage is aggregated, for metered prices without a meter.
    #[serde(default)]
    aggregate_usage: Option<AggregateUsage>,
    /// The meter, for metered prices that have one.
    #[serde(default)]
    meter: Option<String>,
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
    /// The last quantity of the tier. None: unbounded.
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
    /// How a partly used package counts.
    pub round: Rounding,
}

identified!(Price);

impl Billing<'_> {
    /// All prices, without their tiers, newest first.
    pub async fn prices(self) -> Result<Vec<Price>, Error> {
        self.get(PRICES).list().await
    }

    /// All prices, newest first.
    pub async fn prices_with_tiers(self) -> Result<Vec<Price>, Error> {
        with_tiers(self.get(PRICES)).list().await
    }

    /// The first value that `look` returns for a metered price, newest price first.
    pub async fn find_metered_price<T>(
        self,
        look: impl Fn(&Price) -> Option<T> + Send,
    ) -> Result<Option<T>, Error> {
        let found = |page: &[Price]| page.iter().any(|price| look(price).is_some());
        let prices = self.get(PRICES).param("recurring[usage_type]", "metered");
        let prices = prices.list_until(found).await?;
        Ok(prices.iter().find_map(look))
    }

    /// A price.
    pub async fn price(self, id: &str) -> Result<Price, Error> {
        self.get(("/v1/prices/*", id)).send().await
    }

    /// The prices with these lookup keys, at most [`KEYS_PER_CALL`].
    pub async fn prices_by_key(self, keys: &[String]) -> Result<Vec<Price>, Error> {
        let mut request = with_tiers(self.get(PRICES).param("limit", 100));
        for key in keys {
            request = request.param("lookup_keys[]", key);
        }
        let page: Page<Price> = request.send().await?;
        Ok(page.data)
    }

    /// Creates a price, and its product if that is new.
    pub fn create_price(self, terms: &NewPrice, product: &PriceProduct) -> Write<Price> {
        let version = match terms.usage {
            NewUsage::Licensed | NewUsage::Records(_) => CLASSIC,
            NewUsage::Meter(_) => WITH_METERS,
        };
        let request = self.client.post(version, PRICES).form(terms.form());
        Write::new(request.form(product.form()))
    }

    /// Activates or deactivates a price. An inactive one cannot be bought.
    pub fn set_price_active(self, id: &str, active: bool) -> Write<Ack> {
        let request = self.post(("/v1/prices/*", id));
        Write::new(request.param("active", active))
    }
}

const PRICES: &str = "/v1/prices";

fn with_tiers(request: Request) -> Request {
    request.expand("data.tiers")
}
