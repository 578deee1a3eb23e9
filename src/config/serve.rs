//! The settings of `tier serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    AccessError, ApiKeys, EmbeddedSandbox, Environment, Freshness, Ledger, ListenAddr, Load,
    StripeGeneration, WebOrigin,
};
use crate::api::Network;

/// Where the API listens by default.
pub const API_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The shortest secret of checkout links, in characters.
const MIN_LINK_SECRET: usize = 32;

/// Settings of `tier serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where the API listens. Loopback by default, because anyone who can reach it can bill; `:PORT` is every interface
    #[arg(
        long,
        env = "TIER_ADDR",
        value_name = "HOST:PORT",
        default_value_t = API_ADDR.into()
    )]
    pub addr: ListenAddr,

    /// The sandbox of `--sandbox`.
    #[command(flatten)]
    pub sandbox: EmbeddedSandbox,

    /// Serve many accounts: each caller's API key is the Stripe key, live or test, that its requests use
    #[arg(long, env = "TIER_CLOUD", conflicts_with = "api_key_file")]
    pub cloud: bool,

    /// A file with API keys, besides those in `TIER_API_KEY`; callers need one of them. Each line is KEY or
    /// NAME:ROLE:KEY, where ROLE is read, report or admin. Read again on SIGHUP
    #[arg(long, env = "TIER_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Listen beyond loopback without a key, and accept any host name there. Whoever reaches the port can bill your
    /// customers
    #[arg(long, env = "TIER_INSECURE_NO_AUTH")]
    pub insecure_no_auth: bool,

    /// Let the command line of 2022 log in (`tier login` of npm's `@tier.run/sdk`): the user types an API key on the
    /// page /auth/cli/verify, and the command line receives it. Not with --cloud
    #[arg(long, env = "TIER_LOGIN", conflicts_with = "cloud")]
    pub login: bool,

    /// A file with the pricing pages that are public, at /pricing and /v1/pricing. Without one, only holders of a key
    /// see prices. Read again on SIGHUP. Not with --cloud
    #[arg(
        long,
        env = "TIER_PRICING_PAGES",
        value_name = "FILE",
        conflicts_with = "cloud"
    )]
    pub pricing_pages: Option<PathBuf>,

    /// Which metered prices a push creates
    #[arg(
        long,
        env = "TIER_STRIPE_GENERATION",
        value_enum,
        default_value_t = StripeGeneration::default()
    )]
    pub stripe_generation: StripeGeneration,

    /// Where customers' browsers reach this server, like `https://pay.example`, for checkout links (`TIER_LINK_SECRET`)
    /// [default: the host that the request for the link was sent to]
    #[arg(long, env = "TIER_LINK_ORIGIN", value_name = "ORIGIN")]
    pub link_origin: Option<WebOrigin>,

    /// A web origin, like `https://app.example`, whose pages may call from browsers; repeatable
    #[arg(
        long,
        env = "TIER_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origin: Vec<WebOrigin>,

    /// The address or network of a proxy in front of the server, whose X-Forwarded-For is trusted; repeatable
    #[arg(
        long,
        env = "TIER_TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<Network>,

    /// The audit log: a line of JSON for every write, with the caller, the parameters and the outcome. A file, or
    /// stderr
    #[arg(long, env = "TIER_AUDIT", value_name = "FILE|stderr")]
    pub audit: Option<PathBuf>,

    /// Serve HTTPS with this certificate chain (PEM). Read again on SIGHUP
    #[arg(long, env = "TIER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM). Read again on SIGHUP
    #[arg(long, env = "TIER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve /metrics, /healthz and /readyz here, without a key, and /metrics only here
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
    pub ledger: Ledger,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help's heading")]
    pub stripe: StripeBudget,
}

/// Limits on the calls to Stripe for one account.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Calls to Stripe")]
pub struct StripeBudget {
    /// Calls to Stripe per second and account [default: what Stripe allows, 100 for live keys and 25 for test keys; no
    /// limit for other hosts]
    #[arg(long, env = "TIER_STRIPE_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stripe_rate: Option<u32>,

    /// Calls per second and account to one of Stripe's endpoints; for other hosts, only with --stripe-rate [default:
    /// 25]
    #[arg(long, env = "TIER_STRIPE_ENDPOINT_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stripe_endpoint_rate: Option<u32>,

    /// Calls per second and account to Stripe's search; for other hosts, only with --stripe-rate [default: 20]
    #[arg(long, env = "TIER_STRIPE_SEARCH_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stripe_search_rate: Option<u32>,

    /// Concurrent calls to Stripe per account; for other hosts, only with --stripe-rate [default: 50]
    #[arg(long, env = "TIER_STRIPE_CONCURRENCY", value_name = "N")]
    pub stripe_concurrency: Option<std::num::NonZeroUsize>,
}

impl Serve {
    /// The sources of the API keys.
    pub fn api_keys(&self, environment: &Environment) -> ApiKeys {
        ApiKeys {
            from_environment: environment.api_keys.clone(),
            file: self.api_key_file.clone(),
        }
    }

    /// The secrets that sign Stripe's events, if events are accepted.
    ///
    /// # Errors
    /// With `--cloud`, if there is a secret.
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

    /// The secrets that sign checkout links, if there are links.
    ///
    /// # Errors
    /// If a secret is too short, and with `--cloud`, if there is one.
    pub fn link_secrets(
        &self,
        environment: &Environment,
    ) -> Result<Vec<SecretString>, AccessError> {
        let secrets = environment.link_secrets.clone();
        let is_short = |secret: &SecretString| secret.expose_secret().len() < MIN_LINK_SECRET;
        if self.cloud && !secrets.is_empty() {
            Err(AccessError::CloudLinks)
        } else if secrets.iter().any(is_short) {
            Err(AccessError::ShortLinkSecret)
        } else {
            Ok(secrets)
        }
    }

    /// The file of the ledger, or the URL of its database, if there is a ledger.
    ///
    /// # Errors
    /// With `--cloud`.
    pub fn ledger(&self) -> Result<Option<&Path>, AccessError> {
        match self.ledger.ledger.as_deref() {
            Some(_) if self.cloud => Err(AccessError::CloudLedger),
            ledger => Ok(ledger),
        }
    }

    /// Checks that the server is not open to a network by mistake, and that there are no API keys with `--cloud`, where
    /// every caller's key is a Stripe key.
    ///
    /// # Errors
    /// If the address is not loopback, there is no key, and no flag allows that. With `--cloud`, if there is a key.
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
    fn beyond_loopback_a_key_or_a_flag_is_needed() {
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
    fn a_certificate_needs_its_key_and_cloud_excludes_api_keys() {
        assert!(serve(&["--tls-cert", "a"]).is_err());
        assert!(serve(&["--tls-key", "a"]).is_err());
        assert!(serve(&["--tls-cert", "a", "--tls-key", "b"]).is_ok());
        assert!(serve(&["--cloud", "--api-key-file", "a"]).is_err());
        assert!(serve(&["--cloud", "--login"]).is_err());
        assert!(serve(&["--stripe-rate", "0"]).is_err());
    }

    #[test]
    fn impossible_settings_are_refused() {
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
    fn a_key_file_has_a_key_per_line_and_at_least_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let keys = ApiKeys {
            from_environment: vec!["zero".to_owned()],
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
