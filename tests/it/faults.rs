//! What clients see, and what Stripe holds, when calls to Stripe go wrong: every fault on every endpoint, once and
//! lastingly. `cargo test --test it faults -- --nocapture` prints the table.

mod table;

use std::fmt::Write as _;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::harness::{Answer, Settings, TestApp};
use crate::time::{PATIENCE, until};

use table::{ENDPOINTS, Endpoint, FAULTS, Fault};

/// How long a try may take where that is what is tested.
const TRY: Duration = Duration::from_millis(1500);

/// How many cells are worked on at once.
const AT_ONCE: usize = 30;

/// One account of the sandbox, set up for one cell of the table.
struct Cell<'a> {
    stripe: &'a TestApp,
    key: String,
    fault: Fault,
    endpoint: Endpoint,
    clock: String,
}

impl<'a> Cell<'a> {
    async fn new(stripe: &'a TestApp, fault: Fault, endpoint: Endpoint, lasting: bool) -> Self {
        let name = endpoint.name.replace(' ', "");
        let key = format!("sk_test_{fault:?}{name}{lasting}");
        let mut cell = Self {
            stripe,
            key,
            fault,
            endpoint,
            clock: String::new(),
        };
        let app = cell.healthy();
        let plan = json!({"features": {"feature:f": {"tiers": [{}]}}});
        let model = json!({"plans": {"plan:p@1": plan, "plan:other@1": plan}});
        let there = json!({"org": "org:there", "phases": [{"features": ["plan:p@1"]}]});
        let clock = json!({"name": "first", "present": "2030-01-01T00:00:00Z"});
        for (path, body) in [
            ("/v1/push", &model),
            ("/v1/subscribe", &there),
            ("/v1/clock", &clock),
        ] {
            let made = app.post_json(path, body).await.ok();
            if let Some(id) = made.json()["id"].as_str() {
                id.clone_into(&mut cell.clock);
            }
        }
        cell
    }

    /// A server that remembers nothing.
    fn server(&self, settings: Settings) -> TestApp {
        self.stripe.beside(&Settings {
            stripe_key: self.key.clone(),
            ..settings
        })
    }

    /// A server whose calls do not go wrong.
    fn healthy(&self) -> TestApp {
        self.server(Settings::default())
    }

    async fn send(&self, app: &TestApp) -> Answer {
        let path = self.endpoint.path.replace("CLOCK", &self.clock);
        let method = self.endpoint.method.parse().expect("a method");
        let sent = app.request(method, &path).body(self.endpoint.body).send();
        let answered = tokio::time::timeout(PATIENCE, sent).await;
        answered.expect("an answer")
    }

    /// Sends the request into a fault that lasts or that happens once; then, with the fault gone, until it succeeds.
    async fn run(&self, lasting: bool) -> String {
        let cell = format!(
            "{} × {}, {}",
            self.endpoint.name,
            self.fault.name(),
            if lasting { "lasting" } else { "once" }
        );
        if let Some(mut rule) = self
            .fault
            .rule(self.endpoint.calls, self.endpoint.calls_path)
        {
            rule.account = Some(self.stripe.sandbox().account_id(&self.key));
            self.stripe
                .sandbox()
                .add_fault(if lasting { rule } else { rule.times(1) });
        }
        let settings = Settings::default();
        let settings = match self.fault {
            // Nobody listens on port 1.
            Fault::Refused => Settings {
                stripe_url: Some("http://127.0.0.1:1".to_owned()),
                ..settings
            },
            Fault::Delay => Settings {
                timeout: TRY,
                ..settings
            },
            _ => settings,
        };
        let answer = self.send(&self.server(settings)).await;
        let acknowledged = self.check(&cell, &answer, lasting);
        self.healthy().stripe_delete("/_sandbox/faults").await;
        self.check_effects(&cell, acknowledged).await;
        if answer.status == 200 && !acknowledged {
            "200 failed".to_owned()
        } else {
            answer.status.as_u16().to_string()
        }
    }

    /// Whether the request was said to be done; it has to be, if the fault goes away while it is worked on.
    fn check(&self, cell: &str, answer: &Answer, lasting: bool) -> bool {
        let (status, code) = self.fault.answer();
        let body = answer.json();
        if answer.status == 200 {
            let is_done = none_failed(&body);
            assert!(!(lasting && is_done), "{cell}: a success cannot be\n{body}");
            return is_done;
        }
        let told_at_once = self.fault == Fault::Delay || self.fault == Fault::Refused;
        assert!(lasting || told_at_once, "{cell}: {body}");
        assert_eq!(
            (answer.status.as_u16(), &body["code"]),
            (status, &json!(code)),
            "{cell}: {body}"
        );
        let says_when = !answer.header("retry-after").is_empty();
        assert_eq!(says_when, matches!(status, 429 | 503), "{cell}");
        false
    }

    /// The client tries again until it succeeds, and then everything is there once.
    async fn check_effects(&self, cell: &str, acknowledged: bool) {
        let app = self.healthy();
        let used = async || {
            let limits = app.get("/v1/limits?org=org:there").await.json();
            limits["usage"][0]["used"].as_i64().unwrap_or_default()
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

    async fn until_done(&self, app: &TestApp, cell: &str) {
        // A call whose delay has just ended may still hold its idempotency key.
        until("it gets better", async || {
            let answer = self.send(app).await;
            if answer.status == 200 && none_failed(&answer.json()) {
                return Some(());
            }
            assert!(
                self.fault == Fault::Delay,
                "{cell}: afterwards, {}",
                answer.body
            );
            None
        })
        .await;
    }

    /// Every org is one customer, with one live subscription at most; every feature is sold by one price.
    async fn check_world(&self, cell: &str) {
        let stripe = self.healthy();
        let list = async |path: &str, status: &str| -> Vec<Value> {
            let page = stripe
                .stripe_get(&format!("{path}?limit=100{status}"))
                .await;
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
        let mut customers: Vec<_> = list("/v1/subscriptions", "&status=active")
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

/// A push tells of each feature; whatever else succeeds, succeeds as a whole.
fn none_failed(body: &Value) -> bool {
    let results = body["results"].as_array().into_iter().flatten();
    results
        .filter(|result| result["status"] == "failed")
        .count()
        == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the table is what people run this for")]
async fn every_fault_on_every_endpoint_is_told_right_and_doubles_or_loses_nothing() {
    let stripe = TestApp::with(Settings {
        search_lag: Duration::ZERO,
        ..Settings::default()
    })
    .await;
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
