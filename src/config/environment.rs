//! Environment variables.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{SANDBOX_ADDR, variable};
use crate::stripe;

/// Settings that have no flag: secrets, which must not show in a process list, and settings that other programs share.
#[derive(Clone)]
pub struct Environment {
    /// `STRIPE_BASE_API_URL`: the base URL of Stripe [default: <https://api.stripe.com>]
    pub stripe_base_url: String,
    /// `STRIPE_DEBUG=1`: log every call to Stripe, with secrets masked
    pub stripe_debug: bool,
    /// `TIER_DEBUG`: log in detail, as `-v` does
    pub debug: bool,
    /// `TIER_KEY_PREFIX`: a prefix of the idempotency keys sent to Stripe; change it after purging test data
    pub key_prefix: String,
    /// `TIER_API_KEY`: comma-separated API keys, of which callers of `/v1` need one; none: open to all
    pub api_keys: Vec<String>,
    /// `STRIPE_WEBHOOK_SECRET`: the secret that signs Stripe's events, or several with commas during a rotation; none:
    /// events are not accepted
    pub webhook_secrets: Vec<SecretString>,
    /// `TIER_LINK_SECRET`: the secret that signs checkout links, or several with commas during a rotation, of which the
    /// first one signs; none: there are no checkout links
    pub link_secrets: Vec<SecretString>,
    /// `STRIPE_PUBLISHABLE_KEY`: the key with which browsers call Stripe [default: the one that `tier connect` saved]
    pub publishable_key: Option<String>,
    /// `TIER_BASE_URL`: the tier server that handles commands [default: none, they are handled in process]
    pub base_url: Option<String>,
    /// `TIER_CLOCK`: the test clock that the commands' orgs are on [default: none]
    pub clock: Option<String>,
    /// `TIER_LEDGER`: the file or database in which a server stores usage; if it is set, commands that write need
    /// `TIER_BASE_URL`, because the server must carry them out [default: none]
    pub ledger: Option<PathBuf>,
    /// `TIER_STRIPE_GENERATION`: which metered prices a push creates: auto, classic or meters [default: auto]
    pub stripe_generation: Option<String>,
    /// `TIER_SANDBOX_URL`: where commands look for a sandbox, with --sandbox [default: <http://127.0.0.1:12111>]
    pub sandbox_url: String,
    /// `TIER_DASHBOARD_URL`: the dashboard that links lead to, and where `tier connect` gets keys; if unset, links to
    /// objects in a sandbox lead to the sandbox's own pages, and objects in another Stripe without TLS have no links
    /// [default: <https://dashboard.stripe.com>]
    pub dashboard_url: Option<String>,
    /// `TIER_MODEL_URL`: the server that `tier share` makes links to
    pub model_url: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector that traces are sent to, with the feature `otel` [default: none]
    pub otlp_endpoint: Option<String>,
}

/// What kind of Stripe links lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeKind<'a> {
    /// Stripe itself.
    Stripe,
    /// A sandbox of Tier's.
    Sandbox {
        /// The URL of its pages.
        pages: &'a str,
    },
    /// Another simulator.
    Other,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self {
            stripe_base_url: variable("STRIPE_BASE_API_URL")
                .unwrap_or_else(|| stripe::BASE_URL.to_owned()),
            stripe_debug: variable("STRIPE_DEBUG").is_some_and(|v| v != "0"),
            debug: variable("TIER_DEBUG").is_some_and(|v| v != "0"),
            key_prefix: variable("TIER_KEY_PREFIX").unwrap_or_default(),
            api_keys: list("TIER_API_KEY"),
            webhook_secrets: secrets("STRIPE_WEBHOOK_SECRET"),
            link_secrets: secrets("TIER_LINK_SECRET"),
            publishable_key: variable("STRIPE_PUBLISHABLE_KEY"),
            base_url: variable("TIER_BASE_URL"),
            clock: variable("TIER_CLOCK"),
            ledger: variable("TIER_LEDGER").map(PathBuf::from),
            stripe_generation: variable("TIER_STRIPE_GENERATION"),
            sandbox_url: variable("TIER_SANDBOX_URL")
                .unwrap_or_else(|| format!("http://{SANDBOX_ADDR}")),
            dashboard_url: variable("TIER_DASHBOARD_URL"),
            model_url: variable("TIER_MODEL_URL"),
            otlp_endpoint: variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
        }
    }

    /// The URL of the dashboard, without a trailing slash.
    pub fn dashboard(&self) -> &str {
        let named = self.dashboard_url.as_deref();
        named.unwrap_or(stripe::DASHBOARD_URL).trim_end_matches('/')
    }

    /// The URL of the dashboard of a Stripe, without a trailing slash. None if it has no pages and no variable names
    /// one.
    pub fn dashboard_of(&self, stripe: StripeKind<'_>) -> Option<String> {
        let default = match stripe {
            StripeKind::Stripe => Some(stripe::DASHBOARD_URL),
            StripeKind::Sandbox { pages } => Some(pages),
            StripeKind::Other => None,
        };
        let named = self.dashboard_url.as_deref().or(default)?;
        Some(named.trim_end_matches('/').to_owned())
    }
}

/// The comma-separated secrets of a variable.
fn secrets(name: &str) -> Vec<SecretString> {
    list(name).into_iter().map(SecretString::from).collect()
}

/// The comma-separated values of a variable.
fn list(name: &str) -> Vec<String> {
    let text = variable(name).unwrap_or_default();
    let values = text.split(',').map(str::trim);
    values
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The kind of Stripe at `stripe_url`. Stripe, or a proxy in front of it, is called over TLS. A simulator is not, and
/// has no live mode.
pub fn stripe_kind(stripe_url: &str, is_live: bool) -> StripeKind<'static> {
    let url = url::Url::parse(stripe_url);
    if !is_live && url.is_ok_and(|url| url.scheme() == "http") {
        StripeKind::Other
    } else {
        StripeKind::Stripe
    }
}
