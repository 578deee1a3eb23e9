//! The pushed plans, and the same terms for the model.

use super::ops::{COMBINATIONS, Combination};

/// The limit of a feature without one: the largest integer.
pub(super) const NO_LIMIT: i64 = 9_223_372_036_854_775_807;

/// The `pricing.json` that is pushed. Everything is billed daily, so that periods end within a list of operations. All
/// tiers of a feature cost the same, and levels cost nothing, so that a few lines compute what an org owes.
pub(super) const PRICING: &str = r#"{"plans": {
    "plan:free@1": {"interval": "@daily", "features": {
        "feature:calls": {"tiers": [{"upto": 10}]}}},
    "plan:pro@1": {"interval": "@daily", "features": {
        "feature:calls": {"tiers": [{"upto": 5, "price": 200}, {"price": 200}]},
        "feature:seat": {"base": 1000}}},
    "plan:team@1": {"interval": "@daily", "features": {
        "feature:calls": {"tiers": [{"upto": 7, "price": 100}, {"upto": 1000, "price": 100}], "mode": "volume"},
        "feature:peak": {"aggregate": "max", "tiers": [{"upto": 50}]},
        "feature:seat": {"base": 2000}}},
    "plan:data@1": {"interval": "@daily", "features": {
        "feature:store": {"aggregate": "perpetual", "tiers": [{}]},
        "feature:level": {"aggregate": "last", "tiers": [{"upto": 7}]}}}
}}"#;

/// How reports of a period combine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Combine {
    Sum,
    Max,
    /// The last report of the period.
    Last,
    /// The last report of all periods.
    Perpetual,
    /// The feature takes no reports.
    Licensed,
}

/// The features of [`PRICING`]: full name, limit, how usage combines, and cents for a unit, or for a day if licensed.
pub(super) const SOLD: &[(&str, i64, Combine, i64)] = &[
    ("feature:calls@plan:free@1", 10, Combine::Sum, 0),
    ("feature:calls@plan:pro@1", NO_LIMIT, Combine::Sum, 200),
    ("feature:seat@plan:pro@1", NO_LIMIT, Combine::Licensed, 1000),
    ("feature:calls@plan:team@1", 1000, Combine::Sum, 100),
    ("feature:peak@plan:team@1", 50, Combine::Max, 0),
    (
        "feature:seat@plan:team@1",
        NO_LIMIT,
        Combine::Licensed,
        2000,
    ),
    ("feature:store@plan:data@1", NO_LIMIT, Combine::Perpetual, 0),
    ("feature:level@plan:data@1", 7, Combine::Last, 0),
];

pub(super) fn terms(full: &str) -> (i64, Combine) {
    let sold = SOLD.iter().find(|(name, ..)| *name == full);
    sold.map(|(_, limit, combine, _)| (*limit, *combine))
        .expect("a feature of the model")
}

pub(super) fn price(full: &str) -> i64 {
    let sold = SOLD.iter().find(|(name, ..)| *name == full);
    sold.map(|(.., price)| *price)
        .expect("a feature of the model")
}

/// Whether all prices of a combination are zero.
pub(super) fn is_free(of: Combination) -> bool {
    features(of).into_iter().all(|full| price(full) == 0)
}

/// The full names of a combination's features, sorted.
pub(super) fn features(of: Combination) -> Vec<&'static str> {
    let references = COMBINATIONS[usize::from(of)];
    let named = |full: &str| {
        let plan = full.split_once('@').map_or("", |(_, plan)| plan);
        references
            .iter()
            .any(|reference| *reference == full || *reference == plan)
    };
    let mut full_names: Vec<_> = SOLD
        .iter()
        .map(|(full, ..)| *full)
        .filter(|full| named(full))
        .collect();
    full_names.sort_unstable();
    full_names
}

pub(super) fn bare(full: &str) -> &str {
    full.split_once('@').map_or(full, |(feature, _)| feature)
}
