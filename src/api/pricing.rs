//! The model.

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

/// `POST /v1/push`
pub(super) async fn push(
    domain: Domain,
    noted: Noted,
    body: RawBody,
) -> Result<Json<PushResults>, Error> {
    let model = Model::parse_bytes(&body.bytes)?;
    let plans: Vec<_> = model.plans.keys().map(ToString::to_string).collect();
    noted.note(None, json!({"plans": plans}));
    let results = domain.push(&model, |_| ()).await?;
    Ok(Json(results.into()))
}

/// `GET /v1/schema`
pub(super) async fn model_schema() -> Document {
    Document(format!("{:#}\n", schema::schema()))
}
