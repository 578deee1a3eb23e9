//! Prices: the cost of a product, per unit or in tiers.

mod input;
pub(crate) mod routes;
pub(crate) mod view;

use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::money::currency::Currency;
use crate::money::period::BillingInterval;
use crate::money::rating::Divide;
use crate::money::usage::AggregateUsage;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

const NAME: &str = "price";

/// The largest amount. Stripe allows eight digits of cents; the sandbox allows twelve.
pub(crate) const MAX_AMOUNT: i64 = 999_999_999_999;

/// A price.
#[derive(Clone, Debug)]
pub(crate) struct Price {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) active: bool,
    pub(crate) currency: Currency,
    pub(crate) lookup_key: Option<Box<str>>,
    pub(crate) metadata: Metadata,
    pub(crate) nickname: Option<String>,
    pub(crate) product: Id,
    /// `None` for a one-time price.
    pub(crate) recurring: Option<Recurring>,
    pub(crate) tax_behavior: &'static str,
    pub(crate) amount: Amount,
    /// `transform_quantity`
    pub(crate) transform: Option<Divide>,
}

/// The interval and usage type of a recurring price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recurring {
    pub(crate) interval: BillingInterval,
    pub(crate) usage: Usage,
    pub(crate) trial_period_days: Option<i64>,
}

/// Stripe's `usage_type`, and where usage comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Licensed,
    /// Usage records, which later versions do not have.
    Records(AggregateUsage),
    /// The events of this meter.
    Meter(Id),
}

impl Recurring {
    pub(crate) fn is_metered(&self) -> bool {
        self.usage != Usage::Licensed
    }

    /// How usage records are aggregated, if the price has some.
    pub(crate) fn aggregate_usage(&self) -> Option<AggregateUsage> {
        match self.usage {
            Usage::Records(aggregate) => Some(aggregate),
            Usage::Licensed | Usage::Meter(_) => None,
        }
    }

    pub(crate) fn meter(&self) -> Option<&Id> {
        match &self.usage {
            Usage::Meter(meter) => Some(meter),
            Usage::Licensed | Usage::Records(_) => None,
        }
    }
}

/// The amount of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Cents per unit, which may be a fraction.
    PerUnit(Decimal),
    /// At least one tier; the last one has no end.
    Tiered { mode: TiersMode, tiers: Vec<Tier> },
}

/// How tiers apply to a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TiersMode {
    Graduated,
    Volume,
}

impl TiersMode {
    pub(crate) const ALL: [Self; 2] = [Self::Graduated, Self::Volume];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Graduated => "graduated",
            Self::Volume => "volume",
        }
    }
}

/// One tier. Amounts are in cents and may have a fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// The last unit of the tier; `None` for no end.
    pub(crate) up_to: Option<i64>,
    pub(crate) unit: Option<Decimal>,
    pub(crate) flat: Option<Decimal>,
}

impl Row for Price {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// An account's prices, and their lookup keys.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    table: Table<Price>,
    by_lookup_key: HashMap<Box<str>, u32>,
}

impl Prices {
    pub(crate) fn table(&self) -> &Table<Price> {
        &self.table
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Price> {
        self.table.get(id)
    }

    /// The price with this lookup key, active or not.
    pub(crate) fn with_lookup_key(&self, lookup_key: &str) -> Option<&Price> {
        self.table.at(*self.by_lookup_key.get(lookup_key)?)
    }

    /// Adds a price or replaces a changed one. Another price with the same lookup key loses it.
    fn put(&mut self, price: Price) {
        let position = self.table.position(&price.id);
        if let Some(old) = position.and_then(|position| self.table.at_mut(position))
            && let Some(key) = old.lookup_key.take()
        {
            self.by_lookup_key.remove(&key);
        }
        let key = price.lookup_key.clone();
        if let Some(previous) = key.as_ref().and_then(|key| self.by_lookup_key.get(key))
            && let Some(other) = self.table.at_mut(*previous)
        {
            other.lookup_key = None;
        }
        let position = match position {
            Some(position) => {
                if let Some(row) = self.table.at_mut(position) {
                    *row = price;
                }
                position
            }
            None => self.table.insert(price),
        };
        if let Some(key) = key {
            self.by_lookup_key.insert(key, position);
        }
    }
}
