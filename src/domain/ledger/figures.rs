//! Used quantities that combine Stripe's figures with the ledger's.

use std::sync::Arc;
use std::time::Duration;

use super::LedgerHandle;
use crate::domain::entitlement::{Answered, Item, Kind, Source, StaleReason, UsageSnapshot};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, FeatureUsage, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Event, ItemUsed, Used};
use crate::ledger::values::{PlanNumber, Time};

/// How old the known usage of other servers may be in an answer that is not stale. It is longer than the longest time
/// between two reads.
const MAX_BEHIND: Duration = Duration::from_secs(15);

impl Domain {
    /// The limits and usage of an org, from its remembered state and the ledger.
    pub(in crate::domain) async fn limits_with_ledger(
        &self,
        handle: &LedgerHandle,
        org: &OrgName,
    ) -> Result<Answered<Arc<[FeatureUsage]>>> {
        let known = self.entitlement::<UsageSnapshot>(org).await?;
        let Ok(ledger) = handle.opened() else {
            return Ok(known.map(|usage| usage.rows()));
        };
        let now = self.ledger_time().await?;
        let mut answered = known.map(|usage| rows(&usage, ledger, org, now));
        if answered.source == Source::Memory {
            answered.source = Source::Ledger;
        }
        // The answer lacks usage of other servers that has not been read yet.
        let behind = ledger.behind();
        answered.age = answered.age.max(behind);
        if behind > MAX_BEHIND {
            self.check_age(behind).await?;
            answered.stale = answered.stale.or(Some(StaleReason::Ledger));
        }
        Ok(answered)
    }

    /// Refuses to answer from usage that is too old, and counts a stale answer otherwise.
    async fn check_age(&self, behind: Duration) -> Result<()> {
        let shared = self.shared().await?;
        if behind > shared.memory.entitlements().max_age.in_outage {
            let reason = "its database cannot be reached".to_owned();
            return Err(Error::LedgerUnavailable(reason));
        }
        self.stripe().metrics().stale_answers.inc();
        Ok(())
    }

    /// The ledger's figures of each item of an org. To compare them with Stripe's, take them before Stripe is read.
    pub(in crate::domain) fn ledger_items(&self, org: &OrgName) -> Vec<ItemUsed> {
        let ledger = self.opened_ledger();
        ledger.map_or_else(Vec::new, |ledger| ledger.items(org.as_str()))
    }

    /// The last known number of an org's plan among the servers that share the ledger.
    pub(in crate::domain) fn plan_number(&self, org: &OrgName) -> PlanNumber {
        let ledger = self.opened_ledger();
        ledger.map_or_else(PlanNumber::default, |ledger| ledger.plan(org.as_str()))
    }

    /// Submits Stripe's figures to the ledger where they differ from it, because other programs recorded usage.
    /// `before` has the ledger's figures before Stripe was read. Levels that only the ledger sets are not submitted,
    /// since an answer from before the last set would look like a change.
    pub(in crate::domain) async fn submit_external_usage(
        &self,
        before: &[ItemUsed],
        usage: &UsageSnapshot,
    ) {
        let Some(ledger) = self.opened_ledger() else {
            return;
        };
        let mut events = Vec::new();
        let began = Time::from_seconds(usage.period().start);
        for item in usage.items() {
            let known = before
                .iter()
                .rev()
                .find(|known| known.item.as_str() == &*item.id && known.period_start == began);
            let Some((known, number)) = known.and_then(|known| Some((known, known.answered?)))
            else {
                continue;
            };
            let has_external = matches!(item.sold.kind, Kind::Sum | Kind::Max);
            if has_external && known.adopted && known.recorded != item.used {
                events.push(Event::Summary {
                    total: known.total,
                    number,
                    value: item.used,
                });
            }
        }
        if events.is_empty() {
            return;
        }
        let now = Time::from_millis(self.account.clock.millis());
        if let Err(error) = ledger.submit(events, now).await {
            tracing::warn!(%error, "could not record in the ledger the usage that other programs recorded");
        }
    }
}

/// Usage of a feature in its period that is not in the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutsideUsage {
    /// On items other than the metered one.
    pub(super) elsewhere: i64,
    /// On the metered item, if the ledger has not read it yet.
    pub(super) unread: i64,
}

impl UsageSnapshot {
    /// The usage of a feature that is not in the ledger. The feature's usage must be a sum.
    pub(super) fn used_outside(
        &self,
        ledger: &Ledger,
        org: &OrgName,
        feature: &FeatureName,
        now: Time,
    ) -> OutsideUsage {
        let Some(metered) = self.metered_item(feature) else {
            return OutsideUsage::default();
        };
        let start = Time::from_seconds(self.period_at(now.seconds()).start);
        let used = ledger.used(org.as_str(), feature.as_str(), start);
        let all = self.items().iter();
        let all = all.filter(|item| item.sold.feature == *feature);
        let all = all.map(|item| {
            let mut item = item.clone();
            if item.id == metered.id {
                item.used = 0;
            }
            with_ledger(&item, self, used.as_ref())
        });
        let in_all = self.with_items(all.collect());
        let in_all = in_all.rows().iter().map(|row| row.used).sum::<i64>();
        let items = used.iter().flat_map(|used| &used.items);
        let mut of_item = items.filter(|used| used.item.as_str() == &*metered.id);
        let is_read = of_item.any(|used| used.adopted);
        OutsideUsage {
            elsewhere: in_all.saturating_sub(used.as_ref().map_or(0, |used| used.n)),
            unread: if is_read { 0 } else { metered.used },
        }
    }
}

fn rows(usage: &UsageSnapshot, ledger: &Ledger, org: &OrgName, now: Time) -> Arc<[FeatureUsage]> {
    let start = Time::from_seconds(usage.period_at(now.seconds()).start);
    let mut items = Vec::with_capacity(usage.items().len());
    let mut reserved = Vec::new();
    for of_feature in usage.by_feature() {
        let feature = &of_feature[0].sold.feature;
        let (used, units) = ledger.used_and_reserved(org.as_str(), feature.as_str(), start, now);
        let of_feature = of_feature.iter();
        items.extend(of_feature.map(|item| with_ledger(item, usage, used.as_ref())));
        reserved.push(units);
    }
    let usage = usage.with_items(items.into());
    let rows = usage.rows();
    if reserved.iter().all(|units| *units == 0) {
        return rows;
    }
    let rows = std::iter::zip(rows.iter().cloned(), reserved);
    let rows = rows.map(|(row, reserved)| FeatureUsage {
        used: row.used.saturating_add(reserved),
        reserved,
        ..row
    });
    rows.collect()
}

/// An item with its usage in the ledger.
fn with_ledger(item: &Item, usage: &UsageSnapshot, used: Option<&Used>) -> Item {
    let Some(used) = used else {
        return item.clone();
    };
    let in_ledger = used
        .items
        .iter()
        .find(|used| used.item.as_str() == &*item.id);
    let mut item = item.clone();
    match (item.sold.kind, in_ledger) {
        (Kind::Sum, in_ledger) => {
            item.used = match in_ledger {
                Some(known) if known.adopted => known.n,
                Some(known) => known.n.saturating_add(item.used),
                None => item.used,
            };
            item.before = item.before.max(used_on_removed(used, usage));
        }
        (Kind::Max, Some(known)) if known.adopted && known.has_level => {
            (item.used, item.before) = (known.n, 0);
        }
        (Kind::Max, Some(known)) => item.used = known.n.max(item.used),
        (Kind::Last | Kind::Perpetual, Some(known)) if known.has_level => {
            (item.used, item.before) = (known.n, 0);
        }
        (Kind::Licensed | Kind::Max | Kind::Last | Kind::Perpetual, _) => {}
    }
    item
}

/// The usage on items that the org no longer has.
fn used_on_removed(used: &Used, usage: &UsageSnapshot) -> i64 {
    let has = |id: &str| usage.items().iter().any(|item| &*item.id == id);
    let removed = used.items.iter().filter(|used| !has(used.item.as_str()));
    removed.fold(0, |sum: i64, used| sum.saturating_add(used.n))
}
