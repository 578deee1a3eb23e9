//! Limits and usage.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, IdempotencyKey, Org};
use crate::api::json::{self, Empty, Json};
use crate::api::operation::{Access, Operation};
use crate::api::values::{OptionalTime, Required, Time};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Answered, Domain, FeatureUsage, Lane, Report};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = |role| Access::Account(Lane::Check, role);
    [
        Operation::get("limits", "/v1/limits", access(Role::Read), limits),
        Operation::post("report", "/v1/report", access(Role::Report), report),
    ]
}

async fn limits(domain: Domain, Org(org): Org) -> Result<Answered<Json<LimitsAnswer>>, Error> {
    let usage = domain.limits(&org).await?;
    Ok(usage.map(|usage| Json(LimitsAnswer { org, usage })))
}

async fn report(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    AuditedJson(request): AuditedJson<ReportRequest>,
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

/// `POST /v1/report`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// The feature.
    pub feature: Required<FeatureName>,
    /// The number of units.
    #[serde(default)]
    pub n: i64,
    /// The time. Unset is now.
    #[serde(default)]
    pub at: OptionalTime,
    /// Whether to set the period's total instead of adding to it.
    #[serde(default)]
    pub clobber: bool,
}

impl Change for ReportRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({
            "feature": self.feature.0, "n": self.n, "clobber": self.clobber,
            "at": self.at.0.map(Time),
        })
    }
}

/// The answer of `limits`.
#[derive(Serialize)]
struct LimitsAnswer {
    org: OrgName,
    usage: Arc<[FeatureUsage]>,
}

/// The body of `limits`, for benchmarks.
pub(in crate::api) fn limits_body(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    let (org, usage) = (org.clone(), rows.into());
    let limits = LimitsAnswer { org, usage };
    json::indented(&limits, "\t").unwrap_or_default()
}
