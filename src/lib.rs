//! Pricing as code for products that bill through Stripe.

pub mod clock;
