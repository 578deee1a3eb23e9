//! The remembered limits and usage of an org, by subscription item, so that a report can be added to them.

mod item;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use self::item::row;
pub(in crate::domain) use self::item::{Item, Kind, SoldFeature};
use super::plans::SharedPlanData;
use super::store::{Entry, OrgKey};
use super::{Read, Readable};
use crate::billing::Subscription;
use crate::domain::billing_cycle::{BillingCycle, BillingPeriod};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::usage::{Carried, FeatureUsage, Figure, Report, UsedByItem};
use crate::domain::{Domain, Result};
use crate::ledger::values::{Meter, PlanNumber};

/// The limits and usage of an org.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::domain) struct UsageSnapshot {
    /// Sorted by feature name, then by plan.
    items: Box<[Item]>,
    /// The billing period.
    period: BillingPeriod,
    /// The billing cycle, which determines the other periods, if it is known.
    cycle: Option<BillingCycle>,
    /// When the subscription began, in Unix seconds.
    began: i64,
    /// Unix seconds.
    cancel_at: Option<i64>,
    /// When the grants are scheduled to change, in Unix seconds. The new grants are not remembered.
    changes_at: Option<i64>,
    /// The number of the org's plan before it was read.
    #[serde(default)]
    plan: i64,
    /// The customer, if a price has a meter.
    #[serde(default)]
    customer: Option<Arc<str>>,
}

/// The effect of a report.
#[derive(Clone, Debug)]
pub(in crate::domain) enum ReportEffect {
    /// None.
    None,
    /// An effect on usage that is not known.
    Unknown,
    /// It added units to a sum.
    Added {
        /// The subscription item.
        item: SmolStr,
        /// Units.
        n: i64,
    },
    /// It set a level.
    Set {
        /// The subscription item.
        item: SmolStr,
        /// Units.
        n: i64,
    },
}

impl Readable for UsageSnapshot {
    async fn read(domain: &Domain, org: &OrgName) -> Result<Read<Self>> {
        domain.read_usage(org).await
    }

    fn save_to_ledger(
        domain: &Domain,
        key: &OrgKey,
        customer: &Arc<str>,
        entry: &Entry<Self>,
        before: Option<&Entry<Self>>,
    ) {
        domain.save_snapshot(key, customer, entry, before);
    }

    async fn load_from_ledger(
        domain: &Domain,
        key: &OrgKey,
    ) -> Result<Option<(Arc<str>, Entry<Self>)>> {
        domain.load_snapshot(key).await
    }

    /// Predicts from the schedule: after a cancellation nothing is granted, and a new billing period starts without
    /// usage.
    fn predicted(&self, now: i64) -> Option<Self> {
        self.at(now)
    }
}

impl UsageSnapshot {
    /// The grants of `subscription`, with the usage of each item and of removed items.
    pub(in crate::domain) fn new(
        subscription: &Subscription,
        used: &UsedByItem,
        carried: &Carried,
        plans: &SharedPlanData,
    ) -> Self {
        let items = subscription.items.iter().filter_map(|item| {
            let sold = plans.share_sold(&item.price.id, SoldFeature::of(&item.price)?);
            Some(Item {
                used: match sold.kind {
                    Kind::Licensed => 1,
                    _ => used.get(&item.id).copied().unwrap_or(0),
                },
                id: item.id.as_str().into(),
                created: item.created,
                before: carried.get(&sold.feature),
                sold,
            })
        });
        Self {
            items: sorted(items.collect()),
            period: BillingPeriod {
                start: subscription.current_period_start,
                end: subscription.current_period_end,
            },
            cycle: BillingCycle::of(subscription),
            began: subscription.start_date,
            cancel_at: subscription.cancel_at,
            changes_at: subscription.next_change(),
            plan: 0,
            customer: subscription
                .is_on_meters()
                .then(|| subscription.customer.as_str().into()),
        }
    }

    /// The grants of `after`, into which a change has just turned `before`. Unchanged items keep their `remembered`
    /// usage, and levels have the values that the change set. `None` if the usage of an item is unknown.
    pub(super) fn changed(
        before: Option<&Subscription>,
        after: &Subscription,
        remembered: Option<&Self>,
        plans: &SharedPlanData,
    ) -> Option<Self> {
        if !after.scheduled_changes().is_empty() {
            return None;
        }
        let mut used = UsedByItem::new();
        let begun = |subscription: &Subscription| subscription.current_period_start;
        if let Some(before) = before {
            let is_same_start = begun(before) == begun(after);
            let same = remembered
                .filter(|usage| is_same_start && usage.period.end == after.current_period_end);
            for item in &before.items {
                let stays = after.items.iter().any(|kept| kept.id == item.id);
                if stays && item.price.is_metered() && item.price.feature_plan().is_some() {
                    let mut known = same?.items.iter();
                    let known = known.find(|known| *known.id == *item.id)?;
                    used.insert(item.id.clone(), known.used);
                }
            }
        }
        // The change has set pending levels on their items, and removed them from the metadata.
        let levels = Figure::pending_levels(after);
        let mut carried = Carried::noted(after);
        for feature in levels.keys() {
            carried.remove(feature);
        }
        let mut snapshot = Self::new(after, &used, &carried, plans);
        for (feature, figure) in levels {
            if figure.counts(after)
                && let Some(target) = snapshot.metered_item(&feature)
            {
                let id = target.id.clone();
                let mut items = snapshot.items.iter_mut();
                items.find(|item| item.id == id)?.used = figure.n;
            }
        }
        Some(snapshot)
    }

    /// The same snapshot, with the number of the org's plan.
    pub(in crate::domain) fn of_plan(self, plan: PlanNumber) -> Self {
        Self {
            plan: plan.0,
            ..self
        }
    }

    /// The number of the org's plan before it was read.
    pub(in crate::domain) fn plan(&self) -> PlanNumber {
        PlanNumber(self.plan)
    }

    /// Sorts the items, after they were loaded.
    pub(super) fn in_order(mut self) -> Self {
        self.items = sorted(self.items);
        self
    }

    /// The items that Tier sold.
    pub(in crate::domain) fn items(&self) -> &[Item] {
        &self.items
    }

    /// When the grants are scheduled to change or end, in Unix seconds.
    pub(in crate::domain) fn planned_end(&self) -> Option<i64> {
        self.cancel_at.into_iter().chain(self.changes_at).min()
    }

    /// When the subscription began, in Unix seconds.
    pub(in crate::domain) fn began(&self) -> i64 {
        self.began
    }

    /// The meter that counts usage of an item, with the customer.
    pub(in crate::domain) fn meter_of(&self, item: &Item) -> Option<Meter> {
        Some(Meter {
            id: Arc::clone(item.sold.meter.as_ref()?),
            customer: Arc::clone(self.customer.as_ref()?),
        })
    }

    /// Whether a meter counts the usage of any item.
    pub(in crate::domain) fn has_meters(&self) -> bool {
        self.items.iter().any(|item| item.sold.meter.is_some())
    }

    /// The billing period in which the snapshot was read.
    pub(in crate::domain) fn period(&self) -> BillingPeriod {
        self.period
    }

    /// The billing period at `now` (Unix seconds), as far as it is known.
    pub(in crate::domain) fn period_at(&self, now: i64) -> BillingPeriod {
        let mut period = self.period;
        while period.end <= now
            && let Some(cycle) = self.cycle
            && let Some(end) = cycle.next(period.end)
        {
            period = BillingPeriod {
                start: period.end,
                end,
            };
        }
        period
    }

    /// The period before `period`, if it is known.
    pub(in crate::domain) fn period_before(&self, period: BillingPeriod) -> Option<BillingPeriod> {
        let start = if period.start == self.period.end {
            self.period.start
        } else {
            self.cycle?.previous(period.start)?
        };
        Some(BillingPeriod {
            start: start.max(self.began),
            end: period.start,
        })
    }

    /// A copy with other items.
    pub(in crate::domain) fn with_items(&self, items: Box<[Item]>) -> Self {
        Self {
            items: sorted(items),
            customer: self.customer.clone(),
            ..*self
        }
    }

    /// The rows that callers receive, one for each feature name. Grants of several plans are added up, and usage on
    /// removed items counts.
    pub(in crate::domain) fn rows(&self) -> Arc<[FeatureUsage]> {
        self.by_feature().map(row).collect()
    }

    /// The items of each feature name, in the order of [`rows`](Self::rows).
    pub(in crate::domain) fn by_feature(&self) -> impl Iterator<Item = &[Item]> {
        self.items
            .chunk_by(|one, next| one.sold.feature == next.sold.feature)
    }

    /// The item to record usage of `feature` on; `None` if there is none.
    pub(in crate::domain) fn metered_item(&self, feature: &FeatureName) -> Option<&Item> {
        let sold = self.items.iter();
        let sold = sold.filter(|item| item.sold.kind != Kind::Licensed);
        sold.filter(|item| item.sold.feature == *feature)
            .min_by(|one, other| one.sold.name.cmp(&other.sold.name))
    }

    /// The snapshot after a report; `None` if its effect is unknown.
    pub(super) fn with(&self, effect: &ReportEffect) -> Option<Self> {
        let mut items = self.items.clone();
        match effect {
            ReportEffect::None => {}
            ReportEffect::Unknown => return None,
            ReportEffect::Added { item, n } => {
                let sum = |known: &&mut Item| known.id == *item && known.sold.kind == Kind::Sum;
                let known = items.iter_mut().find(sum)?;
                known.used = known.used.saturating_add(*n);
            }
            ReportEffect::Set { item, n } => {
                let last = |known: &&mut Item| {
                    known.id == *item && matches!(known.sold.kind, Kind::Last | Kind::Perpetual)
                };
                items.iter_mut().find(last)?.used = *n;
            }
        }
        Some(self.with_items(items))
    }

    /// The snapshot as it will be at `now` (Unix seconds), if that is known.
    fn at(&self, now: i64) -> Option<Self> {
        if self.cancel_at.is_some_and(|at| at <= now) {
            return Some(Self::default());
        }
        if self.changes_at.is_some_and(|at| at <= now) {
            return None;
        }
        let mut items = self.items.clone();
        for item in items.iter_mut().filter(|_| self.period.end <= now) {
            match item.sold.kind {
                Kind::Licensed | Kind::Perpetual => {}
                Kind::Sum | Kind::Max | Kind::Last => (item.used, item.before) = (0, 0),
            }
        }
        Some(Self {
            period: self.period_at(now),
            ..self.with_items(items)
        })
    }
}

impl ReportEffect {
    /// The effect of one usage record for `report`. A record with a time may be in another period, or older than the
    /// last one.
    pub(in crate::domain) fn of_record(report: &Report, item: &str) -> Self {
        let (item, n) = (item.into(), report.n);
        match report {
            Report { at: Some(_), .. } => Self::Unknown,
            Report { clobber: true, .. } => Self::Set { item, n },
            Report { clobber: false, .. } => Self::Added { item, n },
        }
    }
}

/// Sorted by feature name, then by plan.
fn sorted(mut items: Box<[Item]>) -> Box<[Item]> {
    items.sort_by(|one, other| one.sold.order().cmp(&other.sold.order()));
    items
}

#[cfg(test)]
mod tests;
