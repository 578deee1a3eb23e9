//! Connections to a Stripe: one pool for all accounts, TLS by rustls, time-outs on everything.

use std::sync::Arc;
use std::time::Duration;

use super::time::ServerTime;
use super::{BASE_URL, DASHBOARD_URL, Error, RateSettings, Rates};
use crate::metrics::Metrics;
use crate::net;

/// How a Stripe is reached. The defaults are right for the real one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where Stripe is, without a trailing slash.
    pub base_url: String,
    /// Where people look at what is in it, for links; without a trailing slash. None: nowhere, as with a sandbox.
    pub dashboard_url: Option<String>,
    /// Whose pages links lead to where no connected account is in force, if that is known; without it, those of the
    /// account that the browser is logged in to.
    pub dashboard_account: Option<String>,
    /// How long one try may take, from the first byte sent to the last one read.
    pub timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long all tries of one call may take together.
    pub deadline: Duration,
    /// How often a call is tried again.
    pub retries: usize,
    /// The wait before the first of these tries; it doubles, up to ten times as much.
    pub first_wait: Duration,
    /// How many calls an account may make, where that is not what Stripe documents.
    pub rates: RateSettings,
    /// `STRIPE_DEBUG=1`: log every call, with secrets and personal data masked.
    pub debug: bool,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.into(),
            dashboard_url: Some(DASHBOARD_URL.into()),
            dashboard_account: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            retries: 3,
            first_wait: Duration::from_millis(500),
            rates: RateSettings::default(),
            debug: false,
            metrics: Arc::default(),
        }
    }
}

/// A pool of connections to one Stripe. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) options: Arc<Options>,
    pub(super) time: Arc<ServerTime>,
}

impl Transport {
    /// Prepares the pool; nothing is connected yet.
    ///
    /// # Errors
    /// If the base URL is no URL, or TLS cannot be set up.
    pub fn new(mut options: Options) -> Result<Self, Error> {
        let url = reqwest::Url::parse(&options.base_url).map_err(|error| {
            Error::Transport(format!("{:?} is not a base URL: {error}", options.base_url))
        })?;
        let dashboard_url = options.dashboard_url.as_mut();
        for url in [&mut options.base_url].into_iter().chain(dashboard_url) {
            url.truncate(url.trim_end_matches('/').len());
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(net::client_tls())
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(90))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tier/", env!("CARGO_PKG_VERSION")));
        // No proxy stands before this machine.
        if url.host_str().is_some_and(net::is_loopback_host) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Error::Transport(chain(&error)))?;
        Ok(Self {
            http,
            options: Arc::new(options),
            time: Arc::default(),
        })
    }

    /// How many calls an account with a live key, or with a test key, may make.
    pub(super) fn rates(&self, live: bool) -> Option<Rates> {
        let stripes_own_host = self.options.base_url == BASE_URL;
        self.options.rates.rates(live, stripes_own_host)
    }

    /// The same pool, with other limits on calls.
    #[must_use]
    pub fn with_rates(mut self, rates: RateSettings) -> Self {
        Arc::make_mut(&mut self.options).rates = rates;
        self
    }

    /// Where its calls are counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.options.metrics
    }

    /// Where this transport's Stripe is.
    pub fn base_url(&self) -> &str {
        &self.options.base_url
    }
}

/// An error with its causes; reqwest's own text stops at "error sending request". The URL is left
/// out, since its query may name a customer.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
