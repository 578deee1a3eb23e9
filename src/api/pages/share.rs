//! Links that hold a model. Nothing is stored, so only those who have a link can see its model.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::HeaderValue;
use axum::http::header::VARY;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::Shared;
use crate::api::accept::names_html;
use crate::api::anonymous::{AnonymousSlot, OpenBody, base_url};
use crate::api::error::Error;
use crate::api::extract::parameter;
use crate::api::json::{Document, Json};
use crate::api::operation::{Access, Operation};
use crate::domain::pricing::Model;
use crate::domain::{ShareError, SharedModel};
use crate::web;

/// The header that says where the shared model was read from.
const TIER_ORIGIN: &str = "tier-origin";

pub(super) fn operations() -> [Operation; 2] {
    let access = Access::Everybody;
    [
        Operation::get("sharedModel", "/m/{name}", access, show),
        Operation::for_own_pages("upload", "/upload", access, upload),
    ]
}

/// `POST /upload`
#[derive(Serialize)]
struct Link {
    url: String,
}

async fn upload(State(app): State<Shared>, request: Request) -> Result<Json<Link>, Error> {
    let (head, body) = request.into_parts();
    let title = parameter(&head, "title").map(std::borrow::Cow::into_owned);
    let from = from(&head)?;
    let base = base_url(&app, &head)
        .ok_or_else(|| Error::invalid("the request does not say which host it is for"))?;
    let body = OpenBody::from_request(Request::from_parts(head, body), &app).await?;
    let shared = SharedModel {
        title,
        from,
        model: Model::parse_bytes(&body.bytes)?,
    };
    let url = format!("{base}/m/{}", shared.link_text()?);
    Ok(Json(Link { url }))
}

fn from(head: &Parts) -> Result<Option<String>, Error> {
    let from = head.headers.get(TIER_ORIGIN);
    let from = from.filter(|from| !from.is_empty());
    let text = from.map(|from| from.to_str().map(str::to_owned));
    text.transpose().map_err(|_| Error::from(ShareError::From))
}

async fn show(
    _slot: AnonymousSlot,
    text: Result<Path<String>, PathRejection>,
    State(app): State<Shared>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let read = match &text {
        Ok(Path(text)) => SharedModel::from_link_text(text),
        Err(_) => Err(ShareError::Unreadable),
    };
    let mut response = match (read, names_html(&head.headers)) {
        (Ok(shared), true) => web::builder(app.accounts.is_live(), Some(&shared)).into_response(),
        (Ok(shared), false) => Document(shared.model.to_json() + "\n").into_response(),
        (Err(error), _) => Error::from(error).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}
