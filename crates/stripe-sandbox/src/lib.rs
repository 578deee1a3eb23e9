//! An in-memory Stripe: API versions 2022-11-15 and 2026-10-28.endive, stateful, deterministic, with a clock that
//! tests can hold.
//!
//! [`Sandbox`] is the entry point and is cheap to clone. [`Sandbox::start`] serves it on a loopback port,
//! [`Sandbox::serve`] on any listener. Any Stripe client works against it. The README has an example test.
//!
//! # Map
//!
//! | module | contents |
//! |---|---|
//! | [`money`] | the arithmetic of billing |
//! | [`params`] | forms, and typed reading of their parameters, with Stripe's own errors |
//! | [`store`] | ids, tables and pages of them; an account with its tables; all accounts; the due queue |
//! | [`resource`] | a folder for each resource: state, JSON (`view`), parameters (`input`), endpoints (`routes`) |
//! | [`engine`] | the rules of billing and payment, and the effects of time |
//! | [`http`] | calls and their answers: keys, routes, faults, limits, idempotency |
//! | [`pages`] | pages for people: checkout, portal, and the viewer, which shows everything in the sandbox |
//! | [`webhook`] | the delivery of events to webhook endpoints |
//! | [`sandbox`] | accounts and options together, and methods to control and inspect them |
//! | [`server`] | a sandbox on a listener |
//! | [`version`] | the API version of a call, and the differences between versions |
//!
//! How a call is handled: [`http`] reads it and finds the account and the [route](resource::route::Route). It applies
//! the [fault rules](http::rule), the limits and the [`idempotency`](store::idempotency) keys. A route has two
//! functions: the first reads the parameters and checks everything, with a [`Ctx`](store::context::Ctx); the second
//! changes the [`Account`](store::account::Account). [`expand`](resource::expand) adds the expanded objects. Each
//! [account](store::accounts) has its own lock, which is held only for the work on it.
//!
//! Imports go in one direction: money and params, then store, the state of resources, accounts, views, the engine,
//! inputs and routes, webhook, http and pages. A module names only what comes before it; `tests/walls.rs` checks this.
//!
//! The sandbox shares no code with its clients, because a bug in shared code would cancel out and stay invisible.

mod engine;
mod error;
mod http;
#[doc(hidden)]
pub mod internals;
mod money;
mod pages;
mod params;
#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "all endpoints have the same signature: they own their input, and may fail"
)]
mod resource;
mod sandbox;
mod server;
mod store;
mod version;
mod webhook;

pub use self::http::record::Request;
pub use self::http::rule::{Action, Frequency, Rule, Subject, When};
pub use self::sandbox::{BadEndpoint, Options, Sandbox};
pub use self::server::Running;
pub use self::version::{ApiVersion, UnknownVersion};
pub use self::webhook::Deliveries;
