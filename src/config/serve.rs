//! The settings of `tier serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;

use super::{
    AccessError, ApiKeys, Environment, Freshness, Ledger, ListenAddr, Load, TimeSpan, WebOrigin,
};
use crate::api::Network;

/// Where the API listens when nobody says otherwise.
pub const API_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

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

    /// Let the command line of 2022 log in (`tier login` of npm's `@tier.run/sdk`): somebody types an API key on the page
    /// /auth/cli/verify, and the command line receives it. Not with --cloud
    #[arg(long, env = "TIER_LOGIN", conflicts_with = "cloud")]
    pub login: bool,

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
    pub ledger: Ledger,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help's heading")]
    pub stripe: StripeBudget,
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

impl Serve {
    /// Where the keys of callers come from.
    pub fn api_keys(&self, environment: &Environment) -> ApiKeys {
        ApiKeys {
            from_environment: environment.api_keys.clone(),
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

    /// The file that usage is kept in, if it is.
    ///
    /// # Errors
    /// With `--cloud`, and for a database.
    pub fn ledger_file(&self) -> Result<Option<&Path>, AccessError> {
        let Some(file) = self.ledger.ledger.as_deref() else {
            return Ok(None);
        };
        let text = file.to_string_lossy();
        if self.cloud {
            Err(AccessError::CloudLedger)
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Err(AccessError::Postgres)
        } else {
            Ok(Some(file))
        }
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
        assert!(serve(&["--cloud", "--login"]).is_err());
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
