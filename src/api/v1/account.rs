//! The Stripe account in use.

use serde::Serialize;

use crate::api::Role;
use crate::api::error::Error;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::domain::{self, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Check, Role::Read);
    [Operation::get("whoami", "/v1/whoami", access, whoami)]
}

async fn whoami(domain: Domain) -> Result<Json<Whoami>, Error> {
    Ok(Json(domain.whoami().await?.into()))
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
        }
    }
}
