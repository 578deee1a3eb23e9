//! The layers around every handler, from the outside in: [`observe`] logs and counts, [`origin`] refuses web pages,
//! [`auth`] finds the caller, and [`load`] limits how many requests run. They share one [`RequestContext`].

pub(super) mod auth;
mod context;
pub(super) mod load;
mod next;
pub(super) mod observe;
pub(super) mod origin;
mod peer;
pub(super) mod unknown_keys;

pub(super) use context::RequestContext;
pub(super) use next::{Next, layer};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};

use super::Shared;
use super::pages::OpenLink;

/// Authenticates a request that acts on an account, and then gives it a slot. This is one layer and not two, because
/// each layer boxes the layers inside it.
pub(super) async fn admit(app: Shared, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refused) = auth::authorize(&app, &parts).await {
        return refused;
    }
    let request = Request::from_parts(parts, body);
    load::limit(&app, request, next).await.into_response()
}

/// Lets everybody see a listed page. Other requests are treated as by [`admit`].
pub(super) async fn admit_unless_listed(app: Shared, request: Request, next: Next) -> Response {
    if app.shows_everybody(request.uri().path()) {
        next.run(request).await
    } else {
        admit(app, request, next).await
    }
}

/// Gives a slot to a request with a checkout link.
pub(super) async fn admit_link(app: Shared, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match OpenLink::verify(&mut parts, &app).await {
        Ok(link) => parts.extensions.insert(link),
        Err(refused) => return refused.into_response(),
    };
    if let Err(refused) = auth::admit_visitor(&app, &parts) {
        return refused.into_response();
    }
    let request = Request::from_parts(parts, body);
    load::limit(&app, request, next).await.into_response()
}

/// The first half of [`admit`], for benchmarks.
pub(super) async fn authorize_alone(app: Shared, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match auth::authorize(&app, &parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refused) => refused,
    }
}
