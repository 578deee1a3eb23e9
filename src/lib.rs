//! Pricing as code for products that bill through Stripe.

pub mod clock;
pub mod domain;
pub mod num;
