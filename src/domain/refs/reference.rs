//! References in a subscription.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    FEATURE_PLAN_VERSION, FeaturePlan, PlanName, RefError, error_of_similar_kind, is_name,
    is_version,
};

/// A reference in a subscription: a plan, or a single feature of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// All features of a plan.
    Plan(PlanName),
    /// One feature of a plan.
    Feature(FeaturePlan),
    /// `feature:NAME@VERSION`: valid, but never found, since a model has features in plans only.
    FeatureVersion(Arc<str>),
}

impl Reference {
    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plan(plan) => plan.as_str(),
            Self::Feature(feature) => feature.as_str(),
            Self::FeatureVersion(text) => text,
        }
    }

    pub(super) fn feature(text: &str) -> Result<Self, RefError> {
        let Some(rest) = text.strip_prefix("feature:") else {
            error_of_similar_kind(text)?;
            return Err(RefError::name(
                "feature plan must start with 'feature:'",
                text,
            ));
        };
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (rest, None),
        };
        if !is_name(name) {
            return Err(RefError::name(
                "feature plan name must match [a-zA-Z0-9:-]+",
                text,
            ));
        }
        match version {
            None => Err(RefError::name("feature plan must have version", text)),
            Some(version) if is_version(version) => Ok(Self::FeatureVersion(text.into())),
            Some(plan) if plan.parse::<PlanName>().is_ok() => {
                Ok(Self::Feature(FeaturePlan { text: text.into() }))
            }
            Some(_) => Err(RefError::name(FEATURE_PLAN_VERSION, text)),
        }
    }
}

impl FromStr for Reference {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        // Text of neither kind was more likely meant as a plan, since most references are plans.
        if text.starts_with("feature:") {
            Self::feature(text)
        } else {
            text.parse().map(Self::Plan)
        }
    }
}

impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
parsed_type!(Reference);
