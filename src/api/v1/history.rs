//! Usage over time.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::DateTime;
use serde::Serialize;

use crate::api::error::Error;
use crate::api::extract::{Org, query};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::api::{Role, Shared};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{self, Domain, Lane, UsageBy, UsageQuery, UsageSpan};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Check, Role::Read);
    [Operation::get("usage", "/v1/usage", access, usage)]
}

async fn usage(
    domain: Domain,
    Org(org): Org,
    Query(query): Query,
) -> Result<Json<UsageAnswer>, Error> {
    let usage = domain.usage(&org, &query).await?;
    Ok(Json(UsageAnswer {
        org,
        feature: query.feature,
        usage: usage.into_iter().map(UsageRow::from).collect(),
    }))
}

/// The feature, the span of time and the rows that the query asks for.
struct Query(UsageQuery);

impl FromRequestParts<Shared> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let value = |name: &str| {
            let found = query(parts).find(|(key, _)| key == name);
            found.map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let feature: FeatureName = value("feature").parse().map_err(domain::Error::from)?;
        let by = match value("by").as_str() {
            "" | "day" => UsageBy::Day,
            "hour" => UsageBy::Hour,
            "period" => UsageBy::Period,
            other => {
                let message = format!("by must be hour, day or period, not {other:?}");
                return Err(Error::invalid(message));
            }
        };
        Ok(Self(UsageQuery {
            feature,
            from: time("from", &value("from"))?,
            to: time("to", &value("to"))?,
            by,
        }))
    }
}

/// A time in a query. An empty one counts as absent.
fn time(name: &str, text: &str) -> Result<Option<i64>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(Some(time.timestamp())),
        Err(_) => Err(Error::invalid(format!(
            "{name} must be an RFC 3339 time like 2030-01-31T12:00:00Z, not {text:?}"
        ))),
    }
}

/// The answer of `usage`.
#[derive(Serialize)]
struct UsageAnswer {
    org: OrgName,
    feature: FeatureName,
    usage: Vec<UsageRow>,
}

#[derive(Serialize)]
struct UsageRow {
    from: Time,
    to: Time,
    n: i64,
    total: i64,
}

impl From<UsageSpan> for UsageRow {
    fn from(span: UsageSpan) -> Self {
        Self {
            from: Time(span.from),
            to: Time(span.to),
            n: span.n,
            total: span.total,
        }
    }
}
