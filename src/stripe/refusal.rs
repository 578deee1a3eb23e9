//! The errors of calls that failed: in transport, or by an error answer of Stripe, with the headers that retries need.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::error::{ApiError, Error};
use super::transport::chain;

/// The error of an exchange that broke off.
pub(super) fn transport_error(error: reqwest::Error) -> Error {
    if error.is_timeout() && !error.is_connect() {
        Error::Timeout("one try")
    } else {
        Error::Transport(chain(&error.without_url()))
    }
}

#[derive(serde::Deserialize)]
struct Envelope {
    error: ApiError,
}

/// Decodes an error answer to `call`, its method and path.
pub(super) fn refusal(call: String, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
    let message = || format!("HTTP {status} without an error object");
    let mut error = match serde_json::from_slice::<Envelope>(body) {
        Ok(envelope) => ApiError {
            replayed: is_replayed(headers),
            ..envelope.error
        },
        // The answer is a proxy's page, or broken. It does not show that the request was invalid.
        Err(_) if (400..500).contains(&status) && !matches!(status, 409 | 429) => {
            return Error::Decode {
                endpoint: call,
                cause: message(),
            };
        }
        Err(_) => ApiError {
            message: message(),
            ..ApiError::default()
        },
    };
    error.status = status;
    error.endpoint = call;
    error.request_id = text(headers, "request-id").map(Into::into);
    error.should_retry = text(headers, "stripe-should-retry").map(|value| value == "true");
    error.retry_after = text(headers, "retry-after")
        .and_then(|s| s.parse().ok())
        .map(Duration::from_secs);
    Error::Api(Box::new(error))
}

/// Whether Stripe replayed its answer to an earlier call with the same idempotency key.
pub(super) fn is_replayed(headers: &HeaderMap) -> bool {
    text(headers, "idempotent-replayed") == Some("true")
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
