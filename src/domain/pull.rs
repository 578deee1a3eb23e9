//! `pull`: reads the model from Stripe. It is never cached, since a limit may be changed in Stripe at any time.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::one_price_per_feature;
use super::price::PulledFeature;
use super::pricing::{Model, Plan};
use super::refs::{FeaturePlan, PlanName};
use super::{Domain, Result};
use crate::billing::Price;

/// A model from Stripe.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The plans.
    pub model: Model,
    /// The plans that are archived.
    pub archived: BTreeSet<PlanName>,
}

impl Domain {
    /// Reads the model without archived plans, with one call for each hundred prices.
    pub async fn pull(&self) -> Result<Model> {
        let mut pulled = self.pull_all().await?;
        let archived = &pulled.archived;
        pulled
            .model
            .plans
            .retain(|name, _| !archived.contains(name));
        Ok(pulled.model)
    }

    /// Reads the model with archived plans.
    pub async fn pull_all(&self) -> Result<Pulled> {
        Ok(Pulled::of(self.billing().prices_with_tiers().await?))
    }
}

impl Pulled {
    /// The model of all prices.
    pub(super) fn of(prices: Vec<Price>) -> Self {
        let chosen = one_price_per_feature(prices);
        Self {
            model: model(chosen.values().filter_map(PulledFeature::read)),
            archived: archived_plans(&chosen),
        }
    }

    /// Like [`Model::to_json`], with the field `archived` of archived plans.
    pub fn to_json(&self) -> String {
        self.model.to_json_with(&self.archived)
    }
}

/// The plans of which at least one price is inactive, so that they cannot be bought as a whole.
fn archived_plans(prices: &BTreeMap<FeaturePlan, Price>) -> BTreeSet<PlanName> {
    let inactive = prices.iter().filter(|(_, price)| !price.active);
    inactive.map(|(name, _)| name.plan()).collect()
}

/// Groups features, sorted by name, into plans. All features of a plan should have the same plan fields; otherwise the
/// first feature's are used.
fn model(features: impl Iterator<Item = PulledFeature>) -> Model {
    let mut model = Model::default();
    for pulled in features {
        let plan = model
            .plans
            .entry(pulled.name.plan())
            .or_insert_with(|| Plan {
                title: pulled.plan_title,
                interval: pulled.interval,
                currency: pulled.currency,
                features: BTreeMap::new(),
            });
        plan.features.insert(pulled.name.feature(), pulled.feature);
    }
    model
}
