//! Takes plans off sale.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::AuditedJson;
use crate::api::json::Empty;
use crate::api::operation::{Access, Operation};
use crate::api::values::Required;
use crate::api::{Role, Shared};
use crate::domain::refs::{OrgName, PlanName};
use crate::domain::{Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Bulk, Role::Admin);
    [Operation::post("archive", "/v1/archive", access, archive)]
}

async fn archive(
    State(app): State<Shared>,
    domain: Domain,
    AuditedJson(request): AuditedJson<ArchiveRequest>,
) -> Result<Empty, Error> {
    let archived = request.archived.unwrap_or(true);
    let done = domain.archive(&request.plan.0, archived).await;
    app.listed_pages.forget_model();
    done?;
    Ok(Empty)
}

/// `POST /v1/archive`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveRequest {
    /// The plan to take off sale or put back.
    pub plan: Required<PlanName>,
    /// Whether to archive it. Unset is true.
    #[serde(default)]
    pub archived: Option<bool>,
}

impl Change for ArchiveRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        json!({ "plan": self.plan.0, "archived": self.archived.unwrap_or(true) })
    }
}
