//! `/pay/<payload>.<mac>`: a checkout link. Its page has a button, and only the button opens a Checkout page, because
//! programs follow links in mails.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

use crate::api::Shared;
use crate::api::checkout_link::LinkedCheckout;
use crate::api::error::{ClosedLink, Error};
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::domain::{AlreadyBought, Domain, Lane};
use crate::web::{self, LinkProblem};

/// The path of links.
const PATH: &str = "/pay/{name}";

pub(super) fn operations() -> [Operation; 2] {
    let access = Access::Link(Lane::Interactive);
    [
        Operation::get("checkoutLink", PATH, access, show),
        Operation::for_own_pages("openCheckoutLink", PATH, access, open),
    ]
}

/// A link that is valid. The layer that admits its visitor verifies it, and hands it to the handler.
#[derive(Clone)]
pub(in crate::api) struct OpenLink(Arc<LinkedCheckout>);

impl OpenLink {
    /// Verifies the link that is the path of a request.
    pub(in crate::api) async fn verify(parts: &mut Parts, app: &Shared) -> Result<Self, Error> {
        let links = app.checkout_links.as_ref().ok_or_else(Error::not_found)?;
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        let Path(link) = path.map_err(|_| ClosedLink::Ended)?;
        let linked = links.open(&link, app.accounts.is_live());
        let linked = linked.ok_or(ClosedLink::Ended)?;
        Ok(Self(Arc::new(linked)))
    }
}

impl FromRequestParts<Shared> for OpenLink {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let link = parts.extensions.get().cloned();
        link.ok_or_else(|| Error::internal(&"the link was not verified"))
    }
}

async fn show(OpenLink(linked): OpenLink, context: RequestContext) -> Result<Response, Error> {
    // Stripe's pages, also those under a domain of the seller, use TLS. A simulator's may not.
    let over_tls = account(&context, &linked)?.stripe().uses_tls();
    let leads_to = if over_tls { "https:" } else { "http:" };
    let page = web::checkout_link(&linked.org, &linked.checkout, linked.expires, leads_to);
    Ok(not_indexed(page.into_response()))
}

async fn open(OpenLink(linked): OpenLink, context: RequestContext) -> Result<Response, Error> {
    let LinkedCheckout { org, checkout, .. } = &*linked;
    let features: Vec<_> = checkout.features.iter().map(ToString::to_string).collect();
    let change = json!({ "features": features, "trial_days": checkout.trial_days });
    context.set_change(Some(org), change);
    let domain = account(&context, &linked)?;
    let bought = domain
        .already_bought(org, checkout)
        .await
        .map_err(Error::of_link)?;
    match bought {
        Some(AlreadyBought::Current) => return Err(ClosedLink::PlanInForce.into()),
        Some(AlreadyBought::TrialUsed) => return Err(ClosedLink::TrialUsed.into()),
        None => {}
    }
    let url = domain.checkout(org, checkout, None).await;
    Ok(not_indexed(
        Redirect::to(&url.map_err(Error::of_link)?).into_response(),
    ))
}

/// The account of the request, on the test clock that the link names. The visitor's headers do not choose the clock.
fn account(context: &RequestContext, linked: &LinkedCheckout) -> Result<Domain, Error> {
    let domain = context.domain();
    let domain = domain.ok_or_else(|| Error::internal(&"no account was chosen"))?;
    Ok(match &linked.test_clock {
        Some(clock) => domain.on_test_clock(clock.as_str()),
        None => domain.clone(),
    })
}

pub(super) fn not_indexed(mut response: Response) -> Response {
    let value = HeaderValue::from_static("noindex");
    response.headers_mut().insert("x-robots-tag", value);
    response
}

/// What is wrong with a link, if the answer to its visitor has this status and code.
pub(super) fn problem(status: StatusCode, code: &str) -> LinkProblem {
    match (status, code) {
        (_, "link_ended") => LinkProblem::Ended,
        (_, "plan_in_force") => LinkProblem::PlanInForce,
        (_, "trial_used") => LinkProblem::TrialUsed,
        (_, "not_on_sale") => LinkProblem::NotOnSale,
        (_, "overloaded") | (StatusCode::TOO_MANY_REQUESTS, _) => LinkProblem::Busy,
        (StatusCode::NOT_FOUND, _) => LinkProblem::NoLinks,
        (StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED, _) => LinkProblem::NotFromItsPage,
        (StatusCode::INTERNAL_SERVER_ERROR, _) => LinkProblem::ServerFault,
        (status, _) if status.is_server_error() => LinkProblem::StripeUnreachable,
        _ => LinkProblem::Impossible,
    }
}
