//! What an org was on, is on, and will be on.

use super::answers::{Phase, Phases};
use super::error::Error;
use super::extract::Org;
use super::json::Json;
use crate::domain::Domain;

/// `GET /v1/phase`
pub(super) async fn phase(domain: Domain, Org(org): Org) -> Result<Json<Phase>, Error> {
    Ok(Json(domain.phase(&org).await?.into()))
}

/// `GET /v1/phases`
pub(super) async fn phases(domain: Domain, Org(org): Org) -> Result<Json<Phases>, Error> {
    Ok(Json(domain.phases(&org).await?.into()))
}
