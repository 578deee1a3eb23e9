//! The JSON of prices at 2022-11-15, and of plans, their older form.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use super::{Amount, Price, Recurring, Tier};
use crate::money::rating::Divide;
use crate::money::usage::AggregateUsage;

/// A decimal as Stripe's pair of fields: whole cents or null, and the exact text.
pub(crate) fn amounts(amount: Option<Decimal>) -> (Value, Value) {
    let Some(amount) = amount.map(|amount| amount.normalize()) else {
        return (Value::Null, Value::Null);
    };
    let whole = if amount.is_integer() {
        amount.to_i64()
    } else {
        None
    };
    (json!(whole), json!(amount.to_string()))
}

impl Price {
    /// The price without `tiers`, which are shown only if they are expanded.
    pub(crate) fn to_json(&self) -> Value {
        let (scheme, mode, unit) = match &self.amount {
            Amount::PerUnit(unit) => ("per_unit", None, Some(*unit)),
            Amount::Tiered { mode, .. } => ("tiered", Some(mode.as_str()), None),
        };
        let (unit_amount, unit_amount_decimal) = amounts(unit);
        json!({
            "id": &*self.id,
            "object": "price",
            "active": self.active,
            "billing_scheme": scheme,
            "created": self.created,
            "currency": self.currency.as_str(),
            "custom_unit_amount": null,
            "livemode": false,
            "lookup_key": self.lookup_key,
            "metadata": self.metadata.to_json(),
            "nickname": self.nickname,
            "product": &*self.product,
            "recurring": self.recurring.as_ref().map(Recurring::to_json),
            "tax_behavior": self.tax_behavior,
            "tiers_mode": mode,
            "transform_quantity": self.transform.map(transform_json),
            "type": if self.recurring.is_some() { "recurring" } else { "one_time" },
            "unit_amount": unit_amount,
            "unit_amount_decimal": unit_amount_decimal,
        })
    }

    /// The value of `tiers` when it is expanded; `None` for a price without tiers.
    pub(crate) fn tiers_json(&self) -> Option<Value> {
        match &self.amount {
            Amount::PerUnit(_) => None,
            Amount::Tiered { tiers, .. } => Some(tiers.iter().map(Tier::to_json).collect()),
        }
    }

    /// The value of `currency_options` when it is expanded: only the price's own currency.
    pub(crate) fn currency_options_json(&self) -> Value {
        let Amount::PerUnit(unit) = self.amount else {
            return json!({self.currency.as_str(): {
                "custom_unit_amount": null,
                "tax_behavior": self.tax_behavior,
                "tiers": self.tiers_json(),
                "unit_amount": null,
                "unit_amount_decimal": null,
            }});
        };
        let (unit_amount, unit_amount_decimal) = amounts(Some(unit));
        json!({self.currency.as_str(): {
            "custom_unit_amount": null,
            "tax_behavior": self.tax_behavior,
            "unit_amount": unit_amount,
            "unit_amount_decimal": unit_amount_decimal,
        }})
    }
}

impl Recurring {
    fn to_json(&self) -> Value {
        let mut object = json!({
            "aggregate_usage": self.aggregate_usage().map(AggregateUsage::as_str),
            "interval": self.interval.unit.as_str(),
            "interval_count": self.interval.count,
            "trial_period_days": self.trial_period_days,
            "usage_type": usage_type(Some(self)),
        });
        show_meter(&mut object, self);
        object
    }
}

impl Tier {
    fn to_json(&self) -> Value {
        let (flat_amount, flat_amount_decimal) = amounts(self.flat);
        let (unit_amount, unit_amount_decimal) = amounts(self.unit);
        json!({
            "flat_amount": flat_amount,
            "flat_amount_decimal": flat_amount_decimal,
            "unit_amount": unit_amount,
            "unit_amount_decimal": unit_amount_decimal,
            "up_to": self.up_to,
        })
    }
}

/// A price's `transform_quantity`, and a plan's `transform_usage`.
fn transform_json(transform: Divide) -> Value {
    json!({"divide_by": transform.by, "round": transform.round.as_str()})
}

/// The plan of a price; a one-time price has none.
pub(crate) fn plan_if_recurring(price: &Price) -> Option<Value> {
    price.recurring.as_ref().map(|_| plan(price))
}

/// A recurring price in its older form, which items still have.
pub(crate) fn plan(price: &Price) -> Value {
    let (scheme, mode, unit) = match &price.amount {
        Amount::PerUnit(unit) => ("per_unit", None, Some(*unit)),
        Amount::Tiered { mode, .. } => ("tiered", Some(mode.as_str()), None),
    };
    let (amount, amount_decimal) = amounts(unit);
    let recurring = price.recurring.as_ref();
    let aggregate = recurring.and_then(Recurring::aggregate_usage);
    let mut object = json!({
        "id": &*price.id,
        "object": "plan",
        "active": price.active,
        "aggregate_usage": aggregate.map(AggregateUsage::as_str),
        "amount": amount,
        "amount_decimal": amount_decimal,
        "billing_scheme": scheme,
        "created": price.created,
        "currency": price.currency.as_str(),
        "interval": recurring.map(|recurring| recurring.interval.unit.as_str()),
        "interval_count": recurring.map(|recurring| recurring.interval.count),
        "livemode": false,
        "metadata": price.metadata.to_json(),
        "nickname": price.nickname,
        "product": &*price.product,
        "tiers_mode": mode,
        "transform_usage": price.transform.map(transform_json),
        "trial_period_days": recurring.and_then(|recurring| recurring.trial_period_days),
        "usage_type": usage_type(recurring),
    });
    if let Some(recurring) = recurring {
        show_meter(&mut object, recurring);
    }
    object
}

fn usage_type(recurring: Option<&Recurring>) -> &'static str {
    if recurring.is_some_and(Recurring::is_metered) {
        "metered"
    } else {
        "licensed"
    }
}

/// Stripe added meters to all versions, so every version shows a price's meter.
fn show_meter(object: &mut Value, recurring: &Recurring) {
    if let Some(meter) = recurring.meter() {
        object["meter"] = json!(&**meter);
    }
}
