//! What surrounds every handler: the request's id, its one line in the log, panics, keys, and the answers for what has
//! no handler.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tracing::Instrument as _;

use super::error::{Cause, Code, Error};
use crate::telemetry::panic_text;

/// Taken from the request, or made; in the answer and in the log.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// Gives the request its id, writes its line in the log, and turns a panic into a 500 for this request alone.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default());

    let handled = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span)
        .await;
    let mut response =
        handled.unwrap_or_else(|panic| Error::internal(&panic_text(&*panic)).into_response());

    let cause = response.extensions_mut().remove::<Cause>();
    let code = response.extensions_mut().remove::<Code>();
    tracing::info!(
        request_id = id.to_str().unwrap_or_default(),
        method = method.as_str(),
        endpoint = endpoint.as_ref().map_or("none", MatchedPath::as_str),
        status = response.status().as_u16(),
        code = code.map(|code| code.0),
        cause = cause.as_ref().map(|cause| &*cause.0),
        micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
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

/// The keys that callers need one of; none: open to everybody. Only their digests are kept.
#[derive(Clone, Default)]
pub struct Keys(Arc<[[u8; 32]]>);

impl Keys {
    /// The digests of `keys`.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| Sha256::digest(key).into())
                .collect(),
        )
    }

    /// Whether `headers` carry one of the keys. Digests of equal length are compared, all of them and to the end, so
    /// that the time taken tells nothing about a key.
    fn admit(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(given) = presented_key(headers) else {
            return false;
        };
        let given = Sha256::digest(given);
        let found = self.0.iter().fold(Choice::from(0), |found, key| {
            found | key.as_slice().ct_eq(given.as_slice())
        });
        found.into()
    }
}

/// The user of Basic authorization, or the Bearer token. An empty user means that the client has no key.
fn presented_key(headers: &HeaderMap) -> Option<Vec<u8>> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        rest.as_bytes().to_vec()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let mut pair = BASE64_STANDARD.decode(rest).ok()?;
        let user = pair.iter().position(|byte| *byte == b':')?;
        pair.truncate(user);
        pair
    } else {
        return None;
    };
    Some(key).filter(|key| !key.is_empty())
}

/// Lets a request through that has one of the server's keys.
pub(super) async fn authorize(
    State(keys): State<Keys>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    if keys.admit(request.headers()) {
        Ok(next.run(request).await)
    } else {
        Err(Error::unauthorized())
    }
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
    fn a_key_is_the_basic_user_or_the_bearer_token() {
        let keys = Keys::new(["one", "two"]);
        for value in [
            "Basic b25lOg==",
            "basic dHdvOnBhc3N3b3Jk",
            "Bearer two",
            "bearer one",
        ] {
            assert!(keys.admit(&with(AUTHORIZATION, value)), "{value}");
        }
        for value in [
            "",
            "Basic",
            "Basic Og==",
            "Basic b25l",
            "Basic !",
            "Bearer",
            "Bearer ",
            "Bearer three",
            "Bearer on",
            "Digest one",
            "one",
        ] {
            assert!(!keys.admit(&with(AUTHORIZATION, value)), "{value}");
        }
        assert!(!keys.admit(&HeaderMap::new()));
    }

    #[test]
    fn without_keys_everybody_may_call() {
        assert!(Keys::default().admit(&HeaderMap::new()));
        assert!(Keys::default().admit(&with(AUTHORIZATION, "Basic Og==")));
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
