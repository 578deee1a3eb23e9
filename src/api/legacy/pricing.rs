//! The pricing model in the format of 2022, and the plans on a pricing page.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::json;

use super::LegacyError;
use crate::api::error::Error;
use crate::api::extract::RawBody;
use crate::api::json::{Document, Json};
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::api::{Role, Shared};
use crate::domain::pricing::{LegacyPlan, Model};
use crate::domain::refs::{FeaturePlan, PlanName};
use crate::domain::{DEFAULT_PAGE, Domain, Lane, PricingPage, PushResult};

pub(in crate::api) fn operations() -> [Operation; 5] {
    let access = |role| Access::Account(Lane::Bulk, role);
    let page = |id, path| Operation::get(id, path, access(Role::Read), default_page);
    [
        Operation::get("legacyPull", "/api/v1/pull", access(Role::Read), pull),
        Operation::post("legacyPush", "/api/v1/push", access(Role::Admin), push),
        page("legacyPricingPage", "/web/pricing-page/-/"),
        page("legacyOldPricingPage", "/web/pricing-page/"),
        Operation::get(
            "legacyNamedPricingPage",
            "/web/pricing-page/-/{name}",
            access(Role::Read),
            named_page,
        ),
    ]
}

async fn pull(domain: Domain) -> Result<Document, LegacyError> {
    document(&domain.pull().await?.to_legacy())
}

/// A body of JSON, indented like today's models.
fn document(value: &impl Serialize) -> Result<Document, LegacyError> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|cause| Error::internal(&cause))?;
    Ok(Document(text))
}

async fn push(
    State(app): State<Shared>,
    domain: Domain,
    context: RequestContext,
    body: RawBody,
) -> Result<Json<PushAnswer>, LegacyError> {
    let existing = domain.pull_all().await?.model;
    let model = Model::parse_legacy(&body.bytes, existing).map_err(|faults| {
        let other = faults.is_syntax_error().then(|| body.not_json()).flatten();
        other.unwrap_or_else(|| faults.into())
    })?;
    let plans: Vec<_> = model.plans.keys().map(ToString::to_string).collect();
    context.set_change(None, json!({ "plans": plans }));
    let results = domain.push(&model, |_| {}).await;
    app.listed_pages.forget_model();
    Ok(Json(results?.into()))
}

/// `POST /api/v1/push`
#[derive(Default, Serialize)]
struct PushAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    succeeded: Vec<FeaturePlan>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FeaturePlan>,
}

impl From<Vec<PushResult>> for PushAnswer {
    fn from(results: Vec<PushResult>) -> Self {
        let mut answer = Self::default();
        for result in results {
            if result.outcome.is_ok() {
                answer.succeeded.push(result.feature);
            } else {
                answer.failed.push(result.feature);
            }
        }
        answer
    }
}

async fn default_page(State(app): State<Shared>, domain: Domain) -> Result<Document, LegacyError> {
    page(&app, &domain, DEFAULT_PAGE).await
}

async fn named_page(
    State(app): State<Shared>,
    domain: Domain,
    name: Result<Path<String>, PathRejection>,
) -> Result<Document, LegacyError> {
    let Path(name) = name.map_err(|_| Error::not_found())?;
    page(&app, &domain, &name).await
}

/// The listed page of that name. A default page that is not listed shows the newest version of each plan.
async fn page(app: &Shared, domain: &Domain, name: &str) -> Result<Document, LegacyError> {
    let model = domain.pull().await?;
    let page = match app.listed_pages.page_of(name, &model) {
        Some(page) => page,
        None if name == DEFAULT_PAGE => PricingPage::with_newest_plans(&model),
        None => return Err(Error::not_found().into()),
    };
    let plans = page.plans.iter();
    let plans = plans.filter_map(|plan| {
        let terms = LegacyPlan::of(model.plans.get(&plan.id)?);
        Some(PlanOnPage::of(&plan.id, terms))
    });
    document(&PageJson {
        name: &page.name,
        signup_url: page.signup_url.as_deref(),
        plans: plans.collect(),
    })
}

/// `GET /web/pricing-page/-/`
#[derive(Serialize)]
struct PageJson<'a> {
    name: &'a str,
    #[serde(rename = "signupURL", skip_serializing_if = "Option::is_none")]
    signup_url: Option<&'a str>,
    plans: Vec<PlanOnPage<'a>>,
}

#[derive(Serialize)]
struct PlanOnPage<'a> {
    id: &'a PlanName,
    name: String,
    version: &'a str,
    #[serde(flatten)]
    plan: LegacyPlan<'a>,
}

impl<'a> PlanOnPage<'a> {
    fn of(id: &'a PlanName, plan: LegacyPlan<'a>) -> Self {
        Self {
            id,
            name: format!("plan:{}", id.name()),
            version: id.version(),
            plan,
        }
    }
}
