//! Metered prices with billing meters, which are Stripe's present generation.

mod changes;
mod generation;
mod orgs;
mod push;
mod random;
mod refused;
mod successor;

use serde_json::{Value, json};
use tier::billing::{CLASSIC, WITH_METERS};
use tier::domain::{Generation, GenerationSetting};

use crate::pricing::any_model_is_pulled_unchanged;
use crate::shop::Shop;

/// A model whose plan has a metered feature of each aggregate, and a licensed feature.
fn aggregates() -> Value {
    let tiers = json!([{ "upto": 10 }, { "upto": 20, "price": 0.5 }]);
    json!({ "plans": { "plan:a@1": { "features": {
        "feature:base": { "base": 100 },
        "feature:last": { "tiers": tiers, "aggregate": "last" },
        "feature:level": { "tiers": tiers, "aggregate": "perpetual" },
        "feature:most": { "tiers": tiers, "aggregate": "max" },
        "feature:sum": { "tiers": tiers },
    } } } })
}

impl Shop {
    /// The account's active meters, newest first.
    async fn meters(&self) -> Vec<Value> {
        let path = "/v1/billing/meters";
        let request = self.client.get(WITH_METERS, path).param("status", "active");
        request.list().await.expect("the sandbox has it")
    }

    /// The generation of each metered price that Tier created, by the feature's name.
    async fn generations(&self) -> Vec<(String, &'static str)> {
        let prices = self.client.get(CLASSIC, "/v1/prices").list();
        let prices: Vec<Value> = prices.await.expect("the sandbox has it");
        let metered = prices.iter().filter_map(|price| {
            let name = price["metadata"]["tier.feature"].as_str()?;
            let recurring = &price["recurring"];
            let on_meter = recurring["meter"].is_string();
            let generation = if on_meter { "meters" } else { "classic" };
            (recurring["usage_type"] == "metered").then(|| (name.to_owned(), generation))
        });
        let mut all: Vec<_> = metered.collect();
        all.sort();
        all
    }
}

#[test]
fn a_model_pushed_with_meters_is_pulled_unchanged() {
    any_model_is_pulled_unchanged(GenerationSetting::Fixed(Generation::Meters), 24);
}
