//! The answers to the errors of other modules.

use std::time::Duration;

use axum::http::StatusCode;

use super::{Error, INVALID_REQUEST, RETRY_SOON};
use crate::admission::AdmissionError;
use crate::api::decode::DecodeError;
use crate::api::layers::unknown_keys::UnknownKeyError;
use crate::domain::{self, pricing};
use telemetry::error_chain;

/// `Retry-After` if a retry cannot soon succeed.
const RETRY_LATER: Duration = Duration::from_secs(10);

/// The message of [`domain::Error::CustomerVanished`]. The error keeps the code of the Go version, because people
/// search for it.
const TERR1050: &str = "Stripe reported a customer was created and then reported it did not exist. \
    This might mean you purged your Test Mode and need to reset TIER_KEY_PREFIX=<randomString>.";

impl From<domain::Error> for Error {
    fn from(error: domain::Error) -> Self {
        use domain::Error as E;
        let message = error.to_string();
        let bad = |code| Self::new(StatusCode::BAD_REQUEST, code, message.clone());
        match &error {
            E::OrgNotFound => bad("org_not_found"),
            E::FeatureNotFound => bad("feature_not_found"),
            E::FeatureOrPlanNotFound(_) => bad("TERR1020"),
            E::PlanArchived(_) => bad("plan_archived"),
            E::InvalidEmail => bad("invalid_email"),
            E::SetupIntentNotFound => bad("setup_intent_not_found"),
            E::ReservedMetadata => bad("invalid_metadata"),
            E::InvalidPaymentMethod(_) => bad("invalid_payment_method"),
            E::Reference(_)
            | E::FeatureNotReportable
            | E::Invalid(_)
            | E::Refused(_)
            | E::Declined(_) => bad(INVALID_REQUEST),
            E::NoPhase => Self::not_found(),
            E::NotAdmitted(refused) => (*refused).into(),
            E::InvalidApiKey => Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message),
            E::AccountInvalid => Self::new(StatusCode::UNAUTHORIZED, "account_invalid", ""),
            E::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", message),
            E::RateLimited { retry_after, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
                    .retry_after(*retry_after)
            }
            E::Busy { retry_after, .. } => {
                Self::stripe_unavailable(StatusCode::SERVICE_UNAVAILABLE, &error)
                    .retry_after(*retry_after)
            }
            E::Listing { .. }
            | E::Abandoned
            | E::Undelivered
            | E::Unprocessed
            | E::PlanChanging
            | E::TooSoon => Self::stripe_unavailable(StatusCode::SERVICE_UNAVAILABLE, &error)
                .retry_after(RETRY_SOON),
            E::Unavailable { .. } => Self::stripe_unavailable(StatusCode::BAD_GATEWAY, &error),
            E::ReservationEnded(_) => {
                Self::new(StatusCode::CONFLICT, "reservation_expired", message)
            }
            E::LedgerUnavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ledger_unavailable",
                message,
            )
            .because(error_chain(&error)),
            E::OutcomeUnknown(_) | E::Unfinished(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", message)
                    .because(error_chain(&error))
            }
            E::TimedOut { .. } => Self::stripe_unavailable(StatusCode::GATEWAY_TIMEOUT, &error),
            E::CustomerVanished { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "TERR1050", TERR1050)
                    .because(error_chain(&error))
            }
        }
    }
}

impl From<UnknownKeyError> for Error {
    fn from(refused: UnknownKeyError) -> Self {
        match refused {
            UnknownKeyError::Key => domain::Error::InvalidApiKey.into(),
            UnknownKeyError::Peer => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "too many requests with unknown API keys from this address",
            )
            .retry_after(RETRY_LATER),
            UnknownKeyError::All => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many requests with unknown API keys",
            )
            .retry_after(RETRY_LATER),
        }
    }
}

impl From<AdmissionError> for Error {
    fn from(refused: AdmissionError) -> Self {
        let (status, code) = match refused {
            AdmissionError::Server | AdmissionError::Bytes | AdmissionError::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
            }
            AdmissionError::Caller
            | AdmissionError::Peer
            | AdmissionError::Org
            | AdmissionError::OrgQueue
            | AdmissionError::KeyQueue
            | AdmissionError::Queue => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        };
        Self::new(status, code, refused.to_string()).retry_after(RETRY_SOON)
    }
}

impl From<DecodeError> for Error {
    fn from(fault: DecodeError) -> Self {
        Self::invalid(fault.to_string())
    }
}

impl From<pricing::Faults> for Error {
    fn from(faults: pricing::Faults) -> Self {
        Self::invalid(faults.to_string())
    }
}

impl From<domain::ShareError> for Error {
    fn from(error: domain::ShareError) -> Self {
        use domain::ShareError as E;
        let message = error.to_string();
        match error {
            E::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message),
            E::Title | E::From | E::Unreadable | E::Invalid(_) => Self::invalid(message),
        }
    }
}
