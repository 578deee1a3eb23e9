//! Pricing as code for products that bill through Stripe.

pub mod clock;
pub mod config;
pub mod domain;
pub mod num;
pub mod server;
pub mod stripe;
pub mod telemetry;
