//! Pricing pages: the plans of the model that are public, with their prices in words.
//!
//! Only this module puts prices into words, so that all pages and apps use the same ones.

mod definition;
#[cfg(test)]
mod tests;
mod words;

use rust_decimal::Decimal;

use super::bill;
use super::pricing::{Currency, Feature, Interval, Model, Plan};
use super::refs::{FeatureName, PlanName};
pub use definition::{DEFAULT_PAGE, PricingPages, PricingPagesError};

/// A page and its plans.
#[derive(Clone, Debug, PartialEq)]
pub struct PricingPage {
    /// Its name.
    pub name: String,
    /// Its heading, if it has one.
    pub title: Option<String>,
    /// Where customers sign up.
    pub signup_url: Option<String>,
    /// The plans, in order.
    pub plans: Vec<PricedPlan>,
}

/// A plan in words.
#[derive(Clone, Debug, PartialEq)]
pub struct PricedPlan {
    /// The plan's name and version.
    pub id: PlanName,
    /// Its display name.
    pub title: String,
    /// The currency of all its prices.
    pub currency: Currency,
    /// How often it is billed.
    pub interval: Interval,
    /// The sum of its features' fixed prices, in the currency's minor unit.
    pub price: Decimal,
    /// The price in words.
    pub text: String,
    /// Whether the page highlights this plan.
    pub promoted: bool,
    /// Its features, in order.
    pub features: Vec<PricedFeature>,
}

/// A feature in words.
#[derive(Clone, Debug, PartialEq)]
pub struct PricedFeature {
    /// Its name.
    pub feature: FeatureName,
    /// Its display name.
    pub title: String,
    /// Its terms.
    pub terms: Feature,
    /// What it costs in words.
    pub text: String,
}

/// What a plan costs for a given usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The sum, in the currency's minor unit.
    pub amount: i64,
    /// The sum in words.
    pub text: String,
    /// What each feature adds to it.
    pub lines: Vec<BillLine>,
}

/// What a feature adds to a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    /// The feature.
    pub feature: FeatureName,
    /// The used units; 1 for a licensed feature.
    pub used: i64,
    /// The cost, in the currency's minor unit.
    pub amount: i64,
    /// The cost in words.
    pub text: String,
}

impl PricedPlan {
    /// A plan with all its features.
    pub fn of(id: &PlanName, plan: &Plan) -> Self {
        Self::with(id, plan, plan.features.iter())
    }

    fn with<'a>(
        id: &PlanName,
        plan: &Plan,
        features: impl Iterator<Item = (&'a FeatureName, &'a Feature)>,
    ) -> Self {
        let price = plan.features.values().map(|feature| feature.base).sum();
        let has_title = plan.title != id.as_str();
        Self {
            id: id.clone(),
            title: if has_title {
                plan.title.clone()
            } else {
                id.name().to_owned()
            },
            currency: plan.currency.clone(),
            interval: plan.interval,
            price,
            text: words::plan(plan, price),
            promoted: false,
            features: features
                .map(|(name, feature)| PricedFeature::of(name, id, plan, feature))
                .collect(),
        }
    }

    /// The bill of a plan for a period with this usage. It includes features that the page does not show.
    pub fn bill(plan: &Plan, used: impl Fn(&FeatureName) -> i64) -> Bill {
        let lines = plan.features.iter().map(|(name, feature)| {
            let used = if feature.is_metered() { used(name) } else { 1 };
            let amount = bill::cost(feature, used);
            BillLine {
                feature: name.clone(),
                used,
                amount,
                text: plan.currency.amount(amount.into()),
            }
        });
        let lines: Vec<BillLine> = lines.collect();
        let amounts = lines.iter().map(|line| line.amount);
        let amount = amounts.fold(0, i64::saturating_add);
        Bill {
            amount,
            text: plan.currency.amount(amount.into()),
            lines,
        }
    }
}

impl PricedFeature {
    fn of(name: &FeatureName, id: &PlanName, plan: &Plan, feature: &Feature) -> Self {
        let has_title = feature.title != name.on(id).as_str();
        Self {
            feature: name.clone(),
            title: if has_title {
                feature.title.clone()
            } else {
                name.name().to_owned()
            },
            terms: feature.clone(),
            text: words::feature(feature, &plan.currency),
        }
    }
}

impl PricingPage {
    /// The page that callers with an API key see if no page is defined: the newest version of each plan.
    pub fn with_newest_plans(model: &Model) -> Self {
        let plans = model.latest().into_iter();
        Self {
            name: DEFAULT_PAGE.to_owned(),
            title: None,
            signup_url: None,
            plans: plans.map(|(id, plan)| PricedPlan::of(id, plan)).collect(),
        }
    }

    /// The URL at which a customer signs up for a plan.
    pub fn signup_url(&self, plan: &PlanName) -> Option<String> {
        let url = self.signup_url.as_deref()?;
        let (url, fragment) = match url.split_once('#') {
            Some((url, fragment)) => (url, format!("#{fragment}")),
            None => (url, String::new()),
        };
        let separator = if url.contains('?') { '&' } else { '?' };
        Some(format!("{url}{separator}plan={plan}{fragment}"))
    }
}
