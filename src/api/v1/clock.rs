//! Test clocks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, ClockQuery};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::{OptionalTime, Time};
use crate::domain::refs::OrgName;
use crate::domain::{self, ClockChange, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = |role| Access::Account(Lane::Check, role);
    [
        Operation::get("clock", "/v1/clock", access(Role::Read), get),
        Operation::post("changeClock", "/v1/clock", access(Role::Admin), change),
    ]
}

async fn get(domain: Domain, query: ClockQuery) -> Result<Json<Clock>, Error> {
    let clock = match query {
        ClockQuery::Id(id) => domain.clock(&id).await?,
        ClockQuery::Of(org) => domain.clock_of(&org).await?,
    };
    Ok(Json(clock.into()))
}

async fn change(
    domain: Domain,
    AuditedJson(request): AuditedJson<ClockRequest>,
) -> Result<Json<Clock>, Error> {
    let change = request.try_into()?;
    Ok(Json(domain.change_clock(change).await?.into()))
}

/// `POST /v1/clock`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockRequest {
    /// The clock to advance. Empty: a new one is created.
    #[serde(default)]
    pub id: String,
    /// A new clock's name.
    #[serde(default)]
    pub name: String,
    /// The time to set it to.
    #[serde(default)]
    pub present: OptionalTime,
}

impl TryFrom<ClockRequest> for ClockChange {
    type Error = Error;

    fn try_from(ClockRequest { id, name, present }: ClockRequest) -> Result<Self, Error> {
        let Some(present) = present.0 else {
            return Err(Error::invalid(
                "present must be the time that the clock shall show",
            ));
        };
        Ok(if id.is_empty() {
            Self::Create { name, present }
        } else {
            Self::Advance { id, present }
        })
    }
}

impl Change for ClockRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        json!({"id": self.id, "present": self.present.0.map(Time)})
    }
}

/// `/v1/clock`
#[derive(Serialize)]
struct Clock {
    id: String,
    link: String,
    present: Time,
    status: String,
}

impl From<domain::ClockState> for Clock {
    fn from(clock: domain::ClockState) -> Self {
        Self {
            id: clock.id,
            link: clock.link,
            present: Time(clock.present),
            status: clock.status,
        }
    }
}
