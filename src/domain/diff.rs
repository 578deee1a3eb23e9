//! What a push would do, and where Stripe and a model differ: only looks.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};

use super::price::PulledFeature;
use super::pricing::{Feature, Model, Plan, fields};
use super::push::{PushOutcome, Standing, Verdict, all_unknown, verdict};
use super::refs::{FeaturePlan, PlanName};
use super::{Domain, Result};

/// A feature that is in the model, in Stripe, or in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureDiff {
    /// Which feature of which plan.
    pub feature: FeaturePlan,
    /// Whether Stripe has it.
    pub in_stripe: bool,
    /// Where the two differ; empty unless both have it.
    pub fields: Vec<FieldDiff>,
    /// What a push of the model would come to; none if the model does not have the feature.
    pub push: Option<PushOutcome>,
}

/// A field that differs, with its effective values as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDiff {
    /// Its name in `pricing.json`; `plan title` for a plan's.
    pub field: &'static str,
    /// What Stripe has.
    pub stripe: String,
    /// What the model has.
    pub model: String,
}

impl Domain {
    /// Compares `model` with Stripe, feature by feature, sorted by name.
    ///
    /// # Errors
    /// If Stripe cannot be asked about everything: half a comparison would mislead.
    pub async fn diff(&self, model: &Model) -> Result<Vec<FeatureDiff>> {
        let (pulled, standings) = tokio::join!(self.pulled_features(), self.look_at_plans(model));
        let (pulled, standings) = (pulled?, standings?);
        let wanted: BTreeMap<FeaturePlan, (&Plan, &Feature)> = (model.features())
            .map(|(name, plan, feature)| (name, (plan, feature)))
            .collect();
        let names: BTreeSet<&FeaturePlan> = pulled.keys().chain(wanted.keys()).collect();
        Ok((names.into_iter())
            .map(|name| {
                compare(
                    name,
                    pulled.get(name),
                    wanted.get(name).copied(),
                    &standings,
                )
            })
            .collect())
    }

    async fn look_at_plans(&self, model: &Model) -> Result<BTreeMap<PlanName, Standing>> {
        let looks: Vec<_> = (model.plans.iter())
            .map(|(name, plan)| async move {
                let standing = self.look_at_plan(name, plan).await;
                (name.clone(), standing.unwrap_or_else(Standing::Unknown))
            })
            .collect();
        let standings: BTreeMap<PlanName, Standing> = stream::iter(looks)
            .buffer_unordered(self.parallel())
            .collect()
            .await;
        all_unknown(standings)
    }
}

fn compare(
    name: &FeaturePlan,
    pulled: Option<&PulledFeature>,
    wanted: Option<(&Plan, &Feature)>,
    standings: &BTreeMap<PlanName, Standing>,
) -> FeatureDiff {
    let differing = match (pulled, wanted) {
        (Some(pulled), Some((plan, feature))) => differing(pulled, plan, feature),
        _ => Vec::new(),
    };
    let push = wanted
        .and_then(|_| standings.get(&name.plan()))
        .map(|standing| {
            match (
                standing,
                verdict(standing, pulled.map(|_| differing.is_empty())),
            ) {
                (Standing::Unknown(error), _) => PushOutcome::Failed(error.to_string()),
                (_, Verdict::Create) if pulled.is_some() => PushOutcome::Differs,
                (_, Verdict::Create) => PushOutcome::Created,
                (_, Verdict::Unchanged) => PushOutcome::Unchanged,
                (_, Verdict::PlanDiffers) => PushOutcome::PlanDiffers,
            }
        });
    FeatureDiff {
        feature: name.clone(),
        in_stripe: pulled.is_some(),
        fields: differing,
        push,
    }
}

fn differing(pulled: &PulledFeature, plan: &Plan, feature: &Feature) -> Vec<FieldDiff> {
    let theirs = fields(
        &pulled.plan_title,
        pulled.interval,
        &pulled.currency,
        &pulled.feature,
    );
    let ours = fields(&plan.title, plan.interval, &plan.currency, feature);
    (theirs.into_iter().zip(ours))
        .filter(|((_, stripe), (_, model))| stripe != model)
        .map(|((field, stripe), (_, model))| FieldDiff {
            field,
            stripe,
            model,
        })
        .collect()
}
