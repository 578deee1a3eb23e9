//! The model.

use super::answers::PushResults;
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
    RawBody(body): RawBody,
) -> Result<Json<PushResults>, Error> {
    let model = Model::parse_bytes(&body)?;
    let results = domain.push(&model, |_| ()).await?;
    Ok(Json(results.into()))
}

/// `GET /v1/schema`
pub(super) async fn model_schema() -> Document {
    Document(format!("{:#}\n", schema::schema()))
}
