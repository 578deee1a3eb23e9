//! `limits` and `report`: what an org may use, what it has used, and one more use.

mod carried;
mod keyed;
mod totals;

use std::collections::BTreeMap;

use super::refs::{FeatureName, OrgName};
use super::subscription::Detail;
use super::{Domain, Error, Result};
use crate::stripe::types::{Subscription, SubscriptionItem};
use crate::stripe::{self, types};

pub(super) use carried::{Carried, Figure, SCHEDULED};
pub(super) use keyed::KeyedReports;
pub(super) use totals::Used;

/// What an org may use of a feature in the running period, and what it has used.
#[derive(Clone, Debug, PartialEq, Eq)]
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
            // To be told to come back is told at once; other faults matter only if the lines are needed.
            let lines = async {
                match self.upcoming_usage(&customer, None).await {
                    Err(error @ Error::RateLimited { .. }) => Err(error),
                    lines => Ok(lines),
                }
            };
            let subscriptions = self.subscriptions(&customer, Detail::Items);
            let (subscriptions, lines) = tokio::try_join!(subscriptions, lines)?;
            let Some(current) = subscriptions.current.filter(Subscription::grants) else {
                return Ok(Vec::new());
            };
            let used = self
                .complete_usage(
                    &customer,
                    &current,
                    lines?,
                    !subscriptions.superseded.is_empty(),
                )
                .await?;
            let carried = self.carried(&current).await?;
            Ok(rows(&current, &used, &carried))
        })
        .await
    }

    /// Records usage. With `key`, a repetition of the same report counts once for 24 hours.
    pub async fn report(&self, org: &OrgName, report: &Report, key: Option<&str>) -> Result<()> {
        if report.n < 0 {
            return Err(Error::Invalid("n must not be negative".into()));
        }
        match key {
            None => {
                self.with_customer(org, |id| async move {
                    Ok(self.record(&id, report, None).await?)
                })
                .await
            }
            Some(key) => self.report_once(org, report, key).await,
        }
    }

    /// Adds or sets. `key` becomes Stripe's idempotency key.
    async fn record(
        &self,
        customer: &str,
        report: &Report,
        key: Option<&str>,
    ) -> Result<(), Failure> {
        let (subscription, item) = self.metered_item(customer, &report.feature).await?;
        let sums = matches!(item.price.aggregate(), None | Some("sum"));
        if !report.clobber {
            return self
                .add_record(&item, "increment", report.n, report.at, key)
                .await;
        }
        if !sums {
            return self
                .add_record(&item, "set", report.n, report.at, key)
                .await;
        }
        // A sum cannot be set: what is missing is added, and nobody else may add meanwhile.
        let _held = self.hold(&self.account.totals, &item.id).await?;
        let carried = self.carried(&subscription).await?.get(&report.feature);
        let total = self.total_usage(&item.id).await?.saturating_add(carried);
        match report.n - total {
            0 => Ok(()),
            missing if missing > 0 => {
                self.add_record(&item, "increment", missing, report.at, key)
                    .await
            }
            _ if self.is_spent(&item, key).await? => Ok(()),
            _ => Err(Error::Invalid(format!(
                "usage of {} cannot be lowered: {total} are recorded in this period, and n is {}",
                report.feature, report.n
            ))
            .into()),
        }
    }

    /// Whether something was recorded with `key` already. That is found out with a record that
    /// Stripe refuses: it counts nothing, and does not spend the key.
    async fn is_spent(&self, item: &SubscriptionItem, key: Option<&str>) -> Result<bool, Failure> {
        let Some(key) = key else { return Ok(false) };
        match self
            .add_record(item, "increment", -1, None, Some(key))
            .await
        {
            Err(Failure::Stripe(error)) if error.is_idempotency_conflict() => Ok(true),
            Err(Failure::Stripe(error)) if error.is_invalid_request() => Ok(false),
            other => other.map(|()| false),
        }
    }

    /// The item that usage of `feature` is recorded on.
    async fn metered_item(
        &self,
        customer: &str,
        feature: &FeatureName,
    ) -> Result<(Subscription, SubscriptionItem)> {
        let subscriptions = self.subscriptions(customer, Detail::Items).await?;
        let subscription = subscriptions.current.ok_or(Error::FeatureNotFound)?;
        let items = subscription.items.data.iter().cloned();
        let mut sold: Vec<_> = items
            .filter_map(|item| Some((item.price.feature_plan()?, item)))
            .filter(|(name, _)| name.feature() == *feature)
            .collect();
        if sold.is_empty() {
            return Err(Error::FeatureNotFound);
        }
        sold.sort_by(|(a, _), (b, _)| a.cmp(b));
        let metered = sold
            .into_iter()
            .map(|(_, item)| item)
            .find(|item| item.price.is_metered());
        let item = metered.ok_or(Error::FeatureNotReportable)?;
        Ok((subscription, item))
    }

    async fn add_record(
        &self,
        item: &SubscriptionItem,
        action: &str,
        quantity: i64,
        at: Option<i64>,
        key: Option<&str>,
    ) -> Result<(), Failure> {
        let mut request = self
            .stripe()
            .post(format!("/v1/subscription_items/{}/usage_records", item.id))
            .param("quantity", quantity)
            .param("action", action);
        request = match at {
            Some(at) => request.param("timestamp", at),
            // Not a computed second: a repetition must have the same parameters.
            None => request.param("timestamp", "now"),
        };
        if let Some(key) = key {
            request = request.idempotency_key(key);
        }
        request.send::<types::Object>().await?;
        Ok(())
    }
}

/// Why usage was not recorded. Stripe's own error is kept: what it says of idempotency matters.
enum Failure {
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

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stripe(error) => error.into(),
            Failure::Domain(error) => error,
        }
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
}
