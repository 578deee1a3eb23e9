//! Pricing pages: which plans of the model the public sees, and what they cost in words.
//!
//! Words are made here alone, so that all pages and all apps say the same.

mod definition;
#[cfg(test)]
mod tests;
mod words;

use rust_decimal::Decimal;

use super::bill;
use super::pricing::{Currency, Feature, Interval, Model, Plan};
use super::refs::{FeatureName, PlanName};
pub use definition::{DEFAULT_PAGE, PricingPages, PricingPagesError};

/// A page, with the plans that are on it.
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
    /// Its name and version.
    pub id: PlanName,
    /// Its display name.
    pub title: String,
    /// The currency of all its prices.
    pub currency: Currency,
    /// How often it is billed.
    pub interval: Interval,
    /// The fixed prices of all its features together, in the currency's minor unit.
    pub price: Decimal,
    /// The same in words.
    pub text: String,
    /// Whether it is the one that customers should look at first.
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
    /// How much of it is used; 1 if it is licensed.
    pub used: i64,
    /// What that costs, in the currency's minor unit.
    pub amount: i64,
    /// The same in words.
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
        let is_own_title = plan.title != id.as_str();
        Self {
            id: id.clone(),
            title: if is_own_title {
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

    /// What the whole plan costs for a period with this usage, shown features or not.
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
        let is_own_title = feature.title != name.on(id).as_str();
        Self {
            feature: name.clone(),
            title: if is_own_title {
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
    /// The page that holders of a key see if no page is defined: the newest version of each plan.
    pub fn of_newest(model: &Model) -> Self {
        let plans = model.latest().into_iter();
        Self {
            name: DEFAULT_PAGE.to_owned(),
            title: None,
            signup_url: None,
            plans: plans.map(|(id, plan)| PricedPlan::of(id, plan)).collect(),
        }
    }

    /// Where a customer signs up for a plan.
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
