//! Pricing as code for products that bill through Stripe.
//!
//! An app describes its plans once, in a `pricing.json`. This crate pushes that model to Stripe, subscribes the app's
//! customers ("orgs") to plans, answers what an org may use and has used, and records usage.
//!
//! # Map
//!
//! ```text
//! main -> cli -> api -> domain -> billing -> stripe -> (HTTP) -> Stripe | sandbox
//!          |---> server, which serves any router
//!          |---> background, which runs the periodic tasks of `domain`
//!          `---> stripe_sandbox, which simulates Stripe
//! ```
//!
//! | part | what is in it |
//! |---|---|
//! | [`cli`] | commands, which send the API's requests in process or over HTTP |
//! | [`config`] | every flag and variable; [`cli`] passes the settings to the other parts |
//! | [`server`] | the listener, the limits of connections, and the shutdown |
//! | [`background`] | periodic tasks of a running server |
//! | [`api`] | the HTTP contract: extractors, the bytes of JSON, statuses |
//! | [`web`] | how pages for people look, and the files that they load |
//! | [`domain`] | Tier's rules, in Tier's terms; it names neither HTTP nor Stripe's parameters and envelopes |
//! | [`billing`] | the translation: calls to Stripe, and what is read of its answers, as flat values |
//! | [`ledger`] | stored usage: totals, how much of them Stripe has, and the store |
//! | [`stripe`] | how Stripe is called: encoding, time-outs, retries |
//! | [`admission`] | limits on how many requests run at the same time, and how they are shared |
//! | [`metrics`] | metrics for Prometheus |
//! | [`num`] | numbers in JSON, as Go writes them |
//! | [`position`] | line and column in a text |
//! | `net` | addresses, names of this machine, and TLS settings |
//!
//! A noun has the same file name in `api::v1`, in `domain` and in `tests/it`. In `cli`, commands about one noun share
//! its file, and others have their own. The last five parts depend on no other part, and every part may use them.
//! `tests/it/architecture.rs` checks which part may name which.
//!
//! [`stripe_sandbox`], [`clock`] and [`telemetry`] are crates of their own: a simulated Stripe, which shares no code
//! with `domain`, `billing` and `stripe`, the time, and the log with its traces.
//!
//! Three seams, none of them a trait: Stripe is a base URL, the time is a [`clock::Clock`], and the
//! account is a value ([`domain::Domain`]). One process may hold many of them.

pub mod admission;
pub mod api;
pub mod background;
pub mod billing;
pub mod cli;
pub mod config;
pub mod domain;
#[doc(hidden)]
pub mod internals;
pub mod ledger;
pub mod metrics;
mod net;
pub mod num;
pub mod position;
pub mod server;
pub mod stripe;
pub mod web;
