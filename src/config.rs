//! Every setting, with its flag, its variable and its default. Their doc comments are the manual that `tier serve
//! --help` prints. No other module reads the environment.
//!
//! Each module defines its own defaults ([`RequestLimits`](crate::api::RequestLimits),
//! [`server::Options`](crate::server::Options)). Only the command line reads this module, and passes the settings on.

mod access;
mod dangers;
mod environment;
pub(crate) mod file;
mod freshness;
mod generation;
mod key_file;
mod ledger;
mod listen;
mod load;
mod sandbox;
mod serve;
mod stripe_key;
mod time_span;
mod web_origin;

pub use access::{AccessError, ApiKeys};
pub use environment::{Environment, StripeKind, stripe_kind};
pub use freshness::Freshness;
pub use generation::StripeGeneration;
pub use key_file::{KeyFile, Profile};
pub use ledger::Ledger;
pub use listen::ListenAddr;
pub use load::Load;
pub use sandbox::{EmbeddedSandbox, SANDBOX_ADDR, Sandbox};
pub use serve::{API_ADDR, Serve, StripeBudget};
pub use stripe_key::{KeyError, StripeKey, stripe_key};
pub use time_span::TimeSpan;
pub use web_origin::WebOrigin;

/// The value of a variable. None if it is unset or empty.
fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
