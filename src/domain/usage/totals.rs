//! Usage in the running period, read from Stripe's upcoming invoice.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use crate::billing::{InvoiceLine, Subscription, SubscriptionItem, UsagePeriod};
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

/// The used units of each subscription item, as far as they are known.
pub(in crate::domain) type UsedByItem = BTreeMap<String, i64>;

impl Domain {
    /// Usage by item, from the lines of the upcoming invoice of `subscription`, or of the customer's next invoice.
    /// Empty if there is nothing to bill.
    pub(super) async fn upcoming_usage(
        &self,
        customer: &str,
        subscription: Option<&str>,
    ) -> Result<UsedByItem> {
        Ok(sum(&self.upcoming_lines(customer, subscription).await?))
    }

    /// The lines of the upcoming invoice.
    pub(in crate::domain) async fn upcoming_lines(
        &self,
        customer: &str,
        subscription: Option<&str>,
    ) -> Result<Vec<InvoiceLine>> {
        let lines = self.billing().upcoming_lines(customer, subscription);
        Ok(lines.await?)
    }

    /// `used`, completed by reading the usage of the metered items of `subscription` that are missing in it.
    pub(super) async fn complete_usage(
        &self,
        customer: &str,
        subscription: &Subscription,
        mut used: UsedByItem,
        has_others: bool,
    ) -> Result<UsedByItem, Failure> {
        if has_others && !missing(subscription, &used).is_empty() {
            // The lines may belong to another subscription.
            used = self
                .upcoming_usage(customer, Some(&subscription.id))
                .await?;
        }
        let missing = missing(subscription, &used);
        let totals = missing.iter().map(|item| self.total_usage(item));
        let totals = try_join_all(totals).await?;
        let ids = missing.into_iter().map(|item| item.id.clone());
        used.extend(ids.zip(totals));
        Ok(used)
    }

    /// Usage by item of `subscription`, given the `lines` of its upcoming invoice.
    pub(in crate::domain) async fn usage_of(
        &self,
        customer: &str,
        subscription: &Subscription,
        lines: &[InvoiceLine],
    ) -> Result<UsedByItem, Failure> {
        self.complete_usage(customer, subscription, sum(lines), false)
            .await
    }

    /// The usage of an item in the running period, aggregated according to its price.
    pub(in crate::domain) async fn total_usage(
        &self,
        item: &SubscriptionItem,
    ) -> Result<i64, stripe::Error> {
        Ok(self.period_usage(&item.id, None).await?.total)
    }

    /// The usage of an item in the period that contains the Unix second `at`, or in the running period.
    pub(super) async fn period_usage(
        &self,
        item: &str,
        at: Option<i64>,
    ) -> Result<PeriodUsage, stripe::Error> {
        let periods = if at.is_some() { 100 } else { 1 };
        let summaries = self.billing().usage_summaries(item, periods).await?;
        let mut summaries = summaries.iter();
        let found = match at {
            None => summaries.next(),
            Some(at) => summaries.find(|summary| {
                let UsagePeriod { start, end } = summary.period;
                start.is_none_or(|start| start <= at) && end.is_none_or(|end| at < end)
            }),
        };
        Ok(PeriodUsage {
            total: found.map_or(0, |summary| summary.total_usage),
            start: found.and_then(|summary| summary.period.start),
        })
    }
}

/// The usage of an item in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeriodUsage {
    pub(super) total: i64,
    /// Unix seconds.
    pub(super) start: Option<i64>,
}

/// The metered items that are missing in `used`. Stripe gives each at least one line.
fn missing<'a>(subscription: &'a Subscription, used: &UsedByItem) -> Vec<&'a SubscriptionItem> {
    let items = subscription.items.iter();
    items
        .filter(|item| item.price.is_metered() && !used.contains_key(&item.id))
        .collect()
}

/// The sum of the lines of each item. A tiered price has a line for each reached tier.
fn sum(lines: &[InvoiceLine]) -> UsedByItem {
    let mut used = UsedByItem::new();
    for line in lines.iter().filter(|line| !line.proration) {
        if let Some(item) = &line.subscription_item {
            let total = used.entry(item.clone()).or_default();
            *total = total.saturating_add(line.quantity.unwrap_or(0));
        }
    }
    used
}
