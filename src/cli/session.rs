//! The account that a command uses: the URL of Stripe, the key, and the connected account of `tier switch`.

use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum as _;
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;

use super::error::CliError;
use super::isolation::Isolation;
use super::{Global, http, output, state};
use crate::config::{self, Environment, StripeGeneration, StripeKey, StripeKind};
use crate::domain::{Domain, Generation, GenerationSetting, Memory};
use crate::stripe::{Client, Credentials, Options, RateSettings, Transport};
use clock::Clock;

/// The key for the sandbox. Any test key works, but all commands must use the same one.
pub(super) const SANDBOX_KEY: &str = "sk_test_sandbox";

/// How long a sandbox on this machine may take to accept a connection.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(2);

/// An account at Stripe or at a simulator, with the key for it.
pub(super) struct Session {
    transport: Transport,
    credentials: Credentials,
    key_source: String,
    publishable_key: Option<String>,
    generation: StripeGeneration,
}

impl Session {
    /// Opens the account that the flags, the environment and `tier.state` name.
    ///
    /// # Errors
    /// If there is no key, if its mode differs from `--live`, if no sandbox is running, or if `tier.state` cannot be
    /// read.
    pub(super) async fn open(global: &Global, environment: &Environment) -> anyhow::Result<Self> {
        let session = Self::of_owner(global, environment).await?;
        Ok(match state::current()? {
            Some(state) => session.for_connected(state.id),
            None => session,
        })
    }

    /// Opens the account of the key itself, which owns the accounts of `tier switch`.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for `tier.state`, which is ignored.
    pub(super) async fn of_owner(
        global: &Global,
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        if global.sandbox {
            let url = &environment.sandbox_url;
            check_sandbox(url).await?;
            output::aside(format_args!("in the sandbox at {url}"));
            return Self::of_sandbox(environment, url, url);
        }
        let key = config::stripe_key(global.live)?;
        let url = &environment.stripe_base_url;
        let stripe = config::stripe_kind(url, key.is_live());
        Self::new(environment, url, key, stripe)
    }

    /// The session with the same key, acting for a connected account.
    #[must_use]
    pub(super) fn for_connected(mut self, account: String) -> Self {
        self.credentials.key_prefix = Some(account.clone());
        self.credentials.account = Some(account);
        self
    }

    /// The account for commands in the sandbox at `url`, whose pages are at `pages`.
    pub(super) fn of_sandbox(
        environment: &Environment,
        url: &str,
        pages: &str,
    ) -> anyhow::Result<Self> {
        let key = StripeKey::of_sandbox(SANDBOX_KEY);
        Self::new(environment, url, key, StripeKind::Sandbox { pages })
    }

    fn new(
        environment: &Environment,
        base_url: &str,
        key: StripeKey,
        stripe: StripeKind<'_>,
    ) -> anyhow::Result<Self> {
        let transport = Transport::new(Options {
            base_url: base_url.to_owned(),
            dashboard_url: environment.dashboard_of(stripe),
            dashboard_account: key.account.clone(),
            debug: environment.stripe_debug,
            ..Options::default()
        });
        let prefix = &environment.key_prefix;
        let publishable_key = key.publishable_with(environment.publishable_key.as_deref());
        Ok(Self {
            transport: transport.context("cannot call Stripe")?,
            credentials: Credentials {
                key_prefix: (!prefix.is_empty()).then(|| prefix.clone()),
                ..Credentials::new(key.secret)
            },
            key_source: key.source,
            publishable_key,
            generation: generation(environment)?,
        })
    }

    /// A session without a key at `base_url`, for a server whose callers bring their own keys.
    pub(super) fn without_key(environment: &Environment, base_url: &str) -> anyhow::Result<Self> {
        let no_key = StripeKey::default();
        let stripe = config::stripe_kind(base_url, no_key.is_live());
        Self::new(environment, base_url, no_key, stripe)
    }

    /// The same account, whose pushes create other metered prices.
    #[must_use]
    pub(super) fn with_generation(self, generation: StripeGeneration) -> Self {
        Self { generation, ..self }
    }

    /// The same account, with other limits on calls to Stripe.
    #[must_use]
    pub(super) fn with_rates(mut self, rates: RateSettings) -> Self {
        self.transport = self.transport.with_rates(rates);
        self
    }

    /// The URL of Stripe.
    pub(super) fn stripe_url(&self) -> &str {
        self.transport.base_url()
    }

    /// The transport to Stripe.
    pub(super) fn transport(self) -> Transport {
        self.transport
    }

    /// The secret key.
    pub(super) fn key(&self) -> &str {
        self.credentials.key.expose_secret()
    }

    /// The publishable key, if it is known.
    pub(super) fn publishable_key(&self) -> Option<String> {
        self.publishable_key.clone()
    }

    /// The connected account in use, if there is one.
    pub(super) fn isolation(&self) -> Option<Isolation> {
        let account = self.credentials.account.as_deref()?;
        Some(Isolation::new(account, self.key()))
    }

    /// Whether the key is live.
    pub(super) fn is_live(&self) -> bool {
        self.credentials.is_live()
    }

    /// The domain for this account.
    pub(super) fn domain(self) -> Domain {
        self.domain_with(Memory::default())
    }

    /// The domain for this account, with its own `memory`.
    pub(super) fn domain_with(self, memory: Memory) -> Domain {
        let stripe = Client::new(self.transport, self.credentials);
        let domain = Domain::with_own_memory(stripe, Clock::system(), self.key_source, memory);
        domain.with_generation(setting(self.generation))
    }
}

/// The generation that `TIER_STRIPE_GENERATION` names.
fn generation(environment: &Environment) -> anyhow::Result<StripeGeneration> {
    let Some(named) = &environment.stripe_generation else {
        return Ok(StripeGeneration::default());
    };
    StripeGeneration::from_str(named, false).map_err(|_| {
        let fault = format!("TIER_STRIPE_GENERATION is {named:?}");
        CliError::new(fault)
            .advise("set it to auto, classic or meters")
            .into()
    })
}

/// The setting in the domain's terms.
pub(super) fn setting(generation: StripeGeneration) -> GenerationSetting {
    match generation {
        StripeGeneration::Auto => GenerationSetting::Auto,
        StripeGeneration::Classic => GenerationSetting::Fixed(Generation::Classic),
        StripeGeneration::Meters => GenerationSetting::Fixed(Generation::Meters),
    }
}

/// Fails early if no sandbox is running, with a better message than a failed call.
async fn check_sandbox(url: &str) -> anyhow::Result<()> {
    let url = http::url(url, "TIER_SANDBOX_URL")?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let connection = TcpStream::connect((host, port));
    match tokio::time::timeout(SANDBOX_TIMEOUT, connection).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(CliError::new(format!("no sandbox runs at {}", http::redacted(&url)))
            .advise("start one in another terminal with `tier sandbox`, or set TIER_SANDBOX_URL to the URL of one")
            .into()),
    }
}
