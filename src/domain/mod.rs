//! What Tier knows: names, the pricing model, and how both become Stripe calls.

pub mod pricing;
pub mod refs;
