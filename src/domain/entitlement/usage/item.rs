//! A subscription item with its usage, and the limit and usage of a feature from its items.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::billing::{AggregateUsage, Price};
use crate::domain::refs::{FeatureName, FeaturePlan};
use crate::domain::usage::FeatureUsage;

/// A subscription item that Tier sold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::domain) struct Item {
    /// `si_…`. Stripe's ids have 17 or 18 characters, which a [`SmolStr`] stores without an allocation.
    pub(in crate::domain) id: SmolStr,
    pub(in crate::domain) sold: Arc<SoldFeature>,
    /// When it was created, in Unix seconds.
    pub(in crate::domain) created: i64,
    pub(in crate::domain) used: i64,
    /// Usage of the feature in this period on removed items.
    pub(in crate::domain) before: i64,
}

/// The data of a price, shared by all orgs that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain) struct SoldFeature {
    pub(in crate::domain) feature: FeatureName,
    pub(super) name: FeaturePlan,
    pub(in crate::domain) kind: Kind,
    /// Units; [`i64::MAX`] for none.
    pub(super) limit: i64,
    /// The price's billing meter, if it has one.
    #[serde(default)]
    pub(in crate::domain) meter: Option<Arc<str>>,
}

/// How the usage of an item is aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain) enum Kind {
    /// The feature is licensed, so usage is not counted.
    Licensed,
    /// The sum.
    Sum,
    /// The maximum in the period.
    Max,
    /// The last report in the period.
    Last,
    /// The last report, which carries over from period to period.
    Perpetual,
}

impl SoldFeature {
    pub(super) fn order(&self) -> (&FeatureName, &FeaturePlan) {
        (&self.feature, &self.name)
    }

    /// `None` if the price is not Tier's.
    pub(super) fn of(price: &Price) -> Option<Self> {
        let name = price.feature_plan()?;
        Some(Self {
            feature: name.feature(),
            kind: Kind::of(price),
            limit: price.limit(),
            meter: price.meter().map(Arc::from),
            name,
        })
    }
}

impl Kind {
    pub(in crate::domain) fn of(price: &Price) -> Self {
        if !price.is_metered() {
            return Self::Licensed;
        }
        match price.aggregate() {
            AggregateUsage::Max => Self::Max,
            _ if price.is_perpetual() => Self::Perpetual,
            _ if price.is_level() => Self::Last,
            _ => Self::Sum,
        }
    }
}

/// The limit and usage of one feature, from its items.
pub(super) fn row(items: &[Item]) -> FeatureUsage {
    let mut row = Row::default();
    for item in items {
        row.used = row.used.saturating_add(item.used);
        // "No limit" is the largest integer, and stays so.
        row.limit = row.limit.saturating_add(item.sold.limit);
        row.before = item.before;
        row.has_sum |= item.sold.kind == Kind::Sum;
        row.has_level |= matches!(item.sold.kind, Kind::Max | Kind::Last | Kind::Perpetual);
    }
    FeatureUsage {
        feature: items[0].sold.feature.clone(),
        used: row.total(),
        limit: row.limit,
        reserved: 0,
    }
}

/// The combined figures of one feature's items.
#[derive(Default)]
struct Row {
    used: i64,
    limit: i64,
    before: i64,
    has_sum: bool,
    has_level: bool,
}

impl Row {
    /// The usage, including usage on removed items.
    fn total(&self) -> i64 {
        match (self.has_sum, self.has_level) {
            (true, _) => self.used.saturating_add(self.before),
            (false, true) => self.used.max(self.before),
            (false, false) => self.used,
        }
    }
}
