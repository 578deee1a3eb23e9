//! Recording a report: finds its item, sends it to Stripe, and determines its effect.

use super::Report;
use super::addition::Addition;
use crate::billing::{Subscription, SubscriptionItem, UsageAction, UsageRecord};
use crate::domain::entitlement::{Kind, ReportEffect, UsageSnapshot};
use crate::domain::org::ResolvedOrg;
use crate::domain::refs::FeatureName;
use crate::domain::subscription::{Detail, Subscriptions};
use crate::domain::{Domain, Error, Failure, Result};
use crate::stripe;

/// How often one report looks up its item, because a change of plan may remove the item in the meantime.
pub(super) const LOOK_UPS: u32 = 5;

impl Report {
    /// The usage record of a report that does not depend on the current total.
    pub(super) fn record(&self) -> UsageRecord {
        let action = if self.clobber {
            UsageAction::Set
        } else {
            UsageAction::Increment
        };
        UsageRecord {
            quantity: self.n,
            action,
            at: self.at,
        }
    }
}

impl Domain {
    /// Records a report once, on the feature's item in the remembered `usage`, or else on the item that is looked up.
    /// `identifier` identifies the event if a meter counts the usage. Returns the effect.
    pub(super) async fn record(
        &self,
        org: &ResolvedOrg,
        report: &Report,
        identifier: &str,
        usage: Option<&UsageSnapshot>,
    ) -> Result<ReportEffect, Failure> {
        let customer = &org.customer;
        let remembered = usage.and_then(|usage| usage.metered_item(&report.feature));
        if remembered.is_some_and(|item| item.sold.meter.is_some()) {
            return self.report_event(org, report, identifier, usage).await;
        }
        if let Some(item) = remembered.filter(|item| !report.clobber || item.sold.kind != Kind::Sum)
        {
            match self.write_record(&item.id, report).await {
                // The remembered item may be outdated, which Stripe reports in several ways.
                Err(Failure::Stripe(error))
                    if error.is_item_gone() || error.is_invalid_request() =>
                {
                    tracing::info!(%error, "the remembered item is outdated; looking it up again");
                }
                outcome => return outcome,
            }
        }
        for _ in 1..LOOK_UPS {
            let (subscription, item) = self.metered_item(customer, &report.feature).await?;
            if item.price.meter().is_some() {
                return self.report_event(org, report, identifier, usage).await;
            }
            match self.record_on(customer, &subscription, &item, report).await {
                Err(failure) if failure.is_item_gone() => {
                    tracing::info!(error = %failure, "the plan has changed; looking up the item again");
                }
                outcome => return outcome,
            }
        }
        let (subscription, item) = self.metered_item(customer, &report.feature).await?;
        let outcome = self.record_on(customer, &subscription, &item, report).await;
        outcome.map_err(Failure::without_item)
    }

    async fn record_on(
        &self,
        customer: &str,
        subscription: &Subscription,
        item: &SubscriptionItem,
        report: &Report,
    ) -> Result<ReportEffect, Failure> {
        if report.clobber && item.price.is_sum() {
            return self.set_sum(customer, subscription, item, report).await;
        }
        self.write_record(&item.id, report).await
    }

    /// Writes a usage record that does not depend on the total.
    async fn write_record(&self, item: &str, report: &Report) -> Result<ReportEffect, Failure> {
        let shared = self.shared().await?;
        let _write = shared.writes.begin(item);
        match self.add_record(item, report.record(), None).await {
            Err(error) if error.is_replayed() && error.is_stripe_failure() => {
                tracing::error!(
                    item,
                    n = report.n,
                    "Stripe replays a failure; it is unknown whether this report was counted"
                );
                Err(outcome_unknown())
            }
            outcome => Ok(outcome.map(|()| ReportEffect::of_record(report, item))?),
        }
    }

    /// Sets the period's total to `n` by adding the difference. Of several requests that saw the same total, only one
    /// adds.
    async fn set_sum(
        &self,
        customer: &str,
        subscription: &Subscription,
        item: &SubscriptionItem,
        report: &Report,
    ) -> Result<ReportEffect, Failure> {
        let shared = self.shared().await?;
        let _held = self.hold(&shared.totals, &item.id).await?;
        let _write = shared.writes.begin(&item.id);
        let elsewhere = self
            .used_elsewhere(subscription, item, &report.feature)
            .await?;
        let mut attempts = self.begin_additions(&item.id).await?;
        loop {
            let seen = self.period_usage(&item.id, None).await?;
            let total = seen.total.saturating_add(elsewhere);
            let missing = report.n.saturating_sub(total);
            if missing == 0 {
                // Other programs may have changed the total since it was remembered.
                return Ok(ReportEffect::Unknown);
            }
            if missing < 0 {
                return Err(cannot_be_lowered(report, total).into());
            }
            let addition = Addition::new(item, seen, missing, report, String::new());
            if self
                .add_to_total(customer, &addition, &mut attempts)
                .await?
            {
                // Other programs may have changed the total since it was remembered.
                return Ok(ReportEffect::Unknown);
            }
        }
    }

    /// The usage of a feature in the running period that is not on `item`: on removed items, and on items of other
    /// plans that sell the feature.
    pub(super) async fn used_elsewhere(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        feature: &FeatureName,
    ) -> Result<i64, Failure> {
        let mut used = self.carried(subscription).await?.get(feature);
        for other in &subscription.items {
            let name = other.price.feature_plan();
            let sells = name.is_some_and(|name| name.feature() == *feature);
            if sells && other.id != item.id && other.price.is_metered() {
                let total = self.period_usage(&other.id, None).await?.total;
                used = used.saturating_add(total);
            }
        }
        Ok(used)
    }

    /// Writes a usage record. Even without a key, it counts once across the Stripe client's retries.
    pub(super) async fn add_record(
        &self,
        item: &str,
        record: UsageRecord,
        key: Option<String>,
    ) -> Result<(), stripe::Error> {
        self.add_record_once(item, record, key).await.map(drop)
    }

    /// Like [`add_record`](Self::add_record). Returns whether a record with the same key was written before.
    pub(super) async fn add_record_once(
        &self,
        item: &str,
        record: UsageRecord,
        key: Option<String>,
    ) -> Result<bool, stripe::Error> {
        let mut write = self.billing().record_usage(item, record).ignore_answer();
        if let Some(key) = key {
            write = write.key(key);
        }
        Ok(write.send_detecting_replay().await?.replayed)
    }

    /// The item to record usage of `feature` on.
    pub(super) async fn metered_item(
        &self,
        customer: &str,
        feature: &FeatureName,
    ) -> Result<(Subscription, SubscriptionItem)> {
        metered_item(self.subscriptions(customer, Detail::Items).await?, feature)
    }
}

/// The item to record usage of `feature` on, and its subscription.
///
/// # Errors
/// [`Error::FeatureNotReportable`] for a licensed feature, or [`Error::FeatureNotFound`].
pub(super) fn metered_item(
    subscriptions: Subscriptions,
    feature: &FeatureName,
) -> Result<(Subscription, SubscriptionItem)> {
    let current = subscriptions.current.filter(Subscription::grants);
    let subscription = current.ok_or(Error::FeatureNotFound)?;
    let items = subscription.items.iter().cloned();
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

pub(super) fn cannot_be_lowered(report: &Report, total: i64) -> Error {
    Error::Invalid(format!(
        "usage of {} cannot be lowered: {total} are recorded in this period, and n is {}",
        report.feature, report.n
    ))
}

/// The failure if Stripe replays an earlier failure of its own.
pub(super) fn outcome_unknown() -> Failure {
    Error::OutcomeUnknown("Stripe failed while it was recorded").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subscription::classify;

    /// An org that is granted nothing has no rows in `/v1/limits`.
    #[test]
    fn nothing_is_recorded_where_nothing_is_granted() {
        let feature = "feature:x".parse().expect("a name");
        let recorded_on = |status: &str| {
            let subscription = serde_json::from_value(serde_json::json!({
                "id": "sub", "status": status, "metadata": {"tier.subscription": "default"},
                "items": {"data": [{"id": "si", "price": {"id": "price",
                    "metadata": {"tier.feature": "feature:x@plan:p@1"},
                    "recurring": {"interval": "month", "usage_type": "metered"}}}]},
            }));
            let subscriptions = classify(vec![subscription.expect("a subscription")]);
            metered_item(subscriptions, &feature)
        };
        for status in ["trialing", "active", "past_due"] {
            assert!(recorded_on(status).is_ok(), "{status}");
        }
        for status in [
            "unpaid",
            "paused",
            "incomplete",
            "incomplete_expired",
            "canceled",
        ] {
            let refused = recorded_on(status);
            assert!(matches!(refused, Err(Error::FeatureNotFound)), "{status}");
        }
    }
}
