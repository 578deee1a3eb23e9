//! Observes every request: gives it an id, logs and counts it, and turns a panic into a 500 for that request alone.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::{Next, RequestContext};
use crate::api::error::{Cause, Code, Error};
use crate::api::pages::{Reader, error_page};
use crate::api::{Shared, keys};
use crate::metrics::{Endpoint, HttpRequest, Metrics};
use telemetry::{mask_secrets, panic_text};

/// The header with the request's id, which is also in the log.
pub(in crate::api) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The status in logs and metrics for a client that left before its answer, as in nginx.
const CLIENT_GONE: u16 = 499;

/// The longest request id that is accepted from a client.
const MAX_REQUEST_ID: usize = 128;

/// Logs and counts a request when this is dropped: after the answer, or because the client left before it.
struct RequestLog {
    metrics: Arc<Metrics>,
    started: Instant,
    context: RequestContext,
    method: Method,
    idempotency_key: Option<HeaderValue>,
    status: u16,
    code: &'static str,
    cause: Option<Cause>,
}

impl RequestLog {
    fn new(metrics: Arc<Metrics>, request: &Request) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            started: Instant::now(),
            context: RequestContext::new(request),
            method: request.method().clone(),
            idempotency_key: request.headers().get("idempotency-key").cloned(),
            status: CLIENT_GONE,
            code: "client_gone",
            cause: None,
        }
    }

    /// Records the status, the code and the cause of the answer.
    fn answered(&mut self, response: &mut Response) {
        self.status = response.status().as_u16();
        self.code = Code::of(response);
        self.cause = response.extensions_mut().remove();
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let endpoint = self.context.endpoint();
        let (status, code) = (self.status, self.code);
        let took = self.started.elapsed();
        let calls = self.context.domain().map(|domain| domain.stripe().calls());
        let key = self.idempotency_key.as_ref().map(digest);
        tracing::info!(
            request_id = self.context.id_text(),
            method = self.method.as_str(),
            endpoint,
            idempotency_key_sha256 = key.as_deref(),
            status,
            code = (!code.is_empty()).then_some(code),
            cause = self.cause.as_ref().map(|cause| &*cause.0),
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            stripe_calls = calls.as_ref().map(Vec::len),
            stripe_request_ids = calls.as_deref().and_then(joined),
            "request"
        );
        self.metrics.in_flight.dec();
        self.metrics
            .requests
            .get_or_create(&HttpRequest {
                endpoint,
                status,
                code,
            })
            .inc();
        self.metrics
            .request_durations
            .get_or_create(&Endpoint { endpoint })
            .observe(took.as_secs_f64());
    }
}

/// Gives the request its context, logs and counts it, and turns a panic into a 500.
///
/// `tower-http` has a layer for each part of this. Those layers would box the request three more times, which is too
/// slow for an answer from memory, and they accept any request id from a client, even a secret.
pub(in crate::api) async fn observe(app: Shared, mut request: Request, next: Next) -> Response {
    let mut observed = RequestLog::new(app.metrics.clone(), &request);
    let context = observed.context.clone();
    let span = telemetry::request_span(context.id(), context.endpoint(), request.headers());
    request.extensions_mut().insert(context);
    let reader = Reader::of(request.uri().path(), request.headers());
    let handled = async {
        match app.origins.check(&observed.context, &request, &app) {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        }
    };
    let handled = AssertUnwindSafe(handled)
        .catch_unwind()
        .instrument(span)
        .await;
    let mut response = handled.unwrap_or_else(|panic| {
        observed.metrics.panics.inc();
        Error::internal(&panic_text(&*panic)).into_response()
    });
    observed.answered(&mut response);
    if let Some(reader) = reader {
        response = error_page(reader, response, observed.context.id_text());
    }
    let id = observed.context.id().clone();
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// The beginning of the key's SHA-256. The key itself is not logged, because clients put all kinds of data into it.
fn digest(key: &HeaderValue) -> String {
    keys::short(&Sha256::digest(key.as_bytes()).into())
}

/// The ids of the first calls that Stripe answered. Only some, so that the log line stays readable.
fn joined(calls: &[Option<String>]) -> Option<String> {
    const MAX_IDS: usize = 20;
    let ids: Vec<&str> = calls
        .iter()
        .flatten()
        .take(MAX_IDS)
        .map(String::as_str)
        .collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// The client's request id, if it is suitable for a log line. Otherwise a new one, counted up from a random start.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    static START: LazyLock<u128> = LazyLock::new(|| uuid::Uuid::new_v4().as_u128());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let suitable = headers.get(X_REQUEST_ID).filter(|id| {
        let fits = (1..=MAX_REQUEST_ID).contains(&id.len());
        let text = id.to_str().unwrap_or_default();
        fits && text.bytes().all(|byte| byte.is_ascii_graphic()) && mask_secrets(text) == text
    });
    suitable.cloned().unwrap_or_else(|| {
        let mut id = String::with_capacity(40);
        let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
        let written = write!(id, "{:032x}", START.wrapping_add(count));
        debug_assert!(written.is_ok(), "a String takes everything");
        HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("0"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_clients_request_id_is_used_if_it_is_suitable_for_a_log() {
        let id = request_id(&with(X_REQUEST_ID, "abc-1"));
        assert_eq!(id, "abc-1");
        for unfit in ["", "two words", "jo@acme.example", &"x".repeat(129)] {
            assert_ne!(request_id(&with(X_REQUEST_ID, unfit)), unfit);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
