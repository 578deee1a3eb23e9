//! Lists orgs with their plans.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;

use super::phases::Span;
use crate::api::error::Error;
use crate::api::extract::{flag, parameter};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::api::{Role, Shared};
use crate::domain::refs::{FeaturePlan, OrgName, PlanName};
use crate::domain::{self, Domain, Lane, ListedOrg, OrgsPage, OrgsQuery};

/// How many orgs a page has by default.
pub(super) const PAGE: usize = 100;

/// The maximum number of orgs on a page.
pub(super) const MAX_PAGE: usize = 1_000;

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Bulk, Role::Read);
    [Operation::get("orgs", "/v1/orgs", access, orgs)]
}

async fn orgs(domain: Domain, Query(query): Query) -> Result<Json<Orgs>, Error> {
    Ok(Json(domain.orgs(&query).await?.into()))
}

/// The query parameters of `GET /v1/orgs`.
struct Query(OrgsQuery);

impl FromRequestParts<Shared> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        Ok(Self(OrgsQuery {
            plan: parsed(parts, "plan")?,
            feature: parsed(parts, "feature")?,
            status: parsed(parts, "status")?,
            over_limit: flag(parts, "over_limit")?,
            limit: limit(parts, PAGE, MAX_PAGE)?,
            after: parsed(parts, "after")?,
        }))
    }
}

fn parsed<T: FromStr<Err: Into<domain::Error>>>(
    parts: &Parts,
    name: &str,
) -> Result<Option<T>, Error> {
    let parsed = parameter(parts, name).map(|text| text.parse());
    parsed
        .transpose()
        .map_err(|error: T::Err| error.into().into())
}

/// The number of rows on a page, from the query parameter `limit`.
pub(super) fn limit(parts: &Parts, default: usize, max: usize) -> Result<usize, Error> {
    let Some(text) = parameter(parts, "limit") else {
        return Ok(default);
    };
    let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| {
        Error::invalid(format!(
            "limit must be a number from 1 to {max}, not {text:?}"
        ))
    })
}

/// `GET /v1/orgs`
#[derive(Serialize)]
struct Orgs {
    orgs: Vec<Org>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Org {
    #[serde(rename = "org")]
    name: OrgName,
    stripe_id: String,
    plans: Vec<PlanName>,
    fragments: Vec<FeaturePlan>,
    status: String,
    since: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Span>,
    trial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_at: Option<Time>,
}

impl From<OrgsPage> for Orgs {
    fn from(page: OrgsPage) -> Self {
        Self {
            orgs: page.orgs.into_iter().map(Org::from).collect(),
            next: page.next.map(|next| next.text()),
        }
    }
}

impl From<ListedOrg> for Org {
    fn from(listed: ListedOrg) -> Self {
        Self {
            status: listed.status.as_str().to_owned(),
            name: listed.org,
            stripe_id: listed.customer,
            plans: listed.plans,
            fragments: listed.fragments,
            since: Time(listed.since),
            current: listed.current_period.map(Span::from),
            trial: listed.trial,
            cancel_at: listed.cancel_at.map(Time),
        }
    }
}
