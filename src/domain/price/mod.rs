//! Converts a feature of a plan to a Stripe price, and back. Both directions are pure and tested as inverses.
//!
//! Names, metadata keys and defaults are those of the original, so that its accounts keep working.

use rust_decimal::Decimal;

use super::pricing::{
    Aggregate, Currency, Divide, Feature, Interval, Mode, NO_LIMIT, Plan, Rounding, Tier,
};
use super::refs::FeaturePlan;
use crate::billing::{
    self, AggregateUsage, BillingScheme, Generation, NewAmount, NewPrice, NewTier, NewUsage, Price,
    PriceProduct, PriceTier, RecurringInterval, TiersMode, TransformQuantity,
};

/// The metadata key that names the feature and plan of a price.
pub(super) const FEATURE: &str = "tier.feature";
/// The metadata key of the limit per period.
pub(super) const LIMIT: &str = "tier.limit";
/// The metadata key of the aggregate, in the model's words, of a price with a meter. Other prices have a field for it.
const AGGREGATE: &str = "tier.aggregate";
const TITLE: &str = "tier.title";
const PLAN_TITLE: &str = "tier.plan_title";

/// The Stripe price of a feature. If it is metered, its usage is counted by `meter`, or else recorded on items.
pub(super) fn terms(
    name: &FeaturePlan,
    plan: &Plan,
    feature: &Feature,
    meter: Option<&str>,
) -> NewPrice {
    let amount = match feature.tiers.as_deref() {
        Some(tiers) if feature.is_tiered() => tiered(feature.mode, tiers),
        None => NewAmount::PerUnit(feature.base),
        Some(tiers) => NewAmount::PerUnit(tiers.first().map_or(Decimal::ZERO, |t| t.price)),
    };
    let mut metadata = vec![
        (FEATURE, name.to_string()),
        (LIMIT, feature.limit().to_string()),
        (TITLE, feature.title.clone()),
        (PLAN_TITLE, plan.title.clone()),
    ];
    let usage = match meter {
        _ if !feature.is_metered() => NewUsage::Licensed,
        None => NewUsage::Records(aggregate_usage(feature.aggregate)),
        Some(meter) => {
            metadata.push((AGGREGATE, feature.aggregate.as_str().to_owned()));
            NewUsage::Meter(meter.to_owned())
        }
    };
    NewPrice {
        lookup_key: name.lookup_key(),
        metadata,
        currency: plan.currency.as_str().to_owned(),
        period: period(plan.interval),
        usage,
        amount,
        transform_quantity: feature.divide.map(|divide| TransformQuantity {
            divide_by: divide.by,
            round: match divide.rounding {
                Rounding::Up => billing::Rounding::Up,
                Rounding::Down => billing::Rounding::Down,
            },
        }),
    }
}

/// The product that is created together with a feature's price.
pub(super) fn new_product(name: &FeaturePlan, plan: &Plan, feature: &Feature) -> PriceProduct {
    PriceProduct::New {
        id: name.lookup_key(),
        name: format!("{} - {}", plan.title, feature.title),
    }
}

/// The last tier is unbounded in Stripe, since Stripe has no limits. Tier's limit is in the metadata.
fn tiered(mode: Mode, tiers: &[Tier]) -> NewAmount {
    let mode = match mode {
        Mode::Graduated => TiersMode::Graduated,
        Mode::Volume => TiersMode::Volume,
    };
    let tier = |(i, tier): (usize, &Tier)| NewTier {
        up_to: tier.upto.filter(|_| i + 1 < tiers.len()),
        unit_amount: tier.price,
        flat_amount: tier.base,
    };
    NewAmount::Tiered(mode, tiers.iter().enumerate().map(tier).collect())
}

fn period(interval: Interval) -> (RecurringInterval, u64) {
    match interval {
        Interval::Daily => (RecurringInterval::Day, 1),
        Interval::Weekly => (RecurringInterval::Week, 1),
        Interval::Monthly => (RecurringInterval::Month, 1),
        Interval::Quarterly => (RecurringInterval::Month, 3),
        Interval::Yearly => (RecurringInterval::Year, 1),
    }
}

fn aggregate_usage(aggregate: Aggregate) -> AggregateUsage {
    match aggregate {
        Aggregate::Sum => AggregateUsage::Sum,
        Aggregate::Max => AggregateUsage::Max,
        Aggregate::Last => AggregateUsage::LastDuringPeriod,
        Aggregate::Perpetual => AggregateUsage::LastEver,
    }
}

impl Price {
    /// How usage is aggregated, for metered prices.
    pub(super) fn aggregate(&self) -> AggregateUsage {
        let noted = || {
            let word = self.metadata.get(AGGREGATE)?;
            let mut known = Aggregate::ALL.iter();
            let known = known.find(|aggregate| aggregate.as_str() == word)?;
            Some(aggregate_usage(*known))
        };
        let aggregate = match self.generation() {
            Some(Generation::Meters) => noted(),
            Some(Generation::Classic) | None => self.aggregate_usage().cloned(),
        };
        aggregate.unwrap_or(AggregateUsage::Sum)
    }

    /// Whether its usage is a level, not a sum.
    pub(super) fn is_level(&self) -> bool {
        self.is_metered() && self.aggregate().is_level()
    }

    /// Whether its usage continues from one period to the next.
    pub(super) fn is_perpetual(&self) -> bool {
        self.is_metered() && self.aggregate().is_perpetual()
    }
}

/// A feature and its terms, read from a price of Tier's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PulledFeature {
    /// `price_…`.
    pub(super) id: String,
    pub(super) name: FeaturePlan,
    pub(super) archived: bool,
    /// The generation of the price, if it is metered.
    pub(super) generation: Option<Generation>,
    pub(super) plan_title: String,
    pub(super) interval: Interval,
    pub(super) currency: Currency,
    pub(super) feature: Feature,
}

impl PulledFeature {
    /// Reads a price with expanded tiers. `None` if it is not Tier's, or has terms that Tier never creates.
    pub(super) fn read(price: &Price) -> Option<Self> {
        let name = price.feature_plan()?;
        let read = Self::read_as(price, name);
        if read.is_none() {
            tracing::warn!(
                price = price.id,
                "a price marked as Tier's has terms that Tier never creates"
            );
        }
        read
    }

    fn read_as(price: &Price, name: FeaturePlan) -> Option<Self> {
        let (every, count) = price.period()?;
        let recurs = (every.clone(), count);
        Some(Self {
            id: price.id.clone(),
            archived: !price.active,
            generation: price.generation(),
            plan_title: title(price, PLAN_TITLE, name.plan().as_str()),
            interval: *Interval::ALL
                .iter()
                .find(|interval| period(**interval) == recurs)?,
            currency: Currency::new(&price.currency)?,
            feature: read_feature(price, &name)?,
            name,
        })
    }

    /// Whether it has the terms of `feature` in `plan`.
    pub(super) fn has_terms_of(&self, plan: &Plan, feature: &Feature) -> bool {
        self.plan_title == plan.title
            && self.interval == plan.interval
            && self.currency == plan.currency
            && self.feature == *feature
    }
}

fn read_feature(price: &Price, name: &FeaturePlan) -> Option<Feature> {
    let metered = price.is_metered();
    let tiered = price.billing_scheme == BillingScheme::Tiered;
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
        mode: match price.tiers_mode {
            Some(TiersMode::Volume) => Mode::Volume,
            _ => Mode::Graduated,
        },
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
        rounding: match transform.round {
            billing::Rounding::Up => Rounding::Up,
            _ => Rounding::Down,
        },
    })
}

/// Reads a price per unit: one tier, or no tier if the limit is 0 and the price is free.
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

/// The aggregate of a price.
fn read_aggregate(price: &Price) -> Aggregate {
    let usage = price.aggregate();
    let known = Aggregate::ALL
        .iter()
        .find(|known| aggregate_usage(**known) == usage);
    known.copied().unwrap_or_default()
}

fn title(price: &Price, key: &str, default: &str) -> String {
    let title = price.metadata.get(key).filter(|title| !title.is_empty());
    title.map_or(default, String::as_str).to_owned()
}

/// The exact amount. Older API versions give it only if it is not an integer.
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
