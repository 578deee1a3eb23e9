//! Pull: the model as Stripe has it. Nothing is remembered, since a limit may be changed in Stripe at any time.

use std::collections::BTreeMap;

use super::catalog::one_each;
use super::price::PulledFeature;
use super::pricing::{Model, Plan};
use super::{Domain, Result};

impl Domain {
    /// Everything that is for sale: one call for each hundred prices.
    pub async fn pull(&self) -> Result<Model> {
        let chosen = one_each(self.billing().prices_with_tiers().await?);
        Ok(model(chosen.values().filter_map(PulledFeature::read)))
    }
}

/// Groups features, sorted by name, into plans. All features of a plan should agree about the plan; if not, the first
/// one counts.
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
