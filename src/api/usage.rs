//! What an org may use, and that it used it.

use super::answers::{FeatureUsage, Limits};
use super::error::Error;
use super::extract::{Changing, IdempotencyKey, Org};
use super::json::{Empty, Json};
use super::types::ReportRequest;
use crate::domain::{Domain, Report};

/// `GET /v1/limits`
pub(super) async fn limits(domain: Domain, Org(org): Org) -> Result<Json<Limits>, Error> {
    let rows = domain.limits(&org).await?;
    let usage = rows.into_iter().map(FeatureUsage::from).collect();
    Ok(Json(Limits { org, usage }))
}

/// `POST /v1/report`
pub(super) async fn report(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    Changing(request): Changing<ReportRequest>,
) -> Result<Empty, Error> {
    let org = request.org.0;
    let report = Report {
        feature: request.feature.0,
        n: request.n,
        at: request.at.0,
        clobber: request.clobber,
    };
    domain.report(&org, &report, key.as_deref()).await?;
    Ok(Empty)
}
