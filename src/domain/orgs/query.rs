//! Queries for orgs.

use std::str::FromStr;

use super::ListedOrg;
use crate::billing::SubscriptionStatus;
use crate::domain::catalog::Catalog;
use crate::domain::refs::{FeatureName, FeaturePlan, OrgName, PlanName, RefError, Reference};
use crate::domain::{Error, Result};

/// A query for orgs, and the page of its result.
#[derive(Clone, Debug)]
pub struct OrgsQuery {
    /// Only orgs with this plan now.
    pub plan: Option<PlanFilter>,
    /// Only orgs with this feature now.
    pub feature: Option<FeatureFilter>,
    /// Only orgs with this status.
    pub status: Option<OrgStatus>,
    /// Only orgs that have exceeded a limit.
    pub over_limit: bool,
    /// How many orgs a page has.
    pub limit: usize,
    /// The page after the one with this `next`.
    pub after: Option<Position>,
}

/// One version of a plan, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanFilter {
    /// `plan:NAME@VERSION`.
    Version(PlanName),
    /// The `NAME` of `plan:NAME`.
    AnyVersion(String),
}

/// A feature of one plan, or of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeatureFilter {
    /// `feature:NAME@plan:NAME@VERSION`.
    OfPlan(FeaturePlan),
    /// `feature:NAME`.
    Any(FeatureName),
}

/// The status of an org's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrgStatus {
    /// It never had one.
    Unsubscribed,
    /// The status in Stripe.
    Subscribed(SubscriptionStatus),
}

/// A position in a list: right after an org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the org's subscription began, in Unix seconds.
    pub(super) since: i64,
    pub(super) org: OrgName,
}

impl OrgsQuery {
    /// Prices such that each matching org has at least one of them. None if the query names no plan or feature.
    pub(super) fn prices(&self, catalog: &Catalog) -> Result<Option<Vec<String>>> {
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
            // An org with the plan has each of its prices.
            let first_price = |plan: &PlanName| -> Result<Option<String>> {
                let first = catalog.plan(plan)?.into_iter().next();
                Ok(first.map(|feature| feature.price_id))
            };
            let prices: Vec<_> = plans.iter().map(first_price).collect::<Result<_>>()?;
            return Ok(Some(prices.into_iter().flatten().collect()));
        }
        Ok(match &self.feature {
            None => None,
            Some(FeatureFilter::OfPlan(feature)) => {
                let found = catalog.expand(&[Reference::Feature(feature.clone())])?;
                Some(found.into_iter().map(|feature| feature.price_id).collect())
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

    /// Whether orgs without a subscription can match.
    pub(super) fn wants_unsubscribed(&self) -> bool {
        !self.over_limit
            && self
                .status
                .as_ref()
                .is_none_or(|status| *status == OrgStatus::Unsubscribed)
    }

    /// Whether an org matches, except for [`over_limit`](Self::over_limit).
    pub(super) fn matches(&self, row: &ListedOrg) -> bool {
        let plan = self.plan.as_ref().is_none_or(|filter| match filter {
            PlanFilter::Version(plan) => row.plans.contains(plan),
            PlanFilter::AnyVersion(name) => row.plans.iter().any(|plan| plan.name() == name),
        });
        let feature = self.feature.as_ref().is_none_or(|filter| match filter {
            FeatureFilter::OfPlan(feature) => row.features.contains(feature),
            FeatureFilter::Any(name) => row
                .features
                .iter()
                .any(|feature| feature.feature() == *name),
        });
        plan && feature
            && self
                .status
                .as_ref()
                .is_none_or(|status| *status == row.status)
    }
}

/// The word for an org that never had a subscription.
const UNSUBSCRIBED: &str = "none";

impl OrgStatus {
    /// All statuses.
    pub const WORDS: [&'static str; 9] = [
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "incomplete",
        "incomplete_expired",
        "canceled",
        UNSUBSCRIBED,
    ];

    /// Stripe's status, or `none`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unsubscribed => UNSUBSCRIBED,
            Self::Subscribed(status) => status.as_str(),
        }
    }
}

impl FromStr for OrgStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            UNSUBSCRIBED => Ok(Self::Unsubscribed),
            _ if Self::WORDS.contains(&text) => Ok(Self::Subscribed(text.to_owned().into())),
            _ => Err(Error::Invalid(format!(
                "status must be one of {}, not {text:?}",
                Self::WORDS.join(", ")
            ))),
        }
    }
}

impl FromStr for PlanFilter {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        if text.contains('@') {
            text.parse().map(Self::Version)
        } else {
            PlanName::name_without_version(text).map(|name| Self::AnyVersion(name.to_owned()))
        }
    }
}

impl FromStr for FeatureFilter {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        if text.contains('@') {
            text.parse().map(Self::OfPlan)
        } else {
            text.parse().map(Self::Any)
        }
    }
}

impl ListedOrg {
    /// The position right after this org.
    pub fn position(&self) -> Position {
        Position {
            since: self.since,
            org: self.org.clone(),
        }
    }
}

impl Position {
    /// The text form for callers.
    pub fn text(&self) -> String {
        format!("{}:{}", self.since, self.org)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':').and_then(|(since, org)| {
            let (since, org) = (since.parse().ok()?, org.parse().ok()?);
            Some(Self { since, org })
        });
        parts.ok_or_else(|| Error::Invalid(format!("after must be a page's `next`, not {text:?}")))
    }
}
