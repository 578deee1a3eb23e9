//! The operator's file that defines pricing pages. Plans and pages that it does not list are not public.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{PricedPlan, PricingPage};
use crate::domain::pricing::{Model, Plan};
use crate::domain::refs::{FeatureName, PlanName, RefError};

/// The name of the page that is used if a request names none.
pub const DEFAULT_PAGE: &str = "default";

/// The pages that the operator's file defines.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricingPages {
    pages: BTreeMap<String, Definition>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    title: Option<String>,
    signup_url: Option<SignupUrl>,
    plans: Vec<PlanChoice>,
    promoted: Option<PlanChoice>,
    features: Option<Vec<FeatureName>>,
}

/// A plan to show on a page.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
enum PlanChoice {
    /// This version of a plan.
    Exact(PlanName),
    /// The newest version of the plan with this name.
    Newest(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct SignupUrl(String);

/// Why a text does not define pricing pages.
#[derive(Debug, thiserror::Error)]
pub enum PricingPagesError {
    /// It is not JSON, or has the wrong fields.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A page's name cannot be part of a URL.
    #[error("a page's name must match [a-zA-Z0-9_-]+: {0:?}")]
    Name(String),
}

impl TryFrom<String> for PlanChoice {
    type Error = RefError;

    fn try_from(text: String) -> Result<Self, RefError> {
        if text.contains('@') {
            text.parse().map(Self::Exact)
        } else {
            let name = PlanName::name_without_version(&text)?;
            Ok(Self::Newest(name.to_owned()))
        }
    }
}

impl TryFrom<String> for SignupUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let is_url = text.starts_with("https://") || text.starts_with("http://");
        if is_path || is_url {
            Ok(Self(text))
        } else {
            Err("signup_url must begin with https://, http:// or /")
        }
    }
}

impl PlanChoice {
    fn find<'a>(&self, model: &'a Model) -> Option<(&'a PlanName, &'a Plan)> {
        match self {
            Self::Exact(name) => model.plans.get_key_value(name),
            Self::Newest(plan) => {
                let mut latest = model.latest().into_iter();
                latest.find(|(name, _)| name.name() == plan)
            }
        }
    }
}

impl PricingPages {
    /// Parses the operator's file.
    ///
    /// # Errors
    /// If it does not define pages.
    pub fn parse(text: &str) -> Result<Self, PricingPagesError> {
        let pages: Self = serde_json::from_str(text)?;
        let is_name = |name: &&String| {
            let mut bytes = name.bytes();
            !name.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        match pages.pages.keys().find(|name| !is_name(name)) {
            Some(name) => Err(PricingPagesError::Name(name.clone())),
            None => Ok(pages),
        }
    }

    /// Whether a page of that name is defined.
    pub fn has(&self, name: &str) -> bool {
        self.pages.contains_key(name)
    }

    /// The page of that name, if it is defined. Plans and features that the model does not have are left out.
    pub fn page(&self, name: &str, model: &Model) -> Option<PricingPage> {
        let definition = self.pages.get(name)?;
        let promoted = definition.promoted.as_ref();
        let promoted = promoted.and_then(|choice| choice.find(model));
        let promoted = promoted.map(|(id, _)| id);
        let chosen = definition
            .plans
            .iter()
            .filter_map(|choice| choice.find(model));
        let plans = chosen.map(|(id, plan)| PricedPlan {
            promoted: Some(id) == promoted,
            ..definition.priced(id, plan)
        });
        Some(PricingPage {
            name: name.to_owned(),
            title: definition.title.clone(),
            signup_url: definition.signup_url.as_ref().map(|url| url.0.clone()),
            plans: plans.collect(),
        })
    }
}

impl Definition {
    fn priced(&self, id: &PlanName, plan: &Plan) -> PricedPlan {
        match &self.features {
            None => PricedPlan::of(id, plan),
            Some(shown) => {
                let shown = shown.iter();
                let shown = shown.filter_map(|name| plan.features.get_key_value(name));
                PricedPlan::with(id, plan, shown)
            }
        }
    }
}
