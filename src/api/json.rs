//! JSON answers, byte for byte as clients expect them: indented by tabs, errors by four spaces, a pulled model by two,
//! and `{}` for a success without a result.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::error::Error;

/// A success with a body, indented by tabs, with a newline at its end.
pub(super) struct Json<T>(pub T);

/// A success whose body is already encoded as JSON.
pub(super) struct Document(pub String);

/// A success without a result: the two bytes `{}` as plain text. One client compares them as a string, and others parse
/// them as JSON.
pub(super) struct Empty;

/// `value` as indented JSON.
pub(super) fn indented<T: Serialize>(value: &T, indent: &str) -> serde_json::Result<Vec<u8>> {
    // The usage of five features fits.
    let mut bytes = Vec::with_capacity(512);
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(bytes)
}

/// `bytes` as an answer of type `application/json`.
pub(super) fn body(bytes: Vec<u8>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, JSON)], bytes).into_response()
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match indented(&self.0, "\t") {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                body(bytes)
            }
            Err(cause) => Error::internal(&cause).into_response(),
        }
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        body(self.0.into_bytes())
    }
}

impl IntoResponse for Empty {
    fn into_response(self) -> Response {
        const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
        ([(CONTENT_TYPE, TEXT)], "{}").into_response()
    }
}
