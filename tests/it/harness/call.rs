//! Requests to the server under test, and its answers.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tier::stripe::Path;
use tower::ServiceExt as _;

use super::TestApp;
use crate::contract;

/// A request under construction.
pub(crate) struct Call<'a> {
    pub(super) app: &'a TestApp,
    pub(super) method: Method,
    pub(super) path_and_query: &'a str,
    pub(super) headers: Vec<(&'static str, Vec<u8>)>,
    pub(super) body: Body,
}

impl Call<'_> {
    /// Adds headers.
    pub(crate) fn headers(mut self, headers: &[(&'static str, &str)]) -> Self {
        for (name, value) in headers {
            self = self.header(name, value);
        }
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.streamed(Body::from(body.into()))
    }

    /// Sets a body that arrives bit by bit.
    pub(crate) fn streamed(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sends the request, and validates the answer against `openapi.yaml`, unless it is a preflight request.
    pub(crate) async fn send(self) -> Answer {
        let asked = "access-control-request-method";
        let is_preflight = self.headers.iter().any(|(name, _)| *name == asked);
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path_and_query);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body).expect("a well-formed request");
        let path = request.uri().path().to_owned();
        let response = self.app.router.clone().oneshot(request).await;
        let (head, body) = response
            .expect("the router answers everything")
            .into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .expect("the body is in memory");
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.into()).expect("answers are text"),
        };
        if self.method != Method::HEAD && !is_preflight {
            contract::check(
                &self.method,
                &path,
                answer.status,
                answer.header("content-type"),
                &answer.body,
            );
        }
        answer
    }
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// The body's text.
    pub(crate) body: String,
}

impl Answer {
    /// Returns this answer, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self
    }

    /// Returns this answer, which must be an error with `status` and `code`.
    #[track_caller]
    pub(crate) fn fails(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.json()["code"], code, "{}", self.body);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The value of a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// A path of Stripe's API that contains ids.
pub(crate) fn any_path(path: &str) -> Path {
    let path: &'static str = path.to_owned().leak();
    path.into()
}
