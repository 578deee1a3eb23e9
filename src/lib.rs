//! Pricing as code for products that bill through Stripe.
//!
//! An app describes its plans once, in a `pricing.json`. This crate pushes that model to Stripe,
//! subscribes the app's customers ("orgs") to plans, answers what an org may use and how much of
//! it is left, and records usage.
//!
//! # Map
//!
//! ```text
//! main -> cli -> api -> domain -> billing -> stripe -> (HTTP) -> Stripe | sandbox
//!          |---> server, which serves any router
//!          |---> background, which repeats what `domain` has to do now and then
//!          `---> stripe_sandbox, which is a Stripe itself
//! ```
//!
//! | part | what it knows |
//! |---|---|
//! | [`cli`] | commands, which send the API's requests in process or over HTTP |
//! | [`config`] | every flag and variable; [`cli`] passes the settings to the other parts |
//! | [`server`] | a listener, what a connection may do, and how to stop |
//! | [`background`] | tasks that are repeated while a server runs |
//! | [`api`] | the HTTP contract: extractors, JSON to the byte, statuses |
//! | [`domain`] | Tier's rules, in Tier's terms; it names no HTTP, and no parameter of Stripe's |
//! | [`billing`] | the translation: what is asked of Stripe, and what Stripe's objects look like |
//! | [`ledger`] | usage that is kept: totals, what Stripe has been told of them, and the file |
//! | [`stripe`] | how Stripe is called: encoding, time-outs, retries |
//! | [`admission`] | limits on how many requests run at the same time, and how they are shared |
//! | [`telemetry`] | where log lines and spans go |
//! | [`metrics`] | what is counted and timed |
//! | [`num`] | numbers in JSON, as Go writes them |
//! | [`position`] | line and column in a text |
//! | `net` | addresses, names of this machine, and TLS settings |
//!
//! A noun keeps its file name in `api::v1`, in `domain` and in `tests/it`; in `cli`, commands about one noun share its file,
//! and others have their own. The last six parts know nothing of the others, and may be named by all; what a part must not
//! name is held by `tests/it/architecture.rs`.
//!
//! [`stripe_sandbox`] and [`clock`] are crates of their own: a Stripe in memory, which shares no code with `domain`,
//! `billing` and `stripe`, and the time.
//!
//! Three seams, none of them a trait: Stripe is a base URL, the time is a [`clock::Clock`], and the
//! account is a value ([`domain::Domain`]) of which one process may hold many.

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
pub mod telemetry;
