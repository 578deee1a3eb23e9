//! Headers about the freshness of an answer: its source, its age in seconds, and why it is stale.

use axum::http::header::AGE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::domain::{Answered, Source, StaleReason};

const TIER_SOURCE: HeaderName = HeaderName::from_static("tier-source");
const TIER_STALE: HeaderName = HeaderName::from_static("tier-stale");

impl<T: IntoResponse> IntoResponse for Answered<T> {
    fn into_response(self) -> Response {
        let mut response = self.value.into_response();
        let headers = response.headers_mut();
        headers.insert(AGE, self.age.as_secs().into());
        let source = match self.source {
            Source::Stripe => "stripe",
            Source::Memory => "memory",
            Source::Ledger => "ledger",
            Source::Sent => "sent",
        };
        headers.insert(TIER_SOURCE, HeaderValue::from_static(source));
        let stale = self.stale.map(|stale| match stale {
            StaleReason::Unavailable => "stripe-unavailable",
            StaleReason::RateLimited => "stripe-rate-limited",
            StaleReason::Ledger => "ledger-unavailable",
            StaleReason::PeriodPredicted => "period-predicted",
        });
        if let Some(stale) = stale {
            headers.insert(TIER_STALE, HeaderValue::from_static(stale));
        }
        response
    }
}
