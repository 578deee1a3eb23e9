//! What surrounds every handler: the request's id, its one line in the log, what is counted of it, panics, and the
//! answers for what has no handler.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use tracing::Instrument as _;

use super::error::{Cause, Code, Error};
use crate::domain::Domain;
use crate::metrics::{Endpoint, HttpRequest, Metrics};
use crate::telemetry::panic_text;

/// Taken from the request, or made; in the answer and in the log.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// Where a handler's [`Domain`] is left for the request's line in the log: it knows the calls that were made.
#[derive(Clone, Default)]
pub(super) struct Trail(pub(super) Arc<OnceLock<Domain>>);

/// A request that is counted as in flight until this is dropped.
struct InFlight(Arc<Metrics>);

impl InFlight {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.in_flight.inc();
        Self(metrics.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Gives the request its id, writes its line in the log, counts it, and turns a panic into a 500 for this request alone.
pub(super) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    mut request: Request,
    next: Next,
) -> Response {
    let _in_flight = InFlight::new(&metrics);
    let started = Instant::now();
    let id = request_id(request.headers());
    let idempotency_key = request.headers().get("idempotency-key").cloned();
    let idempotency_key = idempotency_key.as_ref().and_then(|key| key.to_str().ok());
    let method = request.method().clone();
    let endpoint = endpoint(request.extensions().get::<MatchedPath>());
    let trail = Trail::default();
    request.extensions_mut().insert(trail.clone());
    let span = crate::telemetry::request_span(&id, endpoint, request.headers());

    let handled = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span)
        .await;
    let mut response = handled.unwrap_or_else(|panic| {
        metrics.panics.inc();
        Error::internal(&panic_text(&*panic)).into_response()
    });

    let cause = response.extensions_mut().remove::<Cause>();
    let code = response.extensions_mut().remove::<Code>();
    let status = response.status().as_u16();
    let took = started.elapsed();
    let calls = trail.0.get().map(|domain| domain.stripe().calls());
    tracing::info!(
        request_id = id.to_str().unwrap_or_default(),
        method = method.as_str(),
        endpoint,
        idempotency_key,
        status,
        code = code.map(|code| code.0),
        cause = cause.as_ref().map(|cause| &*cause.0),
        micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        stripe_calls = calls.as_ref().map(Vec::len),
        stripe_request_ids = calls.as_deref().and_then(joined),
        "request"
    );
    let code = code.map_or("", |code| code.0);
    metrics
        .requests
        .get_or_create(&HttpRequest {
            endpoint,
            status,
            code,
        })
        .inc();
    metrics
        .request_durations
        .get_or_create(&Endpoint { endpoint })
        .observe(took.as_secs_f64());
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// The path as it is in the table of routes: anything else would let callers make up labels.
fn endpoint(matched: Option<&MatchedPath>) -> &'static str {
    let matched = matched.map_or("none", MatchedPath::as_str);
    super::paths()
        .find(|path| *path == matched)
        .unwrap_or("none")
}

/// The ids of the calls that were answered, for a log line that stays readable.
fn joined(calls: &[Option<String>]) -> Option<String> {
    const SHOWN: usize = 20;
    let ids: Vec<&str> = calls
        .iter()
        .flatten()
        .take(SHOWN)
        .map(String::as_str)
        .collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// The client's own id if it is fit for a log line, else a new one: unique by a random start, then counted.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    static START: LazyLock<u128> = LazyLock::new(|| uuid::Uuid::new_v4().as_u128());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let given = headers.get(X_REQUEST_ID).filter(|id| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let mut id = String::with_capacity(40);
        let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
        let written = write!(id, "{:032x}", START.wrapping_add(count));
        debug_assert!(written.is_ok(), "a String takes everything");
        HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("0"))
    })
}

/// Paths that nobody serves, a known one with a slash at its end included.
pub(super) async fn unknown_path() -> Error {
    Error::not_found()
}

/// A method that a path is not served for; the router adds `Allow`.
pub(super) async fn unknown_method() -> Error {
    Error::method_not_allowed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_clients_request_id_is_taken_over_if_it_is_fit_for_a_log() {
        let id = request_id(&with(X_REQUEST_ID, "abc-1"));
        assert_eq!(id, "abc-1");
        for unfit in ["", "two words", &"x".repeat(129)] {
            assert_ne!(request_id(&with(X_REQUEST_ID, unfit)), unfit);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
