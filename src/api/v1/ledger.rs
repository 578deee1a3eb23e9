//! Decisions about usage in the ledger that Stripe has refused.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::AuditedJson;
use crate::api::json::{Empty, Json};
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Lane, ParkedDecision, ParkedUsage};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = Access::Account(Lane::Check, Role::Admin);
    [
        Operation::get("parked", "/v1/ledger/parked", access, parked),
        Operation::post("decideParked", "/v1/ledger/parked", access, decide),
    ]
}

async fn parked(domain: Domain) -> Result<Json<ParkedAnswer>, Error> {
    let parked = domain.parked().await?;
    let parked = parked.into_iter().map(ParkedRow::from).collect();
    Ok(Json(ParkedAnswer { parked }))
}

async fn decide(
    domain: Domain,
    AuditedJson(request): AuditedJson<ParkedRequest>,
) -> Result<Empty, Error> {
    let decision = match request.action.as_str() {
        "retry" => ParkedDecision::Retry,
        "write_off" => ParkedDecision::WriteOff,
        _ => return Err(Error::invalid("action must be retry or write_off")),
    };
    domain.decide_parked(request.id, decision).await?;
    Ok(Empty)
}

/// `POST /v1/ledger/parked`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParkedRequest {
    /// The id of the total.
    #[serde(default)]
    pub id: u64,
    /// `retry` or `write_off`.
    #[serde(default)]
    pub action: String,
}

impl Change for ParkedRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        json!({ "id": self.id, "action": self.action })
    }
}

/// The answer of `parked`.
#[derive(Serialize)]
struct ParkedAnswer {
    parked: Vec<ParkedRow>,
}

#[derive(Serialize)]
struct ParkedRow {
    id: u64,
    org: String,
    feature: String,
    item: String,
    from: Time,
    to: Time,
    n: i64,
    total: i64,
    reason: String,
    since: Time,
}

impl From<ParkedUsage> for ParkedRow {
    fn from(parked: ParkedUsage) -> Self {
        Self {
            id: parked.id,
            org: parked.org,
            feature: parked.feature,
            item: parked.item,
            from: Time(parked.from),
            to: Time(parked.to),
            n: parked.n,
            total: parked.total,
            reason: parked.reason,
            since: Time(parked.since),
        }
    }
}
