//! The settings of `tier serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use secrecy::SecretString;

use super::{Environment, Freshness, ListenAddr, TimeSpan, WebOrigin};
use crate::api::{ApiKey, Network, RequestLimits};
use crate::server;

/// Where the API listens when nobody says otherwise.
pub const API_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// More connections, and requests and accounts, than one process can have.
const MOST: u64 = 1_000_000;

/// A terabyte, which no request needs.
const MOST_BYTES: u64 = 1 << 40;

fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=MOST)
}

fn bytes(least: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=MOST_BYTES)
}

/// Settings of `tier serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where the API listens. Loopback unless told otherwise, because whoever reaches it can bill; `:PORT` is every
    /// interface
    #[arg(
        long,
        env = "TIER_ADDR",
        value_name = "HOST:PORT",
        default_value_t = API_ADDR.into()
    )]
    pub addr: ListenAddr,

    /// Where the API and the checkout pages of the sandbox listen, with --sandbox
    /// [default: 127.0.0.1:12111, or a free port if that one is taken]
    #[arg(long, value_name = "HOST:PORT")]
    pub sandbox_addr: Option<ListenAddr>,

    /// What links to the sandbox's checkout pages begin with, if browsers reach it under another name than the one it
    /// listens on, with --sandbox
    #[arg(long, value_name = "URL")]
    pub sandbox_url: Option<String>,

    /// How long renewals and the first invoices of schedules are drafts, which usage can still be added to, before they
    /// are charged, with --sandbox; with Stripe, an hour
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub invoice_draft: TimeSpan,

    /// How long after a webhook's first try the sandbox's second is, if an endpoint has not answered 2xx, with --sandbox;
    /// each wait after that is twice as long
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    pub webhook_backoff: TimeSpan,

    /// Serve many accounts: each caller's API key is the Stripe key, live or test, that its requests act with
    #[arg(long, env = "TIER_CLOUD", conflicts_with = "api_key_file")]
    pub cloud: bool,

    /// A file with keys besides those in `TIER_API_KEY`, each on a line as KEY or NAME:ROLE:KEY, where ROLE is read, report
    /// or admin; callers need one of them. Read again on SIGHUP
    #[arg(long, env = "TIER_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Listen beyond loopback without a key, and answer to any name there: whoever reaches the port can bill your
    /// customers
    #[arg(long, env = "TIER_INSECURE_NO_AUTH")]
    pub insecure_no_auth: bool,

    /// A web origin, like `https://app.example`, whose pages may call from browsers; repeatable
    #[arg(
        long,
        env = "TIER_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origin: Vec<WebOrigin>,

    /// The address or network of a proxy in front of the server, whose X-Forwarded-For says where a request comes from;
    /// repeatable
    #[arg(
        long,
        env = "TIER_TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<Network>,

    /// Where a line of JSON is written for every write: who asked for what, and how it ended. A file, or stderr
    #[arg(long, env = "TIER_AUDIT", value_name = "FILE|stderr")]
    pub audit: Option<PathBuf>,

    /// Speak HTTPS with this certificate chain (PEM), read again on SIGHUP
    #[arg(long, env = "TIER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM), read again on SIGHUP
    #[arg(long, env = "TIER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve /metrics, /healthz and /readyz here, without a key, and /metrics nowhere else
    #[arg(long, env = "TIER_ADMIN_ADDR", value_name = "HOST:PORT")]
    pub admin_addr: Option<ListenAddr>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help's heading")]
    pub load: Load,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help's heading")]
    pub freshness: Freshness,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help's heading")]
    pub stripe: StripeBudget,
}

/// What the server takes on at once, and for how long.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub struct Load {
    /// The largest request body, in bytes
    #[arg(long, env = "TIER_MAX_BODY", value_name = "BYTES", value_parser = bytes(1), default_value_t = RequestLimits::default().body)]
    pub max_body: usize,

    /// Bytes of all request bodies that are in memory; one more is answered 503. At least four times --max-body
    #[arg(long, env = "TIER_MAX_BODIES", value_name = "BYTES", value_parser = bytes(1), default_value_t = RequestLimits::default().bodies)]
    pub max_bodies: usize,

    /// The largest request head, in bytes; at least 8192
    #[arg(
        long,
        env = "TIER_MAX_HEAD",
        value_name = "BYTES",
        value_parser = bytes(8192),
        default_value_t = server::Options::default().max_head
    )]
    pub max_head: usize,

    /// Requests in flight; one more is answered 503 at once
    #[arg(
        long,
        env = "TIER_MAX_REQUESTS",
        value_name = "N",
        value_parser = count(),
        default_value_t = RequestLimits::default().concurrent
    )]
    pub max_requests: usize,

    /// Requests in flight with one API key; one more is answered 429 at once
    #[arg(
        long,
        env = "TIER_MAX_REQUESTS_PER_KEY",
        value_name = "N",
        value_parser = count(),
        default_value_t = RequestLimits::default().concurrent_per_key
    )]
    pub max_requests_per_key: usize,

    /// Open connections. One more takes the place of one that has not brought a request yet; if there is none, it is
    /// answered 503 and closed, or with TLS just closed. Lowered if the limit on open files has no room for them
    #[arg(
        long,
        env = "TIER_MAX_CONNECTIONS",
        value_name = "N",
        value_parser = count(),
        default_value_t = server::Options::default().connections
    )]
    pub max_connections: usize,

    /// Open connections of one address, --trusted-proxy left out [default: half of all]
    #[arg(long, env = "TIER_MAX_CONNECTIONS_PER_PEER", value_name = "N", value_parser = count())]
    pub max_connections_per_peer: Option<usize>,

    /// How long a request may take, its calls to Stripe included; push and pull, ten times as long
    #[arg(long, env = "TIER_REQUEST_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = RequestLimits::default().request_timeout.into())]
    pub request_timeout: TimeSpan,

    /// How long a request's head, a TLS handshake and the opening of HTTP/2 may take to arrive
    #[arg(long, env = "TIER_HEAD_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = server::Options::default().head_timeout.into())]
    pub head_timeout: TimeSpan,

    /// How long a request's body may take to arrive
    #[arg(long, env = "TIER_BODY_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = RequestLimits::default().body_timeout.into())]
    pub body_timeout: TimeSpan,

    /// How long a connection may be open without a request in flight
    #[arg(long, env = "TIER_IDLE_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = server::Options::default().idle_timeout.into())]
    pub idle_timeout: TimeSpan,

    /// How long requests in flight have to finish after SIGTERM; then they are broken off
    #[arg(long, env = "TIER_DRAIN_TIMEOUT", value_name = "DURATION", default_value_t = server::Options::default().drain.into())]
    pub drain_timeout: TimeSpan,

    /// Accounts in memory, with --cloud; the one idle for longest makes room, and if requests hold all of them, one more is
    /// answered 503
    #[arg(
        long,
        env = "TIER_MAX_ACCOUNTS",
        value_name = "N",
        value_parser = count(),
        default_value_t = 10_000
    )]
    pub max_accounts: usize,

    /// How long an account that nobody uses is kept in memory, with --cloud
    #[arg(
        long,
        env = "TIER_ACCOUNT_IDLE",
        value_name = "DURATION",
        default_value = "30m"
    )]
    pub account_idle: TimeSpan,
}

/// How many calls to Stripe one account may make.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Calls to Stripe")]
pub struct StripeBudget {
    /// Calls to Stripe per second and account [default: what Stripe allows, 100 for live keys and 25 for test keys; no
    /// limit towards other hosts]
    #[arg(long, env = "TIER_STRIPE_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stripe_rate: Option<u32>,

    /// Calls per second and account to one endpoint of Stripe's; towards other hosts, with --stripe-rate [default: 25]
    #[arg(long, env = "TIER_STRIPE_ENDPOINT_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stripe_endpoint_rate: Option<u32>,

    /// Calls per second and account to Stripe's search; towards other hosts, with --stripe-rate [default: 20]
    #[arg(long, env = "TIER_STRIPE_SEARCH_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stripe_search_rate: Option<u32>,

    /// Calls to Stripe at the same time, by one account; towards other hosts, with --stripe-rate [default: 50]
    #[arg(long, env = "TIER_STRIPE_CONCURRENCY", value_name = "N")]
    pub stripe_concurrency: Option<std::num::NonZeroUsize>,
}

/// Why the server does not start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Everybody in the network could bill.
    #[error(
        "listening on {0} without an API key would let everybody there bill your customers: \
         set TIER_API_KEY or --api-key-file, or say --insecure-no-auth"
    )]
    Open(ListenAddr),
    /// There are keys that would mean nothing.
    #[error(
        "with --cloud each caller's API key is its Stripe key, so the keys in TIER_API_KEY would let nobody in and \
         keep nobody out: unset it, or leave out --cloud"
    )]
    CloudKeys,
    /// The events would be those of one account.
    #[error(
        "the events that STRIPE_WEBHOOK_SECRET is for are those of one account, and --cloud serves many: unset it, or \
         leave out --cloud"
    )]
    CloudEvents,
    /// The file cannot be read.
    #[error("cannot read --api-key-file {}: {cause}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A line of the file is nothing that it can be. It may be a key, and is not shown.
    #[error(
        "--api-key-file {}: line {line} is neither KEY nor NAME:ROLE:KEY, with read, report or admin as ROLE",
        .path.display()
    )]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The file has no key, which would mean that everybody may call.
    #[error("--api-key-file {} has no key: write one a line", .0.display())]
    NoKey(PathBuf),
}

/// Where the keys of callers come from.
#[derive(Clone)]
pub struct ApiKeys {
    of_environment: Vec<String>,
    file: Option<PathBuf>,
}

impl ApiKeys {
    /// The keys in force now.
    ///
    /// # Errors
    /// The file cannot be read, has a line that is nothing, or has no key.
    pub fn read(&self) -> Result<Vec<ApiKey>, AccessError> {
        let of_environment = self.of_environment.iter().cloned();
        let mut keys: Vec<ApiKey> = of_environment.map(ApiKey::from).collect();
        if let Some(path) = &self.file {
            let text = std::fs::read_to_string(path).map_err(|cause| AccessError::File {
                path: path.clone(),
                cause,
            })?;
            // Some editors begin a text with a mark of its byte order.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let lines = (1..).zip(text.lines().map(str::trim));
            let in_file = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
            let before = keys.len();
            for (line, text) in in_file {
                let path = || path.clone();
                let key = text
                    .parse()
                    .map_err(|()| AccessError::Line { path: path(), line });
                keys.push(key?);
            }
            if keys.len() == before {
                return Err(AccessError::NoKey(path.clone()));
            }
        }
        Ok(keys)
    }
}

impl Serve {
    /// Where the keys of callers come from.
    pub fn api_keys(&self, environment: &Environment) -> ApiKeys {
        ApiKeys {
            of_environment: environment.api_keys.clone(),
            file: self.api_key_file.clone(),
        }
    }

    /// What Stripe's events are signed with, if they are taken.
    ///
    /// # Errors
    /// With `--cloud`, if anything is.
    pub fn webhook_secrets(
        &self,
        environment: &Environment,
    ) -> Result<Vec<SecretString>, AccessError> {
        let secrets = environment.webhook_secrets.clone();
        if self.cloud && !secrets.is_empty() {
            return Err(AccessError::CloudEvents);
        }
        Ok(secrets)
    }

    /// Refuses to be open to a network by mistake, and keys that are not what lets callers in. With `--cloud`, every
    /// call needs a key by nature.
    ///
    /// # Errors
    /// Always, if the address is not loopback, there is no key, and nobody said that this is meant; and with `--cloud`,
    /// if there is one.
    pub fn check_exposure(&self, has_keys: bool) -> Result<(), AccessError> {
        if self.cloud && has_keys {
            Err(AccessError::CloudKeys)
        } else if has_keys || self.cloud || self.insecure_no_auth || self.addr.is_loopback() {
            Ok(())
        } else {
            Err(AccessError::Open(self.addr.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: Serve,
    }

    fn serve(args: &[&str]) -> Result<Serve, clap::Error> {
        let args = std::iter::once("serve").chain(args.iter().copied());
        Cli::try_parse_from(args).map(|cli| cli.serve)
    }

    #[test]
    fn beyond_loopback_a_key_is_needed_or_the_word_that_it_is_not() {
        let refused =
            |args: &[&str], has_keys| serve(args).unwrap().check_exposure(has_keys).is_err();
        assert!(!refused(&[], false));
        for open in [":8080", "0.0.0.0:8080", "10.1.2.3:80", "app.example:80"] {
            assert!(refused(&["--addr", open], false), "{open}");
            assert!(!refused(&["--addr", open], true), "{open}");
            assert!(!refused(&["--addr", open, "--insecure-no-auth"], false));
            assert!(!refused(&["--addr", open, "--cloud"], false));
            assert!(refused(&["--addr", open, "--cloud"], true));
        }
    }

    #[test]
    fn a_certificate_and_its_key_come_together_and_a_cloud_has_no_keys_of_its_own() {
        assert!(serve(&["--tls-cert", "a"]).is_err());
        assert!(serve(&["--tls-key", "a"]).is_err());
        assert!(serve(&["--tls-cert", "a", "--tls-key", "b"]).is_ok());
        assert!(serve(&["--cloud", "--api-key-file", "a"]).is_err());
        assert!(serve(&["--stripe-rate", "0"]).is_err());
    }

    #[test]
    fn what_no_server_can_have_is_refused() {
        for flag in [
            "--max-connections",
            "--max-connections-per-peer",
            "--max-requests",
            "--max-requests-per-key",
            "--max-accounts",
            "--max-body",
            "--max-bodies",
            "--max-head",
        ] {
            for value in ["0", "-1", "1k", "18446744073709551615"] {
                let refused = serve(&[&format!("{flag}={value}")]).unwrap_err();
                assert!(refused.to_string().contains(flag), "{refused}");
            }
            assert!(serve(&[flag, "8192"]).is_ok(), "{flag}");
        }
        for (flag, value) in [
            ("--max-connections", "9223372036854775807"),
            ("--account-idle", "9999999h"),
            ("--idle-timeout", "0s"),
            ("--head-timeout", "0ms"),
        ] {
            let refused = serve(&[flag, value]).unwrap_err().to_string();
            assert!(refused.contains(flag), "{refused}");
        }
    }

    #[test]
    fn a_file_of_keys_has_one_a_line_and_at_least_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let keys = ApiKeys {
            of_environment: vec!["zero".to_owned()],
            file: Some(file.path().to_owned()),
        };
        let read = || {
            let keys = keys.read().unwrap().into_iter();
            keys.map(|key| key.secret.expose_secret().to_owned())
                .collect::<Vec<_>>()
        };
        std::fs::write(file.path(), "# ours\none\n\n  two \n").unwrap();
        assert_eq!(read(), ["zero", "one", "two"]);
        std::fs::write(file.path(), "\u{feff}one\r\nfront:read:two\r\n").unwrap();
        assert_eq!(read(), ["zero", "one", "two"]);
        std::fs::write(file.path(), "one\nfront:write:secret\n").unwrap();
        let refused = keys.read().err().unwrap().to_string();
        assert!(
            refused.contains("line 2") && !refused.contains("secret"),
            "{refused}"
        );
        std::fs::write(file.path(), "\n# none\n").unwrap();
        assert!(matches!(keys.read(), Err(AccessError::NoKey(_))));
        drop(file);
        assert!(matches!(keys.read(), Err(AccessError::File { .. })));
    }
}
