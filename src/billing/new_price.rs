//! Prices to create.

use rust_decimal::Decimal;

use super::prices::{
    AggregateUsage, BillingScheme, RecurringInterval, TiersMode, TransformQuantity, UsageType,
};
use crate::num;
use crate::stripe::Form;

/// The terms of a price to create.
#[derive(Clone, Debug)]
pub struct NewPrice {
    /// A key that is unique in the account.
    pub lookup_key: String,
    /// Its metadata, in the order in which it is sent.
    pub metadata: Vec<(&'static str, String)>,
    /// The currency: three lower-case letters.
    pub currency: String,
    /// The interval, and the number of intervals in a period.
    pub period: (RecurringInterval, u64),
    /// Where the quantity comes from.
    pub usage: NewUsage,
    /// What it costs.
    pub amount: NewAmount,
    /// How a quantity is divided before it is multiplied.
    pub transform_quantity: Option<TransformQuantity>,
}

/// Where the quantity of a new price comes from.
#[derive(Clone, Debug)]
pub enum NewUsage {
    /// It is set on the subscription item.
    Licensed,
    /// It is recorded on the subscription item, and aggregated so.
    Records(AggregateUsage),
    /// It is counted by a meter, given by its id.
    Meter(String),
}

/// What a new price costs.
#[derive(Clone, Debug)]
pub enum NewAmount {
    /// Cents for a unit.
    PerUnit(Decimal),
    /// By tiers.
    Tiered(TiersMode, Vec<NewTier>),
}

/// One tier of a new price.
#[derive(Clone, Copy, Debug)]
pub struct NewTier {
    /// The last quantity of the tier. None: unbounded.
    pub up_to: Option<i64>,
    /// Cents for a unit.
    pub unit_amount: Decimal,
    /// Cents for reaching the tier.
    pub flat_amount: i64,
}

/// The product of a new price.
#[derive(Clone, Debug)]
pub enum PriceProduct {
    /// A product that is created together with the price.
    New {
        /// Its id, chosen by the caller.
        id: String,
        /// The display name.
        name: String,
    },
    /// An existing product, by its id.
    Existing(String),
}

impl NewPrice {
    /// Its parameters, except those of the product.
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
        self.usage.push_to(&mut form);
        self.amount.push_to(&mut form);
        if let Some(divide) = &self.transform_quantity {
            form.push("transform_quantity[divide_by]", divide.divide_by);
            form.push("transform_quantity[round]", divide.round.as_str());
        }
        form
    }
}

impl NewUsage {
    fn push_to(&self, form: &mut Form) {
        let usage_type = match self {
            Self::Licensed => UsageType::Licensed,
            Self::Records(_) | Self::Meter(_) => UsageType::Metered,
        };
        form.push("recurring[usage_type]", usage_type.as_str());
        match self {
            Self::Licensed => {}
            Self::Records(aggregate) => form.push("recurring[aggregate_usage]", aggregate.as_str()),
            Self::Meter(meter) => form.push("recurring[meter]", meter),
        }
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
