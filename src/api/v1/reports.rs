//! Many reports at once.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, MAX_IDEMPOTENCY_KEY};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::{OptionalTime, Time};
use crate::domain::refs::OrgName;
use crate::domain::{self, Domain, Lane, OrgReport, Report};

/// The maximum number of reports in one request.
const MAX_REPORTS: usize = 1_000;

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Check, Role::Report);
    [Operation::post("reports", "/v1/reports", access, reports)]
}

async fn reports(
    domain: Domain,
    AuditedJson(request): AuditedJson<ReportsRequest>,
) -> Result<Json<ReportsAnswer>, Error> {
    let count = request.reports.len();
    if count > MAX_REPORTS {
        let message =
            format!("there are {count} reports, and {MAX_REPORTS} at most are taken at once");
        return Err(Error::invalid(message));
    }
    let read: Vec<Result<OrgReport, Error>> = request
        .reports
        .into_iter()
        .map(BatchedReport::read)
        .collect();
    let valid: Vec<OrgReport> = read.iter().flatten().cloned().collect();
    let mut outcomes = domain.report_all(&valid).await?.into_iter();
    let outcome = |read: Result<OrgReport, Error>| match read {
        Ok(_) => outcomes.next().unwrap_or(Ok(())).map_err(Error::from),
        Err(error) => Err(error),
    };
    let results = read.into_iter().map(outcome).map(ReportResult::from);
    Ok(Json(ReportsAnswer {
        results: results.collect(),
    }))
}

/// `POST /v1/reports`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportsRequest {
    /// The reports, in the order in which they are recorded.
    #[serde(default)]
    pub reports: Vec<BatchedReport>,
}

/// One of the reports. If a name does not parse, only this report fails.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchedReport {
    /// The org.
    #[serde(default)]
    org: String,
    /// The feature.
    #[serde(default)]
    feature: String,
    /// The number of units.
    #[serde(default)]
    n: i64,
    /// The time. Unset is now.
    #[serde(default)]
    at: OptionalTime,
    /// Whether to set the period's total instead of adding to it.
    #[serde(default)]
    clobber: bool,
    /// The client's idempotency key for this report.
    #[serde(default)]
    key: Option<String>,
}

impl BatchedReport {
    fn read(self) -> Result<OrgReport, Error> {
        let key = self.key.filter(|key| !key.is_empty());
        if key
            .as_ref()
            .is_some_and(|key| key.len() > MAX_IDEMPOTENCY_KEY)
        {
            let message = format!("key must not exceed {MAX_IDEMPOTENCY_KEY} characters");
            return Err(Error::invalid(message));
        }
        Ok(OrgReport {
            org: self.org.parse().map_err(domain::Error::from)?,
            report: Report {
                feature: self.feature.parse().map_err(domain::Error::from)?,
                n: self.n,
                at: self.at.0,
                clobber: self.clobber,
            },
            key,
        })
    }
}

impl Change for ReportsRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        let change = |report: &BatchedReport| {
            json!({
                "org": report.org, "feature": report.feature, "n": report.n,
                "clobber": report.clobber, "at": report.at.0.map(Time),
            })
        };
        let reports: Vec<Value> = self.reports.iter().map(change).collect();
        json!({ "reports": reports })
    }
}

/// The answer of `reports`.
#[derive(Serialize)]
struct ReportsAnswer {
    results: Vec<ReportResult>,
}

/// The result of one report.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum ReportResult {
    Ok,
    Failed { code: &'static str, message: String },
}

impl From<Result<(), Error>> for ReportResult {
    fn from(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(error) => Self::Failed {
                code: error.code(),
                message: error.message().to_owned(),
            },
        }
    }
}
