//! The definition of pages: a file of the operator. What it does not list is not public.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{PricedPlan, PricingPage};
use crate::domain::pricing::{Model, Plan};
use crate::domain::refs::{FeatureName, PlanName, RefError};

/// The name of the page that is meant if none is named.
pub const DEFAULT_PAGE: &str = "default";

/// The pages that are listed.
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
    plans: Vec<Choice>,
    promoted: Option<Choice>,
    features: Option<Vec<FeatureName>>,
}

/// A version of a plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
enum Choice {
    This(PlanName),
    /// The newest of this plan.
    Newest(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct SignupUrl(String);

/// The text is not a definition of pages.
#[derive(Debug, thiserror::Error)]
pub enum PricingPagesError {
    /// It is not JSON, or not such JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A name that no URL has.
    #[error("a page's name must match [a-zA-Z0-9_-]+: {0:?}")]
    Name(String),
}

impl TryFrom<String> for Choice {
    type Error = RefError;

    fn try_from(text: String) -> Result<Self, RefError> {
        if text.contains('@') {
            text.parse().map(Self::This)
        } else {
            let name = PlanName::without_version(&text)?;
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

impl Choice {
    fn find<'a>(&self, model: &'a Model) -> Option<(&'a PlanName, &'a Plan)> {
        match self {
            Self::This(name) => model.plans.get_key_value(name),
            Self::Newest(plan) => {
                let mut latest = model.latest().into_iter();
                latest.find(|(name, _)| name.name() == plan)
            }
        }
    }
}

impl PricingPages {
    /// Reads a definition.
    ///
    /// # Errors
    /// It is none.
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

    /// Whether a page of that name is listed.
    pub fn has(&self, name: &str) -> bool {
        self.pages.contains_key(name)
    }

    /// The listed page of that name. Plans and features that the model does not have are left out.
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
