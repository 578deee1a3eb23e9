//! `orgs`: lists orgs with their plans.
//!
//! Subscriptions are listed with their customers, a hundred per call, and reduced to one row per org. All pages of a
//! list come from the rows that were read for its first page.

mod query;
mod row;
mod search;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use moka::future::Cache;

use super::catalog::Catalog;
use super::{Domain, Error, Result};
use crate::billing::{Customer, Subscription, SubscriptionFilter};

pub use query::{FeatureFilter, OrgStatus, OrgsQuery, PlanFilter, Position};
pub use row::ListedOrg;
pub(super) use row::org_name_of;
use row::{is_current, one_row_per_org};
pub use search::{FoundOrgs, OrgSearch};

/// How long a list is kept for its next page.
const LIFETIME: Duration = Duration::from_secs(60);

/// The maximum number of rows of all kept lists together.
const MAX_ROWS: u64 = 200_000;

/// Kept lists, by account and query.
pub(super) type Listings = Cache<(u64, String), Arc<[ListedOrg]>>;

/// A page of the list.
#[derive(Clone, Debug)]
pub struct OrgsPage {
    /// The orgs.
    pub orgs: Vec<ListedOrg>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

/// An empty cache of lists.
pub(super) fn listings() -> Listings {
    let weigh = |_: &(u64, String), rows: &Arc<[ListedOrg]>| {
        u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1)
    };
    Cache::builder()
        .max_capacity(MAX_ROWS)
        .weigher(weigh)
        .time_to_idle(LIFETIME)
        .build()
}

/// The row of each customer's best subscription so far, with its rank, by customer id.
type BestRows = HashMap<String, (u8, ListedOrg)>;

/// The rank of a subscription that has ended, after all others.
const ENDED: u8 = u8::MAX;

impl Domain {
    /// A page of orgs: by name if the query names a version of a plan, or else newest first.
    pub async fn orgs(&self, query: &OrgsQuery) -> Result<OrgsPage> {
        let shared = self.shared().await?;
        let by_name = matches!(query.plan, Some(PlanFilter::Version(_)));
        let OrgsQuery { limit, after, .. } = query;
        let unpaged = OrgsQuery {
            limit: 0,
            after: None,
            ..query.clone()
        };
        let key = (shared.number, format!("{:?} {unpaged:?}", self.test_clock));
        let kept = match after {
            Some(_) if !self.asks_stripe => shared.memory.listings().get(&key).await,
            _ => None,
        };
        let rows = if let Some(rows) = kept {
            rows
        } else {
            let rows: Arc<[ListedOrg]> = self.list_orgs(query, by_name).await?.into();
            shared.memory.listings().insert(key, rows.clone()).await;
            rows
        };
        let begin = after.as_ref().map_or(0, |after| {
            rows.partition_point(|row| {
                if by_name {
                    row.org <= after.org
                } else {
                    (after.since, &row.org) <= (row.since, &after.org)
                }
            })
        });
        let orgs: Vec<_> = rows[begin..].iter().take(*limit).cloned().collect();
        let next = orgs.last().filter(|_| begin + orgs.len() < rows.len());
        let next = next.map(ListedOrg::position);
        Ok(OrgsPage { orgs, next })
    }

    async fn list_orgs(&self, query: &OrgsQuery, by_name: bool) -> Result<Vec<ListedOrg>> {
        let catalog = self.catalog().await?;
        let prices = query.prices(&catalog)?;
        let mut orgs = BestRows::new();
        match prices {
            None => {
                self.list_subscribers(&catalog, None, &mut orgs).await?;
                if query.wants_unsubscribed() {
                    self.list_unsubscribed(&mut orgs).await?;
                }
            }
            Some(prices) => {
                for price in prices {
                    let price = Some(price.as_str());
                    self.list_subscribers(&catalog, price, &mut orgs).await?;
                }
            }
        }
        let mut rows = one_row_per_org(orgs.into_values().map(|(_, row)| row));
        rows.retain(|row| query.matches(row));
        if query.over_limit {
            rows = self.over_limit(rows).await?;
        }
        if !by_name {
            rows.sort_by(|a, b| (b.since, &a.org).cmp(&(a.since, &b.org)));
        }
        Ok(rows)
    }

    /// Adds the orgs that have or had a subscription. With a price, only those that have it now.
    async fn list_subscribers(
        &self,
        catalog: &Catalog,
        price: Option<&str>,
        orgs: &mut BestRows,
    ) -> Result<()> {
        let filter = SubscriptionFilter {
            price,
            with_ended: price.is_none(),
            test_clock: self.test_clock.as_deref(),
        };
        self.for_each_subscription(filter, |subscription, customer| {
            if !subscription.is_managed() || !is_current(&subscription, &customer) {
                return;
            }
            let rank = subscription.rank().unwrap_or(ENDED);
            let known = orgs.get(&customer.id).map(|(rank, _)| *rank);
            if known.is_some_and(|known| known <= rank) {
                return;
            }
            if let Some(row) = ListedOrg::subscribed(&customer, &subscription, catalog) {
                orgs.insert(customer.id, (rank, row));
            }
        })
        .await
    }

    /// Calls `each` with every subscription that matches the filter, and its customer.
    pub(super) async fn for_each_subscription(
        &self,
        filter: SubscriptionFilter<'_>,
        mut each: impl FnMut(Subscription, Customer) + Send,
    ) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let list = self
                .billing()
                .subscriptions_with_customers(filter, after.as_deref());
            let page = list.await?;
            for listed in page.items {
                each(listed.subscription, listed.customer);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Adds the orgs that never had a subscription.
    async fn list_unsubscribed(&self, orgs: &mut BestRows) -> Result<()> {
        let mut add = |customers: Vec<Customer>| {
            for customer in customers {
                if !orgs.contains_key(&customer.id)
                    && let Some(row) = ListedOrg::unsubscribed(&customer)
                {
                    orgs.insert(customer.id, (ENDED, row));
                }
            }
        };
        if let Some(clock) = &self.test_clock {
            add(self.billing().customers_on(clock).await?);
            return Ok(());
        }
        let mut after: Option<String> = None;
        loop {
            let page = self.billing().customers_after(after.as_deref()).await?;
            add(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Keeps the orgs that have exceeded a limit.
    async fn over_limit(&self, rows: Vec<ListedOrg>) -> Result<Vec<ListedOrg>> {
        let checks: Vec<_> = rows
            .into_iter()
            .map(|row| async move {
                self.remember_customer(&row.org, &row.customer).await?;
                let usage = match self.limits(&row.org).await {
                    Ok(usage) => usage.value,
                    Err(Error::OrgNotFound) => return Ok::<_, Error>(None),
                    Err(error) => return Err(error),
                };
                let is_over = usage.iter().any(|feature| feature.used > feature.limit);
                Ok(is_over.then_some(row))
            })
            .collect();
        let found = stream::iter(checks).buffered(self.parallel());
        let found: Vec<_> = found.try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}
