//! The Stripe account in use.

use serde::Serialize;

use crate::api::Role;
use crate::api::error::Error;
use crate::api::extract::Include;
use crate::api::json::Json;
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::domain::{self, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Check, Role::Read);
    [Operation::get("whoami", "/v1/whoami", access, whoami)]
}

async fn whoami(
    domain: Domain,
    context: RequestContext,
    include: Include,
) -> Result<Json<Whoami>, Error> {
    let mut whoami = Whoami::from(domain.whoami().await?);
    if include.generation {
        whoami.generation = Some(domain.generation().await?.as_str());
    }
    if include.role {
        whoami.role = context.caller().map(|caller| caller.role().as_str());
    }
    Ok(Json(whoami))
}

/// `GET /v1/whoami`
#[derive(Serialize)]
pub(in crate::api) struct Whoami {
    id: String,
    email: String,
    created: Time,
    key_source: String,
    isolated: bool,
    url: String,
    /// What `include=generation` adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'static str>,
    /// What `include=role` adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
}

impl From<domain::Whoami> for Whoami {
    fn from(account: domain::Whoami) -> Self {
        Self {
            id: account.id,
            email: account.email,
            created: Time(account.created),
            key_source: account.key_source,
            isolated: account.isolated,
            url: account.url,
            generation: None,
            role: None,
        }
    }
}
