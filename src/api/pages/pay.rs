//! `/pay/<payload>.<mac>`: a checkout link. Looking at it opens nothing. Its button opens a Checkout page.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

use crate::api::Shared;
use crate::api::checkout_link::LinkedCheckout;
use crate::api::error::Error;
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::domain::{self, Domain, Lane};
use crate::web;

/// The path of links.
const PATH: &str = "/pay/{name}";

pub(super) fn operations() -> [Operation; 2] {
    let access = Access::Link(Lane::Interactive);
    [
        Operation::get("checkoutLink", PATH, access, show),
        Operation::for_own_pages("openCheckoutLink", PATH, access, open),
    ]
}

/// A link that is open.
pub(in crate::api) struct OpenLink(LinkedCheckout);

/// Why a link opens nothing.
pub(in crate::api) enum ClosedLink {
    /// The server has no links.
    Off,
    /// The link ended, or it is not one of the server's.
    Ended,
    /// The org has what the link sells.
    Used,
    /// A plan is not sold any more.
    NotSold,
    /// Stripe, or this server, has a problem.
    Failed(Error),
}

impl FromRequestParts<Shared> for OpenLink {
    type Rejection = ClosedLink;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ClosedLink> {
        let links = app.checkout_links.as_ref().ok_or(ClosedLink::Off)?;
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        let Path(link) = path.map_err(|_| ClosedLink::Ended)?;
        let linked = links.open(&link, app.accounts.is_live());
        linked.map(Self).ok_or(ClosedLink::Ended)
    }
}

impl From<domain::Error> for ClosedLink {
    fn from(error: domain::Error) -> Self {
        match error {
            domain::Error::PlanArchived(_)
            | domain::Error::FeatureNotFound
            | domain::Error::FeatureOrPlanNotFound(_) => Self::NotSold,
            error => Self::Failed(error.into()),
        }
    }
}

impl IntoResponse for ClosedLink {
    fn into_response(self) -> Response {
        let reason = match self {
            Self::Off => return Error::not_found().into_response(),
            Self::Failed(error) => return error.into_response(),
            Self::Ended => "It is not complete, or its time is over.",
            Self::Used => "It has been used: the plan is in force.",
            Self::NotSold => "What it offers is not sold any more.",
        };
        let page = web::closed_link(reason).status(StatusCode::GONE);
        not_indexed(page.into_response())
    }
}

async fn show(OpenLink(linked): OpenLink, context: RequestContext) -> Result<Response, ClosedLink> {
    // Stripe's own pages, and those under a domain of the seller, are only reached over TLS. A simulator's may not be.
    let over_tls = account(&context, &linked)?.stripe().uses_tls();
    let leads_to = if over_tls { "https:" } else { "http:" };
    let page = web::checkout_link(&linked.org, &linked.checkout, linked.expires, leads_to);
    Ok(not_indexed(page.into_response()))
}

async fn open(OpenLink(linked): OpenLink, context: RequestContext) -> Result<Response, ClosedLink> {
    let LinkedCheckout { org, checkout, .. } = &linked;
    let features: Vec<_> = checkout.features.iter().map(ToString::to_string).collect();
    let change = json!({ "features": features, "trial_days": checkout.trial_days });
    context.set_change(Some(org), change);
    let domain = account(&context, &linked)?;
    if domain.has_bought(org, checkout).await? {
        return Err(ClosedLink::Used);
    }
    let url = domain.checkout(org, checkout, None).await?;
    Ok(not_indexed(Redirect::to(&url).into_response()))
}

/// The account of the request. The link says which test clock its org is on, and not the caller.
fn account(context: &RequestContext, linked: &LinkedCheckout) -> Result<Domain, ClosedLink> {
    let domain = context.domain();
    let domain = domain.ok_or_else(|| Error::internal(&"no account was chosen"));
    let domain = domain.map_err(ClosedLink::Failed)?;
    Ok(match &linked.test_clock {
        Some(clock) => domain.on_test_clock(clock.as_str()),
        None => domain.clone(),
    })
}

fn not_indexed(mut response: Response) -> Response {
    let value = HeaderValue::from_static("noindex");
    response.headers_mut().insert("x-robots-tag", value);
    response
}
