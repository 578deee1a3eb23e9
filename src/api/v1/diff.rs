//! Compares a model with what is in Stripe: what a push of it would do.

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::api::Role;
use crate::api::error::Error;
use crate::api::extract::RawBody;
use crate::api::json::Json;
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::domain::pricing::Model;
use crate::domain::refs::FeaturePlan;
use crate::domain::{Domain, FeatureDiff, FieldDiff, Lane, PushOutcome, diff};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Bulk, Role::Read);
    [Operation::post("diff", "/v1/diff", access, compare)]
}

async fn compare(
    domain: Domain,
    context: RequestContext,
    body: RawBody,
) -> Result<Json<ModelDiff>, Error> {
    let model = Model::parse_bytes(&body.bytes).map_err(|faults| {
        let other = faults.is_syntax_error().then(|| body.not_json()).flatten();
        other.unwrap_or_else(|| faults.into())
    })?;
    let plans: Vec<_> = model.plans.keys().map(ToString::to_string).collect();
    context.set_change(None, json!({ "plans": plans }));
    let pulled = domain.pull_all().await?;
    Ok(Json(ModelDiff::of(&diff(&pulled.model, &model))))
}

/// `POST /v1/diff`, and a part of what `tier diff --json` prints.
#[derive(Serialize)]
pub struct ModelDiff {
    create: usize,
    same: usize,
    differ: usize,
    features: Vec<FeatureJson>,
}

#[derive(Serialize)]
struct FeatureJson {
    feature: FeaturePlan,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldJson>,
}

#[derive(Serialize)]
struct FieldJson {
    field: &'static str,
    stripe: Box<RawValue>,
    model: Box<RawValue>,
}

/// What a push would do with a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Create it.
    Create,
    /// Nothing: Stripe has it.
    Same,
    /// Refuse it: a plan in Stripe does not change.
    Differs,
}

impl Status {
    /// The status of a feature that was compared.
    pub fn of(row: &FeatureDiff) -> Self {
        match row.push {
            Some(PushOutcome::Created) => Self::Create,
            Some(PushOutcome::Unchanged) => Self::Same,
            _ => Self::Differs,
        }
    }

    /// The word for the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Same => "same",
            Self::Differs => "differs",
        }
    }
}

/// The reason for a feature that only one side has.
pub fn reason(row: &FeatureDiff) -> Option<&'static str> {
    match row.push {
        None => Some("only in Stripe"),
        Some(PushOutcome::PlanDiffers) => Some("not in Stripe, which already has the plan"),
        _ => None,
    }
}

impl ModelDiff {
    /// The result of a comparison.
    pub fn of(rows: &[FeatureDiff]) -> Self {
        let count = |status| rows.iter().filter(|row| Status::of(row) == status).count();
        Self {
            create: count(Status::Create),
            same: count(Status::Same),
            differ: count(Status::Differs),
            features: rows.iter().map(FeatureJson::of).collect(),
        }
    }

    /// The counts, in one line.
    pub fn summary(&self) -> String {
        let Self {
            create,
            same,
            differ,
            ..
        } = self;
        format!("{create} to create, {same} the same, {differ} different")
    }
}

impl FeatureJson {
    fn of(row: &FeatureDiff) -> Self {
        Self {
            feature: row.feature.clone(),
            status: Status::of(row),
            reason: reason(row),
            fields: row.fields.iter().map(FieldJson::of).collect(),
        }
    }
}

impl FieldJson {
    fn of(differs: &FieldDiff) -> Self {
        let json = |text: &str| {
            let raw = RawValue::from_string(text.to_owned());
            raw.expect("the values of a comparison are JSON")
        };
        Self {
            field: differs.field,
            stripe: json(&differs.stripe),
            model: json(&differs.model),
        }
    }
}
