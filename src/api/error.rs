//! The mapping from errors to answers. No other module chooses a status or a code.

mod answers;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::json;
use crate::domain;
use telemetry::error_chain;

/// The code of client errors that have no code of their own.
const INVALID_REQUEST: &str = "invalid_request";

/// `Retry-After` if a retry may soon succeed.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// `Retry-After` if device logins have to expire first.
const RETRY_AFTER_LOGINS: Duration = Duration::from_secs(600);

/// An error answer.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// The cause of a 5xx answer. It is an extension of the answer, for the request's log line, and is never sent.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) Arc<str>);

/// The code of an error answer, for its log line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(&'static str);

impl Code {
    /// The error code of `response`, empty for a success.
    pub(super) fn of(response: &Response) -> &'static str {
        let code: Option<&Self> = response.extensions().get();
        code.map_or("", |code| code.0)
    }
}

/// The message of an error answer, in case it is shown as a page.
#[derive(Clone, Debug)]
pub(super) struct Message(pub(super) Cow<'static, str>);

impl Error {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            cause: None,
        }
    }

    /// The code, for programs.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The message, for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn because(mut self, cause: impl Into<Arc<str>>) -> Self {
        self.cause = Some(Cause(cause.into()));
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// An invalid request. `message` says how to correct it.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, message)
    }

    /// The path does not exist.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not Found")
    }

    /// An error of the API of 2022, which has one code for everything that is not found.
    pub(super) fn legacy(error: domain::Error) -> Self {
        use domain::Error as E;
        match error {
            E::OrgNotFound
            | E::FeatureNotFound
            | E::FeatureOrPlanNotFound(_)
            | E::SetupIntentNotFound => {
                Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string())
            }
            error => error.into(),
        }
    }

    /// An error of a checkout link. The visitor of a link has no key, so if Stripe refuses the server's key, that is an
    /// internal error.
    pub(super) fn of_link(error: domain::Error) -> Self {
        use domain::Error as E;
        match error {
            E::PlanArchived(_) | E::FeatureNotFound | E::FeatureOrPlanNotFound(_) => {
                ClosedLink::NotOnSale.into()
            }
            E::InvalidApiKey | E::AccountInvalid | E::Forbidden(_) => {
                Self::internal(&error_chain(&error))
            }
            error => error.into(),
        }
    }

    /// The publishable key is not known.
    pub(super) fn no_publishable_key() -> Self {
        Self::invalid(
            "the publishable key is not known: set STRIPE_PUBLISHABLE_KEY to the account's key that begins with pk_, or run \
             `tier connect`",
        )
    }

    /// The server makes no checkout links.
    pub(super) fn no_checkout_links() -> Self {
        Self::invalid(
            "checkout links are off: start the server with TIER_LINK_SECRET, a random text of 32 characters or more",
        )
    }

    /// The path exists, but not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method Not Allowed",
        )
    }

    /// The request has none of the server's own keys.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
    }

    /// The body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("the body must not be larger than {limit} bytes"),
        )
    }

    /// The model has more than `limit` features.
    pub fn too_many_features(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("the model must not have more than {limit} features"),
        )
    }

    /// The caller's key, or the web page that it calls from, does not allow this.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// The body did not arrive in time.
    pub fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the body did not arrive in time",
        )
    }

    /// An address has begun too many device logins, or failed too often to approve one.
    pub(super) fn too_many_logins() -> Self {
        let error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many logins from this address: try again in ten minutes",
        );
        error.retry_after(RETRY_AFTER_LOGINS)
    }

    /// The server has reached one of its limits.
    pub fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many requests in flight",
        )
        .retry_after(RETRY_SOON)
    }

    /// The answer to a probe if Stripe has not answered a call that began `ago`.
    pub fn no_answer_yet(ago: Duration) -> Self {
        let message = format!(
            "Stripe was asked {} s ago and has not answered yet",
            ago.as_secs()
        );
        let error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stripe_unavailable",
            message,
        );
        error.retry_after(RETRY_SOON)
    }

    /// A bug of this server. The cause is logged and not sent.
    pub fn internal(cause: &impl ToString) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Internal Server Error",
        )
        .because(cause.to_string())
    }

    fn stripe_unavailable(status: StatusCode, error: &domain::Error) -> Self {
        Self::new(status, "stripe_unavailable", error.to_string()).because(error_chain(error))
    }
}

/// Why a checkout link opens nothing, and never will again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClosedLink {
    /// The link has ended, or this server did not make it.
    Ended,
    /// The org already has the plan that the link sells.
    PlanInForce,
    /// The link begins a trial, and the org has had the plan before.
    TrialUsed,
    /// The plan that the link sells is not on sale any more.
    NotOnSale,
}

impl From<ClosedLink> for Error {
    fn from(closed: ClosedLink) -> Self {
        let (code, message) = match closed {
            ClosedLink::Ended => (
                "link_ended",
                "the link is not complete, or its time is over",
            ),
            ClosedLink::PlanInForce => ("plan_in_force", "the org has what the link sells"),
            ClosedLink::TrialUsed => ("trial_used", "the org has had the trial of this link"),
            ClosedLink::NotOnSale => ("not_on_sale", "what the link sells is not on sale any more"),
        };
        Self::new(StatusCode::GONE, code, message)
    }
}

/// The body of every error. The order of the keys is part of the contract.
#[derive(Serialize)]
struct ErrorBody<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            status: self.status.as_u16(),
            code: self.code,
            message: &self.message,
        };
        let mut bytes = json::indented(&body, "    ").unwrap_or_default();
        bytes.push(b'\n');
        let mut response = json::body(bytes);
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Code(self.code));
        response.extensions_mut().insert(Message(self.message));
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(wait).into());
        }
        if self.code == "unauthorized" {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"tier\", charset=\"UTF-8\", Bearer"),
            );
        }
        response
    }
}

/// `Retry-After` is in whole seconds. The wait is rounded up, and is never zero.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(2_001)), 3);
        assert_eq!(whole_seconds(Duration::from_secs(7)), 7);
    }
}
