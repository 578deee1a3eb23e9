//! Pull: the model as Stripe has it. Nothing is remembered, since a limit may be changed in Stripe at any time.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::price::PulledFeature;
use super::pricing::{Model, Plan};
use super::refs::FeaturePlan;
use super::{Domain, Result};
use crate::stripe::types::{Page, Price};

/// Stripe looks up this many prices in a call.
const KEYS_PER_CALL: usize = 10;

impl Domain {
    /// Everything that is for sale: one call for each hundred prices.
    pub async fn pull(&self) -> Result<Model> {
        let prices = self.stripe().get("/v1/prices").expand("data.tiers");
        let chosen = one_each(prices.list().await?);
        Ok(model(chosen.values().filter_map(PulledFeature::read)))
    }

    /// The prices that have `keys`, as far as there are any.
    pub(super) async fn prices_by_key(&self, keys: &[&str]) -> Result<Vec<Price>> {
        let keys: BTreeSet<&str> = keys.iter().copied().collect();
        let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        let batches: Vec<Vec<String>> = keys.chunks(KEYS_PER_CALL).map(<[_]>::to_vec).collect();
        let pages: Vec<Vec<Price>> = stream::iter(batches)
            .map(|batch| self.price_batch(batch))
            .buffered(self.parallel())
            .try_collect()
            .await?;
        Ok(pages.into_iter().flatten().collect())
    }

    async fn price_batch(&self, keys: Vec<String>) -> Result<Vec<Price>> {
        let mut request = self
            .stripe()
            .get("/v1/prices")
            .param("limit", 100)
            .expand("data.tiers");
        for key in keys {
            request = request.param("lookup_keys[]", key);
        }
        let page: Page<Price> = request.send().await?;
        Ok(page.data)
    }
}

/// Of several prices that claim to be the same feature, the one with Tier's lookup key is; else the newest.
pub(super) fn one_each(prices: Vec<Price>) -> BTreeMap<FeaturePlan, Price> {
    let mut chosen: BTreeMap<FeaturePlan, Price> = BTreeMap::new();
    for price in prices {
        let Some(name) = price.feature_plan() else {
            continue;
        };
        let is_keyed = price.lookup_key.as_deref() == Some(&name.lookup_key());
        if is_keyed || !chosen.contains_key(&name) {
            chosen.insert(name, price);
        }
    }
    chosen
}

/// Puts features, sorted by name, together to plans. What they say of their plan is the same for each, or was
/// tampered with: the first one counts.
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
