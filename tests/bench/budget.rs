//! A busy server over a Stripe account that allows 25 calls a second: how many calls are used, which requests are
//! refused, and how fast.
//!
//! ```sh
//! cargo bench --bench budget                # 20 seconds
//! cargo bench --bench budget -- 60          # 60 seconds
//! ```
//!
//! The load is 200 requests a second over 50 orgs: 70 % limits, 20 % whois, 8 % report, 2 % checkout. The benchmark
//! ends with an error if a figure misses its goal.
#![expect(
    clippy::print_stdout,
    reason = "the figures are what people run this for"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::Clock;
use serde_json::{Value, json};
use stripe_sandbox::{Running, Sandbox};
use tier::api::{App, router};
use tier::domain::Domain;
use tier::metrics::{Metrics, StripeCall};
use tier::stripe::{Client, Credentials, Options, RateSettings, Transport};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const ALLOWED: u32 = 25;
const REQUESTS: u64 = 200;
const ORGS: u64 = 50;
const SECONDS: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Limits,
    Whois,
    Report,
    Checkout,
}

/// The outcome of a request.
struct Seen {
    kind: Kind,
    org: u64,
    status: u16,
    retry_after: bool,
    took: Duration,
}

#[tokio::main]
async fn main() {
    // `cargo bench` adds `--bench`.
    let seconds = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(SECONDS);
    let world = World::start().await;
    world.set_up().await;
    let before = world.calls();
    let started = Instant::now();
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(
        Duration::from_secs(1) / u32::try_from(REQUESTS).expect("it is small"),
    );
    for i in 0..seconds * REQUESTS {
        ticks.tick().await;
        requests.spawn(world.clone().request(i));
    }
    let (during, span) = (world.calls(), started.elapsed());
    let seen = requests.join_all().await;
    let right = world.report(&seen, before, during, span).await;
    world.server.lock().await.shutdown().await;
    if !right {
        std::process::exit(1);
    }
}

#[derive(Clone)]
struct World {
    stripe: Arc<Running>,
    metrics: Arc<Metrics>,
    http: reqwest::Client,
    url: String,
    server: Arc<tokio::sync::Mutex<JoinSet<()>>>,
}

impl World {
    async fn start() -> Self {
        let stripe = Sandbox::start(stripe_sandbox::Options {
            rate_limit: Some(ALLOWED),
            search_lag: Duration::ZERO,
            latency: Some(Duration::from_millis(60)),
            ..stripe_sandbox::Options::default()
        });
        let stripe = stripe.await.expect("a free port");
        let transport = Transport::new(Options {
            base_url: stripe.url().to_owned(),
            rates: RateSettings {
                total: Some(ALLOWED),
                ..RateSettings::default()
            },
            ..Options::default()
        });
        let client = Client::new(transport.expect("a URL"), Credentials::new("sk_test_load"));
        let app = App::new(Domain::new(client, Clock::system(), "sandbox"));
        let metrics = app.metrics.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut server = JoinSet::new();
        server.spawn(tier::server::serve(
            listener,
            router(app),
            std::future::pending(),
        ));
        Self {
            stripe: Arc::new(stripe),
            metrics,
            http: reqwest::Client::builder()
                .tls_backend_preconfigured(no_tls())
                .no_proxy()
                .build()
                .expect("no TLS is needed"),
            url,
            server: Arc::new(tokio::sync::Mutex::new(server)),
        }
    }

    async fn set_up(&self) {
        let model = json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}, "feature:seat": {"base": 100}}}}});
        self.done("/v1/push", &model).await;
        for org in 0..ORGS {
            let body = json!({"org": format!("org:{org}"), "phases": [{"features": ["plan:p@1"]}]});
            self.done("/v1/subscribe", &body).await;
        }
        // The requests of the set-up have used up the calls of the present second.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    async fn done(&self, path: &str, body: &Value) {
        let sent = self
            .http
            .post(format!("{}{path}", self.url))
            .body(body.to_string())
            .send()
            .await;
        let answer = sent.expect("the server answers");
        let status = answer.status();
        assert!(
            status.is_success(),
            "{path}: {}",
            answer.text().await.unwrap_or_default()
        );
    }

    /// The `i`th request. Requests are spread evenly over kinds and orgs, the same in every run.
    async fn request(self, i: u64) -> Seen {
        let org = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let org = org % ORGS;
        let name = format!("org:{org}");
        let kind = match i * 7 % 50 {
            0 => Kind::Checkout,
            1..=4 => Kind::Report,
            5..=14 => Kind::Whois,
            _ => Kind::Limits,
        };
        let post = |path: &str, body: Value| {
            self.http
                .post(format!("{}{path}", self.url))
                .body(body.to_string())
        };
        let request = match kind {
            Kind::Limits => self.http.get(format!("{}/v1/limits?org={name}", self.url)),
            Kind::Whois => self.http.get(format!("{}/v1/whois?org={name}", self.url)),
            Kind::Report => post(
                "/v1/report",
                json!({"org": name, "feature": "feature:f", "n": 1}),
            ),
            Kind::Checkout => post(
                "/v1/checkout",
                json!({"org": name, "success_url": "https://x.example", "features": ["plan:p@1"]}),
            ),
        };
        let started = Instant::now();
        let answer = request.send().await.expect("the server answers");
        Seen {
            kind,
            org,
            status: answer.status().as_u16(),
            retry_after: answer.headers().contains_key("retry-after"),
            took: started.elapsed(),
        }
    }

    /// How many calls Stripe accepted, and how many it refused because of the rate.
    fn calls(&self) -> (u64, u64) {
        let all: u64 = self.stripe.sandbox().counts(None).values().sum();
        let mut refused = 0;
        for endpoint in ENDPOINTS {
            let called = StripeCall {
                endpoint,
                outcome: "429",
            };
            refused += self
                .metrics
                .stripe_calls
                .get(&called)
                .map_or(0, |counter| counter.get());
        }
        (all - refused, refused)
    }

    async fn report(
        &self,
        seen: &[Seen],
        before: (u64, u64),
        during: (u64, u64),
        span: Duration,
    ) -> bool {
        let budget = f64::from(ALLOWED) * span.as_secs_f64();
        let used = count(during.0 - before.0) / budget * 100.0;
        let refused = self.calls().1 - before.1;
        let refused = count(refused) / count(self.calls().0 - before.0 + refused) * 100.0;
        println!(
            "\n{:>10} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9} {:>9}",
            "", "sent", "200", "429", "other", "p50 ms", "p99 ms", "max ms"
        );
        for kind in [Kind::Limits, Kind::Whois, Kind::Report, Kind::Checkout] {
            let of = |test: &dyn Fn(&Seen) -> bool| {
                seen.iter()
                    .filter(|seen| seen.kind == kind && test(seen))
                    .count()
            };
            let took = times(seen, |seen| seen.kind == kind);
            println!(
                "{:>10} {:>7} {:>7} {:>7} {:>7} {:>9.1} {:>9.1} {:>9.1}",
                format!("{kind:?}").to_lowercase(),
                of(&|_| true),
                of(&|seen| seen.status == 200),
                of(&|seen| seen.status == 429),
                of(&|seen| !matches!(seen.status, 200 | 429)),
                at(&took, 0.5),
                at(&took, 0.99),
                at(&took, 1.0),
            );
        }
        let refusals = times(seen, |seen| seen.status == 429);
        let checkouts = times(seen, |seen| seen.kind == Kind::Checkout);
        let failed = seen
            .iter()
            .filter(|seen| seen.kind == Kind::Checkout && seen.status != 200)
            .count();
        let unannounced = seen
            .iter()
            .filter(|seen| seen.status == 429 && !seen.retry_after)
            .count();
        let astray = self.reports_astray(seen).await;
        let mut right = true;
        println!();
        for (figure, value, holds) in [
            ("budget used, % (at least 90)", used, used >= 90.0),
            (
                "429s from Stripe, % of calls (under 1)",
                refused,
                refused < 1.0,
            ),
            (
                "refusals, p99 in ms (under 50)",
                at(&refusals, 0.99),
                at(&refusals, 0.99) < 50.0,
            ),
            (
                "refusals without Retry-After (0)",
                size(unannounced),
                unannounced == 0,
            ),
            (
                "checkout, p99 in ms (under 2000)",
                at(&checkouts, 0.99),
                at(&checkouts, 0.99) < 2000.0,
            ),
            ("checkouts failed (0)", size(failed), failed == 0),
            (
                "acknowledged reports not in Stripe once (0)",
                size(astray),
                astray == 0,
            ),
        ] {
            println!(
                "{figure:>45} {value:>9.1} {}",
                if holds { "ok" } else { "NOT MET" }
            );
            right &= holds;
        }
        right
    }

    /// The number of orgs whose usage differs from what the server acknowledged.
    async fn reports_astray(&self, seen: &[Seen]) -> usize {
        let mut acknowledged: HashMap<u64, i64> = HashMap::new();
        for seen in seen
            .iter()
            .filter(|seen| seen.kind == Kind::Report && seen.status == 200)
        {
            *acknowledged.entry(seen.org).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut astray = 0;
        for org in 0..ORGS {
            let limits = loop {
                let sent = self
                    .http
                    .get(format!("{}/v1/limits?org=org:{org}", self.url))
                    .send()
                    .await;
                let answer = sent.expect("the server answers");
                if answer.status().is_success() {
                    break answer.text().await.expect("a body");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            let limits: Value = serde_json::from_str(&limits).expect("JSON");
            let used = limits["usage"][0]["used"].as_i64().unwrap_or_default();
            astray += usize::from(used != acknowledged.get(&org).copied().unwrap_or_default());
        }
        astray
    }
}

/// Stripe's endpoints that these requests need.
const ENDPOINTS: [&str; 9] = [
    "/v1/customers",
    "/v1/customers/search",
    "/v1/subscriptions",
    "/v1/invoices/upcoming/lines",
    "/v1/subscription_items/*/usage_record_summaries",
    "/v1/subscription_items/*/usage_records",
    "/v1/prices",
    "/v1/checkout/sessions",
    "/v1/subscription_schedules",
];

fn times(seen: &[Seen], test: impl Fn(&Seen) -> bool) -> Vec<f64> {
    let mut took: Vec<f64> = seen
        .iter()
        .filter(|seen| test(seen))
        .map(|seen| seen.took.as_secs_f64() * 1000.0)
        .collect();
    took.sort_by(f64::total_cmp);
    took
}

/// The value that this share of the sorted values does not exceed, or 0 without values.
fn at(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index: not negative, and small"
    )]
    let index = (size(sorted.len().saturating_sub(1)) * share).ceil() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

fn size(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("it is small"))
}

fn count(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("it is small"))
}

/// The benchmark uses only plain HTTP, but the client needs a TLS configuration.
fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
