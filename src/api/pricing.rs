//! The model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Extension;
use serde_json::json;

use super::answers::PushResults;
use super::audit::Noted;
use super::error::Error;
use super::extract::RawBody;
use super::json::{Document, Json};
use crate::domain::pricing::Model;
use crate::domain::{Domain, schema};

/// `GET /v1/pull`
pub(super) async fn pull(domain: Domain) -> Result<Document, Error> {
    Ok(Document(domain.pull().await?.to_json()))
}

/// How many features of a push are done, for who watches it in the same process: in the request's extensions.
#[derive(Clone, Default)]
pub struct PushProgress(Arc<AtomicUsize>);

impl PushProgress {
    /// The features that are done.
    pub fn done(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// `POST /v1/push`
pub(super) async fn push(
    domain: Domain,
    noted: Noted,
    progress: Option<Extension<PushProgress>>,
    body: RawBody,
) -> Result<Json<PushResults>, Error> {
    let model = Model::parse_bytes(&body.bytes).map_err(|faults| {
        let other = faults.is_of_syntax().then(|| body.not_json()).flatten();
        other.unwrap_or_else(|| faults.into())
    })?;
    let plans: Vec<_> = model.plans.keys().map(ToString::to_string).collect();
    noted.note(None, json!({"plans": plans}));
    let progress = progress.map(|Extension(progress)| progress);
    let progress = progress.unwrap_or_default();
    let count = |_: &_| {
        progress.0.fetch_add(1, Ordering::Relaxed);
    };
    let results = domain.push(&model, count).await?;
    Ok(Json(results.into()))
}

/// `GET /v1/schema`
pub(super) async fn model_schema() -> Document {
    Document(format!("{:#}\n", schema::schema()))
}
