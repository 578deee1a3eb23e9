//! The prices of a model in words, and its bill for a given usage. Needs neither Stripe nor a key.

use std::collections::BTreeMap;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::pricing_page::PlanJson;
use crate::api::Shared;
use crate::api::anonymous::OpenBody;
use crate::api::error::Error;
use crate::api::extract::query;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::domain::pricing::Model;
use crate::domain::refs::FeatureName;
use crate::domain::{self, Bill, PricedPlan};

/// The maximum number of features in a model. The answer has far more text about a feature than the shortest feature
/// has in the model.
const MAX_FEATURES: usize = 1000;

pub(in crate::api) fn operations() -> [Operation; 1] {
    [Operation::for_own_pages(
        "preview",
        "/v1/preview",
        Access::Everybody,
        preview,
    )]
}

async fn preview(State(app): State<Shared>, request: Request) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let usage = usage(&head)?;
    let body = OpenBody::from_request(Request::from_parts(head, body), &app).await?;
    let model = Model::parse_bytes(&body.bytes)?;
    if model.features().nth(MAX_FEATURES).is_some() {
        return Err(Error::too_many_features(MAX_FEATURES));
    }
    let used = |name: &FeatureName| usage.get(name).copied().unwrap_or(0);
    let priced = model.plans.iter();
    let priced: Vec<_> = priced
        .map(|(id, plan)| (PricedPlan::of(id, plan), PricedPlan::bill(plan, used)))
        .collect();
    let plans = priced.iter().map(|(plan, bill)| PlanPreview {
        plan: PlanJson::of(plan),
        bill: BillJson::of(bill),
    });
    let preview = Preview {
        plans: plans.collect(),
    };
    Ok(Json(preview).into_response())
}

/// The usage in the query: `usage=feature:convert=1500`, repeated for each feature.
fn usage(head: &Parts) -> Result<BTreeMap<FeatureName, i64>, Error> {
    let mut usage = BTreeMap::new();
    for (_, value) in query(head).filter(|(name, _)| name == "usage") {
        let Some((feature, used)) = value.rsplit_once('=') else {
            return Err(invalid_usage());
        };
        let feature = feature.parse().map_err(domain::Error::from)?;
        let used = used.parse().ok().filter(|used: &i64| *used >= 0);
        usage.insert(feature, used.ok_or_else(invalid_usage)?);
    }
    Ok(usage)
}

fn invalid_usage() -> Error {
    Error::invalid(
        "usage must be a feature and a number of at least 0: ?usage=feature:convert=1500",
    )
}

/// `POST /v1/preview`
#[derive(Serialize)]
struct Preview<'a> {
    plans: Vec<PlanPreview<'a>>,
}

#[derive(Serialize)]
struct PlanPreview<'a> {
    #[serde(flatten)]
    plan: PlanJson<'a>,
    bill: BillJson<'a>,
}

#[derive(Serialize)]
struct BillJson<'a> {
    amount: i64,
    text: &'a str,
    lines: Vec<LineJson<'a>>,
}

#[derive(Serialize)]
struct LineJson<'a> {
    feature: &'a FeatureName,
    used: i64,
    amount: i64,
    text: &'a str,
}

impl<'a> BillJson<'a> {
    fn of(bill: &'a Bill) -> Self {
        let lines = bill.lines.iter().map(|line| LineJson {
            feature: &line.feature,
            used: line.used,
            amount: line.amount,
            text: &line.text,
        });
        Self {
            amount: bill.amount,
            text: &bill.text,
            lines: lines.collect(),
        }
    }
}
