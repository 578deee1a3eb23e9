//! `/pricing`: the pricing table as a page, and `/tier.js`, which shows it on other sites' pages.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};

use crate::api::error::Error;
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::api::v1::pricing_page;
use crate::api::{Role, Shared};
use crate::domain::{DEFAULT_PAGE, Lane};
use crate::web::{self, Asset};

pub(super) fn operations() -> [Operation; 3] {
    let access = Access::Listed(Lane::Bulk, Role::Read);
    [
        Operation::get("pricingTable", "/pricing", access, default_page),
        Operation::get("namedPricingTable", "/pricing/{name}", access, named_page),
        Operation::get("tierJs", "/tier.js", Access::Everybody, tier_js),
    ]
}

async fn default_page(
    State(app): State<Shared>,
    context: RequestContext,
) -> Result<Response, Error> {
    page(&app, &context, DEFAULT_PAGE).await
}

async fn named_page(
    State(app): State<Shared>,
    context: RequestContext,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let Path(name) = name.map_err(|_| Error::not_found())?;
    page(&app, &context, &name).await
}

async fn page(app: &Shared, context: &RequestContext, name: &str) -> Result<Response, Error> {
    let (page, _) = pricing_page::page(app, context, name).await?;
    Ok(web::pricing_table(&page).into_response())
}

async fn tier_js(headers: HeaderMap) -> Result<Response, Error> {
    let script = Asset::named("tier.js").ok_or_else(Error::not_found)?;
    Ok(script.answer_cached("public, max-age=3600", &headers))
}
