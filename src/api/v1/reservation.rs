//! Reservations, which allow usage before it happens.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::AuditedJson;
use crate::api::json::{Empty, Json};
use crate::api::operation::{Access, Operation};
use crate::api::values::{Required, Time};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Lane, ReservationOutcome, ReservationRequest};

/// The range of a reservation's time to live.
const MIN_TTL: Duration = Duration::from_secs(1);
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

pub(in crate::api) fn operations() -> [Operation; 3] {
    let access = Access::Account(Lane::Check, Role::Report);
    [
        Operation::post("reserve", "/v1/reserve", access, reserve),
        Operation::post("commitReservation", "/v1/reserve/commit", access, commit),
        Operation::post("releaseReservation", "/v1/reserve/release", access, release),
    ]
}

async fn reserve(
    domain: Domain,
    AuditedJson(request): AuditedJson<ReserveRequest>,
) -> Result<Json<ReserveAnswer>, Error> {
    let wanted = ReservationRequest {
        feature: request.feature.0,
        n: request.n,
        ttl: request.ttl.0,
        commit: request.commit,
        ignores_limit: false,
    };
    Ok(Json(domain.reserve(&request.org.0, &wanted).await?.into()))
}

async fn commit(
    domain: Domain,
    AuditedJson(request): AuditedJson<CommitRequest>,
) -> Result<Empty, Error> {
    domain.commit_reservation(&request.id, request.n).await?;
    Ok(Empty)
}

async fn release(
    domain: Domain,
    AuditedJson(request): AuditedJson<ReleaseRequest>,
) -> Result<Empty, Error> {
    domain.release_reservation(&request.id).await?;
    Ok(Empty)
}

/// `POST /v1/reserve`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReserveRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// The feature.
    pub feature: Required<FeatureName>,
    /// The number of units.
    #[serde(default)]
    pub n: i64,
    /// How long it is held.
    #[serde(default)]
    pub ttl: Ttl,
    /// Whether to record it as used at once.
    #[serde(default)]
    pub commit: bool,
}

/// How long a reservation is held. A minute by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ttl(Duration);

impl Default for Ttl {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        let span = humantime::parse_duration(&text).ok();
        let span = span.filter(|span| (MIN_TTL..=MAX_TTL).contains(span));
        span.map(Self).ok_or_else(|| {
            let expected = "a duration from 1s to 24h, like 60s";
            serde::de::Error::custom(format!("ttl must be {expected}: {text:?}"))
        })
    }
}

impl Change for ReserveRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({
            "feature": self.feature.0, "n": self.n, "ttl_seconds": self.ttl.0.as_secs(),
            "commit": self.commit,
        })
    }
}

/// `POST /v1/reserve/commit`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitRequest {
    /// The id of the reservation.
    #[serde(default)]
    pub id: String,
    /// The number of units. Unset is all.
    #[serde(default)]
    pub n: Option<i64>,
}

impl Change for CommitRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        json!({ "id": self.id, "n": self.n })
    }
}

/// `POST /v1/reserve/release`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseRequest {
    /// The id of the reservation.
    #[serde(default)]
    pub id: String,
}

impl Change for ReleaseRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        json!({ "id": self.id })
    }
}

/// The answer of `reserve`.
#[derive(Serialize)]
struct ReserveAnswer {
    granted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    used: i64,
    limit: i64,
    remaining: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
}

impl From<ReservationOutcome> for ReserveAnswer {
    fn from(reserved: ReservationOutcome) -> Self {
        let remaining = reserved.remaining();
        let granted = reserved.granted;
        Self {
            granted: granted.is_some(),
            expires: granted.as_ref().and_then(|held| held.expires).map(Time),
            id: granted.map(|held| held.id),
            used: reserved.used,
            limit: reserved.limit,
            remaining,
        }
    }
}
