//! Push and pull of the pricing model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::Serialize;
use serde_json::json;

use crate::api::error::Error;
use crate::api::extract::{RawBody, flag};
use crate::api::json::{Document, Json};
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::api::{Role, Shared};
use crate::domain::pricing::Model;
use crate::domain::refs::{self, FeaturePlan};
use crate::domain::{self, Domain, Generation, Lane, PushOutcome, schema};

pub(in crate::api) fn operations() -> [Operation; 3] {
    let access = |role| Access::Account(Lane::Bulk, role);
    [
        Operation::get("pull", "/v1/pull", access(Role::Read), pull),
        Operation::post("push", "/v1/push", access(Role::Admin), push),
        Operation::get("schema", "/v1/schema", Access::Everybody, model_schema),
    ]
}

async fn pull(domain: Domain, Archived(archived): Archived) -> Result<Document, Error> {
    Ok(Document(if archived {
        domain.pull_all().await?.to_json()
    } else {
        domain.pull().await?.to_json()
    }))
}

/// The query parameter `archived`: whether to include archived plans.
struct Archived(bool);

impl FromRequestParts<Shared> for Archived {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        Ok(Self(flag(parts, "archived")?))
    }
}

/// Counts the features that a push has done. A caller in the same process puts it into the request's extensions, to
/// show progress.
#[derive(Clone, Default)]
pub struct PushProgress(Arc<AtomicUsize>);

impl PushProgress {
    /// How many features are done.
    pub fn done(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

async fn push(
    State(app): State<Shared>,
    domain: Domain,
    context: RequestContext,
    progress: Option<Extension<PushProgress>>,
    body: RawBody,
) -> Result<Json<PushResults>, Error> {
    let model = Model::parse_bytes(&body.bytes).map_err(|faults| {
        let other = faults.is_syntax_error().then(|| body.not_json()).flatten();
        other.unwrap_or_else(|| faults.into())
    })?;
    let plans: Vec<_> = model.plans.keys().map(ToString::to_string).collect();
    context.set_change(None, json!({"plans": plans}));
    let progress = progress.map(|Extension(progress)| progress);
    let progress = progress.unwrap_or_default();
    let count = |_: &_| {
        progress.0.fetch_add(1, Ordering::Relaxed);
    };
    let results = domain.push(&model, count).await;
    app.listed_pages.forget_model();
    Ok(Json(results?.into()))
}

async fn model_schema() -> Document {
    Document(format!("{:#}\n", schema::schema()))
}

/// `POST /v1/push`
#[derive(Serialize)]
struct PushResults {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<PushResult>,
}

#[derive(Serialize)]
struct PushResult {
    feature: FeaturePlan,
    status: &'static str,
    reason: String,
    #[serde(flatten)]
    price: Option<Price>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<bool>,
    /// The generation of the price, if it is not the classic one.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Price {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl From<Vec<domain::PushResult>> for PushResults {
    fn from(results: Vec<domain::PushResult>) -> Self {
        let results = results.into_iter().map(PushResult::from).collect();
        Self { results }
    }
}

impl From<domain::PushResult> for PushResult {
    fn from(result: domain::PushResult) -> Self {
        let archived = result.price.as_ref().is_some_and(|price| price.archived);
        let plan = result.feature.plan();
        let stays_archived =
            || format!("{plan} is archived, and stays off sale: POST /v1/archive puts it back");
        let generation = result.price.as_ref().and_then(|price| price.generation);
        let generation = generation.filter(|generation| *generation == Generation::Meters);
        let is_new = result.outcome == PushOutcome::Created;
        let metered = || {
            format!(
                "{} is billed by a billing meter, to which Tier sends its usage",
                result.feature
            )
        };
        let warnings = refs::warning(&result.feature).into_iter();
        let warnings = warnings.chain(archived.then(stays_archived));
        let warnings = warnings.chain(generation.filter(|_| is_new).map(|_| metered()));
        let warnings = warnings.collect();
        Self {
            feature: result.feature,
            status: if result.outcome.is_ok() {
                "ok"
            } else {
                "failed"
            },
            reason: result.outcome.reason().to_owned(),
            price: result.price.map(|price| Price {
                id: price.id,
                link: price.link,
            }),
            archived: archived.then_some(true),
            generation: generation.map(Generation::as_str),
            warnings,
        }
    }
}
