//! Claims of plans. A push claims a plan by creating its product, whose metadata has the plan's hash and the generation
//! of its metered prices. So concurrent pushes create equal prices.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};

use crate::billing::{Generation, Metadata, NewProduct, Product};
use crate::domain::pricing::{Feature, Model, Plan};
use crate::domain::refs::PlanName;
use crate::domain::{Domain, Error, Result};

/// The metadata key of the plan's hash on its product.
const MODEL_HASH: &str = "tier.model";

/// The metadata key of the generation on a plan's product. Without it, the plan is classic.
const GENERATION: &str = "tier.generation";

/// The state of a plan in Stripe, and the generation of its metered prices.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) state: PlanState,
    pub(super) generation: Generation,
}

/// The state of a plan in Stripe.
#[derive(Clone, Debug)]
pub(super) enum PlanState {
    /// It was new, and this push claimed it.
    New,
    /// It exists with the same hash. An earlier push may not have completed it.
    Same,
    /// It exists with another hash.
    Different,
    /// It exists without a hash: the original Tier pushed it.
    Unmarked,
    /// Stripe did not answer.
    Unknown(Error),
}

impl Domain {
    /// Creates each plan's product, or finds the existing one. New plans are of `generation`.
    pub(super) async fn claim_plans(
        &self,
        model: &Model,
        generation: Generation,
    ) -> Result<BTreeMap<PlanName, Claim>> {
        let claims: Vec<_> = (model.plans.iter())
            .map(|(name, plan)| async move {
                let claim = self.claim_plan(name, plan, generation).await;
                let unknown = |error| Claim {
                    state: PlanState::Unknown(error),
                    generation,
                };
                (name.clone(), claim.unwrap_or_else(unknown))
            })
            .collect();
        let claims: BTreeMap<PlanName, Claim> = stream::iter(claims)
            .buffer_unordered(self.parallel())
            .collect()
            .await;
        fail_if_all_unknown(claims)
    }

    async fn claim_plan(
        &self,
        name: &PlanName,
        plan: &Plan,
        generation: Generation,
    ) -> Result<Claim> {
        let mut metadata = Metadata::from([(MODEL_HASH.to_owned(), plan.hash(name))]);
        if generation == Generation::Meters && plan.features.values().any(Feature::is_metered) {
            metadata.extend([generation_pair(generation)]);
        }
        let create = self.billing().create_product(NewProduct {
            id: &name.product_id(),
            name: &plan.title,
            active: false,
            metadata: &metadata,
        });
        match create.send().await {
            Ok(_) => Ok(Claim {
                state: PlanState::New,
                generation,
            }),
            Err(error) if error.already_exists() => {
                self.existing_claim(name, plan, generation).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The state of a plan that was claimed before.
    async fn existing_claim(
        &self,
        name: &PlanName,
        plan: &Plan,
        generation: Generation,
    ) -> Result<Claim> {
        match self.billing().product(&name.product_id()).await {
            Ok(product) => Ok(Claim {
                state: match product.metadata.get(MODEL_HASH) {
                    None => PlanState::Unmarked,
                    Some(hash) if *hash == plan.hash(name) => PlanState::Same,
                    Some(_) => PlanState::Different,
                },
                generation: generation_of(&product),
            }),
            Err(error) if error.is_missing() => Ok(Claim {
                state: PlanState::New,
                generation,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an earlier push has claimed this name for this plan, with meters.
    pub(in crate::domain) async fn is_claimed_for(
        &self,
        name: &PlanName,
        plan: &Plan,
    ) -> Result<bool> {
        let claim = self.existing_claim(name, plan, Generation::Meters).await?;
        let is_same = matches!(claim.state, PlanState::Same);
        Ok(is_same && claim.generation == Generation::Meters)
    }

    /// Changes the generation of a claimed plan to meters, because Stripe refuses classic prices.
    pub(super) async fn claim_for_meters(&self, name: &PlanName) -> Result<()> {
        let metadata = Metadata::from_iter([generation_pair(Generation::Meters)]);
        let write = self
            .billing()
            .set_product_metadata(&name.product_id(), &metadata);
        match write.send().await {
            Ok(_) => Ok(()),
            // The next push claims the plan again, and Stripe refuses its classic prices too.
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn generation_pair(generation: Generation) -> (String, String) {
    (GENERATION.to_owned(), generation.as_str().to_owned())
}

fn generation_of(product: &Product) -> Generation {
    let noted = product.metadata.get(GENERATION).map(String::as_str);
    if noted == Some(Generation::Meters.as_str()) {
        Generation::Meters
    } else {
        Generation::Classic
    }
}

/// Fails the push if Stripe did not answer for any plan.
fn fail_if_all_unknown(claims: BTreeMap<PlanName, Claim>) -> Result<BTreeMap<PlanName, Claim>> {
    let mut states = claims.values().map(|claim| &claim.state);
    let known = states.any(|state| !matches!(state, PlanState::Unknown(_)));
    match claims.values().next().map(|claim| &claim.state) {
        Some(PlanState::Unknown(error)) if !known => Err(error.clone()),
        _ => Ok(claims),
    }
}
