//! Push: makes Stripe have what a model says, and says what became of each feature.
//!
//! Plans never change once they are pushed. A plan is claimed by a product of its own, which carries the plan's
//! hash: whoever comes with the same plan may complete it, whoever comes with another is refused.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream};

use super::price::{self, PulledFeature};
use super::pricing::{Feature, Model, Plan};
use super::refs::{FeaturePlan, PlanName};
use super::{Domain, Error, Result};
use crate::billing::{Metadata, NewProduct, PriceProduct};

/// Under this key a plan's product has the plan's hash.
const MODEL_HASH: &str = "tier.model";

/// What became of one feature of a pushed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushResult {
    /// Which feature of which plan.
    pub feature: FeaturePlan,
    /// What became of it.
    pub outcome: PushOutcome,
    /// Its price, if it has the one that the model says.
    pub price: Option<PushedPrice>,
}

/// A price that a push made, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedPrice {
    /// `price_…`.
    pub id: String,
    /// Its page in Stripe's dashboard, if it has one.
    pub link: Option<String>,
}

/// What became of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// There was none, and now there is.
    Created,
    /// It was there, as the model has it.
    Unchanged,
    /// It was there, otherwise than the model has it.
    Differs,
    /// Its plan was there, otherwise than the model has it.
    PlanDiffers,
    /// Stripe did not make it: why.
    Failed(String),
}

impl PushOutcome {
    /// Whether Stripe has now what the model says.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Created | Self::Unchanged)
    }

    /// The `reason` that clients know.
    pub fn reason(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Unchanged | Self::Differs => "feature already exists",
            Self::PlanDiffers => "plan already exists",
            Self::Failed(why) => why,
        }
    }
}

/// What Stripe has of a plan of the model.
#[derive(Clone, Debug)]
enum PlanState {
    /// It was not there; this push has claimed it.
    New,
    /// It is there, and says that it is this very plan: what is missing was never finished.
    Same,
    /// It is there, and is another.
    Other,
    /// It is there, pushed by the original, which noted no hash.
    Unmarked,
    /// Stripe did not say.
    Unknown(Error),
}

/// What is to be done about a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Create,
    Unchanged,
    PlanDiffers,
}

/// Decides about a feature of a plan that stands so, from its price if it has one, and whether that is as the model says.
fn verdict(state: &PlanState, alike: Option<bool>) -> Verdict {
    match (state, alike) {
        (PlanState::Other, _) | (PlanState::Unmarked, None | Some(false)) => Verdict::PlanDiffers,
        (PlanState::Same, Some(_)) | (PlanState::New | PlanState::Unmarked, Some(true)) => {
            Verdict::Unchanged
        }
        // Where another price is in the way, creation says so.
        (PlanState::New, None | Some(false))
        | (PlanState::Same, None)
        | (PlanState::Unknown(_), _) => Verdict::Create,
    }
}

impl Domain {
    /// Creates what is missing of `model`, many features at a time, and calls `progress` as each is done. The results
    /// are sorted by name. May be repeated: what a push that broke off has left out, the next one creates.
    ///
    /// # Errors
    /// If Stripe cannot be asked about any of the plans, or about their prices. A feature that Stripe refuses is a
    /// result, and no error.
    pub async fn push(
        &self,
        model: &Model,
        progress: impl FnMut(&PushResult) + Send,
    ) -> Result<Vec<PushResult>> {
        let outcome = self.push_features(model, progress).await;
        outcome.map_err(|error| self.error_to_report(error))
    }

    async fn push_features(
        &self,
        model: &Model,
        mut progress: impl FnMut(&PushResult) + Send,
    ) -> Result<Vec<PushResult>> {
        let states = self.claim_plans(model).await?;
        let pulled = self.pulled_prices(model, &states).await?;
        // Futures do nothing until they are polled; a lazy map over references would not be `Send`.
        let work: Vec<_> = (model.features())
            .map(|(name, plan, feature)| {
                let state = &states[&name.plan()];
                let pulled = pulled.get(&name);
                self.push_feature(name, plan, feature, state, pulled)
            })
            .collect();
        let mut running = stream::iter(work).buffer_unordered(self.parallel());
        let mut results = Vec::new();
        while let Some(result) = running.next().await {
            progress(&result);
            results.push(result);
        }
        drop(running);
        results.sort_by(|a, b| a.feature.cmp(&b.feature));
        Ok(results)
    }

    async fn push_feature(
        &self,
        name: FeaturePlan,
        plan: &Plan,
        feature: &Feature,
        state: &PlanState,
        pulled: Option<&PulledFeature>,
    ) -> PushResult {
        let alike = pulled.map(|pulled| pulled.is_sold_as(plan, feature));
        let (outcome, price) = match (state, verdict(state, alike)) {
            (PlanState::Unknown(error), _) => (PushOutcome::Failed(error.to_string()), None),
            (_, Verdict::PlanDiffers) => (PushOutcome::PlanDiffers, None),
            (_, Verdict::Unchanged) => (PushOutcome::Unchanged, pulled.map(|p| p.id.clone())),
            (_, Verdict::Create) => match self.create_price(&name, plan, feature).await {
                Ok((outcome, price)) => (outcome, price),
                Err(error) => (PushOutcome::Failed(error.to_string()), None),
            },
        };
        let price = price.map(|id| PushedPrice {
            link: self.price_link(&id),
            id,
        });
        PushResult {
            feature: name,
            outcome,
            price,
        }
    }

    /// Creates the price, together with its product if that is not there yet.
    async fn create_price(
        &self,
        name: &FeaturePlan,
        plan: &Plan,
        feature: &Feature,
    ) -> Result<(PushOutcome, Option<String>)> {
        let terms = price::terms(name, plan, feature);
        let product = price::new_product(name, plan, feature);
        let create = self.billing().create_price(&terms, &product);
        let refused = match create.send().await {
            Ok(price) => return Ok((PushOutcome::Created, Some(price.id))),
            Err(error) if error.is_already_exists() || error.is_lookup_key_taken() => error,
            Err(error) => return Err(error.into()),
        };
        // Another push was here between our look and now, or an earlier one lost its plan's product.
        let key = name.lookup_key();
        let prices = self.prices_by_key(&[key.as_str()]).await?;
        let found = prices.iter().find_map(PulledFeature::read);
        if let Some(found) = found.filter(|found| found.name == *name) {
            return Ok(if found.is_sold_as(plan, feature) {
                (PushOutcome::Unchanged, Some(found.id))
            } else {
                (PushOutcome::Differs, None)
            });
        }
        if !prices.is_empty() || !refused.is_already_exists() {
            // Somebody else's price has the key.
            return Err(refused.into());
        }
        let product = PriceProduct::Existing(key);
        let create = self.billing().create_price(&terms, &product);
        let price = create.send().await?;
        Ok((PushOutcome::Created, Some(price.id)))
    }

    /// Makes each plan's product, or finds out whose it is.
    async fn claim_plans(&self, model: &Model) -> Result<BTreeMap<PlanName, PlanState>> {
        let claims: Vec<_> = (model.plans.iter())
            .map(|(name, plan)| async move {
                let state = self.claim_plan(name, plan).await;
                (name.clone(), state.unwrap_or_else(PlanState::Unknown))
            })
            .collect();
        let states: BTreeMap<PlanName, PlanState> = stream::iter(claims)
            .buffer_unordered(self.parallel())
            .collect()
            .await;
        all_unknown(states)
    }

    async fn claim_plan(&self, name: &PlanName, plan: &Plan) -> Result<PlanState> {
        let create = self.billing().create_product(NewProduct {
            id: &name.product_id(),
            name: &plan.title,
            active: false,
            metadata: &Metadata::from([(MODEL_HASH.to_owned(), plan.hash(name))]),
        });
        match create.send().await {
            Ok(_) => Ok(PlanState::New),
            Err(error) if error.is_already_exists() => self.look_at_plan(name, plan).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What Stripe has of a plan that somebody has claimed before.
    async fn look_at_plan(&self, name: &PlanName, plan: &Plan) -> Result<PlanState> {
        match self.billing().product(&name.product_id()).await {
            Ok(product) => Ok(match product.metadata.get(MODEL_HASH) {
                None => PlanState::Unmarked,
                Some(hash) if *hash == plan.hash(name) => PlanState::Same,
                Some(_) => PlanState::Other,
            }),
            Err(error) if error.is_missing() => Ok(PlanState::New),
            Err(error) => Err(error.into()),
        }
    }

    /// The prices that plans of the model have already, where they matter.
    async fn pulled_prices(
        &self,
        model: &Model,
        states: &BTreeMap<PlanName, PlanState>,
    ) -> Result<HashMap<FeaturePlan, PulledFeature>> {
        let keys: Vec<String> = (model.features())
            .filter(|(name, ..)| {
                matches!(states[&name.plan()], PlanState::Same | PlanState::Unmarked)
            })
            .map(|(name, ..)| name.lookup_key())
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let prices = self.prices_by_key(&keys).await?;
        Ok((prices.iter())
            .filter_map(PulledFeature::read)
            .map(|pulled| (pulled.name.clone(), pulled))
            .collect())
    }

    /// A price's page in Stripe's dashboard.
    fn price_link(&self, id: &str) -> Option<String> {
        self.dashboard_page(&format!("prices/{id}"))
    }
}

/// A Stripe that knows nothing about any plan is a failure of the push, not of each feature.
fn all_unknown(states: BTreeMap<PlanName, PlanState>) -> Result<BTreeMap<PlanName, PlanState>> {
    let known = states
        .values()
        .any(|state| !matches!(state, PlanState::Unknown(_)));
    match states.values().next() {
        Some(PlanState::Unknown(error)) if !known => Err(error.clone()),
        _ => Ok(states),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_about_a_feature() {
        use Verdict::{Create, PlanDiffers, Unchanged};
        for (state, missing, differs, alike) in [
            (PlanState::New, Create, Create, Unchanged),
            (PlanState::Same, Create, Unchanged, Unchanged),
            (PlanState::Other, PlanDiffers, PlanDiffers, PlanDiffers),
            (PlanState::Unmarked, PlanDiffers, PlanDiffers, Unchanged),
        ] {
            assert_eq!(verdict(&state, None), missing, "{state:?}");
            assert_eq!(verdict(&state, Some(false)), differs, "{state:?}");
            assert_eq!(verdict(&state, Some(true)), alike, "{state:?}");
        }
    }
}
