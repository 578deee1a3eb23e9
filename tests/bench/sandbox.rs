//! The sandbox under load: 100,000 customers (or as many as the first argument says), each with a subscription. The
//! benchmark then measures the calls that must stay quick, over one connection, and the memory of everything.
//!
//! `cargo bench --bench sandbox`

#![expect(clippy::print_stdout, reason = "the results are what it is for")]

use std::time::{Duration, Instant};

use clock::Clock;
use serde_json::Value;
use stripe_sandbox::{Options, Sandbox};

/// 2019-12-31T00:00Z
const START: i64 = 1_577_750_400;
const MONTH: i64 = 30 * 24 * 60 * 60;
const SAMPLES: usize = 2_000;

#[tokio::main]
async fn main() {
    // `cargo bench` passes `--bench`. Without it, as under `cargo test --all-targets`, the benchmark only has to run.
    let usual = if std::env::args().any(|arg| arg == "--bench") {
        100_000
    } else {
        20
    };
    let customers: usize = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(usual);
    let sandbox = Sandbox::start(Options {
        clock: Clock::manual(START),
        search_lag: Duration::ZERO,
        ..Options::default()
    });
    let sandbox = sandbox.await.expect("a loopback port");
    let api = Api::new(sandbox.url());
    let before = resident();
    let began = Instant::now();
    let ids = api.populate(customers).await;
    println!(
        "{customers} customers with a subscription each, made in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    if let (Some(before), Some(after)) = (before, resident()) {
        let bytes = (after - before) * 1024;
        println!(
            "memory: {} MB, {} bytes a customer",
            bytes / 1_000_000,
            bytes / customers
        );
    }
    // The ids are spread over the whole range, in an order that no cache can foresee.
    let pick = |n: usize| &ids[n.wrapping_mul(7_919) % ids.len()];
    api.measure("GET /v1/customers/{id}", |n| {
        format!("/v1/customers/{}", pick(n))
    })
    .await;
    api.measure("search by metadata", |n| {
        let org = n.wrapping_mul(7_919) % ids.len();
        format!("/v1/customers/search?query=metadata['org']:'org:{org}'")
    })
    .await;
    api.measure("subscriptions of a customer", |n| {
        format!("/v1/subscriptions?customer={}", pick(n))
    })
    .await;
    api.measure("upcoming lines", |n| {
        format!("/v1/invoices/upcoming/lines?customer={}", pick(n))
    })
    .await;
    api.advances().await;
}

/// A customer needs a card before it can be subscribed.
const CARD: &str =
    "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";

struct Api {
    http: reqwest::Client,
    url: String,
}

impl Api {
    fn new(url: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            url: url.to_owned(),
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Vec<u8> {
        let request = request.header("authorization", "Bearer sk_test_bench");
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let body = response.bytes().await.expect("a body");
        assert!(status.is_success(), "{}", String::from_utf8_lossy(&body));
        body.to_vec()
    }

    async fn create(&self, path: &str, form: String) -> String {
        let request = self.http.post(format!("{}{path}", self.url)).body(form);
        let made: Value = serde_json::from_slice(&self.send(request).await).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    }

    async fn populate(&self, customers: usize) -> Vec<String> {
        let licensed = self.price("unit_amount=1000").await;
        let metered = self
            .price("unit_amount=1&recurring[usage_type]=metered")
            .await;
        let mut ids = Vec::with_capacity(customers);
        for n in 0..customers {
            let form = format!("email=c{n}@example.com&metadata[org]=org:{n}&{CARD}");
            let id = self.create("/v1/customers", form).await;
            let form =
                format!("customer={id}&items[0][price]={licensed}&items[1][price]={metered}");
            self.create("/v1/subscriptions", form).await;
            ids.push(id);
        }
        ids
    }

    async fn price(&self, form: &str) -> String {
        let form = format!("currency=usd&product_data[name]=N&recurring[interval]=month&{form}");
        self.create("/v1/prices", form).await
    }

    /// Makes one call after another, so over one connection.
    async fn measure(&self, what: &str, path: impl Fn(usize) -> String) {
        let mut times = Vec::with_capacity(SAMPLES);
        for n in 0..SAMPLES {
            let request = self.http.get(format!("{}{}", self.url, path(n)));
            let began = Instant::now();
            let body = self.send(request).await;
            times.push(began.elapsed());
            assert!(!body.is_empty());
        }
        times.sort_unstable();
        let micros = |share: usize| times[(SAMPLES - 1) * share / 100].as_micros();
        println!("{what}: p50 {} µs, p99 {} µs", micros(50), micros(99));
    }

    /// Six advances of two months, with three customers on the clock.
    async fn advances(&self) {
        let price = self
            .price("unit_amount=1&recurring[usage_type]=metered")
            .await;
        let clock = self
            .create(
                "/v1/test_helpers/test_clocks",
                format!("frozen_time={START}"),
            )
            .await;
        for _ in 0..3 {
            let customer = self
                .create("/v1/customers", format!("test_clock={clock}&{CARD}"))
                .await;
            self.create(
                "/v1/subscriptions",
                format!("customer={customer}&items[0][price]={price}"),
            )
            .await;
        }
        let path = format!("/v1/test_helpers/test_clocks/{clock}/advance");
        let began = Instant::now();
        for n in 1..=6 {
            self.create(&path, format!("frozen_time={}", START + n * 2 * MONTH))
                .await;
        }
        println!(
            "six advances of two months, three customers: {} ms",
            began.elapsed().as_millis()
        );
    }
}

/// The resident memory of the process, in kB, if the system tells.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
