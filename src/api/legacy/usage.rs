//! Usage of a feature. One endpoint records units, takes them back, and reads usage.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::LegacyError;
use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::AuditedJson;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::{OptionalTime, Required, Time};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Allowance, Domain, Lane, Report};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Check, Role::Report);
    let path = "/api/v1/reserve";
    [Operation::post("legacyReserve", path, access, reserve)]
}

async fn reserve(
    domain: Domain,
    AuditedJson(request): AuditedJson<ReserveRequest>,
) -> Result<Json<ReserveAnswer>, LegacyError> {
    let n = request.signed()?;
    let (org, feature) = (request.org.0, request.feature.0);
    let allowance = if n == 0 {
        domain.allowance(&org, &feature).await?
    } else {
        let report = Report {
            feature,
            n,
            at: request.now.0,
            clobber: false,
        };
        domain.add_usage(&org, &report).await?
    };
    Ok(Json(allowance.into()))
}

/// `POST /api/v1/reserve`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReserveRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// The feature.
    pub feature: Required<FeatureName>,
    /// The number of units. Some clients name it `n`.
    #[serde(default)]
    pub p: i64,
    /// The number of units to take back with the op `decr`. Without an `op` they are recorded.
    #[serde(default)]
    pub n: i64,
    /// `incr` or `decr`.
    #[serde(default)]
    pub op: String,
    /// The time. Unset is now.
    #[serde(default)]
    pub now: OptionalTime,
    /// Ignored. The Go client sends it, always empty.
    #[serde(default, rename = "CounterID")]
    #[expect(dead_code, reason = "it is accepted and ignored")]
    pub counter: IgnoredAny,
}

impl ReserveRequest {
    /// The number to add to the usage. 0 only reads it.
    fn signed(&self) -> Result<i64, Error> {
        let or = |first: i64, second: i64| if first == 0 { second } else { first };
        let amount = match self.op.as_str() {
            "decr" => or(self.n, self.p),
            "incr" | "" => or(self.p, self.n),
            _ => return Err(Error::invalid("op must be incr or decr")),
        };
        match self.op.as_str() {
            "" => Ok(amount),
            op if amount < 0 => Err(Error::invalid(format!(
                "with the op {op}, p and n must not be negative"
            ))),
            "decr" => Ok(-amount),
            _ => Ok(amount),
        }
    }
}

impl Change for ReserveRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({
            "feature": self.feature.0, "n": self.signed().ok(), "at": self.now.0.map(Time),
        })
    }
}

/// The answer of `reserve`: the usage after it, and the limit.
#[derive(Serialize)]
struct ReserveAnswer {
    used: i64,
    limit: i64,
}

impl From<Allowance> for ReserveAnswer {
    fn from(allowance: Allowance) -> Self {
        Self {
            used: allowance.used,
            limit: allowance.limit,
        }
    }
}
