//! Prices: what a product costs, per unit or in tiers.

pub(crate) mod input;
pub(crate) mod list;

use std::collections::HashMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::period::Every;
use crate::money::rating::Divide;
use crate::money::usage::Aggregate;
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

pub(crate) const WHAT: &str = "price";
/// The largest amount that Stripe takes: eight digits of cents; the sandbox allows twelve.
pub(crate) const MAX_AMOUNT: i64 = 999_999_999_999;

/// See the module's text.
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
    /// `None` for a price that is paid once.
    pub(crate) recurring: Option<Recurring>,
    pub(crate) tax_behavior: &'static str,
    pub(crate) amount: Amount,
    /// `transform_quantity`
    pub(crate) transform: Option<Divide>,
}

/// How often, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recurring {
    pub(crate) every: Every,
    /// What is made of the usage that is reported; `None` for a licensed price.
    pub(crate) aggregate_usage: Option<Aggregate>,
    pub(crate) trial_period_days: Option<i64>,
}

impl Recurring {
    pub(crate) fn metered(&self) -> bool {
        self.aggregate_usage.is_some()
    }
}

/// What it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Cents a unit, perhaps with a fraction.
    PerUnit(Decimal),
    /// At least one tier; the last is without end.
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

/// One tier; amounts in cents, perhaps with a fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// The last unit in it; `None` is without end.
    pub(crate) up_to: Option<i64>,
    pub(crate) unit: Option<Decimal>,
    pub(crate) flat: Option<Decimal>,
}

impl Row for Price {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// A decimal as the pair that Stripe shows: whole cents, or null; and the exact text.
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

    /// What `expand[]=tiers` shows: nothing for a price without.
    pub(crate) fn tiers_json(&self) -> Option<Value> {
        match &self.amount {
            Amount::PerUnit(_) => None,
            Amount::Tiered { tiers, .. } => Some(tiers.iter().map(Tier::to_json).collect()),
        }
    }

    /// What `expand[]=currency_options` shows: the price's own currency.
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
        json!({
            "aggregate_usage": self.aggregate_usage.map(Aggregate::as_str),
            "interval": self.every.interval.as_str(),
            "interval_count": self.every.count,
            "trial_period_days": self.trial_period_days,
            "usage_type": if self.metered() { "metered" } else { "licensed" },
        })
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
pub(crate) fn transform_json(transform: Divide) -> Value {
    json!({"divide_by": transform.by, "round": transform.round.as_str()})
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

    /// The price that has the lookup key, active or not.
    pub(crate) fn holder(&self, lookup_key: &str) -> Option<&Price> {
        self.table.at(*self.by_lookup_key.get(lookup_key)?)
    }

    /// Adds a price, or puts a changed one in its place. Whoever held its lookup key loses it.
    fn put(&mut self, price: Price) {
        let position = self.table.position(&price.id);
        if let Some(old) = position.and_then(|position| self.table.at_mut(position))
            && let Some(key) = old.lookup_key.take()
        {
            self.by_lookup_key.remove(&key);
        }
        let key = price.lookup_key.clone();
        if let Some(holder) = key.as_ref().and_then(|key| self.by_lookup_key.get(key))
            && let Some(other) = self.table.at_mut(*holder)
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

/// `POST /v1/prices`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let (mut price, product) = input::read(ctx, params)?;
    check_lookup_key(ctx, params, price.lookup_key.as_deref(), None)?;
    params.finish()?;
    if let Some(product) = product {
        price.product = crate::resource::product::insert(ctx, product);
    }
    price.id = ctx.account.ids.next("price", 24);
    let answer = price.to_json();
    ctx.account.prices.put(price);
    ctx.event("price.created", &answer, ctx.now);
    Ok(answer)
}

/// A lookup key names one price, active or not, unless it is moved with `transfer_lookup_key`.
fn check_lookup_key(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    key: Option<&str>,
    own: Option<&str>,
) -> Result<()> {
    let transfer = params.boolean("transfer_lookup_key")?.unwrap_or(false);
    let holder = key.and_then(|key| ctx.account.prices.holder(key));
    match holder {
        Some(holder) if !transfer && own != Some(&holder.id) => Err(Error::invalid(format!(
            "A price (`{}`) already uses that lookup key.",
            holder.id
        ))
        .param("lookup_key")),
        _ => Ok(()),
    }
}

/// A product's default price cannot be archived.
fn check_default(ctx: &Ctx<'_>, price: &Price) -> Result<()> {
    let product = ctx.account.products.get(&price.product);
    if !price.active && product.is_some_and(|product| product.defaults_to(&price.id)) {
        return Err(Error::invalid(
            "This price cannot be archived because it is the default price of its product.",
        )
        .param("active"));
    }
    Ok(())
}

/// `GET /v1/prices/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `POST /v1/prices/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut price = find(ctx, &ctx.arg(0))?.clone();
    let before = price.to_json();
    input::change(&mut price, params)?;
    check_default(ctx, &price)?;
    check_lookup_key(ctx, params, price.lookup_key.as_deref(), Some(&price.id))?;
    params.finish()?;
    let after = price.to_json();
    ctx.account.prices.put(price);
    if after != before {
        ctx.update_event("price.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Price> {
    let price = ctx.account.prices.get(id);
    price.ok_or_else(|| Error::not_found(WHAT, id).param("price"))
}
