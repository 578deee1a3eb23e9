//! What was used in the running period on items that are gone.
//!
//! `used` belongs to the org, the feature and the period, but Stripe counts on subscription items, which go with a change
//! of plan. A change that is made now notes in the subscription's metadata what was used until then, one figure for each
//! feature. A change that was scheduled happens while nobody is there: what was used is on the invoice that it made.

use std::collections::BTreeMap;

use super::figure::Figure;
use crate::billing::{AggregateUsage, Invoice, InvoiceLine, Subscription};
use crate::domain::refs::FeatureName;
use crate::domain::{Domain, Result};

/// A phase that was scheduled says by this metadata key when it begins, and before that when those before it do, in Unix
/// seconds: nobody may have been there in between.
pub(in crate::domain) const SCHEDULED: &str = "tier.scheduled";

/// The metadata key of the newest scheduled change that is settled, in Unix seconds.
pub(in crate::domain) const SETTLED: &str = "tier.settled";

/// What was used before, by feature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct Carried(BTreeMap<FeatureName, Before>);

/// What was used of one feature before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct Before {
    pub(in crate::domain) n: i64,
    /// It is a state, not a sum.
    pub(in crate::domain) is_level: bool,
    /// It does not start again with the period.
    pub(in crate::domain) is_perpetual: bool,
}

impl From<Figure> for Before {
    fn from(figure: Figure) -> Self {
        Self {
            n: figure.n,
            is_level: figure.open || figure.billed,
            is_perpetual: figure.ever,
        }
    }
}

impl Carried {
    /// What the subscription itself says.
    pub(in crate::domain) fn noted(subscription: &Subscription) -> Self {
        let mut carried = BTreeMap::new();
        if Figure::any(subscription) {
            for item in &subscription.items.data {
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

    pub(in crate::domain) fn before(&self, feature: &FeatureName) -> Before {
        self.0.get(feature).copied().unwrap_or_default()
    }

    /// Nothing is known of a feature any more.
    pub(in crate::domain) fn remove(&mut self, feature: &FeatureName) {
        self.0.remove(feature);
    }

    /// The features of which something is known.
    pub(in crate::domain) fn features(&self) -> impl Iterator<Item = &FeatureName> {
        self.0.keys()
    }
}

/// Usage that the invoice of a change billed: of one item.
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
    /// What the lines of one invoice bill of metered items that the subscription has no more: one row an item.
    pub(in crate::domain) fn of(lines: &[InvoiceLine], subscription: &Subscription) -> Vec<Self> {
        let mut rows: BTreeMap<&str, Self> = BTreeMap::new();
        for line in lines.iter().filter(|line| !line.proration) {
            let (Some(item), Some(price)) = (&line.subscription_item, &line.price) else {
                continue;
            };
            let held = subscription.items.data.iter().any(|own| own.id == *item);
            let Some(name) = price.feature_plan().filter(|_| price.is_metered() && !held) else {
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

    /// Whether the usage is a state, not a sum.
    pub(in crate::domain) fn is_level(&self) -> bool {
        self.aggregate.is_level()
    }

    fn is_perpetual(&self) -> bool {
        self.aggregate.is_perpetual()
    }
}

impl Subscription {
    /// When the changes that were scheduled happened of which nobody has noted yet what was used before them, in order
    /// of time.
    pub(in crate::domain) fn scheduled_changes(&self) -> Vec<i64> {
        let time = |key: &str| self.metadata.get(key).map_or("", String::as_str);
        let settled: i64 = time(SETTLED).parse().unwrap_or(0);
        let noted = time(SCHEDULED).split(' ');
        let times = noted.filter_map(|at| at.parse().ok());
        times.filter(|at| *at > settled).collect()
    }
}

impl Domain {
    /// What was used before of what the subscription sells now.
    pub(super) async fn carried_to_items(&self, subscription: &Subscription) -> Result<Carried> {
        let changes = subscription.scheduled_changes().into_iter();
        let within = changes.max() > Some(subscription.current_period_start);
        let items = subscription.items.data.iter();
        let mut metered = items.filter(|item| item.price.is_metered());
        if metered.any(|item| within || item.price.is_perpetual()) {
            self.carried(subscription).await
        } else {
            Ok(Carried::noted(subscription))
        }
    }

    /// What was used before, also before a scheduled change.
    pub(in crate::domain) async fn carried(&self, subscription: &Subscription) -> Result<Carried> {
        let mut carried = Carried::noted(subscription);
        let Some(at) = subscription.scheduled_changes().into_iter().min() else {
            return Ok(carried);
        };
        for (invoice, one) in self.billed_on_changes(subscription, at).await? {
            let figure = Figure::of(subscription, &one.feature);
            let noted = figure.filter(|figure| figure.counts(subscription));
            if noted.is_some_and(|figure| invoice.created <= figure.as_of) {
                continue;
            }
            let before = noted.map_or_else(Before::default, Before::from);
            let (is_level, is_perpetual) = (one.is_level(), one.is_perpetual());
            let before = carried.0.entry(one.feature).or_insert(before);
            (before.is_level, before.is_perpetual) = (is_level, is_perpetual);
            let n = &mut before.n;
            match one.aggregate {
                AggregateUsage::Sum if one.period_start >= subscription.current_period_start => {
                    *n = n.saturating_add(one.quantity);
                }
                AggregateUsage::Max if one.period_start >= subscription.current_period_start => {
                    *n = one.quantity.max(*n);
                }
                AggregateUsage::LastDuringPeriod
                    if one.period_start >= subscription.current_period_start
                        && one.quantity > 0 =>
                {
                    *n = one.quantity;
                }
                // An item on which nothing was recorded says nothing.
                AggregateUsage::LastEver if one.quantity > 0 => *n = one.quantity,
                _ => {}
            }
        }
        Ok(carried)
    }

    /// The usage of items which are gone, with the invoices that bill it: those since the running period began, or since
    /// a scheduled change `at` an earlier time. Oldest first.
    pub(in crate::domain) async fn billed_on_changes(
        &self,
        subscription: &Subscription,
        at: i64,
    ) -> Result<Vec<(Invoice, Billed)>> {
        let mut billed = Vec::new();
        let since = at.min(subscription.current_period_start);
        for invoice in self.invoices_since(&subscription.id, since).await? {
            let gone = Billed::of(&invoice.lines.data, subscription);
            billed.extend(gone.into_iter().map(|one| (invoice.clone(), one)));
        }
        billed.sort_by_key(|(invoice, _)| invoice.created);
        Ok(billed)
    }

    /// The subscription's invoices since a time, each with all its lines.
    pub(in crate::domain) async fn invoices_since(
        &self,
        subscription: &str,
        since: i64,
    ) -> Result<Vec<Invoice>> {
        Ok(self.billing().invoices_since(subscription, since).await?)
    }
}
