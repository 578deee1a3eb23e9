//! Reading and checking the parameters of prices.

use rust_decimal::Decimal;

use super::{Amount, MAX_AMOUNT, Price, Recurring, Tier, TiersMode, Usage};
use crate::error::{Error, Result};
use crate::money::period::{BillingInterval, IntervalUnit};
use crate::money::rating::{Divide, Round};
use crate::money::usage::AggregateUsage;
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::params::metadata::Metadata;
use crate::resource::meter;
use crate::resource::product::{self, Product};
use crate::store::context::Ctx;
use crate::store::ids::Id;

pub(super) const USAGE_TYPES: &[&str] = &["licensed", "metered"];

const TAX_BEHAVIORS: &[&str] = &["exclusive", "inclusive", "unspecified"];

/// Reads a new price, without an id, and the product to create for it, if there is one.
pub(super) fn read(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Price, Option<Product>)> {
    let currency = params
        .currency("currency")?
        .ok_or_else(|| params.missing("currency"))?;
    let (product, new_product) = product(ctx, params)?;
    let recurring = recurring(ctx, params)?;
    let amount = amount(params, recurring.as_ref())?;
    let transform = transform(params)?;
    if transform.is_some() && matches!(amount, Amount::Tiered { .. }) {
        return Err(Error::malformed(
            "transform_quantity",
            "`transform_quantity` cannot be combined with `tiers`.",
        ));
    }
    let mut price = Price {
        id: Id::default(),
        created: ctx.now,
        active: true,
        currency,
        lookup_key: None,
        metadata: Metadata::default(),
        nickname: None,
        product,
        recurring,
        tax_behavior: "unspecified",
        amount,
        transform,
    };
    change_plain(&mut price, params)?;
    params.disabled("custom_unit_amount")?;
    params.unmodelled(&["currency_options"])?;
    Ok((price, new_product))
}

/// Reads the parameters of an update.
pub(super) fn change(price: &mut Price, params: &Params<'_>) -> Result<()> {
    change_plain(price, params)?;
    params.unmodelled(&["currency_options?", "recurring"])
}

fn change_plain(price: &mut Price, params: &Params<'_>) -> Result<()> {
    if let Some(active) = params.boolean("active")? {
        price.active = active;
    }
    let key = params.nullable("lookup_key")?;
    if matches!(key, FieldUpdate::Set(key) if key.chars().count() > 200) {
        return Err(Error::malformed(
            "lookup_key",
            "Invalid string: a lookup key has at most 200 characters.",
        ));
    }
    key.map(Into::into).apply(&mut price.lookup_key);
    params
        .nullable("nickname")?
        .map(str::to_owned)
        .apply(&mut price.nickname);
    if let Some(behavior) = params.one_of("tax_behavior", TAX_BEHAVIORS)? {
        price.tax_behavior = behavior;
    }
    price.metadata = params.metadata()?.apply(&price.metadata)?;
    Ok(())
}

/// The existing product, or the one to create.
fn product(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Id, Option<Product>)> {
    let given = params.string("product")?;
    match (given, params.object("product_data")?) {
        (Some(id), None) => match ctx.account.products.get(id) {
            Some(product) => Ok((product.id.clone(), None)),
            None => Err(Error::no_such("product", id, "product")),
        },
        (None, Some(data)) => Ok((Id::default(), Some(product::routes::prepare(ctx, &data)?))),
        (None, None) => Err(Error::malformed(
            "product",
            "You must specify either `product` or `product_data` when creating a price.",
        )
        .code("parameter_missing")),
        (Some(_), Some(_)) => Err(Error::malformed(
            "product",
            "You may only specify one of these parameters: product, product_data.",
        )),
    }
}

fn recurring(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Option<Recurring>> {
    let Some(object) = params.object("recurring")? else {
        return Ok(None);
    };
    let unit = object.variant("interval", &IntervalUnit::ALL, IntervalUnit::as_str)?;
    let unit = unit.ok_or_else(|| object.missing("interval"))?;
    let count = object.integer_from("interval_count", 1)?.unwrap_or(1);
    check_length(ctx, &object, unit, count)?;
    let metered = object.one_of("usage_type", USAGE_TYPES)? == Some("metered");
    let usage = if ctx.has_meters() {
        of_meter(ctx, &object, metered)?
    } else {
        of_records(ctx, &object, metered)?
    };
    let trial_period_days = object.integer_from("trial_period_days", 0)?;
    Ok(Some(Recurring {
        interval: BillingInterval {
            unit,
            count: u32::try_from(count).expect("at most 1,095"),
        },
        usage,
        trial_period_days,
    }))
}

/// A price recurs at least once a year, or in later versions once in three years.
fn check_length(ctx: &Ctx<'_>, params: &Params<'_>, unit: IntervalUnit, count: i64) -> Result<()> {
    let (years, often) = if ctx.has_meters() {
        (3, "once in three years")
    } else {
        (1, "once a year")
    };
    let longest = years
        * match unit {
            IntervalUnit::Day => 365,
            IntervalUnit::Week => 52,
            IntervalUnit::Month => 12,
            IntervalUnit::Year => 1,
        };
    if count <= longest {
        return Ok(());
    }
    Err(Error::malformed(
        params.name("interval_count"),
        format!(
            "Invalid integer: a price recurs at least {often}; `interval_count` is at most {longest} with `{}`.",
            unit.as_str()
        ),
    ))
}

/// `aggregate_usage` of 2022-11-15.
fn of_records(ctx: &Ctx<'_>, params: &Params<'_>, metered: bool) -> Result<Usage> {
    if metered && ctx.settings.meters_only {
        return Err(meter::required());
    }
    let aggregation = params.variant(
        "aggregate_usage",
        &AggregateUsage::ALL,
        AggregateUsage::as_str,
    )?;
    if aggregation.is_some() && !metered {
        return Err(Error::malformed(
            params.name("aggregate_usage"),
            "`aggregate_usage` can only be given when `usage_type` is `metered`.",
        ));
    }
    Ok(if metered {
        Usage::Records(aggregation.unwrap_or_default())
    } else {
        Usage::Licensed
    })
}

/// `meter` of later versions, which a metered price must have.
fn of_meter(ctx: &Ctx<'_>, params: &Params<'_>, metered: bool) -> Result<Usage> {
    let name = params.name("meter");
    match (params.string("meter")?, metered) {
        (None, false) => Ok(Usage::Licensed),
        (None, true) => Err(meter::required()),
        (Some(_), false) => Err(Error::malformed(
            name,
            "`meter` can only be given when `usage_type` is `metered`.",
        )),
        (Some(id), true) => {
            let meter = ctx.account.meters.get(id);
            let meter = meter.ok_or_else(|| Error::no_such("meter", id, name.clone()))?;
            if !meter.is_active() {
                let message =
                    format!("The meter `{id}` is inactive: reactivate it to use it in prices.");
                return Err(Error::invalid(message).param(name));
            }
            Ok(Usage::Meter(meter.id.clone()))
        }
    }
}

fn amount(params: &Params<'_>, recurring: Option<&Recurring>) -> Result<Amount> {
    let scheme = params.one_of("billing_scheme", &["per_unit", "tiered"])?;
    let unit = cents(params, "unit_amount")?;
    let mode = params.variant("tiers_mode", &TiersMode::ALL, TiersMode::as_str)?;
    let tiers = params.objects("tiers")?;
    if scheme == Some("tiered") {
        if recurring.is_none() {
            return Err(Error::invalid(
                "Prices with `type=one_time` are not supported with tiered billing.",
            )
            .param("interval"));
        }
        if unit.is_some() {
            return Err(Error::malformed(
                "unit_amount",
                "You cannot set `unit_amount` when `billing_scheme` is `tiered`; set it on the tiers.",
            ));
        }
        return Ok(Amount::Tiered {
            mode: mode.ok_or_else(|| params.missing("tiers_mode"))?,
            tiers: self::tiers(&tiers.ok_or_else(|| params.missing("tiers"))?)?,
        });
    }
    for (name, given) in [("tiers", tiers.is_some()), ("tiers_mode", mode.is_some())] {
        if given {
            return Err(Error::malformed(
                name,
                format!("`{name}` requires `billing_scheme=tiered`."),
            ));
        }
    }
    let unit = unit.ok_or_else(|| {
        Error::invalid(
            "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.",
        )
    })?;
    Ok(Amount::PerUnit(unit))
}

fn tiers(given: &[Params<'_>]) -> Result<Vec<Tier>> {
    let Some(last) = given.len().checked_sub(1) else {
        return Err(
            Error::malformed("tiers", "At least one tier is required.").code("parameter_missing")
        );
    };
    let mut tiers = Vec::with_capacity(given.len());
    let mut below = 0;
    for (index, tier) in given.iter().enumerate() {
        let name = tier.name("up_to");
        let up_to = match tier.text("up_to")? {
            Some("inf") => None,
            _ => Some(
                tier.integer_from("up_to", 1)?
                    .ok_or_else(|| tier.missing("up_to"))?,
            ),
        };
        if up_to.is_none() != (index == last) {
            return Err(Error::malformed(
                name,
                "The last tier, and no other, must have `up_to` set to `inf`.",
            ));
        }
        if up_to.is_some_and(|up_to| up_to <= below) {
            return Err(Error::malformed(
                name,
                "Each tier's `up_to` must be greater than that of the tier before.",
            ));
        }
        below = up_to.unwrap_or(below);
        let unit = cents(tier, "unit_amount")?;
        let flat = cents(tier, "flat_amount")?;
        if unit.is_none() && flat.is_none() {
            return Err(Error::malformed(
                tier.name("unit_amount"),
                "Each tier requires a `unit_amount` or a `flat_amount`.",
            )
            .code("parameter_missing"));
        }
        tiers.push(Tier { up_to, unit, flat });
    }
    Ok(tiers)
}

/// An amount in whole cents or, with the suffix `_decimal`, exact. Not negative.
fn cents(params: &Params<'_>, key: &str) -> Result<Option<Decimal>> {
    let exactly = format!("{key}_decimal");
    let whole = params.integer_from(key, 0)?;
    let exact = params.decimal(&exactly)?;
    let amount = match (whole, exact) {
        (Some(_), Some(_)) => {
            return Err(Error::malformed(
                params.name(key),
                format!("You may only specify one of these parameters: {key}, {exactly}."),
            ));
        }
        (Some(whole), None) => Decimal::from(whole),
        (None, Some(exact)) => exact,
        (None, None) => return Ok(None),
    };
    if amount < Decimal::ZERO || amount > Decimal::from(MAX_AMOUNT) {
        return Err(Error::malformed(
            params.name(key),
            format!("Invalid amount: expected 0 to {MAX_AMOUNT}, in the currency's smallest unit."),
        ));
    }
    Ok(Some(amount))
}

fn transform(params: &Params<'_>) -> Result<Option<Divide>> {
    let Some(object) = params.object("transform_quantity")? else {
        return Ok(None);
    };
    let divide_by = object.integer_from("divide_by", 1)?;
    let round = object.variant("round", &Round::ALL, Round::as_str)?;
    Ok(Some(Divide {
        by: divide_by.ok_or_else(|| object.missing("divide_by"))?,
        round: round.ok_or_else(|| object.missing("round"))?,
    }))
}
