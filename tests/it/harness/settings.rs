//! The settings of the server under test.

use std::time::Duration;

use tier::domain::{GenerationSetting, MaxAge};
use tier::stripe::{self, RateSettings, Transport};

use super::STRIPE_KEY;

/// The settings of a test's server and of its sandbox.
pub(crate) struct Settings {
    /// The key with which the server calls Stripe.
    pub(crate) stripe_key: String,
    /// The URL of Stripe, if it is not the sandbox.
    pub(crate) stripe_url: Option<String>,
    /// How long an attempt of a call to Stripe may take.
    pub(crate) timeout: Duration,
    /// How long it takes until search finds a new customer.
    pub(crate) search_lag: Duration,
    /// How long it takes until the events of meters are processed.
    pub(crate) meter_lag: Duration,
    /// Whether Stripe loses a credit that is the only line of a last invoice.
    pub(crate) loses_last_credit: bool,
    /// How long an invoice stays a draft.
    pub(crate) invoice_draft: Duration,
    /// How many times a call to Stripe is retried.
    pub(crate) retries: usize,
    /// The wait before the first retry.
    pub(crate) first_wait: Duration,
    /// The rates at which an account may call Stripe.
    pub(crate) rates: RateSettings,
    /// The maximum age of answers from memory. By default the server reads from Stripe every time, since most tests
    /// change objects in Stripe without the server.
    pub(crate) max_age: MaxAge,
    /// How many orgs are kept in memory.
    pub(crate) max_orgs: usize,
    /// Which metered prices a push creates.
    pub(crate) generation: GenerationSetting,
    /// The signing secrets of Stripe's events. Without a secret, the server accepts no events.
    pub(crate) webhook_secrets: Vec<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stripe_key: STRIPE_KEY.to_owned(),
            stripe_url: None,
            timeout: Duration::from_secs(30),
            search_lag: Duration::from_secs(1),
            meter_lag: Duration::ZERO,
            loses_last_credit: false,
            invoice_draft: Duration::ZERO,
            retries: 2,
            first_wait: Duration::from_millis(1),
            rates: RateSettings::default(),
            max_age: MaxAge::default(),
            max_orgs: 1_000,
            generation: GenerationSetting::default(),
            webhook_secrets: Vec::new(),
        }
    }
}

impl Settings {
    /// The default settings of a server that answers from memory, but without retries.
    pub(crate) fn remembering() -> Self {
        let second = Duration::from_secs(1);
        Self {
            retries: 0,
            max_age: MaxAge {
                usual: 10 * second,
                with_events: 300 * second,
                in_outage: 3_600 * second,
            },
            ..Self::default()
        }
    }
}

/// A transport to the Stripe at `url`.
pub(crate) fn transport(url: &str, settings: &Settings) -> Transport {
    let options = stripe::Options {
        base_url: url.to_owned(),
        timeout: settings.timeout,
        retries: settings.retries,
        first_wait: settings.first_wait,
        rates: settings.rates,
        debug: true,
        ..stripe::Options::default()
    };
    Transport::new(options).expect("a URL")
}
