//! What a list of orgs is asked for.

use std::str::FromStr;

use crate::billing::SubscriptionStatus;
use crate::domain::refs::{FeatureName, FeaturePlan, OrgName, PlanName, RefError};
use crate::domain::{Error, Result};

/// Which orgs are listed, and which page of the list.
#[derive(Clone, Debug)]
pub struct OrgsQuery {
    /// Only those that have this plan now.
    pub plan: Option<PlanFilter>,
    /// Only those that have this feature now.
    pub feature: Option<FeatureFilter>,
    /// Only those of this status.
    pub status: Option<OrgStatus>,
    /// Only those that have used more of something than they may.
    pub over_limit: bool,
    /// How many orgs a page has.
    pub limit: usize,
    /// The page that goes on where the one with this `next` has ended.
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

/// What has become of an org's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrgStatus {
    /// It never had one.
    Unsubscribed,
    /// Stripe's word.
    Subscribed(SubscriptionStatus),
}

/// A place in a list: behind the org that began then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub(super) since: i64,
    pub(super) org: OrgName,
}

/// The word for an org without any subscription.
const UNSUBSCRIBED: &str = "none";

impl OrgStatus {
    /// All of them.
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

    /// Stripe's word, or `none`.
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
            PlanName::without_version(text).map(|name| Self::AnyVersion(name.to_owned()))
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

impl Position {
    /// As it is given to callers.
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
