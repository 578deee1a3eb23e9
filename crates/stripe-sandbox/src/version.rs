//! The API version of a call, chosen once.

use axum::http::HeaderMap;

use crate::error::{Error, Result};

/// The API version of all answers.
pub const API_VERSION: &str = "2022-11-15";

/// Refuses other versions, because their clients would misread the answers.
pub(crate) fn check(headers: &HeaderMap) -> Result<()> {
    match headers.get("stripe-version") {
        Some(version) if version != API_VERSION => Err(Error::invalid(format!(
            "The sandbox only supports the API version `{API_VERSION}`, not `{}`: send `Stripe-Version: {API_VERSION}`, or leave the header out.",
            String::from_utf8_lossy(version.as_bytes())
        ))
        .before_execution()),
        _ => Ok(()),
    }
}
