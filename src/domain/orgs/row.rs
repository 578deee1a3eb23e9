//! The rows of a list of orgs.

use std::collections::{BTreeMap, BTreeSet};

use super::OrgStatus;
use crate::billing::{Customer, EndBehavior, Subscription};
use crate::domain::billing_cycle::BillingPeriod;
use crate::domain::catalog::Catalog;
use crate::domain::org::ORG;
use crate::domain::refs::{FeaturePlan, OrgName, PlanName};

/// An org with its plans and features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOrg {
    /// Its name.
    pub org: OrgName,
    /// `cus_…`.
    pub customer: String,
    /// Its current features, sorted.
    pub features: Vec<FeaturePlan>,
    /// The plans whose features it all has, sorted.
    pub plans: Vec<PlanName>,
    /// The features that belong to no whole plan, sorted.
    pub fragments: Vec<FeaturePlan>,
    /// The status of its subscription.
    pub status: OrgStatus,
    /// When its subscription began, or its customer if it has none. Unix seconds.
    pub since: i64,
    /// The current billing period.
    pub current_period: Option<BillingPeriod>,
    /// Whether it is in a trial.
    pub trial: bool,
    /// Whether it had a subscription that has ended.
    pub has_ended: bool,
    /// When its subscription is scheduled to end, in Unix seconds.
    pub cancel_at: Option<i64>,
}

impl ListedOrg {
    /// The row of a customer with a subscription. None if the customer is not an org's.
    pub(super) fn subscribed(
        customer: &Customer,
        subscription: &Subscription,
        catalog: &Catalog,
    ) -> Option<Self> {
        let is_live = subscription.rank().is_some();
        let items = subscription.items.iter().filter(|_| is_live);
        let features = items.filter_map(|item| item.price.feature_plan());
        let features: Vec<FeaturePlan> = features.collect::<BTreeSet<_>>().into_iter().collect();
        let (plans, fragments) = catalog.cover(&features);
        Some(Self {
            org: org_name_of(customer)?,
            customer: customer.id.clone(),
            features,
            plans,
            fragments,
            status: OrgStatus::Subscribed(subscription.status.clone()),
            since: subscription.start_date,
            current_period: is_live.then_some(BillingPeriod {
                start: subscription.current_period_start,
                end: subscription.current_period_end,
            }),
            trial: subscription.is_trialing(),
            has_ended: !is_live,
            cancel_at: subscription
                .planned_end()
                .filter(|_| is_live && !subscription.is_followed()),
        })
    }

    /// The row of a customer, whose current subscriptions must be expanded. None if the customer is not an org's.
    pub(super) fn of(customer: &Customer, catalog: &Catalog) -> Option<Self> {
        match current_subscription(customer) {
            Some(subscription) => Self::subscribed(customer, subscription, catalog),
            None => Self::unsubscribed(customer),
        }
    }

    /// The row of a customer without a current subscription. None if the customer is not an org's. Stripe sets a
    /// customer's currency with its first subscription or invoice, so one that only got an invoice appears to have had
    /// a subscription.
    pub(super) fn unsubscribed(customer: &Customer) -> Option<Self> {
        Some(Self {
            org: org_name_of(customer)?,
            customer: customer.id.clone(),
            features: Vec::new(),
            plans: Vec::new(),
            fragments: Vec::new(),
            status: OrgStatus::Unsubscribed,
            since: customer.created,
            current_period: None,
            trial: false,
            has_ended: customer.currency.is_some(),
            cancel_at: None,
        })
    }
}

impl Subscription {
    /// When it is scheduled to end, in Unix seconds: by `cancel_at`, or with its schedule.
    pub(in crate::domain) fn planned_end(&self) -> Option<i64> {
        let schedule = self.active_schedule();
        let ending = schedule.filter(|schedule| schedule.end_behavior == EndBehavior::Cancel);
        let last = ending.and_then(|schedule| schedule.phases.last());
        self.cancel_at.or(last.map(|phase| phase.end_date))
    }
}

/// Whether a subscription is the one of its org. True if the customer's subscriptions are not expanded.
pub(super) fn is_current(subscription: &Subscription, customer: &Customer) -> bool {
    current_subscription(customer).is_none_or(|current| current.id == subscription.id)
}

/// The subscription of a customer's org, if the subscriptions are expanded.
fn current_subscription(customer: &Customer) -> Option<&Subscription> {
    let all = customer.subscriptions.as_ref()?;
    let managed = all
        .items
        .iter()
        .filter(|subscription| subscription.is_managed());
    let ranked = managed.filter_map(|subscription| Some((subscription.rank()?, subscription)));
    let current = ranked.min_by_key(|(rank, _)| *rank);
    current.map(|(_, current)| current)
}

/// One row per org, by name. If an org has two customers, the newer one counts, as in a look-up.
pub(super) fn one_row_per_org(rows: impl Iterator<Item = ListedOrg>) -> Vec<ListedOrg> {
    let mut by_name: BTreeMap<OrgName, ListedOrg> = BTreeMap::new();
    for row in rows {
        match by_name.get(&row.org) {
            Some(known) if (known.since, &known.customer) >= (row.since, &row.customer) => {}
            _ => drop(by_name.insert(row.org.clone(), row)),
        }
    }
    by_name.into_values().collect()
}

/// The org of a customer. None if it is not an org's.
pub(in crate::domain) fn org_name_of(customer: &Customer) -> Option<OrgName> {
    let name = customer.metadata.get(ORG).filter(|_| !customer.deleted)?;
    name.parse().ok()
}
