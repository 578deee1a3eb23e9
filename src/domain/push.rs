//! `push`: creates a model in Stripe, and reports the outcome for each feature.
//!
//! A pushed plan never changes. A plan is claimed by its product, which carries the plan's hash. Another push of the
//! same plan may complete it. A push of a different plan with the same name is refused.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream};

use super::price::{self, PulledFeature};
use super::pricing::{Feature, Model, Plan};
use super::refs::{FeaturePlan, PlanName};
use super::{Domain, Error, Result};
use crate::billing::{Metadata, NewProduct, PriceProduct};

/// The metadata key of the plan's hash on its product.
const MODEL_HASH: &str = "tier.model";

/// The result for one feature of a pushed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushResult {
    /// The feature and its plan.
    pub feature: FeaturePlan,
    /// The outcome.
    pub outcome: PushOutcome,
    /// Its price, if it matches the model.
    pub price: Option<PushedPrice>,
}

/// A price that a push created or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedPrice {
    /// `price_…`.
    pub id: String,
    /// Its page in Stripe's dashboard, if it has one.
    pub link: Option<String>,
    /// Whether it is archived. A push leaves it so.
    pub archived: bool,
}

/// The outcome for a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was created.
    Created,
    /// It existed and matches the model.
    Unchanged,
    /// It existed with other terms.
    Differs,
    /// Its plan existed with other features or terms.
    PlanDiffers,
    /// Stripe refused to create it: the reason.
    Failed(String),
}

impl PushOutcome {
    /// Whether Stripe now matches the model.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Created | Self::Unchanged)
    }

    /// The `reason` in the API.
    pub fn reason(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Unchanged | Self::Differs => "feature already exists",
            Self::PlanDiffers => "plan already exists",
            Self::Failed(why) => why,
        }
    }
}

/// The state of a plan in Stripe.
#[derive(Clone, Debug)]
enum PlanState {
    /// It was new, and this push claimed it.
    New,
    /// It exists with the same hash. An earlier push may not have completed it.
    Same,
    /// It exists with another hash.
    Other,
    /// It exists without a hash, pushed by the original.
    Unmarked,
    /// Stripe did not answer.
    Unknown(Error),
}

/// The decision about a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Create,
    Unchanged,
    PlanDiffers,
}

/// Decides about a feature from the state of its plan and from its price. `alike`: whether an existing price matches
/// the model.
fn verdict(state: &PlanState, alike: Option<bool>) -> Verdict {
    match (state, alike) {
        (PlanState::Other, _) | (PlanState::Unmarked, None | Some(false)) => Verdict::PlanDiffers,
        (PlanState::Same, Some(_)) | (PlanState::New | PlanState::Unmarked, Some(true)) => {
            Verdict::Unchanged
        }
        // If another price has the lookup key, the creation will report it.
        (PlanState::New, None | Some(false))
        | (PlanState::Same, None)
        | (PlanState::Unknown(_), _) => Verdict::Create,
    }
}

impl Domain {
    /// Creates the missing parts of `model`, many features in parallel, and calls `progress` after each. The results
    /// are sorted by name. A later push completes an interrupted one.
    ///
    /// # Errors
    /// Fails the whole push if Stripe answered for no plan at all.
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
            (_, Verdict::Unchanged) => {
                (PushOutcome::Unchanged, pulled.map(|p| self.pushed_price(p)))
            }
            (_, Verdict::Create) => match self.create_price(&name, plan, feature).await {
                Ok((outcome, price)) => (outcome, price),
                Err(error) => (PushOutcome::Failed(error.to_string()), None),
            },
        };
        PushResult {
            feature: name,
            outcome,
            price,
        }
    }

    /// Creates the price, and its product if that does not exist.
    async fn create_price(
        &self,
        name: &FeaturePlan,
        plan: &Plan,
        feature: &Feature,
    ) -> Result<(PushOutcome, Option<PushedPrice>)> {
        let terms = price::terms(name, plan, feature);
        let product = price::new_product(name, plan, feature);
        let create = self.billing().create_price(&terms, &product);
        let refused = match create.send().await {
            Ok(price) => return Ok((PushOutcome::Created, Some(self.new_price(price.id)))),
            Err(error) if error.is_already_exists() || error.is_lookup_key_taken() => error,
            Err(error) => return Err(error.into()),
        };
        // Another push was faster, or the plan's product was deleted after an earlier push.
        let key = name.lookup_key();
        let prices = self.prices_by_key(&[key.as_str()]).await?;
        let found = prices.iter().find_map(PulledFeature::read);
        if let Some(found) = found.filter(|found| found.name == *name) {
            return Ok(if found.is_sold_as(plan, feature) {
                (PushOutcome::Unchanged, Some(self.pushed_price(&found)))
            } else {
                (PushOutcome::Differs, None)
            });
        }
        if !prices.is_empty() || !refused.is_already_exists() {
            // A price of someone else has the lookup key.
            return Err(refused.into());
        }
        let product = PriceProduct::Existing(key);
        let create = self.billing().create_price(&terms, &product);
        let price = create.send().await?;
        Ok((PushOutcome::Created, Some(self.new_price(price.id))))
    }

    /// Creates each plan's product, or finds the existing one.
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

    /// The state of a plan that was claimed before.
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

    /// The existing prices of the model's plans whose state requires a comparison.
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

    fn pushed_price(&self, found: &PulledFeature) -> PushedPrice {
        PushedPrice {
            archived: found.archived,
            ..self.new_price(found.id.clone())
        }
    }

    fn new_price(&self, id: String) -> PushedPrice {
        PushedPrice {
            link: self.dashboard_page(&format!("prices/{id}")),
            id,
            archived: false,
        }
    }
}

/// Fails the whole push if Stripe answered for no plan at all.
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
    fn the_verdict_about_each_feature() {
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
