//! Moves all orgs of a plan to another one.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::orgs::{MAX_PAGE, PAGE};
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, IdempotencyKey, parameter};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::api::{Role, Shared};
use crate::domain::refs::{FeatureName, OrgName, PlanName};
use crate::domain::{
    self, Domain, Exchange, Lane, Migrate, MigrateAt, MigrationFailure, MigrationPlan,
    MigrationState, PlannedMove,
};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = Access::Account(Lane::Bulk, Role::Admin);
    [
        Operation::get("migration", "/v1/migrate", access, migration),
        Operation::post("migrate", "/v1/migrate", access, migrate),
    ]
}

async fn migration(domain: Domain, MigrationId(id): MigrationId) -> Result<Json<Migration>, Error> {
    Ok(Json(domain.migration(&id).await?.into()))
}

async fn migrate(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    AuditedJson(request): AuditedJson<MigrateRequest>,
) -> Result<Json<Migration>, Error> {
    if let Some(id) = &request.id {
        if !request.has_only_an_id() {
            return Err(Error::invalid(
                "id names a migration that goes on, and nothing else is said of it",
            ));
        }
        return Ok(Json(domain.resume_migration(id).await?.into()));
    }
    let page = request.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&page) {
        let message = format!("limit must be a number from 1 to {MAX_PAGE}, not {page}");
        return Err(Error::invalid(message));
    }
    let (key, after) = (key.as_deref(), request.after.as_ref());
    if request.to_meters {
        if !request.from.is_empty() || !request.to.is_empty() {
            return Err(Error::invalid(
                "to_meters moves the orgs of all plans: from and to are not given with it",
            ));
        }
        let at = request.at.0.unwrap_or(MigrateAt::PeriodEnd);
        return Ok(Json(if request.dry_run {
            let plan = domain.plan_to_meters(at, request.orgs, page, after);
            plan.await?.into()
        } else {
            let migration = domain.migrate_to_meters(at, request.orgs, key);
            migration.await?.into()
        }));
    }
    let migrate = Migrate {
        exchange: Exchange::Plan {
            from: request.from.parse().map_err(domain::Error::from)?,
            to: request.to.parse().map_err(domain::Error::from)?,
        },
        at: request.at.0.unwrap_or_default(),
        orgs: request.orgs,
    };
    Ok(Json(if request.dry_run {
        domain.plan_migration(&migrate, page, after).await?.into()
    } else {
        domain.migrate(&migrate, key).await?.into()
    }))
}

/// The migration in the query.
struct MigrationId(String);

impl FromRequestParts<Shared> for MigrationId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let id = parameter(parts, "id")
            .ok_or_else(|| Error::invalid("id must name a migration: ?id=mig_…"))?;
        Ok(Self(id.into_owned()))
    }
}

/// `POST /v1/migrate`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MigrateRequest {
    /// A migration to continue. It excludes all other fields.
    #[serde(default)]
    pub id: Option<String>,
    /// The plan to move orgs from.
    #[serde(default)]
    pub from: String,
    /// The plan to move them to.
    #[serde(default)]
    pub to: String,
    /// Whether to move the orgs of all plans that are billed by usage records to equal plans with meters.
    #[serde(default)]
    pub to_meters: bool,
    /// When each org moves. By default now, and to meters at the end of its billing period.
    #[serde(default)]
    pub at: At,
    /// Only these orgs. Unset is all.
    #[serde(default)]
    pub orgs: Option<BTreeSet<OrgName>>,
    /// Whether to only return what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// How many orgs a page of a dry run has.
    #[serde(default)]
    pub limit: Option<usize>,
    /// The last org of the previous page.
    #[serde(default)]
    pub after: Option<OrgName>,
}

impl MigrateRequest {
    fn has_only_an_id(&self) -> bool {
        self.from.is_empty()
            && self.to.is_empty()
            && !self.to_meters
            && self.at.0.unwrap_or_default() == MigrateAt::Now
            && self.orgs.is_none()
            && !self.dry_run
            && self.limit.is_none()
            && self.after.is_none()
    }
}

impl Change for MigrateRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        let at = match self.at.0 {
            None if self.to_meters => json!("period_end"),
            None | Some(MigrateAt::Now) => json!("now"),
            Some(MigrateAt::PeriodEnd) => json!("period_end"),
            Some(MigrateAt::Time(at)) => json!(Time(at)),
        };
        let mut change = json!({
            "id": self.id, "from": self.from, "to": self.to, "at": at, "orgs": self.orgs,
            "dry_run": self.dry_run,
        });
        if self.to_meters {
            change["to_meters"] = json!(true);
        }
        change
    }
}

/// `now`, `period_end` or a time. None if the field is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At(Option<MigrateAt>);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        Ok(Self(Some(match text.as_str() {
            "" => return Ok(Self::default()),
            "now" => MigrateAt::Now,
            "period_end" => MigrateAt::PeriodEnd,
            time => match chrono::DateTime::parse_from_rfc3339(time) {
                Ok(time) if time.timestamp() == Time::ZERO.0 => MigrateAt::Now,
                Ok(time) => MigrateAt::Time(time.timestamp()),
                Err(_) => {
                    let expected = "now, period_end or an RFC 3339 time like 2030-01-31T12:00:00Z";
                    return Err(D::Error::invalid_value(Unexpected::Str(time), &expected));
                }
            },
        })))
    }
}

/// The answer of both operations.
#[derive(Serialize)]
struct Migration {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    state: &'static str,
    total: usize,
    done: usize,
    failed: Vec<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orgs: Option<Vec<Move>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plans: Option<BTreeMap<PlanName, PlanName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<OrgName>,
}

/// An org that could not be moved.
#[derive(Serialize)]
struct Failure {
    org: OrgName,
    code: &'static str,
    message: String,
}

/// The change that an org would have.
#[derive(Serialize)]
struct Move {
    org: OrgName,
    effective: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_bill: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_bill_now: Option<i64>,
    over_limit: Vec<FeatureName>,
}

impl From<MigrationState> for Migration {
    fn from(state: MigrationState) -> Self {
        Self {
            id: Some(state.id),
            state: if state.is_done { "done" } else { "running" },
            total: state.total,
            done: state.done,
            failed: state.failed.into_iter().map(Failure::from).collect(),
            orgs: None,
            plans: None,
            next: None,
        }
    }
}

impl From<MigrationPlan> for Migration {
    fn from(plan: MigrationPlan) -> Self {
        Self {
            id: None,
            state: "planned",
            total: plan.total,
            done: 0,
            failed: plan.failed.into_iter().map(Failure::from).collect(),
            orgs: Some(plan.moves.into_iter().map(Move::from).collect()),
            plans: match plan.exchange {
                Exchange::ToMeters(copies) => Some(copies),
                Exchange::Plan { .. } => None,
            },
            next: plan.next,
        }
    }
}

impl From<MigrationFailure> for Failure {
    fn from(failure: MigrationFailure) -> Self {
        let error = Error::from(failure.error);
        Self {
            org: failure.org,
            code: error.code(),
            message: error.message().to_owned(),
        }
    }
}

impl From<PlannedMove> for Move {
    fn from(planned: PlannedMove) -> Self {
        Self {
            org: planned.org,
            effective: Time(planned.effective),
            next_bill: planned.next_bill,
            next_bill_now: planned.next_bill_now,
            over_limit: planned.over_limit,
        }
    }
}
