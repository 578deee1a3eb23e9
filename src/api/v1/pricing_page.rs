//! Pricing pages as JSON, and how a plan is written in words and terms, which a preview uses too.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::api::error::Error;
use crate::api::json::indented;
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::api::{Role, Shared};
use crate::domain::pricing::{Aggregate, Divide, Feature, Interval, Mode, Tier};
use crate::domain::refs::{FeatureName, PlanName};
use crate::domain::{DEFAULT_PAGE, Lane, PricedFeature, PricedPlan, PricingPage};
use crate::num;
use crate::web::{Revalidated, etag};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = Access::Listed(Lane::Bulk, Role::Read);
    [
        Operation::get("pricing", "/v1/pricing", access, default_page),
        Operation::get("namedPricing", "/v1/pricing/{name}", access, named_page),
    ]
}

async fn default_page(
    State(app): State<Shared>,
    context: RequestContext,
    headers: HeaderMap,
) -> Result<Response, Error> {
    answer(&app, &context, DEFAULT_PAGE, &headers).await
}

async fn named_page(
    State(app): State<Shared>,
    context: RequestContext,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Path(name) = name.map_err(|_| Error::not_found())?;
    answer(&app, &context, &name, &headers).await
}

async fn answer(
    app: &Shared,
    context: &RequestContext,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let (page, is_public) = page(app, context, name).await?;
    let json = indented(&PageJson::of(&page), "\t").map_err(|cause| Error::internal(&cause))?;
    let answer = Revalidated {
        content_type: "application/json",
        cache_control: if is_public {
            "public, max-age=60"
        } else {
            "private, max-age=60"
        },
        etag: etag(&json),
        encoding: None,
        body: json.into(),
    };
    let mut response = answer.answer(headers);
    if is_public {
        let everybody = HeaderValue::from_static("*");
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, everybody);
    }
    Ok(response)
}

/// The page of that name, and whether it is public. If no default page is listed, a caller with a key gets the newest
/// version of each plan.
pub(in crate::api) async fn page(
    app: &Shared,
    context: &RequestContext,
    name: &str,
) -> Result<(PricingPage, bool), Error> {
    if let Some(page) = app.listed_page(name).await? {
        return Ok((page, true));
    }
    let domain = context.domain().ok_or_else(Error::unauthorized)?;
    if name != DEFAULT_PAGE {
        return Err(Error::not_found());
    }
    Ok((PricingPage::with_newest_plans(&domain.pull().await?), false))
}

/// `GET /v1/pricing`
#[derive(Serialize)]
struct PageJson<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    plans: Vec<PlanJson<'a>>,
}

/// A plan in words, with its terms.
#[derive(Serialize)]
pub(in crate::api) struct PlanJson<'a> {
    id: &'a PlanName,
    name: String,
    version: &'a str,
    title: &'a str,
    currency: &'a str,
    interval: Interval,
    #[serde(serialize_with = "num::serialize")]
    price: Decimal,
    text: &'a str,
    promoted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signup_url: Option<String>,
    features: Vec<FeatureJson<'a>>,
}

#[derive(Serialize)]
struct FeatureJson<'a> {
    feature: &'a FeatureName,
    title: &'a str,
    text: &'a str,
    limit: i64,
    #[serde(serialize_with = "num::serialize")]
    base: Decimal,
    mode: Mode,
    aggregate: Aggregate,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiers: Option<Vec<TierJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    divide: Option<DivideJson>,
}

#[derive(Serialize)]
struct TierJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    upto: Option<i64>,
    #[serde(serialize_with = "num::serialize")]
    price: Decimal,
    base: i64,
}

#[derive(Serialize)]
struct DivideJson {
    by: i64,
    rounding: &'static str,
}

impl<'a> PageJson<'a> {
    fn of(page: &'a PricingPage) -> Self {
        let plans = page.plans.iter().map(|plan| PlanJson {
            signup_url: page.signup_url(&plan.id),
            ..PlanJson::of(plan)
        });
        Self {
            name: &page.name,
            title: page.title.as_deref(),
            plans: plans.collect(),
        }
    }
}

impl<'a> PlanJson<'a> {
    pub(in crate::api) fn of(plan: &'a PricedPlan) -> Self {
        Self {
            id: &plan.id,
            name: format!("plan:{}", plan.id.name()),
            version: plan.id.version(),
            title: &plan.title,
            currency: plan.currency.as_str(),
            interval: plan.interval,
            price: plan.price,
            text: &plan.text,
            promoted: plan.promoted,
            signup_url: None,
            features: plan.features.iter().map(FeatureJson::of).collect(),
        }
    }
}

impl<'a> FeatureJson<'a> {
    fn of(priced: &'a PricedFeature) -> Self {
        let terms: &Feature = &priced.terms;
        let tiers = terms.tiers.as_ref();
        Self {
            feature: &priced.feature,
            title: &priced.title,
            text: &priced.text,
            limit: terms.limit(),
            base: terms.base,
            mode: terms.mode,
            aggregate: terms.aggregate,
            tiers: tiers.map(|tiers| tiers.iter().map(TierJson::of).collect()),
            divide: terms.divide.map(DivideJson::of),
        }
    }
}

impl TierJson {
    fn of(tier: &Tier) -> Self {
        Self {
            upto: tier.upto,
            price: tier.price,
            base: tier.base,
        }
    }
}

impl DivideJson {
    fn of(divide: Divide) -> Self {
        Self {
            by: divide.by,
            rounding: divide.rounding.as_str(),
        }
    }
}
