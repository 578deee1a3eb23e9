//! `orgs`: who is on which plan.
//!
//! Stripe is asked for lists of subscriptions with their customers, a hundred at a time. What comes back is reduced to a
//! row for each org at once. Who reads page after page is answered from the list that the first page was made of.

mod query;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use moka::future::Cache;

use super::catalog::Catalog;
use super::org::ORG;
use super::phases::Span;
use super::refs::{FeaturePlan, OrgName, PlanName, Reference};
use super::{Domain, Error, Result};
use crate::billing::{Customer, EndBehavior, Subscription, SubscriptionFilter};

pub use query::{FeatureFilter, OrgStatus, OrgsQuery, PlanFilter, Position};

/// How long a list is kept for its next page.
const KEPT: Duration = Duration::from_secs(60);

/// How many rows all kept lists have together.
const MOST_ROWS: u64 = 200_000;

/// Lists that are kept, by account and by what was asked.
pub(super) type Listings = Cache<(u64, String), Arc<[ListedOrg]>>;

/// An org and what it is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOrg {
    /// Its name.
    pub org: OrgName,
    /// `cus_…`.
    pub customer: String,
    /// The features that it has now, sorted.
    pub features: Vec<FeaturePlan>,
    /// The whole plans that it has now, sorted.
    pub plans: Vec<PlanName>,
    /// The features that belong to no whole plan, sorted.
    pub fragments: Vec<FeaturePlan>,
    /// What has become of its subscription.
    pub status: OrgStatus,
    /// When its subscription began, or its customer if it has none. Unix seconds.
    pub since: i64,
    /// The running billing period.
    pub current: Option<Span>,
    /// Whether a trial runs.
    pub trial: bool,
    /// When its subscription is going to end, in Unix seconds.
    pub cancel_at: Option<i64>,
}

/// A page of the list.
#[derive(Clone, Debug)]
pub struct OrgsPage {
    /// The orgs.
    pub orgs: Vec<ListedOrg>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

/// An empty store of lists.
pub(super) fn listings() -> Listings {
    let weigh = |_: &(u64, String), rows: &Arc<[ListedOrg]>| {
        u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1)
    };
    Cache::builder()
        .max_capacity(MOST_ROWS)
        .weigher(weigh)
        .time_to_idle(KEPT)
        .build()
}

/// The best subscription so far of each customer: rank, and row.
type Best = HashMap<String, (u8, ListedOrg)>;

/// The rank of a subscription that has ended: after all others.
const ENDED: u8 = u8::MAX;

impl Domain {
    /// A page of orgs: by name where one version of a plan is asked for, else the newest first.
    pub async fn orgs(&self, query: &OrgsQuery) -> Result<OrgsPage> {
        let shared = self.shared().await?;
        let by_name = matches!(query.plan, Some(PlanFilter::Version(_)));
        let OrgsQuery { limit, after, .. } = query;
        let asked = OrgsQuery {
            limit: 0,
            after: None,
            ..query.clone()
        };
        let key = (shared.number, format!("{:?} {asked:?}", self.test_clock));
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
        let next = next.map(|last| Position {
            since: last.since,
            org: last.org.clone(),
        });
        Ok(OrgsPage { orgs, next })
    }

    async fn list_orgs(&self, query: &OrgsQuery, by_name: bool) -> Result<Vec<ListedOrg>> {
        let catalog = self.catalog().await?;
        let prices = query.prices(&catalog)?;
        let mut orgs = Best::new();
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
        let mut rows = one_price_each(orgs.into_values().map(|(_, row)| row));
        rows.retain(|row| query.matches(row));
        if query.over_limit {
            rows = self.over_limit(rows).await?;
        }
        if !by_name {
            rows.sort_by(|a, b| (b.since, &a.org).cmp(&(a.since, &b.org)));
        }
        Ok(rows)
    }

    /// Reads the customers with a subscription; where a price is named, only those that have it now.
    async fn list_subscribers(
        &self,
        catalog: &Catalog,
        price: Option<&str>,
        orgs: &mut Best,
    ) -> Result<()> {
        let filter = SubscriptionFilter {
            price,
            with_ended: price.is_none(),
            test_clock: self.test_clock.as_deref(),
        };
        self.each_subscription(filter, |subscription, customer| {
            if !subscription.is_tiers() || !is_current(&subscription, &customer) {
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

    /// Calls `each` with every subscription that matches the filter, and its customer. Pages are read one by one.
    pub(super) async fn each_subscription(
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
            after = page.data.last().map(|last| last.subscription.id.clone());
            let is_over = !page.has_more || after.is_none();
            for listed in page.data {
                each(listed.subscription, listed.customer);
            }
            if is_over {
                return Ok(());
            }
        }
    }

    /// Adds the orgs that never had a subscription.
    async fn list_unsubscribed(&self, orgs: &mut Best) -> Result<()> {
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
            after = page.data.last().map(|last| last.id.clone());
            let is_over = !page.has_more || after.is_none();
            add(page.data);
            if is_over {
                return Ok(());
            }
        }
    }

    /// Those that have used more of something than they may.
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

/// Whether a subscription is the one that counts among those of its customer, if they are known.
fn is_current(subscription: &Subscription, customer: &Customer) -> bool {
    let Some(all) = &customer.subscriptions else {
        return true;
    };
    let own = all.data.iter().filter(|one| one.is_tiers());
    let ranked = own.filter_map(|one| Some((one.rank()?, one)));
    let current = ranked.min_by_key(|(rank, _)| *rank);
    current.is_none_or(|(_, current)| current.id == subscription.id)
}

/// One row for each org, by name. Of two customers of one org the newer one counts, as in a search.
fn one_price_each(rows: impl Iterator<Item = ListedOrg>) -> Vec<ListedOrg> {
    let mut by_name: BTreeMap<OrgName, ListedOrg> = BTreeMap::new();
    for row in rows {
        match by_name.get(&row.org) {
            Some(known) if (known.since, &known.customer) >= (row.since, &row.customer) => {}
            _ => drop(by_name.insert(row.org.clone(), row)),
        }
    }
    by_name.into_values().collect()
}

impl ListedOrg {
    fn subscribed(
        customer: &Customer,
        subscription: &Subscription,
        catalog: &Catalog,
    ) -> Option<Self> {
        let is_live = subscription.rank().is_some();
        let items = subscription.items.data.iter().filter(|_| is_live);
        let features = items.filter_map(|item| item.price.feature_plan());
        let features: Vec<FeaturePlan> = features.collect::<BTreeSet<_>>().into_iter().collect();
        let (plans, fragments) = catalog.cover(&features);
        Some(Self {
            org: name_of(customer)?,
            customer: customer.id.clone(),
            features,
            plans,
            fragments,
            status: OrgStatus::Subscribed(subscription.status.clone()),
            since: subscription.start_date,
            current: is_live.then_some(Span {
                effective: subscription.current_period_start,
                end: subscription.current_period_end,
            }),
            trial: subscription.is_trialing(),
            cancel_at: subscription.planned_end().filter(|_| is_live),
        })
    }

    fn unsubscribed(customer: &Customer) -> Option<Self> {
        Some(Self {
            org: name_of(customer)?,
            customer: customer.id.clone(),
            features: Vec::new(),
            plans: Vec::new(),
            fragments: Vec::new(),
            status: OrgStatus::Unsubscribed,
            since: customer.created,
            current: None,
            trial: false,
            cancel_at: None,
        })
    }
}

/// The org of a customer, if it is one's.
pub(super) fn name_of(customer: &Customer) -> Option<OrgName> {
    let name = customer.metadata.get(ORG).filter(|_| !customer.deleted)?;
    name.parse().ok()
}

impl Subscription {
    /// When it is going to end, in Unix seconds: by itself, or with its schedule.
    fn planned_end(&self) -> Option<i64> {
        let schedule = self.active_schedule();
        let ending = schedule.filter(|schedule| schedule.end_behavior == EndBehavior::Cancel);
        let last = ending.and_then(|schedule| schedule.phases.last());
        self.cancel_at.or(last.map(|phase| phase.end_date))
    }
}

impl OrgsQuery {
    /// The prices of which each matching org has one. None if that is no help.
    fn prices(&self, catalog: &Catalog) -> Result<Option<Vec<String>>> {
        let missing = |name: String| Error::FeatureOrPlanNotFound(name);
        if let Some(plan) = &self.plan {
            let plans: Vec<PlanName> = match plan {
                PlanFilter::Version(plan) => vec![plan.clone()],
                PlanFilter::AnyVersion(name) => {
                    let versions = catalog.versions(name);
                    versions.into_iter().cloned().collect()
                }
            };
            if let (PlanFilter::AnyVersion(name), true) = (plan, plans.is_empty()) {
                return Err(missing(format!("plan:{name}")));
            }
            // Who has the plan has each of its prices.
            let one_of = |plan: &PlanName| -> Result<Option<String>> {
                let first = catalog.plan(plan)?.into_iter().next();
                Ok(first.map(|feature| feature.price_id))
            };
            let prices: Vec<_> = plans.iter().map(one_of).collect::<Result<_>>()?;
            return Ok(Some(prices.into_iter().flatten().collect()));
        }
        Ok(match &self.feature {
            None => None,
            Some(FeatureFilter::OfPlan(feature)) => {
                let found = catalog.expand(&[Reference::Feature(feature.clone())])?;
                Some(found.into_iter().map(|one| one.price_id).collect())
            }
            Some(FeatureFilter::Any(feature)) => {
                let prices = catalog.prices_of(feature);
                if prices.is_empty() {
                    return Err(missing(feature.to_string()));
                }
                Some(prices.into_iter().map(str::to_owned).collect())
            }
        })
    }

    fn wants_unsubscribed(&self) -> bool {
        !self.over_limit
            && self
                .status
                .as_ref()
                .is_none_or(|status| *status == OrgStatus::Unsubscribed)
    }

    fn matches(&self, row: &ListedOrg) -> bool {
        let plan = self.plan.as_ref().is_none_or(|filter| match filter {
            PlanFilter::Version(plan) => row.plans.contains(plan),
            PlanFilter::AnyVersion(name) => row.plans.iter().any(|plan| plan.name() == name),
        });
        let feature = self.feature.as_ref().is_none_or(|filter| match filter {
            FeatureFilter::OfPlan(feature) => row.features.contains(feature),
            FeatureFilter::Any(name) => row.features.iter().any(|one| one.feature() == *name),
        });
        plan && feature
            && self
                .status
                .as_ref()
                .is_none_or(|status| *status == row.status)
    }
}
