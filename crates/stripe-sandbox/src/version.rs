//! The API version of a call, chosen once.

use axum::http::HeaderMap;

use crate::error::{Error, Result};

/// The API version whose answers the sandbox gives.
pub const API_VERSION: &str = "2022-11-15";

/// A client that speaks another version would misread the answers.
pub(crate) fn check(headers: &HeaderMap) -> Result<()> {
    match headers.get("stripe-version") {
        Some(version) if version != API_VERSION => Err(Error::invalid(format!(
            "The sandbox plays the Stripe API version `{API_VERSION}` only, and was asked for `{}`: send `Stripe-Version: {API_VERSION}`, or leave the header out.",
            String::from_utf8_lossy(version.as_bytes())
        ))
        .before_execution()),
        _ => Ok(()),
    }
}
