//! Connections to a Stripe server: one pool for all accounts, TLS by rustls, and time-outs for connecting, for each
//! attempt, and for each call.

use std::sync::Arc;
use std::time::Duration;

use super::time::ServerTime;
use super::{BASE_URL, DASHBOARD_URL, Error, RateSettings, Rates};
use crate::metrics::Metrics;
use crate::net;

/// Settings of the connection to Stripe. The defaults suit the real one.
#[derive(Clone, Debug)]
pub struct Options {
    /// The base URL, without a trailing slash.
    pub base_url: String,
    /// The URL of the dashboard for links, without a trailing slash; `None` if there is none, as for a sandbox.
    pub dashboard_url: Option<String>,
    /// The account in dashboard links where no connected account is selected, if it is known. Without it, a link shows
    /// the account that the browser is logged in to.
    pub dashboard_account: Option<String>,
    /// The time-out of one attempt, from the first byte sent to the last one read.
    pub timeout: Duration,
    /// The time-out of connecting.
    pub connect_timeout: Duration,
    /// The time-out of all attempts of one call together.
    pub deadline: Duration,
    /// The maximum number of retries.
    pub retries: usize,
    /// The wait before the first retry. It doubles with each retry, up to ten times as much.
    pub first_wait: Duration,
    /// The account's rate limits, where they differ from Stripe's documentation.
    pub rates: RateSettings,
    /// `STRIPE_DEBUG=1`: log every call, with secrets and personal data masked.
    pub debug: bool,
    /// The metrics that count calls.
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

/// A pool of connections to one Stripe server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) options: Arc<Options>,
    pub(super) time: Arc<ServerTime>,
}

impl Transport {
    /// Prepares the pool, without connecting.
    ///
    /// # Errors
    /// If the base URL is invalid, or TLS cannot be set up.
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
        // Loopback addresses need no proxy.
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

    /// The rate limits of an account with a live key, or with a test key.
    pub(super) fn rates(&self, live: bool) -> Option<Rates> {
        let stripes_own_host = self.options.base_url == BASE_URL;
        self.options.rates.rates(live, stripes_own_host)
    }

    /// The same pool with other rate limits.
    #[must_use]
    pub fn with_rates(mut self, rates: RateSettings) -> Self {
        Arc::make_mut(&mut self.options).rates = rates;
        self
    }

    /// The metrics that count calls.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.options.metrics
    }

    /// The base URL.
    pub fn base_url(&self) -> &str {
        &self.options.base_url
    }
}

/// An error with its causes, since reqwest's own text stops at "error sending request". The URL is left out, because
/// its query may identify a customer.
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
