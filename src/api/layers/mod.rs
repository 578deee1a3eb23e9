//! What surrounds every handler, from the outside: [`observe`] tells of each request, [`origin`] keeps web pages out,
//! [`auth`] finds the caller, and [`load`] bounds what is done at once. All of them read and fill one [`RequestContext`].

pub(super) mod auth;
mod context;
pub(super) mod load;
pub(super) mod observe;
pub(super) mod origin;
mod peer;
pub(super) mod strangers;

pub(super) use context::RequestContext;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Shared;

/// Before what acts on an account: its caller is found, and then it gets a place. One layer, since each boxes what is
/// inside it.
pub(super) async fn admit(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refused) = auth::authorize(&app, &parts).await {
        return refused;
    }
    let request = Request::from_parts(parts, body);
    load::limit(&app, request, next).await.into_response()
}

/// The first half of [`admit`], for benchmarks.
pub(super) async fn authorize_alone(
    State(app): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match auth::authorize(&app, &parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refused) => refused,
    }
}
