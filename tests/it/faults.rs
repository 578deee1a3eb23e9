//! What clients see, and what Stripe holds, when calls to Stripe go wrong: every fault on every endpoint, once and
//! lastingly. `cargo test --test it faults -- --nocapture` prints the table.

mod table;

use std::fmt::Write as _;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tier::api::{App, router};
use tier::clock::Clock;
use tier::domain::Domain;
use tier::sandbox::{self, Running, Sandbox};
use tier::stripe::{Client, Credentials, Options, Transport};
use tower::ServiceExt as _;

use table::{DELAY, ENDPOINTS, Endpoint, FAULTS, Fault};

/// Longer than any answer may take, whatever happens.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long a try may take where that is what is tested.
const TRY: Duration = Duration::from_millis(1500);

/// How many cells are worked on at once.
const AT_ONCE: usize = 30;

/// One account of the sandbox, set up for one cell of the table.
struct Cell<'a> {
    stripe: &'a Running,
    key: String,
    fault: Fault,
    endpoint: Endpoint,
    clock: String,
}

struct Answer {
    status: u16,
    body: Value,
    retry_after: bool,
}

impl<'a> Cell<'a> {
    async fn new(stripe: &'a Running, fault: Fault, endpoint: Endpoint, lasting: bool) -> Self {
        let name = endpoint
            .path
            .replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let key = format!("sk_test_{fault:?}{name}{}{lasting}", endpoint.name.len());
        let mut cell = Self {
            stripe,
            key,
            fault,
            endpoint,
            clock: String::new(),
        };
        let app = cell.healthy();
        let model = json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}}}}});
        let there = json!({"org": "org:there", "phases": [{"features": ["plan:p@1"]}]});
        let clock = json!({"name": "first", "present": "2030-01-01T00:00:00Z"});
        for (path, body) in [
            ("/v1/push", &model),
            ("/v1/subscribe", &there),
            ("/v1/clock", &clock),
        ] {
            let made = send(&app, "POST", path, &body.to_string()).await;
            assert_eq!(made.status, 200, "{path}: {}", made.body);
            if let Some(id) = made.body["id"].as_str() {
                id.clone_into(&mut cell.clock);
            }
        }
        cell
    }

    fn client(&self, url: &str, timeout: Duration) -> Client {
        let options = Options {
            base_url: url.to_owned(),
            timeout,
            retries: 2,
            first_wait: Duration::from_millis(1),
            ..Options::default()
        };
        let transport = Transport::new(options).expect("a URL");
        Client::new(transport, Credentials::new(self.key.as_str()))
    }

    /// A server that remembers nothing.
    fn router(&self, url: &str, timeout: Duration) -> Router {
        let domain = Domain::new(self.client(url, timeout), Clock::system(), "sandbox");
        router(App::new(domain))
    }

    /// A server whose calls do not go wrong.
    fn healthy(&self) -> Router {
        self.router(self.stripe.url(), DEADLINE / 2)
    }

    async fn send(&self, app: &Router) -> Answer {
        let path = self.endpoint.path.replace("CLOCK", &self.clock);
        send(app, self.endpoint.method, &path, self.endpoint.body).await
    }

    /// Sends the request into a fault that lasts or that happens once; then, with the fault gone, until it succeeds.
    async fn run(&self, lasting: bool) -> String {
        let cell = format!(
            "{} × {}, {}",
            self.endpoint.name,
            self.fault.name(),
            if lasting { "lasting" } else { "once" }
        );
        if let Some(mut rule) = self.fault.rule(self.endpoint.calls) {
            rule.account = Some(self.stripe.sandbox().account_id(&self.key));
            self.stripe
                .sandbox()
                .add_fault(if lasting { rule } else { rule.times(1) });
        }
        // Nobody listens on port 1.
        let url = if self.fault == Fault::Refused {
            "http://127.0.0.1:1"
        } else {
            self.stripe.url()
        };
        let timeout = if self.fault == Fault::Delay {
            TRY
        } else {
            DEADLINE / 2
        };
        let answer = self.send(&self.router(url, timeout)).await;
        let acknowledged = self.check(&cell, &answer, lasting);
        let controls = self.client(self.stripe.url(), DEADLINE / 2);
        let ended = controls.delete("/_sandbox/faults").send::<Value>().await;
        ended.expect("the sandbox takes it");
        self.check_effects(&cell, acknowledged).await;
        if answer.status == 200 && !acknowledged {
            "200 failed".to_owned()
        } else {
            answer.status.to_string()
        }
    }

    /// Whether the request was said to be done; it has to be, if the fault goes away while it is worked on.
    fn check(&self, cell: &str, answer: &Answer, lasting: bool) -> bool {
        let (status, code) = self.fault.answer();
        let results = answer.body["results"].as_array();
        let failed = |result: &Value| result["status"] == "failed";
        if answer.status == 200 {
            // A push tells of each feature.
            let none_failed = !results.is_some_and(|results| results.iter().any(failed));
            assert!(
                !(lasting && none_failed),
                "{cell}: a success cannot be\n{}",
                answer.body
            );
            return none_failed;
        }
        let told_at_once = self.fault == Fault::Delay || self.fault == Fault::Refused;
        assert!(lasting || told_at_once, "{cell}: {}", answer.body);
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (status, &json!(code)),
            "{cell}: {}",
            answer.body
        );
        assert_eq!(answer.retry_after, matches!(status, 429 | 503), "{cell}");
        false
    }

    /// The client tries again until it succeeds, and then everything is there once.
    async fn check_effects(&self, cell: &str, acknowledged: bool) {
        let app = self.healthy();
        let used = async || {
            let limits = send(&app, "GET", "/v1/limits?org=org:there", "").await;
            limits.body["usage"][0]["used"].as_i64().unwrap_or_default()
        };
        let before = used().await;
        if self.endpoint.name == "report" {
            let counted = if acknowledged { 7..=7 } else { 0..=7 };
            assert!(
                before % 7 == 0 && counted.contains(&before),
                "{cell}: {before} are counted"
            );
        }
        if !acknowledged {
            self.until_done(&app, cell).await;
            if self.endpoint.name == "report" {
                let after = used().await;
                // What was delayed may have come meanwhile.
                let late = if self.fault == Fault::Delay { 7 } else { 0 };
                assert!(
                    after == before + 7 || after == before + 7 + late,
                    "{cell}: {after} are counted"
                );
            }
        }
        self.check_world(cell).await;
    }

    async fn until_done(&self, app: &Router, cell: &str) {
        // A delayed call may still hold its idempotency key for a while.
        for _ in 0..50 {
            let answer = self.send(app).await;
            let failed = answer.body["results"]
                .as_array()
                .is_some_and(|results| results.iter().any(|result| result["status"] == "failed"));
            if answer.status == 200 && !failed {
                return;
            }
            assert!(
                self.fault == Fault::Delay,
                "{cell}: afterwards, {}",
                answer.body
            );
            tokio::time::sleep(DELAY / 10).await;
        }
        panic!("{cell}: it does not get better");
    }

    /// Every org is one customer, with one live subscription at most; every feature is sold by one price.
    async fn check_world(&self, cell: &str) {
        let stripe = self.client(self.stripe.url(), DEADLINE / 2);
        let list = async |path: &str, status: &str| -> Vec<Value> {
            let mut request = stripe.get(path).param("limit", 100);
            if !status.is_empty() {
                request = request.param("status", status);
            }
            let page: Value = request.send().await.expect("the fault is over");
            page["data"].as_array().expect("a list").clone()
        };
        for (path, field) in [
            ("/v1/customers", "/metadata/tier.org"),
            ("/v1/prices", "/lookup_key"),
        ] {
            let mut names: Vec<_> = list(path, "")
                .await
                .iter()
                .filter_map(|object| object.pointer(field).cloned())
                .map(|name| name.to_string())
                .collect();
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{cell}: {path} has twins");
        }
        let mut customers: Vec<_> = list("/v1/subscriptions", "active")
            .await
            .iter()
            .map(|subscription| subscription["customer"].to_string())
            .collect();
        customers.sort();
        let all = customers.len();
        customers.dedup();
        assert_eq!(customers.len(), all, "{cell}: an org has two subscriptions");
    }
}

async fn send(app: &Router, method: &str, path: &str, body: &str) -> Answer {
    let method: Method = method.parse().expect("a method");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_owned()));
    let answered =
        tokio::time::timeout(DEADLINE, app.clone().oneshot(request.expect("well formed")));
    let (head, body) = answered
        .await
        .expect("an answer within the deadline")
        .expect("the router answers everything")
        .into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("it is in memory");
    Answer {
        status: StatusCode::as_u16(&head.status),
        body: serde_json::from_slice(&body).expect("JSON"),
        retry_after: head.headers.contains_key("retry-after"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the table is what people run this for")]
async fn every_fault_on_every_endpoint_is_told_right_and_doubles_or_loses_nothing() {
    let stripe = Sandbox::start(sandbox::Options {
        search_lag: Duration::ZERO,
        ..sandbox::Options::default()
    })
    .await
    .expect("a free port");
    for lasting in [true, false] {
        let mut table = format!("\n{:>16}", if lasting { "lasting" } else { "once" });
        for fault in FAULTS {
            write!(table, " {:>11}", fault.name()).expect("a String takes everything");
        }
        let cells: Vec<_> = ENDPOINTS
            .iter()
            .flat_map(|endpoint| FAULTS.map(|fault| (*endpoint, fault)))
            .map(|(endpoint, fault)| {
                let stripe = &stripe;
                async move {
                    Cell::new(stripe, fault, endpoint, lasting)
                        .await
                        .run(lasting)
                        .await
                }
            })
            .collect();
        let seen: Vec<String> = stream::iter(cells).buffered(AT_ONCE).collect().await;
        for (endpoint, row) in ENDPOINTS.iter().zip(seen.chunks(FAULTS.len())) {
            write!(table, "\n{:>16}", endpoint.name).expect("a String takes everything");
            for cell in row {
                write!(table, " {cell:>11}").expect("a String takes everything");
            }
        }
        println!("{table}");
    }
}
