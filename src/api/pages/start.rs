//! `/`: links to the other pages, for browsers. For programs the path does not exist.

use axum::extract::State;
use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use crate::api::Shared;
use crate::api::accept::names_html;
use crate::api::error::Error;
use crate::api::operation::{Access, Operation};
use crate::web;

pub(super) fn operations() -> [Operation; 1] {
    let access = Access::Everybody;
    [Operation::get("start", "/", access, start)]
}

async fn start(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Error> {
    if !names_html(&headers) {
        return Err(Error::not_found());
    }
    let sandbox = app.stripe_js.as_deref();
    let sandbox = sandbox.and_then(|script| script.strip_suffix("v3/"));
    let page = web::start(app.shows_everybody("/pricing"), sandbox);
    let mut response = page.into_response();
    let accept = HeaderValue::from_static("accept");
    response.headers_mut().insert(VARY, accept);
    Ok(response)
}
