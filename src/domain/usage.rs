//! `limits` and `report`: what an org may use, what it has used, and one more use.

mod carried;
mod claim;
mod keyed;
mod keyed_clobber;
mod record;
mod totals;
mod writes;

use std::collections::BTreeMap;

use super::refs::{FeatureName, OrgName};
use super::subscription::Detail;
use super::{Domain, Error, Result};
use crate::billing::{Price, Subscription};
use crate::stripe;

use record::LOOK_UPS;

pub(super) use carried::{Billed, Carried, Figure, SCHEDULED, SETTLED};
pub(super) use keyed::KeyedReports;
pub(super) use totals::Used;
pub(super) use writes::Writes;

/// What an org may use of a feature in the running period, and what it has used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FeatureUsage {
    /// The feature, whatever the plan.
    pub feature: FeatureName,
    /// Units; 1 for a licensed feature.
    pub used: i64,
    /// Units; [`i64::MAX`] for none.
    pub limit: i64,
}

/// Usage to record.
#[derive(Clone, Debug)]
pub struct Report {
    /// The feature, whatever the plan.
    pub feature: FeatureName,
    /// Units.
    pub n: i64,
    /// Unix seconds; none: now.
    pub at: Option<i64>,
    /// Set the period's usage to `n` in place of adding to it.
    pub clobber: bool,
}

impl Domain {
    /// What the org may use and has used, by feature name. Empty if nothing is granted.
    pub async fn limits(&self, org: &OrgName) -> Result<Vec<FeatureUsage>> {
        self.with_customer(org, |customer| async move {
            for _ in 1..LOOK_UPS {
                match self.read_limits(org, &customer).await {
                    // The plan was changed between two reads.
                    Err(Failure::Stripe(error)) if error.is_item_gone() => {}
                    rows => return Ok(rows?),
                }
            }
            let rows = self.read_limits(org, &customer).await;
            Ok(rows.map_err(Failure::without_item)?)
        })
        .await
    }

    async fn read_limits(
        &self,
        org: &OrgName,
        customer: &str,
    ) -> Result<Vec<FeatureUsage>, Failure> {
        // To be told to come back is told at once; other faults matter only if the lines are needed.
        let lines = async {
            match self.upcoming_usage(customer, None).await {
                Err(error @ Error::RateLimited { .. }) => Err(error),
                lines => Ok(lines),
            }
        };
        let subscriptions = self.subscriptions(customer, Detail::Items);
        let (subscriptions, lines) = tokio::try_join!(subscriptions, lines)?;
        self.look_after(org, customer, &subscriptions).await;
        let Some(current) = subscriptions.current.filter(Subscription::grants) else {
            return Ok(Vec::new());
        };
        let has_others = !subscriptions.superseded.is_empty() || !subscriptions.others.is_empty();
        let used = self.complete_usage(customer, &current, lines?, has_others);
        let used = used.await?;
        let carried = self.carried_to_items(&current).await?;
        Ok(rows(&current, &used, &carried))
    }

    /// Records usage. With `key`, a repetition of the same report counts once for 24 hours.
    pub async fn report(&self, org: &OrgName, report: &Report, key: Option<&str>) -> Result<()> {
        if report.n < 0 {
            return Err(Error::Invalid("n must not be negative".into()));
        }
        match key {
            None => {
                self.with_customer(org, |id| async move { Ok(self.record(&id, report).await?) })
                    .await
            }
            Some(key) => self.report_once(org, report, key).await,
        }
    }
}

/// Why usage was not recorded, or not read. Stripe's own error is kept: what it says of idempotency matters.
pub(super) enum Failure {
    Stripe(stripe::Error),
    Domain(Error),
}

impl From<stripe::Error> for Failure {
    fn from(error: stripe::Error) -> Self {
        Self::Stripe(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Domain(error)
    }
}

impl Failure {
    /// What is told where the item that the report was for is gone again and again: nothing of Stripe's own ids.
    fn without_item(self) -> Self {
        match self {
            Self::Stripe(error) if error.is_item_gone() => {
                Self::Domain(Error::Unavailable("the plan is being changed".into()))
            }
            other => other,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stripe(error) => error.into(),
            Failure::Domain(error) => error,
        }
    }
}

impl Price {
    /// Whether what is reported adds up over a period.
    fn sums(&self) -> bool {
        !self.aggregate().is_level()
    }
}

/// One row for each feature name; what two plans grant is summed, and what was used on items that are gone counts.
fn rows(
    subscription: &Subscription,
    used: &BTreeMap<String, i64>,
    carried: &Carried,
) -> Vec<FeatureUsage> {
    let mut rows: BTreeMap<FeatureName, Row> = BTreeMap::new();
    for item in &subscription.items.data {
        let Some(name) = item.price.feature_plan() else {
            continue;
        };
        let metered = item.price.is_metered();
        let item_used = if metered {
            used.get(&item.id).copied().unwrap_or(0)
        } else {
            1
        };
        let row = rows.entry(name.feature()).or_default();
        row.used = row.used.saturating_add(item_used);
        // No limit is the largest number, and stays so.
        row.limit = row.limit.saturating_add(item.price.limit());
        row.sums |= metered && !item.price.is_level();
        row.levels |= item.price.is_level();
    }
    let row = |(feature, row): (FeatureName, Row)| FeatureUsage {
        used: row.with(carried.get(&feature)),
        limit: row.limit,
        feature,
    };
    rows.into_iter().map(row).collect()
}

/// What the items of one feature say together.
#[derive(Default)]
struct Row {
    used: i64,
    limit: i64,
    sums: bool,
    levels: bool,
}

impl Row {
    /// What is used, with what was used before.
    fn with(&self, before: i64) -> i64 {
        match (self.sums, self.levels) {
            (true, _) => self.used.saturating_add(before),
            (false, true) => self.used.max(before),
            (false, false) => self.used,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::NO_LIMIT;

    #[test]
    fn rows_sum_what_several_plans_grant_and_leave_out_what_is_not_tiers() {
        let item = |id: &str, feature: Option<&str>, usage_type: &str, limit: Option<i64>| {
            let mut metadata = serde_json::Map::new();
            if let Some(feature) = feature {
                metadata.insert("tier.feature".into(), feature.into());
            }
            if let Some(limit) = limit {
                metadata.insert("tier.limit".into(), limit.to_string().into());
            }
            serde_json::json!({"id": id, "price": {"id": "price", "metadata": metadata,
                "recurring": {"interval": "month", "usage_type": usage_type}}})
        };
        let subscription: Subscription = serde_json::from_value(serde_json::json!({
            "id": "sub", "status": "active", "items": {"data": [
                item("a", Some("feature:x@plan:p@1"), "metered", Some(10)),
                item("b", Some("feature:x@plan:q@1"), "metered", Some(5)),
                item("c", Some("feature:seat@plan:p@1"), "licensed", None),
                item("d", Some("feature:y@plan:p@1"), "metered", None),
                item("e", Some("feature:y@plan:q@1"), "metered", Some(3)),
                item("f", None, "metered", Some(3)),
                item("g", Some("feature:none@plan:p@1"), "metered", Some(0)),
            ]},
        }))
        .expect("a subscription");
        let used = [("a", 8), ("b", 1), ("d", 7)]
            .map(|(id, n)| (id.to_owned(), n))
            .into();
        let rows: Vec<_> = rows(&subscription, &used, &Carried::default())
            .into_iter()
            .map(|row| (row.feature.to_string(), row.used, row.limit))
            .collect();
        let row = |feature: &str, used, limit| (feature.to_owned(), used, limit);
        assert_eq!(
            rows,
            [
                row("feature:none", 0, 0),
                row("feature:seat", 1, NO_LIMIT),
                row("feature:x", 9, 15),
                row("feature:y", 7, NO_LIMIT),
            ]
        );
    }

    #[test]
    fn sums_stop_at_the_largest_number() {
        let row = |used| Row {
            used,
            sums: true,
            ..Row::default()
        };
        assert_eq!(row(i64::MAX).with(1), i64::MAX);
        assert_eq!(row(3).with(i64::MAX), i64::MAX);
        let item = |id: &str, plan: &str| {
            serde_json::json!({"id": id, "price": {"id": "price",
                "metadata": {"tier.feature": format!("feature:x@plan:{plan}@1"), "tier.limit": "9223372036854775806"},
                "recurring": {"interval": "month", "usage_type": "metered"}}})
        };
        let subscription: Subscription = serde_json::from_value(serde_json::json!({
            "id": "sub", "status": "active", "items": {"data": [item("a", "p"), item("b", "q")]},
        }))
        .expect("a subscription");
        let used = [("a", i64::MAX), ("b", 1)]
            .map(|(id, n)| (id.to_owned(), n))
            .into();
        let rows = rows(&subscription, &used, &Carried::default());
        assert_eq!((rows[0].used, rows[0].limit), (i64::MAX, NO_LIMIT));
    }
}
