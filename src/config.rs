//! Every setting, with its flag, its variable and its default in one place: the doc comments are the manual, and
//! `tier serve --help` prints them. Nothing else reads the environment.

mod serve;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::Deserialize;
use tokio::net::TcpListener;

pub use serve::{AccessError, ApiKeys, Load, Serve, StripeBudget};

use crate::net::is_loopback_host;

/// The largest request body by default, in bytes; a model with some thousand features fits.
pub const MAX_BODY: usize = 1 << 20;

/// Settings of `tier sandbox`.
#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    /// Where the simulator listens; `:PORT` is every interface
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:12111")]
    pub addr: ListenAddr,

    /// Adds this to every answer, for example 100ms
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub latency: Option<std::time::Duration>,

    /// Calls a second and account, above which the answer is 429; Stripe's test mode allows 25 [default: no limit]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,

    /// Makes ids, and faults by probability, the same in every run
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// How long a new customer cannot be found by search, as with Stripe
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub search_lag: std::time::Duration,
}

/// A number and a unit: `100ms`, `1s`, `2m`.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let fault = || format!("expected a duration like 100ms, 1s or 2m, not {text:?}");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| fault())?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(fault()),
    };
    number
        .checked_mul(millis)
        .map(std::time::Duration::from_millis)
        .ok_or_else(fault)
}

/// An address to listen on: `HOST:PORT`, or `:PORT` for every interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr(String);

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(Self(text.to_owned())),
            _ => Err("expected HOST:PORT or :PORT, for example 127.0.0.1:8080".to_owned()),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ListenAddr {
    /// The address as a client on this machine can call it: every interface is this machine's own, too.
    pub fn reachable(&self) -> String {
        let (host, port) = self.0.rsplit_once(':').unwrap_or(("", &self.0));
        match host {
            "" | "0.0.0.0" | "[::]" => format!("127.0.0.1:{port}"),
            _ => self.0.clone(),
        }
    }

    /// Whether only this machine can reach it. A name that is not known to be of this machine is not.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        is_loopback_host(host)
    }

    /// Binds the first address that the name stands for and that is free.
    ///
    /// # Errors
    /// The name does not resolve, or none of its addresses can be bound.
    pub async fn bind(&self) -> std::io::Result<TcpListener> {
        match self.0.strip_prefix(':').map(str::parse) {
            // One IPv6 socket takes both families, where the machine has IPv6.
            Some(Ok(port)) => {
                let every = [
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                ]
                .map(|ip| SocketAddr::new(ip, port));
                TcpListener::bind(&every[..]).await
            }
            _ => TcpListener::bind(&self.0).await,
        }
    }
}

/// What is set outside the command line: secrets, so that none shows in a process list, and what other programs share.
#[derive(Clone)]
pub struct Environment {
    /// `STRIPE_BASE_API_URL`: where Stripe is [default: <https://api.stripe.com>]
    pub stripe_base_url: String,
    /// `STRIPE_DEBUG=1`: log every call to Stripe, with secrets masked
    pub stripe_debug: bool,
    /// `TIER_DEBUG`: log in detail, as `-v` does
    pub debug: bool,
    /// `TIER_KEY_PREFIX`: put before the idempotency keys sent to Stripe; change it after purging test data
    pub key_prefix: String,
    /// `TIER_API_KEY`: the keys that callers of `/v1` must have one of, separated by commas; none: open to all
    pub api_keys: Vec<String>,
    /// `TIER_BASE_URL`: the tier server that commands are sent to [default: none, they are handled in the process]
    pub base_url: Option<String>,
    /// `TIER_SANDBOX_URL`: where commands look for a sandbox, with --sandbox [default: <http://127.0.0.1:12111>]
    pub sandbox_url: Option<String>,
    /// `TIER_DASHBOARD_URL`: where links lead, and `tier connect` asks for keys
    /// [default: <https://dashboard.stripe.com>]
    pub dashboard_url: String,
    /// `TIER_MODEL_URL`: the Model Builder that `tier share` sends models to
    pub model_url: Option<String>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self {
            stripe_base_url: variable("STRIPE_BASE_API_URL")
                .unwrap_or_else(|| "https://api.stripe.com".to_owned()),
            stripe_debug: variable("STRIPE_DEBUG").is_some_and(|v| v != "0"),
            debug: variable("TIER_DEBUG").is_some_and(|v| v != "0"),
            key_prefix: variable("TIER_KEY_PREFIX").unwrap_or_default(),
            api_keys: variable("TIER_API_KEY")
                .iter()
                .flat_map(|keys| keys.split(','))
                .map(str::trim)
                .filter(|key| !key.is_empty())
                .map(str::to_owned)
                .collect(),
            base_url: variable("TIER_BASE_URL"),
            sandbox_url: variable("TIER_SANDBOX_URL"),
            dashboard_url: variable("TIER_DASHBOARD_URL")
                .unwrap_or_else(|| "https://dashboard.stripe.com".to_owned()),
            model_url: variable("TIER_MODEL_URL"),
        }
    }
}

/// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector that traces are sent to, with the feature `otel` [default: none]
#[cfg(feature = "otel")]
pub fn otlp_endpoint() -> Option<String> {
    variable("OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The Stripe key in force, and where it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct StripeKey {
    /// The key itself; never to be shown.
    pub secret: String,
    /// `STRIPE_API_KEY`, or the path of the file: what `whoami` calls the key's source.
    pub source: String,
}

impl fmt::Debug for StripeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeKey")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why there is no Stripe key to work with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A live key moves real money, and has to be asked for.
    #[error("--live is required if stripe key is a live key")]
    LiveKeyWithoutFlag,
    /// The reverse: who expects real money to move is told that it will not.
    #[error("--live provided with test key")]
    TestKeyWithFlag,
    /// Neither source has a key.
    #[error(
        "no Stripe key: set STRIPE_API_KEY, run `tier connect` to get one from your Stripe account, \
         or try Tier without an account with --sandbox"
    )]
    Missing,
    /// The file that `tier connect` writes is there, but is not what it wrote.
    #[error("cannot read {path}: {cause}; repair it, or remove it and run `tier connect`")]
    BrokenFile {
        /// Which file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// `STRIPE_API_KEY`, else the key that `tier connect` saved.
///
/// # Errors
/// There is no key, or it is of the other mode than `live` says.
pub fn stripe_key(live: bool) -> Result<StripeKey, KeyError> {
    match variable("STRIPE_API_KEY") {
        Some(secret) => guard(
            StripeKey {
                // A line's end comes along where a variable is filled from a file.
                secret: secret.trim().to_owned(),
                source: "STRIPE_API_KEY".to_owned(),
            },
            live,
        ),
        None => guard(saved_key(live)?, live),
    }
}

/// A key and the `--live` flag have to agree.
fn guard(key: StripeKey, live: bool) -> Result<StripeKey, KeyError> {
    match (key.secret.contains("_live_"), live) {
        (true, false) => Err(KeyError::LiveKeyWithoutFlag),
        (false, true) => Err(KeyError::TestKeyWithFlag),
        _ => Ok(key),
    }
}

/// The file that `tier connect` writes.
#[derive(Deserialize)]
struct ConfigFile {
    profiles: Profiles,
}

#[derive(Deserialize)]
struct Profiles {
    tier: Profile,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    livemode_key_secret: String,
    #[serde(default)]
    testmode_key_secret: String,
}

/// Where `tier connect` keeps keys; none without a home directory.
pub fn config_file() -> Option<PathBuf> {
    let home = variable("HOME")?;
    Some(PathBuf::from(home).join(".config/tier/config.json"))
}

fn saved_key(live: bool) -> Result<StripeKey, KeyError> {
    let path = config_file().ok_or(KeyError::Missing)?;
    let broken = |cause: String| KeyError::BrokenFile {
        path: path.display().to_string(),
        cause,
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(KeyError::Missing);
        }
        Err(cause) => return Err(broken(cause.to_string())),
    };
    let file: ConfigFile = serde_json::from_slice(&bytes).map_err(|cause| {
        // The cause's own text may quote the file, and so a key.
        broken(format!(
            "unexpected content at line {}, column {}",
            cause.line(),
            cause.column()
        ))
    })?;
    let profile = file.profiles.tier;
    let secret = if live {
        profile.livemode_key_secret
    } else {
        profile.testmode_key_secret
    };
    if secret.is_empty() {
        return Err(KeyError::Missing);
    }
    Ok(StripeKey {
        secret,
        source: path.display().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> StripeKey {
        StripeKey {
            secret: secret.to_owned(),
            source: "STRIPE_API_KEY".to_owned(),
        }
    }

    #[test]
    fn the_live_flag_and_the_key_must_agree() {
        assert_eq!(
            guard(key("sk_live_1"), false),
            Err(KeyError::LiveKeyWithoutFlag)
        );
        assert_eq!(
            guard(key("rk_test_1"), true),
            Err(KeyError::TestKeyWithFlag)
        );
        assert_eq!(guard(key("rk_live_1"), true), Ok(key("rk_live_1")));
        assert_eq!(guard(key("sk_test_1"), false), Ok(key("sk_test_1")));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", key("sk_test_secret")).contains("secret"));
    }

    #[test]
    fn durations_have_a_unit() {
        let ms = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(ms("100ms"), Ok(100));
        assert_eq!(ms("1s"), Ok(1_000));
        assert_eq!(ms("2m"), Ok(120_000));
        for text in [
            "",
            "1",
            "s",
            "-1s",
            "1 s",
            "1y",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(ms(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_to_listen_on_can_be_called() {
        let called = |text: &str| text.parse::<ListenAddr>().map(|addr| addr.reachable());
        for every in [":80", "0.0.0.0:80", "[::]:80"] {
            assert_eq!(called(every).as_deref(), Ok("127.0.0.1:80"));
        }
        assert_eq!(called("localhost:80").as_deref(), Ok("localhost:80"));
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        let is_loopback = |text: &str| text.parse::<ListenAddr>().unwrap().is_loopback();
        for text in ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.0.1:1"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "app.example:1"] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        for text in [":8080", "127.0.0.1:0", "localhost:80", "[::1]:80"] {
            assert!(text.parse::<ListenAddr>().is_ok(), "{text}");
        }
        for text in ["", "8080", "localhost", "a:b", "a:70000"] {
            assert!(text.parse::<ListenAddr>().is_err(), "{text}");
        }
    }
}
