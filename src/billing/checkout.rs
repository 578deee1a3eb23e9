//! Checkout sessions.

use serde::Deserialize;

/// A page at Stripe on which somebody pays.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutSession {
    /// Where it is.
    pub url: String,
}
