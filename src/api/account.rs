//! Whose Stripe account this is.

use super::answers::Whoami;
use super::error::Error;
use super::json::Json;
use crate::domain::Domain;

/// `GET /v1/whoami`
pub(super) async fn whoami(domain: Domain) -> Result<Json<Whoami>, Error> {
    Ok(Json(domain.whoami().await?.into()))
}
