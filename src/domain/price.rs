//! A feature of a plan as a Stripe price, and back. Both are pure, so that they can be tested as inverses.
//!
//! Names, metadata keys and defaults are those of the original, whose accounts must keep working.

use rust_decimal::Decimal;

use super::pricing::{
    Aggregate, Currency, Divide, Feature, Interval, Mode, NO_LIMIT, Plan, Rounding, Tier,
};
use super::refs::FeaturePlan;
use crate::billing::{Price, PriceTier};
use crate::num;
use crate::stripe::Form;

/// Which feature of which plan a price is for.
pub(super) const FEATURE: &str = "tier.feature";
/// How much of it may be used in a period.
pub(super) const LIMIT: &str = "tier.limit";
const TITLE: &str = "tier.title";
const PLAN_TITLE: &str = "tier.plan_title";

/// The parameters of `POST /v1/prices`, but for the product.
pub(super) fn terms(name: &FeaturePlan, plan: &Plan, feature: &Feature) -> Form {
    let (interval, interval_count) = period(plan.interval);
    let mut form = Form::new();
    form.push("lookup_key", name.lookup_key());
    form.push(format!("metadata[{FEATURE}]"), name);
    form.push(format!("metadata[{LIMIT}]"), feature.limit());
    form.push(format!("metadata[{TITLE}]"), &feature.title);
    form.push(format!("metadata[{PLAN_TITLE}]"), &plan.title);
    form.push("currency", plan.currency.as_str());
    form.push("recurring[interval]", interval);
    form.push("recurring[interval_count]", interval_count);
    if feature.is_metered() {
        form.push("recurring[usage_type]", "metered");
        form.push(
            "recurring[aggregate_usage]",
            aggregate_usage(feature.aggregate),
        );
    } else {
        form.push("recurring[usage_type]", "licensed");
    }
    match feature.tiers.as_deref() {
        Some(tiers) if feature.is_tiered() => tiered(&mut form, feature.mode, tiers),
        None => per_unit(&mut form, feature.base),
        Some(tiers) => per_unit(&mut form, tiers.first().map_or(Decimal::ZERO, |t| t.price)),
    }
    if let Some(divide) = feature.divide {
        form.push("transform_quantity[divide_by]", divide.by);
        form.push("transform_quantity[round]", divide.rounding.as_str());
    }
    form
}

/// Has the price's product created with it.
pub(super) fn new_product(name: &FeaturePlan, plan: &Plan, feature: &Feature) -> Form {
    let mut form = Form::new();
    form.push("product_data[id]", name.lookup_key());
    form.push(
        "product_data[name]",
        format!("{} - {}", plan.title, feature.title),
    );
    form
}

fn per_unit(form: &mut Form, amount: Decimal) {
    form.push("billing_scheme", "per_unit");
    form.push("unit_amount_decimal", num::plain(amount));
}

/// The last tier is open for Stripe, which never stops counting; the bound is Tier's, in the metadata.
fn tiered(form: &mut Form, mode: Mode, tiers: &[Tier]) {
    form.push("billing_scheme", "tiered");
    form.push("tiers_mode", mode.as_str());
    for (i, tier) in tiers.iter().enumerate() {
        let bound = tier.upto.filter(|_| i + 1 < tiers.len());
        let up_to = bound.map_or_else(|| "inf".to_owned(), |upto| upto.to_string());
        form.push(format!("tiers[{i}][up_to]"), up_to);
        form.push(
            format!("tiers[{i}][unit_amount_decimal]"),
            num::plain(tier.price),
        );
        form.push(format!("tiers[{i}][flat_amount]"), tier.base);
    }
}

fn period(interval: Interval) -> (&'static str, u64) {
    match interval {
        Interval::Daily => ("day", 1),
        Interval::Weekly => ("week", 1),
        Interval::Monthly => ("month", 1),
        Interval::Quarterly => ("month", 3),
        Interval::Yearly => ("year", 1),
    }
}

fn aggregate_usage(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Max => "max",
        Aggregate::Last => "last_during_period",
        Aggregate::Perpetual => "last_ever",
    }
}

/// A price of Tier's, read back: what it is for, and how it is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PulledFeature {
    /// `price_…`.
    pub(super) id: String,
    pub(super) name: FeaturePlan,
    pub(super) plan_title: String,
    pub(super) interval: Interval,
    pub(super) currency: Currency,
    pub(super) feature: Feature,
}

impl PulledFeature {
    /// Reads a price whose tiers were expanded. None if it is not Tier's, or unlike any that Tier makes.
    pub(super) fn read(price: &Price) -> Option<Self> {
        let name = price.feature_plan()?;
        let read = Self::read_as(price, name);
        if read.is_none() {
            tracing::warn!(
                price = price.id,
                "a price marked as Tier's is unlike any that Tier makes"
            );
        }
        read
    }

    fn read_as(price: &Price, name: FeaturePlan) -> Option<Self> {
        let recurring = price.recurring.as_ref()?;
        let recurs = (recurring.interval.as_str(), recurring.interval_count);
        Some(Self {
            id: price.id.clone(),
            plan_title: title(price, PLAN_TITLE, name.plan().as_str()),
            interval: *Interval::ALL
                .iter()
                .find(|interval| period(**interval) == recurs)?,
            currency: Currency::new(&price.currency)?,
            feature: read_feature(price, &name)?,
            name,
        })
    }

    /// Whether it is sold as `feature` of `plan` would be.
    pub(super) fn is_sold_as(&self, plan: &Plan, feature: &Feature) -> bool {
        self.plan_title == plan.title
            && self.interval == plan.interval
            && self.currency == plan.currency
            && self.feature == *feature
    }
}

fn read_feature(price: &Price, name: &FeaturePlan) -> Option<Feature> {
    let metered = price.is_metered();
    let tiered = price.billing_scheme == "tiered";
    let amount = amount(price.unit_amount_decimal, price.unit_amount);
    let (base, tiers) = match (metered, tiered) {
        (false, false) => (amount, None),
        (true, false) => (Decimal::ZERO, Some(read_unit(amount, price.limit()))),
        (true, true) => (
            Decimal::ZERO,
            Some(read_tiers(&price.tiers, price.limit())?),
        ),
        (false, true) => return None,
    };
    let mut feature = Feature {
        title: title(price, TITLE, name.as_str()),
        base,
        mode: price
            .tiers_mode
            .as_deref()
            .and_then(Mode::from_word)
            .unwrap_or_default(),
        aggregate: read_aggregate(price),
        tiers,
        divide: read_divide(price),
    };
    feature.normalise();
    Some(feature)
}

fn read_divide(price: &Price) -> Option<Divide> {
    let transform = price.transform_quantity.as_ref()?;
    Some(Divide {
        by: transform.divide_by,
        rounding: Rounding::from_word(&transform.round).unwrap_or_default(),
    })
}

/// A price per unit: one tier, or none at all where nothing may be used and nothing costs.
fn read_unit(price: Decimal, limit: i64) -> Vec<Tier> {
    if limit == 0 && price.is_zero() {
        return Vec::new();
    }
    vec![Tier {
        upto: bounded(limit),
        price,
        base: 0,
    }]
}

fn read_tiers(tiers: &[PriceTier], limit: i64) -> Option<Vec<Tier>> {
    let read = |tier: &PriceTier| Tier {
        upto: tier.up_to.or(bounded(limit)),
        price: amount(tier.unit_amount_decimal, tier.unit_amount),
        base: tier.flat_amount.unwrap_or(0),
    };
    (!tiers.is_empty()).then(|| tiers.iter().map(read).collect())
}

/// How reports on a price add up.
fn read_aggregate(price: &Price) -> Aggregate {
    let usage = price
        .recurring
        .as_ref()
        .and_then(|r| r.aggregate_usage.as_deref());
    let known = Aggregate::ALL
        .iter()
        .find(|known| Some(aggregate_usage(**known)) == usage);
    known.copied().unwrap_or_default()
}

fn title(price: &Price, key: &str, default: &str) -> String {
    let title = price.metadata.get(key).filter(|title| !title.is_empty());
    title.map_or(default, String::as_str).to_owned()
}

/// The exact amount, which older answers give only where it is not whole.
fn amount(decimal: Option<Decimal>, whole: Option<i64>) -> Decimal {
    decimal
        .or(whole.map(Decimal::from))
        .unwrap_or_default()
        .normalize()
}

fn bounded(limit: i64) -> Option<i64> {
    (limit != NO_LIMIT).then_some(limit)
}

#[cfg(test)]
mod tests;
