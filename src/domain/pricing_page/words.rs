//! Prices in words.

use rust_decimal::Decimal;

use crate::domain::money::count;
use crate::domain::pricing::{
    Aggregate, Currency, Divide, Feature, Interval, Mode, Plan, Rounding, Tier,
};

/// The fixed price of a plan per interval.
pub(super) fn plan(plan: &Plan, price: Decimal) -> String {
    if plan.features.values().all(is_free) {
        return "Free".to_owned();
    }
    let each = match plan.interval {
        Interval::Daily => "a day",
        Interval::Weekly => "a week",
        Interval::Monthly => "a month",
        Interval::Quarterly => "a quarter",
        Interval::Yearly => "a year",
    };
    format!("{} {each}", plan.currency.amount(price))
}

fn is_free(feature: &Feature) -> bool {
    let tiers = feature.tiers.iter().flatten();
    feature.base.is_zero() && tiers.into_iter().all(Tier::is_free)
}

/// The price of a feature.
pub(super) fn feature(feature: &Feature, currency: &Currency) -> String {
    let Some(tiers) = feature.tiers.as_deref() else {
        return licensed(feature, currency);
    };
    let terms = match (tiers, feature.divide) {
        ([], _) => return "not included".to_owned(),
        ([only], Some(divide)) => packages(only, divide, currency),
        _ if feature.mode == Mode::Volume => volume(tiers, currency),
        _ => graduated(tiers, currency),
    };
    match feature.aggregate {
        Aggregate::Sum => terms,
        Aggregate::Max => format!("{terms}; the highest use counts"),
        Aggregate::Last => format!("{terms}; the last use counts"),
        Aggregate::Perpetual => format!("{terms}; the last use counts until the next"),
    }
}

fn licensed(feature: &Feature, currency: &Currency) -> String {
    if feature.base.is_zero() {
        return "included".to_owned();
    }
    let amount = currency.amount(feature.base);
    match feature.divide {
        None => amount,
        Some(divide) => format!("{amount} for each {}", package(divide)),
    }
}

fn packages(tier: &Tier, divide: Divide, currency: &Currency) -> String {
    let terms = if tier.price.is_zero() {
        return graduated(std::slice::from_ref(tier), currency);
    } else {
        let price = currency.amount(tier.price);
        format!("{price} for each {}", package(divide))
    };
    match tier.upto {
        Some(upto) => format!("{terms}, up to {}", count(upto)),
        None => terms,
    }
}

fn package(divide: Divide) -> String {
    let by = count(divide.by);
    match divide.rounding {
        Rounding::Up => format!("{by} or part of them"),
        Rounding::Down => format!("full {by}"),
    }
}

/// Each unit costs the price of its tier.
fn graduated(tiers: &[Tier], currency: &Currency) -> String {
    let parts = tiers.iter().enumerate().map(|(i, tier)| {
        let free = tier.is_free();
        let price = tier.in_words(currency);
        match (i, tier.upto.map(count)) {
            (0, None) if free => "unlimited".to_owned(),
            (0, Some(upto)) if free => format!("{upto} included"),
            (0, None) => price,
            (0, Some(upto)) if tiers.len() == 1 => format!("{price}, up to {upto}"),
            (0, Some(upto)) => format!("{price} for the first {upto}"),
            (_, None) if free => "then free".to_owned(),
            (_, Some(upto)) if free => format!("then free up to {upto}"),
            (_, None) => format!("then {price}"),
            (_, Some(upto)) => format!("then {price} up to {upto}"),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// All units cost the price of the tier of the last unit.
fn volume(tiers: &[Tier], currency: &Currency) -> String {
    let mut below = None;
    let parts = tiers.iter().map(|tier| {
        let price = if tier.is_free() {
            "free".to_owned()
        } else {
            tier.in_words(currency)
        };
        let from = below.map(count);
        below = tier.upto;
        match (tier.upto.map(count), from) {
            (Some(upto), _) => format!("{price} for up to {upto}"),
            (None, Some(from)) => format!("{price} for all if more than {from}"),
            (None, None) => price,
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

impl Tier {
    fn is_free(&self) -> bool {
        self.price.is_zero() && self.base == 0
    }

    fn in_words(&self, currency: &Currency) -> String {
        let base = currency.amount(self.base.into());
        let each = format!("{} each", currency.amount(self.price));
        match (self.base, self.price.is_zero()) {
            (0, _) => each,
            (_, true) => base,
            (_, false) => format!("{base} plus {each}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::Model;

    fn words(currency: &str, json: &str) -> String {
        let model = format!(
            r#"{{"plans":{{"plan:a@1":{{"currency":"{currency}","features":{{"feature:x":{json}}}}}}}}}"#
        );
        let model = Model::parse(&model).expect("a model");
        let (_, plan, one) = model.features().next().expect("a feature");
        feature(one, &plan.currency)
    }

    #[test]
    fn prices_are_put_into_words() {
        for (json, text) in [
            ("{}", "included"),
            (r#"{"base":1000}"#, "$10.00"),
            (r#"{"base":0.05}"#, "$0.0005"),
            (
                r#"{"base":1000,"divide":{"by":5,"rounding":"up"}}"#,
                "$10.00 for each 5 or part of them",
            ),
            (r#"{"tiers":[]}"#, "not included"),
            (r#"{"tiers":[{}]}"#, "unlimited"),
            (r#"{"tiers":[{"upto":10}]}"#, "10 included"),
            (r#"{"tiers":[{"price":0.5}]}"#, "$0.005 each"),
            (
                r#"{"tiers":[{"upto":5000,"price":0.5}]}"#,
                "$0.005 each, up to 5,000",
            ),
            (r#"{"tiers":[{"base":900}]}"#, "$9.00"),
            (
                r#"{"tiers":[{"upto":10},{"price":0.5}]}"#,
                "10 included, then $0.005 each",
            ),
            (
                r#"{"tiers":[{"upto":1000,"base":900},{"upto":5000,"price":3.6},{"base":100,"price":3}]}"#,
                "$9.00 for the first 1,000, then $0.036 each up to 5,000, then $1.00 plus $0.03 each",
            ),
            (
                r#"{"tiers":[{"upto":10,"price":100},{"upto":20},{}]}"#,
                "$1.00 each for the first 10, then free up to 20, then free",
            ),
            (
                r#"{"mode":"volume","tiers":[{"upto":10,"price":5},{"upto":20},{"base":100,"price":2.5}]}"#,
                "$0.05 each for up to 10, free for up to 20, $1.00 plus $0.025 each for all if more than 20",
            ),
            (
                r#"{"tiers":[{"price":300}],"divide":{"by":1000}}"#,
                "$3.00 for each full 1,000",
            ),
            (
                r#"{"tiers":[{"upto":9000,"price":300}],"divide":{"by":1000,"rounding":"up"}}"#,
                "$3.00 for each 1,000 or part of them, up to 9,000",
            ),
            (
                r#"{"aggregate":"max","tiers":[{"upto":3}]}"#,
                "3 included; the highest use counts",
            ),
        ] {
            assert_eq!(words("usd", json), text, "{json}");
        }
        assert_eq!(words("jpy", r#"{"tiers":[{"price":0.5}]}"#), "¥0.5 each");
        assert_eq!(words("kwd", r#"{"base":1250}"#), "KWD 1.250");
    }
}
