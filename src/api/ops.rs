//! What the server says about itself.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::json::Empty;

/// The document that describes this API, as it is in the repository.
pub const OPENAPI_YAML: &str = include_str!("../../openapi.yaml");

/// The same as JSON.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// The process lives.
pub(super) async fn healthz() -> Empty {
    Empty
}

pub(super) async fn openapi_yaml() -> impl IntoResponse {
    document("application/yaml", OPENAPI_YAML)
}

pub(super) async fn openapi_json() -> impl IntoResponse {
    document("application/json", OPENAPI_JSON)
}

fn document(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, HeaderValue::from_static(content_type))],
        text,
    )
}
