//! The differences between a model and Stripe, and the expected outcome of a push. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::pricing::{Feature, Model, Plan, fields};
use super::push::PushOutcome;
use super::refs::FeaturePlan;

/// The comparison of one feature, which is in the model, or only in Stripe in a plan of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureDiff {
    /// The feature and its plan.
    pub feature: FeaturePlan,
    /// Whether Stripe has it.
    pub in_stripe: bool,
    /// The fields that differ. Empty if only one side has the feature.
    pub fields: Vec<FieldDiff>,
    /// The expected outcome of a push. None if the model does not have the feature.
    pub push: Option<PushOutcome>,
}

impl FeatureDiff {
    /// Whether Stripe matches the model, or would after a push.
    pub fn is_ok(&self) -> bool {
        self.push.as_ref().is_some_and(PushOutcome::is_ok)
    }
}

/// A field that differs, with its effective values as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDiff {
    /// Its name in `pricing.json`; `plan title` for the plan's title.
    pub field: &'static str,
    /// Stripe's value.
    pub stripe: String,
    /// The model's value.
    pub model: String,
}

/// Compares `model` with the model pulled from Stripe, sorted by name. Plans that only Stripe has are left out, because
/// old versions of a plan stay in Stripe for ever.
pub fn diff(stripe: &Model, model: &Model) -> Vec<FeatureDiff> {
    let pulled = by_name(stripe);
    let wanted = by_name(model);
    let of_our_plans = pulled
        .keys()
        .filter(|name| model.plans.contains_key(&name.plan()));
    let names: BTreeSet<&FeaturePlan> = of_our_plans.chain(wanted.keys()).collect();
    (names.into_iter())
        .map(|name| {
            let is_plan_in_stripe = stripe.plans.contains_key(&name.plan());
            compare(name, pulled.get(name), wanted.get(name), is_plan_in_stripe)
        })
        .collect()
}

type Priced<'a> = (&'a Plan, &'a Feature);

fn by_name(model: &Model) -> BTreeMap<FeaturePlan, Priced<'_>> {
    (model.features())
        .map(|(name, plan, feature)| (name, (plan, feature)))
        .collect()
}

fn compare(
    name: &FeaturePlan,
    pulled: Option<&Priced<'_>>,
    wanted: Option<&Priced<'_>>,
    is_plan_in_stripe: bool,
) -> FeatureDiff {
    let differing = match (pulled, wanted) {
        (Some(pulled), Some(wanted)) => differing(*pulled, *wanted),
        _ => Vec::new(),
    };
    let push = wanted.map(|_| match pulled {
        Some(_) if differing.is_empty() => PushOutcome::Unchanged,
        Some(_) => PushOutcome::Differs,
        None if is_plan_in_stripe => PushOutcome::PlanDiffers,
        None => PushOutcome::Created,
    });
    FeatureDiff {
        feature: name.clone(),
        in_stripe: pulled.is_some(),
        fields: differing,
        push,
    }
}

fn differing(pulled: Priced<'_>, wanted: Priced<'_>) -> Vec<FieldDiff> {
    let [theirs, ours] = [pulled, wanted]
        .map(|(plan, feature)| fields(&plan.title, plan.interval, &plan.currency, feature));
    (theirs.into_iter().zip(ours))
        .filter(|((_, stripe), (_, model))| stripe != model)
        .map(|((field, stripe), (_, model))| FieldDiff {
            field,
            stripe,
            model,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Model {
        Model::parse(text).unwrap()
    }

    #[test]
    fn features_are_compared_one_by_one() {
        let stripe = model(
            r#"{"plans":{"plan:a@1":{"features":{"feature:same":{},"feature:price":{"base":10},"feature:theirs":{}}},
                "plan:old@0":{"features":{"feature:same":{}}}}}"#,
        );
        let ours = model(
            r#"{"plans":{"plan:a@1":{"features":{"feature:same":{},"feature:price":{"base":20},"feature:ours":{}}},
                "plan:new@1":{"features":{"feature:same":{}}}}}"#,
        );
        let rows: Vec<_> = diff(&stripe, &ours)
            .into_iter()
            .map(|row| {
                (
                    row.feature.to_string(),
                    row.push,
                    row.in_stripe,
                    row.fields.len(),
                )
            })
            .collect();
        let row = |name: &str, push, in_stripe, fields| (name.to_owned(), push, in_stripe, fields);
        let expected = [
            row(
                "feature:ours@plan:a@1",
                Some(PushOutcome::PlanDiffers),
                false,
                0,
            ),
            row(
                "feature:price@plan:a@1",
                Some(PushOutcome::Differs),
                true,
                1,
            ),
            row(
                "feature:same@plan:a@1",
                Some(PushOutcome::Unchanged),
                true,
                0,
            ),
            row("feature:theirs@plan:a@1", None, true, 0),
            row(
                "feature:same@plan:new@1",
                Some(PushOutcome::Created),
                false,
                0,
            ),
        ];
        assert!(rows.len() == expected.len(), "{rows:?}");
        for row in expected {
            assert!(rows.contains(&row), "{row:?} is not in {rows:?}");
        }
    }

    #[test]
    fn effective_values_are_compared() {
        let stripe = model(r#"{"plans":{"plan:a@1":{"features":{"feature:x":{"base":0.1}}}}}"#);
        let ours = model(
            r#"{"plans":{"plan:a@1":{"currency":"eur","features":{"feature:x":{"tiers":[{"upto":5}]}}}}}"#,
        );
        let rows = diff(&stripe, &ours);
        let texts: Vec<_> = rows[0]
            .fields
            .iter()
            .map(|field| format!("{} {} {}", field.field, field.stripe, field.model))
            .collect();
        assert_eq!(
            texts,
            [
                r#"currency "usd" "eur""#,
                "base 0.1 0",
                r#"tiers null [{"upto":5}]"#,
            ]
        );
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let same = model(r#"{"plans":{"plan:a@1":{"features":{"feature:x":{"tiers":[]}}}}}"#);
        assert!(
            diff(&same, &same)
                .iter()
                .all(|row| row.push == Some(PushOutcome::Unchanged))
        );
    }
}
