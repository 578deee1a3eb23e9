//! The cost of a feature for a given usage, calculated as Stripe bills it. It only serves previews, while a model is
//! being designed.

use rust_decimal::Decimal;
use rust_decimal::prelude::{RoundingStrategy, ToPrimitive as _};

use super::pricing::{Divide, Feature, Mode, Rounding, Tier};

/// The cost of `used` units of a feature in a period, in the currency's minor unit. `used` does not matter for a
/// licensed feature.
pub(super) fn cost(feature: &Feature, used: i64) -> i64 {
    let used = used.max(0);
    match feature.tiers.as_deref() {
        None => per_unit(feature.base, feature.divide, 1),
        Some(tiers) if feature.is_tiered() => match feature.mode {
            Mode::Graduated => graduated(tiers, used),
            Mode::Volume => volume(tiers, used),
        },
        Some([only, ..]) => per_unit(only.price, feature.divide, used),
        Some([]) => 0,
    }
}

fn per_unit(price: Decimal, divide: Option<Divide>, quantity: i64) -> i64 {
    rounded(
        price,
        divide.map_or(quantity, |divide| packages(divide, quantity)),
    )
}

fn packages(divide: Divide, quantity: i64) -> i64 {
    match divide.rounding {
        Rounding::Down => quantity / divide.by,
        Rounding::Up => quantity / divide.by + i64::from(quantity % divide.by != 0),
    }
}

/// Each unit costs the price of its tier, and each reached tier costs its base. The first tier is always reached.
fn graduated(tiers: &[Tier], used: i64) -> i64 {
    let mut below = 0;
    let mut sum: i64 = 0;
    for (i, tier) in tiers.iter().enumerate() {
        if i > 0 && used <= below {
            break;
        }
        // Stripe also bills usage above the limit.
        let is_last = i + 1 == tiers.len();
        let top = tier.upto.filter(|_| !is_last).unwrap_or(i64::MAX);
        sum = sum.saturating_add(tier_cost(tier, used.min(top) - below));
        below = top;
    }
    sum
}

/// All units cost the price of the tier of the last unit.
fn volume(tiers: &[Tier], used: i64) -> i64 {
    let reached = |tier: &&Tier| tier.upto.is_none_or(|upto| used <= upto);
    let tier = tiers.iter().find(reached).or(tiers.last());
    tier.map_or(0, |tier| tier_cost(tier, used))
}

fn tier_cost(tier: &Tier, units: i64) -> i64 {
    rounded(tier.price, units).saturating_add(tier.base)
}

/// Stripe rounds each line of an invoice to the minor unit, halves up.
fn rounded(price: Decimal, quantity: i64) -> i64 {
    let Some(exact) = price.checked_mul(Decimal::from(quantity)) else {
        return i64::MAX;
    };
    let rounded = exact.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    rounded.to_i64().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::Model;

    fn costs(feature: &str, usage: &[i64]) -> Vec<i64> {
        let model =
            format!(r#"{{"plans":{{"plan:a@1":{{"features":{{"feature:x":{feature}}}}}}}}}"#);
        let model = Model::parse(&model).expect("a model");
        let (_, _, feature) = model.features().next().expect("a feature");
        usage.iter().map(|used| cost(feature, *used)).collect()
    }

    #[test]
    fn a_feature_costs_what_stripe_bills() {
        for (feature, usage, expected) in [
            (r#"{"base":1000}"#, &[0, 7][..], &[1000, 1000][..]),
            (r#"{"base":0.5}"#, &[0], &[1]),
            (r#"{"base":100,"divide":{"by":2}}"#, &[0], &[0]),
            (
                r#"{"base":100,"divide":{"by":2,"rounding":"up"}}"#,
                &[0],
                &[100],
            ),
            (r#"{"tiers":[]}"#, &[0, 9], &[0, 0]),
            (r#"{"tiers":[{}]}"#, &[0, 9], &[0, 0]),
            (
                r#"{"tiers":[{"price":0.5}]}"#,
                &[0, 1, 2, 3, 1500],
                &[0, 1, 1, 2, 750],
            ),
            // Also above the limit.
            (r#"{"tiers":[{"upto":10,"price":2}]}"#, &[10, 11], &[20, 22]),
            (
                r#"{"tiers":[{"price":3}],"divide":{"by":100}}"#,
                &[99, 100, 250],
                &[0, 3, 6],
            ),
            (
                r#"{"tiers":[{"price":3}],"divide":{"by":100,"rounding":"up"}}"#,
                &[0, 1, 100, 250],
                &[0, 3, 3, 9],
            ),
            (
                r#"{"tiers":[{"upto":1000},{"price":0.5}]}"#,
                &[1000, 1001, 1500],
                &[0, 1, 250],
            ),
            (
                r#"{"tiers":[{"upto":1000,"base":900},{"price":3.6}]}"#,
                &[0, 1000, 1031],
                &[900, 900, 1012],
            ),
            (
                r#"{"mode":"volume","tiers":[{"upto":10,"price":5},{"price":2.5,"base":100}]}"#,
                &[0, 10, 11],
                &[0, 50, 128],
            ),
            (
                r#"{"tiers":[{"price":999999999999}]}"#,
                &[i64::MAX],
                &[i64::MAX],
            ),
        ] {
            assert_eq!(costs(feature, usage), expected, "{feature}");
        }
    }
}
