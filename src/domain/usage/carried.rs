//! Usage in the running period on removed items.
//!
//! Tier counts usage by org, feature and period, but Stripe counts by subscription item, and a change of plan replaces
//! items. An immediate change records the earlier usage in the subscription's metadata, one figure for each feature. A
//! scheduled change happens without Tier; the earlier usage is on the invoice of the change.

use std::collections::BTreeMap;

use super::figure::Figure;
use crate::billing::{AggregateUsage, Invoice, InvoiceLine, Subscription};
use crate::domain::refs::FeatureName;
use crate::domain::{Domain, Result};

/// The metadata key of a scheduled phase under which it lists its start and the starts of earlier phases, in Unix
/// seconds, since several changes may happen between two reads.
pub(in crate::domain) const SCHEDULED: &str = "tier.scheduled";

/// The metadata key for the time of the newest scheduled change that is settled, in Unix seconds.
pub(in crate::domain) const SETTLED: &str = "tier.settled";

/// Usage in the running period on removed items, by feature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct Carried(pub(super) BTreeMap<FeatureName, CarriedUsage>);

/// The usage of one feature on removed items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct CarriedUsage {
    pub(in crate::domain) n: i64,
    /// Whether it is a level rather than a sum.
    pub(in crate::domain) is_level: bool,
    /// Whether it carries over to the next period.
    pub(in crate::domain) is_perpetual: bool,
}

impl From<Figure> for CarriedUsage {
    fn from(figure: Figure) -> Self {
        Self {
            n: figure.n,
            is_level: figure.is_pending || figure.was_billed,
            is_perpetual: figure.is_perpetual,
        }
    }
}

impl Carried {
    /// The usage that the subscription's metadata records.
    pub(in crate::domain) fn noted(subscription: &Subscription) -> Self {
        let mut carried = BTreeMap::new();
        if Figure::any(subscription) {
            for item in &subscription.items {
                let Some(name) = item.price.feature_plan() else {
                    continue;
                };
                let figure = Figure::of(subscription, &name.feature());
                if let Some(figure) = figure.filter(|figure| figure.counts(subscription)) {
                    carried.insert(name.feature(), figure.into());
                }
            }
        }
        Self(carried)
    }

    pub(in crate::domain) fn get(&self, feature: &FeatureName) -> i64 {
        self.before(feature).n
    }

    pub(in crate::domain) fn before(&self, feature: &FeatureName) -> CarriedUsage {
        self.0.get(feature).copied().unwrap_or_default()
    }

    /// The levels that are not 0.
    pub(in crate::domain) fn levels(&self) -> impl Iterator<Item = (&FeatureName, i64)> {
        let levels = self.0.iter().filter(|(_, before)| before.is_level);
        levels
            .map(|(feature, before)| (feature, before.n))
            .filter(|(_, n)| *n != 0)
    }

    /// Removes a feature.
    pub(in crate::domain) fn remove(&mut self, feature: &FeatureName) {
        self.0.remove(feature);
    }

    /// The features with earlier usage.
    pub(in crate::domain) fn features(&self) -> impl Iterator<Item = &FeatureName> {
        self.0.keys()
    }
}

/// The usage of a removed item that an invoice bills.
#[derive(Clone, Debug)]
pub(in crate::domain) struct Billed {
    pub(in crate::domain) item: String,
    pub(in crate::domain) feature: FeatureName,
    pub(in crate::domain) period_start: i64,
    pub(in crate::domain) quantity: i64,
    aggregate: AggregateUsage,
    /// The lines that bill it.
    pub(in crate::domain) lines: Vec<InvoiceLine>,
}

impl Billed {
    /// The usage of removed metered items in the lines of one invoice, one entry for each item.
    pub(in crate::domain) fn of(lines: &[InvoiceLine], subscription: &Subscription) -> Vec<Self> {
        let mut rows: BTreeMap<&str, Self> = BTreeMap::new();
        for line in lines.iter().filter(|line| !line.proration) {
            let (Some(item), Some(price)) = (&line.subscription_item, &line.price) else {
                continue;
            };
            let is_removed = subscription.items.iter().all(|kept| kept.id != *item);
            let is_usage = price.is_metered() && is_removed;
            let Some(name) = price.feature_plan().filter(|_| is_usage) else {
                continue;
            };
            let row = rows.entry(item).or_insert_with(|| Self {
                item: item.clone(),
                feature: name.feature(),
                period_start: line.period.start,
                quantity: 0,
                aggregate: price.aggregate(),
                lines: Vec::new(),
            });
            row.lines.push(line.clone());
            row.quantity = row.quantity.saturating_add(line.quantity.unwrap_or(0));
        }
        rows.into_values().collect()
    }

    /// Whether the usage is a level rather than a sum.
    pub(in crate::domain) fn is_level(&self) -> bool {
        self.aggregate.is_level()
    }

    fn is_perpetual(&self) -> bool {
        self.aggregate.is_perpetual()
    }
}

impl Subscription {
    /// The times of past scheduled changes whose earlier usage is not recorded in the metadata yet, in order.
    pub(in crate::domain) fn scheduled_changes(&self) -> Vec<i64> {
        let time = |key: &str| self.metadata.get(key).map_or("", String::as_str);
        let settled: i64 = time(SETTLED).parse().unwrap_or(0);
        let noted = time(SCHEDULED).split(' ');
        let times = noted.filter_map(|at| at.parse().ok());
        times.filter(|at| *at > settled).collect()
    }
}

impl Domain {
    /// The usage on removed items of the features that the subscription still sells.
    pub(super) async fn carried_to_items(&self, subscription: &Subscription) -> Result<Carried> {
        let changes = subscription.scheduled_changes().into_iter();
        let is_within_period = changes.max() > Some(subscription.current_period_start);
        let items = subscription.items.iter();
        let mut metered = items.filter(|item| item.price.is_metered());
        if metered.any(|item| is_within_period || item.price.is_perpetual()) {
            self.carried(subscription).await
        } else {
            Ok(Carried::noted(subscription))
        }
    }

    /// The usage on removed items, including items that scheduled changes removed.
    pub(in crate::domain) async fn carried(&self, subscription: &Subscription) -> Result<Carried> {
        let mut carried = Carried::noted(subscription);
        let Some(at) = subscription.scheduled_changes().into_iter().min() else {
            return Ok(carried);
        };
        for (invoice, billed) in self.billed_on_changes(subscription, at).await? {
            let figure = Figure::of(subscription, &billed.feature);
            let noted = figure.filter(|figure| figure.counts(subscription));
            if noted.is_some_and(|figure| invoice.created <= figure.as_of) {
                continue;
            }
            let before = noted.map_or_else(CarriedUsage::default, CarriedUsage::from);
            let (is_level, is_perpetual) = (billed.is_level(), billed.is_perpetual());
            let before = carried.0.entry(billed.feature).or_insert(before);
            (before.is_level, before.is_perpetual) = (is_level, is_perpetual);
            let n = &mut before.n;
            let is_in_period = billed.period_start >= subscription.current_period_start;
            match billed.aggregate {
                AggregateUsage::Sum if is_in_period => *n = n.saturating_add(billed.quantity),
                AggregateUsage::Max if is_in_period => *n = billed.quantity.max(*n),
                // An item without usage records has no level.
                AggregateUsage::LastDuringPeriod if is_in_period && billed.quantity > 0 => {
                    *n = billed.quantity;
                }
                AggregateUsage::LastEver if billed.quantity > 0 => *n = billed.quantity,
                _ => {}
            }
        }
        Ok(carried)
    }

    /// The usage of removed items, with the invoices that bill it, oldest first. It covers the running period, and the
    /// time since the scheduled change `at` (Unix seconds) if that is earlier.
    pub(in crate::domain) async fn billed_on_changes(
        &self,
        subscription: &Subscription,
        at: i64,
    ) -> Result<Vec<(Invoice, Billed)>> {
        let mut billed = Vec::new();
        let since = at.min(subscription.current_period_start);
        for invoice in self.invoices_since(&subscription.id, since).await? {
            let removed = Billed::of(invoice.lines(), subscription);
            billed.extend(removed.into_iter().map(|usage| (invoice.clone(), usage)));
        }
        billed.sort_by_key(|(invoice, _)| invoice.created);
        Ok(billed)
    }

    /// The subscription's invoices since a time (Unix seconds), each with all lines.
    pub(in crate::domain) async fn invoices_since(
        &self,
        subscription: &str,
        since: i64,
    ) -> Result<Vec<Invoice>> {
        Ok(self.billing().invoices_since(subscription, since).await?)
    }
}
