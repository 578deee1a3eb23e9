//! Metrics for Prometheus. The documentation of each field is its help text in `/metrics`.

mod format;
mod process;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use format::Format;

/// Buckets in seconds, from cached answers to pushes that take minutes.
const DURATIONS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// A histogram of seconds for each set of labels.
pub type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpRequest {
    /// The path, or `none` for an unknown one.
    pub endpoint: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The error's code, or empty.
    pub code: &'static str,
}

/// A path of this server, or an endpoint of Stripe's with `*` for ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Endpoint {
    /// The path.
    pub endpoint: &'static str,
}

/// A call to Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StripeCall {
    /// The path, with `*` for ids.
    pub endpoint: &'static str,
    /// `ok`; Stripe's status (`400` for all other client errors, `5xx`, `other`); `unreadable`, if the answer could not
    /// be read; `timeout` or `no_answer`; `refused`, if the call was not made because it would have waited too long.
    pub outcome: &'static str,
}

/// A cache lookup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CacheLookup {
    /// The cache.
    pub cache: &'static str,
    /// `hit` or `miss`.
    pub outcome: &'static str,
}

/// A run of a background task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Task {
    /// The task, such as `settle`.
    pub task: &'static str,
    /// `ok` or `failed`.
    pub outcome: &'static str,
}

/// A periodic task, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PeriodicTask {
    /// Its name.
    pub task: &'static str,
}

/// An account, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AccountLabel {
    /// `own` in a server with one account, else the first sixteen hexadecimal digits of the key's digest.
    pub account: String,
}

/// A metric that can be made without arguments.
trait Fresh {
    fn fresh() -> Self;
}

impl Fresh for Counter {
    fn fresh() -> Self {
        Self::default()
    }
}

impl Fresh for Gauge {
    fn fresh() -> Self {
        Self::default()
    }
}

impl Fresh for Histogram {
    fn fresh() -> Self {
        Self::new(DURATIONS)
    }
}

impl<L: Clone + Eq + std::hash::Hash> Fresh for Family<L, Counter> {
    fn fresh() -> Self {
        Self::default()
    }
}

impl<L: Clone + Eq + std::hash::Hash> Fresh for Family<L, Gauge> {
    fn fresh() -> Self {
        Self::default()
    }
}

impl<L: Clone + Eq + std::hash::Hash> Fresh for Durations<L> {
    fn fresh() -> Self {
        Self::new_with_constructor(Histogram::fresh)
    }
}

/// Declares each metric once, with its name, kind and help text.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal,)+) => {
        /// Every metric. The names of counters get `_total` appended.
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix("tier");
                $(
                    let $field = <$kind>::fresh();
                    // The registry adds a full stop to each text.
                    let help = concat!($($help),+).trim().trim_end_matches('.');
                    registry.register($name, help, $field.clone());
                )+
                let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
                registry.register("build", "The running version", build);
                Self { registry, $($field,)+ }
            }
        }
    };
}

metrics! {
    /// Requests answered, by endpoint, status and error code.
    requests: Family<HttpRequest, Counter> = "http_requests",
    /// Seconds from a request's head to its answer, by endpoint.
    request_durations: Durations<Endpoint> = "http_request_duration_seconds",
    /// Requests in flight.
    in_flight: Gauge = "http_requests_in_flight",
    /// Requests in flight that wait for another request to finish, and hold no slot meanwhile.
    waiting: Gauge = "http_requests_waiting",
    /// Writes that ended after their caller had left, by endpoint, status and error code.
    left_writes: Family<HttpRequest, Counter> = "http_writes_left",
    /// Handlers that panicked. Each failed only its own request, with a 500.
    panics: Counter = "panics",
    /// Open connections.
    connections: Gauge = "connections",
    /// Calls to Stripe, every attempt counted, by endpoint and outcome.
    stripe_calls: Family<StripeCall, Counter> = "stripe_calls",
    /// Seconds that a call to Stripe took, by endpoint.
    stripe_durations: Durations<Endpoint> = "stripe_call_duration_seconds",
    /// Calls to Stripe that were tried again, by endpoint.
    stripe_retries: Family<Endpoint, Counter> = "stripe_retries",
    /// Seconds that calls waited for their turn in an account's rate.
    stripe_waits: Histogram = "stripe_rate_limit_wait_seconds",
    /// Calls that were not made, because they would have waited too long for their turn.
    stripe_refusals: Counter = "stripe_rate_limit_refusals",
    /// Background tasks that ended, by task and outcome.
    background: Family<Task, Counter> = "background_tasks",
    /// When a periodic task last succeeded, in Unix seconds.
    last_success: Family<PeriodicTask, Gauge> = "background_last_success_timestamp_seconds",
    /// Subscriptions and schedules ended because another subscription of the same org took their place.
    superseded: Counter = "superseded",
    /// Events that Stripe has delivered.
    stripe_events: Counter = "stripe_events",
    /// Orgs whose state in memory differed from what a sweep found in Stripe.
    drifted: Counter = "drifted",
    /// Answers from memory that were older than they should be, because Stripe or the ledger's database was
    /// unavailable.
    stale_answers: Counter = "stale_answers",
    /// Totals of the ledger that are not yet delivered to Stripe.
    ledger_undelivered: Gauge = "ledger_undelivered",
    /// Seconds that the oldest undelivered total has waited.
    ledger_lag: Gauge = "ledger_lag_seconds",
    /// Parked totals of the ledger: Stripe refused them, and somebody must retry them or write them off.
    ledger_parked: Gauge = "ledger_parked",
    /// Periods for which Stripe has billed a quantity that differs from the ledger's.
    ledger_differences: Counter = "ledger_differences",
    /// Meter events that Stripe accepted and later dropped, as far as it has reported them.
    meter_errors: Counter = "meter_errors",
    /// Cache lookups, by cache and outcome.
    cache_lookups: Family<CacheLookup, Counter> = "cache_lookups",
}

impl Metrics {
    /// Counts a lookup in `cache`.
    pub fn count_lookup(&self, cache: &'static str, hit: bool) {
        let outcome = if hit { "hit" } else { "miss" };
        self.cache_lookups
            .get_or_create(&CacheLookup { cache, outcome })
            .inc();
    }

    /// Counts a run of a background `task`.
    pub fn count_run(&self, task: &'static str, outcome: &'static str) {
        self.background.get_or_create(&Task { task, outcome }).inc();
    }

    /// Records that a periodic `task` succeeded at `now`, in Unix seconds.
    pub fn task_succeeded(&self, task: &'static str, now: i64) {
        self.last_success
            .get_or_create(&PeriodicTask { task })
            .set(now);
    }

    /// Counts a call to Stripe's `endpoint`, and how long it `took`.
    pub fn stripe_called(&self, endpoint: &'static str, outcome: &'static str, took: Duration) {
        let call = StripeCall { endpoint, outcome };
        self.stripe_calls.get_or_create(&call).inc();
        self.stripe_durations
            .get_or_create(&Endpoint { endpoint })
            .observe(took.as_secs_f64());
    }

    /// All metrics as text, including the headroom of each account's rate limit, the number of dropped log lines, and
    /// metrics of the process.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn encode(
        &self,
        format: Format,
        headroom: impl IntoIterator<Item = (String, f64)>,
    ) -> Result<String, fmt::Error> {
        let mut now = Registry::with_prefix("tier");
        let free = Family::<AccountLabel, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
        now.register(
            "stripe_rate_headroom_ratio",
            "Free share of the account's rate towards Stripe, 0 to 1",
            free.clone(),
        );
        for (account, share) in headroom {
            free.get_or_create(&AccountLabel { account }).set(share);
        }
        now.register(
            "log_lines_dropped",
            "Lines of the log that were dropped, because stderr was read too slowly",
            ConstCounter::new(telemetry::lines_dropped()),
        );
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &now)?;
        encode_registry(&mut text, &process::registry())?;
        encode_eof(&mut text)?;
        Ok(match format {
            Format::Classic => format::classic(&text),
            Format::OpenMetrics => text,
        })
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_names_help_labels_and_an_end() {
        let metrics = Metrics::default();
        metrics.count_lookup("orgs", true);
        // A family is shown once it has a sample.
        let request = HttpRequest {
            endpoint: "/v1/limits",
            status: 200,
            code: "",
        };
        metrics.requests.get_or_create(&request).inc();
        metrics.stripe_called("/v1/prices", "ok", Duration::from_millis(3));
        let text = |format| metrics.encode(format, [("00ff".to_owned(), 0.5)]).unwrap();
        let classic = text(Format::Classic);
        assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"));
        assert!(classic.contains("# TYPE tier_cache_lookups_total counter\n"));
        assert!(classic.contains("# TYPE tier_build_info gauge\n"));
        let text = text(Format::OpenMetrics);
        for expected in [
            "# HELP tier_http_requests Requests answered, by endpoint, status and error code.\n",
            "# TYPE tier_panics counter\n",
            "tier_cache_lookups_total{cache=\"orgs\",outcome=\"hit\"} 1\n",
            "tier_stripe_calls_total{endpoint=\"/v1/prices\",outcome=\"ok\"} 1\n",
            "tier_stripe_call_duration_seconds_bucket{le=\"0.005\",endpoint=\"/v1/prices\"} 1\n",
            "tier_stripe_rate_headroom_ratio{account=\"00ff\"} 0.5\n",
            concat!(
                "tier_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1\n"
            ),
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// `promtool check metrics` requires this.
    #[test]
    fn every_sample_of_the_classic_format_follows_its_description() {
        let metrics = Metrics::default();
        metrics.count_lookup("orgs", true);
        metrics.stripe_called("/v1/prices", "ok", Duration::from_millis(3));
        let text = metrics.encode(Format::Classic, []).unwrap();
        let (mut helped, mut kind) = (String::new(), (String::new(), String::new()));
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["#", "HELP", name, help, ..] if !help.is_empty() => helped = (*name).to_owned(),
                ["#", "TYPE", name, of] => {
                    assert_eq!(*name, helped, "{line}");
                    assert_eq!(name.ends_with("_total"), *of == "counter", "{line}");
                    kind = ((*name).to_owned(), (*of).to_owned());
                }
                [sample, value] => {
                    let name = sample.split('{').next().unwrap();
                    let suffix = name.strip_prefix(&kind.0).unwrap_or("?");
                    let histogram = ["_bucket", "_sum", "_count"].contains(&suffix);
                    let fits = suffix.is_empty() || kind.1 == "histogram" && histogram;
                    assert!(fits && value.parse::<f64>().is_ok(), "{line}");
                }
                // A label's value may have spaces.
                _ => assert!(line.contains("=\""), "{line}"),
            }
        }
        for name in [
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
        ] {
            assert!(text.contains(&format!("\n{name} ")), "{name}: {text}");
        }
    }
}
