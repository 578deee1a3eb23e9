//! Errors of requests, in Tier's terms. They know no HTTP: `api::error` maps each to its status.

use std::time::Duration;

use super::pricing::Faults;
use super::refs::RefError;
use crate::admission::AdmissionError;
use crate::stripe;

/// Why a request failed.
///
/// Variants that repeat Stripe's message have no source. The others keep Stripe's error as their `source`, which is
/// logged and never shown to clients. It is `None` where Tier found the fault without Stripe.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A reference that does not parse.
    #[error(transparent)]
    Reference(#[from] RefError),
    /// Stripe has no customer for that org.
    #[error("org not found")]
    OrgNotFound,
    /// Usage was reported for a feature that the org is not subscribed to.
    #[error("feature not found")]
    FeatureNotFound,
    /// The request names a feature or plan that was not pushed. The text is the first such name.
    #[error("feature or plan not found: {0:?}")]
    FeatureOrPlanNotFound(String),
    /// The request asks for a plan that is archived.
    #[error("plan is archived: {0:?}")]
    PlanArchived(String),
    /// The org's customer has no set-up intent with that id.
    #[error("setup intent not found")]
    SetupIntentNotFound,
    /// Usage was reported for a licensed feature.
    #[error("feature not reportable")]
    FeatureNotReportable,
    /// The org has no phase in force.
    #[error("no current phase")]
    NoPhase,
    /// `info.metadata` has one of Tier's own keys.
    #[error("metadata keys must not use reserved prefix ('tier.')")]
    ReservedMetadata,
    /// Stripe refused the e-mail address.
    #[error("invalid email")]
    InvalidEmail,
    /// Stripe does not know the payment method, or cannot use it. The text is Stripe's message.
    #[error("{0}")]
    InvalidPaymentMethod(String),
    /// The request contradicts itself or the API's rules. The text says how to correct it.
    #[error("{0}")]
    Invalid(String),
    /// Stripe refused the content of the request: Stripe's message.
    #[error("{0}")]
    Refused(String),
    /// A payment was declined: Stripe's message. The object to be paid may exist, unpaid.
    #[error("{0}")]
    Declined(String),
    /// A customer that Stripe had created or listed no longer exists.
    #[error("the customer is gone")]
    CustomerVanished {
        /// Stripe's error; `None` for a customer that Stripe shows as deleted.
        source: Option<Box<stripe::Error>>,
    },
    /// Stripe does not accept the key.
    #[error("invalid api key")]
    InvalidApiKey,
    /// The key has no access to the connected account.
    #[error("the key has no access to the connected account")]
    AccountInvalid,
    /// The key may not do this: Stripe's message.
    #[error("{0}")]
    Forbidden(String),
    /// The request was not admitted, or too many requests wait for the same lock.
    #[error(transparent)]
    NotAdmitted(#[from] AdmissionError),
    /// Too many calls to Stripe. The request can be retried after the wait.
    #[error("too many requests to Stripe")]
    RateLimited {
        /// How long to wait before retrying.
        retry_after: Duration,
        /// Stripe's error.
        source: Option<Box<stripe::Error>>,
    },
    /// Another request holds a lock that this one needs. The request can be retried after the wait.
    #[error("Stripe is busy with another request for the same object")]
    Busy {
        /// How long to wait before retrying.
        retry_after: Duration,
        /// Stripe's error.
        source: Option<Box<stripe::Error>>,
    },
    /// Stripe cannot search this account's customers, and they are not all listed yet. Nothing was done.
    #[error(
        "the customers of this account are being listed, since Stripe does not search them: {read} orgs so far"
    )]
    Listing {
        /// The number of orgs read so far.
        read: usize,
    },
    /// The caller left, or the request timed out, before anything was written. Nothing will be written.
    #[error("this took too long to begin, and nothing was done")]
    Abandoned,
    /// Stripe is unreachable, or has an internal error.
    #[error("Stripe is unavailable: {reason}")]
    Unavailable {
        /// The reason, which clients see.
        reason: String,
        /// Stripe's error.
        source: Option<Box<stripe::Error>>,
    },
    /// The plan was not changed, because earlier usage is not delivered to Stripe yet. Nothing was done.
    #[error("earlier usage could not be sent to Stripe, so nothing was changed")]
    Undelivered,
    /// The plan was not changed, because Stripe has not processed earlier usage yet. Nothing was done.
    #[error(
        "Stripe has not processed earlier usage yet, so nothing was changed: try again in a few seconds"
    )]
    Unprocessed,
    /// Another request is changing the org's plan. Nothing was done. The request can be repeated.
    #[error(
        "another request is changing the org's plan, so nothing was done: try again in a few seconds"
    )]
    PlanChanging,
    /// The plan has changed in this second of Stripe's time. Nothing was done.
    #[error(
        "the org's plan has changed in this second, and another billing interval can only begin in the next one: try \
         again in a second"
    )]
    TooSoon,
    /// The reservation has ended. The text says how.
    #[error("reservation has {0}")]
    ReservationEnded(&'static str),
    /// The ledger cannot record usage, and nothing was recorded. The text is the reason.
    #[error("the ledger is unavailable: {0}")]
    LedgerUnavailable(String),
    /// It is unknown whether the usage was counted. The text is the reason.
    #[error("it is not known whether this was counted: {0}")]
    OutcomeUnknown(&'static str),
    /// Part of the request took effect, or may have. The rest did not.
    #[error("this was started but not finished ({0}); send the same request again to finish it")]
    Unfinished(#[source] Box<Self>),
    /// Stripe did not answer in time. The effect may have taken place.
    #[error("Stripe did not answer in time")]
    TimedOut {
        /// The unanswered call; `None` where the request as a whole took too long.
        source: Option<Box<stripe::Error>>,
    },
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults.to_string())
    }
}

/// The wait when Stripe does not specify one.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

impl Error {
    /// The error if other requests changed the plan during every attempt. Its message does not contain Stripe's ids.
    pub(super) fn plan_is_changing() -> Self {
        Self::Unavailable {
            reason: "the plan is being changed".into(),
            source: None,
        }
    }

    /// Whether Stripe refused the content of the request. A refused request had no effect.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_)
                | Self::PlanArchived(_)
                | Self::Refused(_)
                | Self::Declined(_)
                | Self::InvalidPaymentMethod(_)
                | Self::InvalidEmail
                | Self::Forbidden(_)
        )
    }

    /// Whether Stripe refused the request and no part of it took effect.
    pub(super) fn is_definite_refusal(&self) -> bool {
        self.is_refusal() && !matches!(self, Self::Declined(_))
    }
}

/// What to do if Stripe refuses metered prices without a meter.
const METERS_NEEDED: &str = "the account takes only metered prices with a billing meter: push with --stripe-generation \
    meters, or set TIER_STRIPE_GENERATION=meters; a plan that already has prices without one needs a new version";

impl From<stripe::Error> for Error {
    fn from(error: stripe::Error) -> Self {
        match error {
            error if error.is_meter_needed() => Self::Refused(METERS_NEEDED.to_owned()),
            stripe::Error::Limited { retry_after } => Self::RateLimited {
                retry_after,
                source: Some(Box::new(error)),
            },
            stripe::Error::Abandoned => Self::Abandoned,
            stripe::Error::Timeout(_) => Self::TimedOut {
                source: Some(Box::new(error)),
            },
            stripe::Error::Transport(ref reason) => Self::Unavailable {
                reason: reason.clone(),
                source: Some(Box::new(error)),
            },
            stripe::Error::Decode { .. } => Self::Unavailable {
                reason: error.to_string(),
                source: Some(Box::new(error)),
            },
            stripe::Error::Api(answer) if answer.is_customer_missing() => Self::CustomerVanished {
                source: Some(Box::new(stripe::Error::Api(answer))),
            },
            stripe::Error::Api(answer) => from_answer(answer),
        }
    }
}

fn from_answer(mut error: Box<stripe::ApiError>) -> Error {
    if error.message.is_empty() {
        error.message = format!(
            "Stripe refused the call {} without saying why (HTTP {})",
            error.endpoint, error.status
        );
    }
    let retry_after = error.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
    let is_busy = error.status == 409 || error.is("lock_timeout");
    match error.status {
        _ if error.is("account_invalid") => Error::AccountInvalid,
        _ if is_busy => Error::Busy {
            retry_after,
            source: Some(Box::new(stripe::Error::Api(error))),
        },
        401 => Error::InvalidApiKey,
        402 => Error::Declined(error.message),
        403 => Error::Forbidden(error.message),
        429 => Error::RateLimited {
            retry_after,
            source: Some(Box::new(stripe::Error::Api(error))),
        },
        400..=499 if error.is("email_invalid") => Error::InvalidEmail,
        400..=499 if error.is_about_payment_method() => Error::InvalidPaymentMethod(error.message),
        400..=499 => Error::Refused(error.message),
        status => Error::Unavailable {
            reason: format!("HTTP {status} for {}", error.endpoint),
            source: Some(Box::new(stripe::Error::Api(error))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::error_chain;

    fn answer(status: u16, code: Option<&str>, param: Option<&str>, message: &str) -> Error {
        Error::from(stripe::Error::Api(Box::new(stripe::ApiError {
            status,
            code: code.map(Into::into),
            param: param.map(Into::into),
            message: message.into(),
            endpoint: "POST /v1/prices".into(),
            ..stripe::ApiError::default()
        })))
    }

    #[test]
    fn errors_keep_stripes_error_as_their_source() {
        let source = |error: &Error| {
            let source = std::error::Error::source(error);
            source.map(ToString::to_string)
        };
        let failed = answer(503, Some("api_error"), None, "Sorry");
        let expected = Some("Stripe: Sorry (503 api_error)".to_owned());
        assert_eq!(source(&failed), expected);
        let busy = answer(429, Some("lock_timeout"), None, "Locked");
        let unfinished = Error::Unfinished(Box::new(busy.clone()));
        assert_eq!(source(&unfinished), Some(busy.to_string()));
        let late = Error::from(stripe::Error::Timeout("connecting"));
        let expected = Some("Stripe did not answer in time (connecting)".to_owned());
        assert_eq!(source(&late), expected);
        assert_eq!(source(&Error::plan_is_changing()), None);
        assert_eq!(
            error_chain(&unfinished),
            "this was started but not finished (Stripe is busy with another request for the same object); send the same \
             request again to finish it: Stripe: Locked (429 lock_timeout)"
        );
    }

    #[test]
    fn stripes_errors_map_to_tiers() {
        let text = |error: Error| match error {
            Error::Busy { .. } | Error::RateLimited { .. } | Error::Unavailable { .. } => {
                error.to_string()
            }
            _ => format!("{error:?}"),
        };
        for (error, expected) in [
            (answer(401, None, None, "Invalid API Key"), "InvalidApiKey"),
            (
                answer(403, Some("account_invalid"), None, "…"),
                "AccountInvalid",
            ),
            (answer(403, None, None, "no"), "Forbidden(\"no\")"),
            (
                answer(400, Some("email_invalid"), Some("email"), "…"),
                "InvalidEmail",
            ),
            (
                answer(
                    400,
                    Some("resource_missing"),
                    Some("default_settings[default_payment_method]"),
                    "No such PaymentMethod: 'pm_card_us'",
                ),
                "InvalidPaymentMethod(\"No such PaymentMethod: 'pm_card_us'\")",
            ),
            (
                answer(
                    404,
                    Some("resource_missing"),
                    Some("coupon"),
                    "No such coupon",
                ),
                "Refused(\"No such coupon\")",
            ),
            (
                answer(402, Some("card_declined"), None, "declined"),
                "Declined(\"declined\")",
            ),
            (
                answer(409, None, None, ""),
                "Stripe is busy with another request for the same object",
            ),
            (
                answer(429, Some("lock_timeout"), None, ""),
                "Stripe is busy with another request for the same object",
            ),
            (
                answer(429, Some("rate_limit"), None, ""),
                "too many requests to Stripe",
            ),
            (
                answer(503, None, None, ""),
                "Stripe is unavailable: HTTP 503 for POST /v1/prices",
            ),
            (
                answer(400, None, None, ""),
                "Refused(\"Stripe refused the call POST /v1/prices without saying why (HTTP 400)\")",
            ),
        ] {
            assert_eq!(text(error), expected);
        }
    }
}
