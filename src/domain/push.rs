//! `push`: creates a model in Stripe, and reports the outcome for each feature.
//!
//! A pushed plan never changes. A plan is claimed by its product, which carries the plan's hash. Another push of the
//! same plan may complete it. A push of a different plan with the same name is refused.

mod claim;
mod create;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, stream};

use super::meters::KnownMeters;
use super::price::PulledFeature;
use super::pricing::Model;
use super::refs::{FeaturePlan, PlanName};
use super::{Domain, Result};
use crate::billing::Generation;
use claim::{Claim, PlanState};
use create::Creation;

/// The result for one feature of a pushed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushResult {
    /// The feature and its plan.
    pub feature: FeaturePlan,
    /// The outcome for it.
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
    /// Whether it is archived. A push does not change that.
    pub archived: bool,
    /// Its generation, if it is metered.
    pub generation: Option<Generation>,
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
    /// It was not created. Has the reason.
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

/// What a push does about a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Create,
    Unchanged,
    PlanDiffers,
}

/// Decides about a feature. `matches` says whether its existing price matches the model. None: there is no price.
fn verdict(state: &PlanState, matches: Option<bool>) -> Verdict {
    match (state, matches) {
        (PlanState::Different, _) | (PlanState::Unmarked, None | Some(false)) => {
            Verdict::PlanDiffers
        }
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
    /// If Stripe did not answer for any plan.
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
        let is_metered = model.features().any(|(.., feature)| feature.is_metered());
        let generation = if is_metered {
            self.generation().await?
        } else {
            Generation::Classic
        };
        let claims = self.claim_plans(model, generation).await?;
        let pulled = self.pulled_prices(model, &claims).await?;
        let is_classic = |feature: &&PulledFeature| feature.generation == Some(Generation::Classic);
        let classic: BTreeSet<PlanName> = (pulled.values().filter(is_classic))
            .map(|feature| feature.name.plan())
            .collect();
        let meters = KnownMeters::default();
        // Futures do nothing until they are polled; a lazy map over references would not be `Send`.
        let work: Vec<_> = (model.features())
            .map(|(name, plan, feature)| {
                let claim = &claims[&name.plan()];
                let may_switch_to_meters = self.may_use_meters() && !classic.contains(&name.plan());
                let pulled = pulled.get(&name);
                let meters = &meters;
                async move {
                    let new = Creation {
                        name: &name,
                        plan,
                        feature,
                        claim,
                        may_switch_to_meters,
                        meters,
                    };
                    let (outcome, price) = self.push_feature(&new, pulled).await;
                    PushResult {
                        feature: name,
                        outcome,
                        price,
                    }
                }
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

    /// Creates the price of a feature, unless it exists or the plan differs.
    async fn push_feature(
        &self,
        new: &Creation<'_>,
        pulled: Option<&PulledFeature>,
    ) -> (PushOutcome, Option<PushedPrice>) {
        let matches = pulled.map(|pulled| pulled.has_terms_of(new.plan, new.feature));
        let state = &new.claim.state;
        match (state, verdict(state, matches)) {
            (PlanState::Unknown(error), _) => (PushOutcome::Failed(error.to_string()), None),
            (_, Verdict::PlanDiffers) => (PushOutcome::PlanDiffers, None),
            (_, Verdict::Unchanged) => {
                (PushOutcome::Unchanged, pulled.map(|p| self.pushed_price(p)))
            }
            (_, Verdict::Create) => match self.create_price(new).await {
                Ok(created) => created,
                Err(error) => (PushOutcome::Failed(error.to_string()), None),
            },
        }
    }

    /// The existing prices of the model's plans whose state requires a comparison.
    async fn pulled_prices(
        &self,
        model: &Model,
        claims: &BTreeMap<PlanName, Claim>,
    ) -> Result<HashMap<FeaturePlan, PulledFeature>> {
        let keys: Vec<String> = (model.features())
            .filter(|(name, ..)| {
                let state = &claims[&name.plan()].state;
                matches!(state, PlanState::Same | PlanState::Unmarked)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_about_each_feature() {
        use Verdict::{Create, PlanDiffers, Unchanged};
        for (state, missing, differs, same) in [
            (PlanState::New, Create, Create, Unchanged),
            (PlanState::Same, Create, Unchanged, Unchanged),
            (PlanState::Different, PlanDiffers, PlanDiffers, PlanDiffers),
            (PlanState::Unmarked, PlanDiffers, PlanDiffers, Unchanged),
        ] {
            assert_eq!(verdict(&state, None), missing, "{state:?}");
            assert_eq!(verdict(&state, Some(false)), differs, "{state:?}");
            assert_eq!(verdict(&state, Some(true)), same, "{state:?}");
        }
    }
}
