//! Errors of calls to Stripe. No other code reads Stripe's message texts.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use telemetry::mask_secrets;

/// Why a call to Stripe gave no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Stripe answered with an error.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// Not sent: the account's rate is used up, and the call would wait too long.
    #[error("too many calls to Stripe")]
    Limited {
        /// How long to wait before retrying.
        retry_after: Duration,
    },
    /// Not sent: it would have been the first write of a request whose caller has left.
    #[error("the caller left before anything was written")]
    Abandoned,
    /// No answer in time.
    #[error("Stripe did not answer in time ({0})")]
    Timeout(&'static str),
    /// No connection, or one that broke before the answer was complete.
    #[error("cannot reach Stripe: {0}")]
    Transport(String),
    /// An answer that is not what Stripe documents.
    #[error("Stripe's answer to {endpoint} cannot be read: {cause}")]
    Decode {
        /// Method and path of the call.
        endpoint: String,
        /// The decoder's error; never the body, which may hold personal data.
        cause: String,
    },
}

/// An error object of Stripe's, with the headers that retries need. Its `Display` text is safe to log.
#[derive(Clone, Debug, Default, Deserialize, thiserror::Error)]
#[error("Stripe: {} ({status}{})", mask_secrets(message), .code.as_deref().map(|c| format!(" {c}")).unwrap_or_default())]
pub struct ApiError {
    /// HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// `invalid_request_error`, `idempotency_error`, `card_error`, …
    #[serde(default, rename = "type")]
    pub kind: String,
    /// `resource_missing`, `email_invalid`, …; often absent.
    #[serde(default)]
    pub code: Option<String>,
    /// The parameter at fault.
    #[serde(default)]
    pub param: Option<String>,
    /// Stripe's message; rarely empty.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub message: String,
    /// Method and path of the call, without ids.
    #[serde(skip)]
    pub endpoint: String,
    /// `Request-Id`, by which Stripe's support and dashboard find the call.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// `Stripe-Should-Retry`, if Stripe sent it.
    #[serde(skip)]
    pub should_retry: Option<bool>,
    /// `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// `Idempotent-Replayed`: Stripe repeated the answer to an earlier call with the same key.
    #[serde(skip)]
    pub replayed: bool,
}

/// A text that may be null.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Error {
    /// Stripe's own error, if it answered with one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            Self::Limited { .. }
            | Self::Abandoned
            | Self::Timeout(_)
            | Self::Transport(_)
            | Self::Decode { .. } => None,
        }
    }

    /// The outcome of the call, as a metrics label.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Api(error) => match error.status {
                401 => "401",
                403 => "403",
                404 => "404",
                409 => "409",
                429 => "429",
                400..=499 => "400",
                500..=599 => "5xx",
                _ => "other",
            },
            Self::Limited { .. } | Self::Abandoned => "refused",
            Self::Timeout(_) => "timeout",
            Self::Transport(_) => "no_answer",
            Self::Decode { .. } => "unreadable",
        }
    }

    fn api_is(&self, test: impl FnOnce(&ApiError) -> bool) -> bool {
        self.api().is_some_and(test)
    }

    /// The object that the path names does not exist.
    pub fn is_missing(&self) -> bool {
        self.api_is(|e| e.status == 404 && e.is("resource_missing"))
    }

    /// Stripe's rate limiter refused the call. A lock on an object does not count.
    pub fn is_rate_limit(&self) -> bool {
        self.api_is(|e| e.status == 429 && !e.is("lock_timeout"))
    }

    /// The idempotency key was used before with other parameters.
    pub fn is_idempotency_conflict(&self) -> bool {
        self.api_is(|e| e.kind == "idempotency_error")
    }

    /// Stripe replayed the failure of an earlier call with the same idempotency key. Another attempt with this key gets
    /// the same answer for as long as Stripe keeps it.
    pub fn is_replayed(&self) -> bool {
        self.api_is(|e| e.replayed)
    }

    /// Only this attempt was rejected, by a lock or a rate limit. An earlier attempt with the same idempotency key may
    /// have had an effect.
    pub(super) fn is_attempt_rejected(&self) -> bool {
        matches!(self, Self::Limited { .. }) || self.api_is(|e| matches!(e.status, 409 | 429))
    }

    /// Whether a write that failed with this error may have had its effect.
    pub(super) fn may_have_had_effect(&self) -> bool {
        match self {
            Self::Limited { .. } | Self::Abandoned => false,
            Self::Api(answer) => answer.status >= 500,
            _ => true,
        }
    }

    /// The request was invalid, and had no effect.
    pub fn is_invalid_request(&self) -> bool {
        self.api_is(|e| e.status == 400 && e.kind == "invalid_request_error")
    }

    /// Stripe has refused the call, which had no effect.
    pub fn is_definite(&self) -> bool {
        let refused =
            |e: &ApiError| (400..500).contains(&e.status) && !matches!(e.status, 409 | 429);
        self.api_is(refused) && !self.is_idempotency_conflict()
    }

    /// The call may have had its effect: there is no answer, or the answer does not say that it was refused.
    pub fn is_inconclusive(&self) -> bool {
        match self {
            Self::Limited { .. } | Self::Abandoned => false,
            Self::Api(e) => e.status >= 409,
            Self::Timeout(_) | Self::Transport(_) | Self::Decode { .. } => true,
        }
    }

    /// The invoice, or that of the invoice item, is final.
    pub fn is_invoice_final(&self) -> bool {
        self.api_is(|e| e.is("invoice_not_editable"))
    }

    /// There is no upcoming invoice.
    pub fn is_upcoming_invoice_missing(&self) -> bool {
        self.api_is(|e| e.is("invoice_upcoming_none"))
    }

    /// A meter event with this identifier was received before. Stripe gives this error no code.
    pub fn is_event_known(&self) -> bool {
        self.api_is(|e| e.status == 400 && e.message.starts_with("An event already exists"))
    }

    /// The object to be created exists already: a product's id is taken.
    pub fn already_exists(&self) -> bool {
        self.api_is(|e| e.is("resource_already_exists"))
    }

    /// The price's lookup key is taken. Stripe gives this error no code.
    pub fn is_lookup_key_taken(&self) -> bool {
        self.api_is(|e| {
            e.param.as_deref() == Some("lookup_key")
                || e.message.contains("already uses that lookup key")
        })
    }

    /// A metered price without a meter is refused. Stripe gives this error no code.
    pub fn is_meter_needed(&self) -> bool {
        self.api_is(|e| e.status == 400 && e.message.contains("must be backed by meters"))
    }

    /// The schedule was released, or ended, after it was read.
    pub fn is_schedule_over(&self) -> bool {
        self.api_is(|e| {
            e.status == 400
                && [
                    "released",
                    "canceled",
                    "completed",
                    "start date of the current phase",
                ]
                .iter()
                .any(|word| e.message.contains(word))
        })
    }

    /// The subscription to be ended has already ended.
    pub fn is_subscription_over(&self) -> bool {
        self.api_is(|e| e.is("resource_missing") && e.message.starts_with("No such subscription"))
    }

    /// The item to record usage on was removed by a plan change, or with its subscription.
    pub fn is_item_gone(&self) -> bool {
        self.api_is(|e| {
            let ended = e.message.contains("subscription has been canceled");
            e.status == 404 || e.status == 400 && (e.is("resource_missing") || ended)
        })
    }

    /// A subscription item in the call does not exist, or no longer exists.
    pub fn is_item_missing(&self) -> bool {
        let named = |message: &str| message.to_ascii_lowercase().contains("subscription item");
        self.api_is(|e| {
            matches!(e.status, 400 | 404) && e.is("resource_missing") && named(&e.message)
        })
    }

    /// Stripe itself (not a proxy) failed, and the call may have had its effect.
    pub fn is_stripe_failure(&self) -> bool {
        self.api_is(|e| e.status >= 500 && !e.kind.is_empty())
    }

    /// Search is not available: Stripe does not offer it to this account (as in some countries), or this server has
    /// none. Only Stripe's own text proves it, since a search can fail temporarily for other reasons.
    pub fn is_search_unavailable(&self) -> bool {
        self.api_is(|e| {
            let message = e.message.to_lowercase();
            let says = |words: &str| message.contains(words);
            let unavailable = [
                "unavailable",
                "not available",
                "not supported",
                "not offered",
            ];
            let in_words = says("search") && unavailable.iter().any(|words| says(words));
            matches!(e.status, 400 | 403 | 404) && (in_words || says("unrecognized request url"))
        })
    }
}

impl ApiError {
    /// The error concerns a payment method that Stripe does not know, or cannot use.
    pub fn is_about_payment_method(&self) -> bool {
        let names = |param: &str| param.contains("payment_method");
        self.param.as_deref().is_some_and(names)
            || self.message.starts_with("No such PaymentMethod")
    }

    /// The customer in the call does not exist, or no longer exists.
    pub fn is_customer_missing(&self) -> bool {
        self.is("resource_missing")
            && (self.param.as_deref() == Some("customer")
                || self.message.starts_with("No such customer"))
    }

    /// Whether Stripe's error code is `code`.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stripes_own_text_means_that_search_is_unavailable() {
        let refused = |status, message: &str| {
            let error = ApiError {
                status,
                message: message.to_owned(),
                ..ApiError::default()
            };
            Error::Api(Box::new(error)).is_search_unavailable()
        };
        for message in [
            "search feature unavailable for merchant",
            "Search is not available for merchants in your country.",
            "Unrecognized request URL (GET: /v1/customers/search).",
        ] {
            assert!(refused(400, message) && refused(404, message), "{message}");
            assert!(!refused(503, message), "{message}");
        }
        for message in [
            "We were unable to parse your search query.",
            "The page cursor is invalid.",
            "The provided key does not have the required permissions for this endpoint.",
            "",
        ] {
            assert!(
                !refused(400, message) && !refused(403, message),
                "{message}"
            );
        }
    }

    #[test]
    fn a_displayed_error_is_safe_to_log() {
        let error = ApiError {
            status: 400,
            message: "Invalid email address: jo@acme.example".to_owned(),
            ..ApiError::default()
        };
        assert_eq!(
            error.to_string(),
            "Stripe: Invalid email address: *** (400)"
        );
    }
}
