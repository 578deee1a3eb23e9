//! An org's plans over time.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{LegacyError, LegacyOrg};
use crate::api::Role;
use crate::api::audit::Change;
use crate::api::extract::AuditedJson;
use crate::api::json::{Empty, Json};
use crate::api::operation::{Access, Operation};
use crate::api::values::{OptionalTime, Required, Time};
use crate::domain::refs::{FeaturePlan, OrgName, PlanName};
use crate::domain::{Domain, Lane, Phase, Phases};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let writes = Access::Account(Lane::Interactive, Role::Admin);
    let reads = Access::Account(Lane::Check, Role::Read);
    [
        Operation::post("legacyAppend", "/api/v1/append", writes, append),
        Operation::get("legacySchedule", "/api/v1/schedule", reads, schedule),
    ]
}

async fn append(
    domain: Domain,
    AuditedJson(request): AuditedJson<AppendRequest>,
) -> Result<Empty, LegacyError> {
    let (org, plan) = (&request.org.0, &request.plan.0);
    domain.append(org, plan, request.effective.0).await?;
    Ok(Empty)
}

async fn schedule(
    domain: Domain,
    LegacyOrg(org): LegacyOrg,
) -> Result<Json<Schedule>, LegacyError> {
    let phases = domain.phases(&org).await?;
    Ok(Json(Schedule::of(&org, phases)))
}

/// `POST /api/v1/append`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppendRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// The plan.
    pub plan: Required<PlanName>,
    /// When the plan begins. Unset is now.
    #[serde(default)]
    pub effective: OptionalTime,
}

impl Change for AppendRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({"plan": self.plan.0, "effective": self.effective.0.map(Time)})
    }
}

/// `GET /api/v1/schedule`
#[derive(Serialize)]
struct Schedule {
    /// The index of the phase in force, or -1.
    current: i64,
    phases: Vec<LegacyPhase>,
}

#[derive(Serialize)]
struct LegacyPhase {
    org: OrgName,
    plan: PlanName,
    effective: Time,
}

impl Schedule {
    /// The phases with features. A phase without features ends a subscription, which the API of 2022 could not express.
    fn of(org: &OrgName, phases: Phases) -> Self {
        let mut current = -1;
        let mut listed = Vec::with_capacity(phases.phases.len());
        for (index, phase) in phases.phases.into_iter().enumerate() {
            let Some(plan) = plan_of(&phase) else {
                continue;
            };
            if phases.current_index == Some(index) {
                current = i64::try_from(listed.len()).unwrap_or(i64::MAX);
            }
            listed.push(LegacyPhase {
                org: org.clone(),
                plan,
                effective: Time(phase.effective),
            });
        }
        Self {
            current,
            phases: listed,
        }
    }
}

/// The first whole plan of a phase, or else the plan of its first feature.
fn plan_of(phase: &Phase) -> Option<PlanName> {
    let plan = phase.plans.first().cloned();
    plan.or_else(|| phase.features.first().map(FeaturePlan::plan))
}
