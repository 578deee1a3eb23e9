//! What clients are answered, and what Stripe has, when calls to Stripe fail. Every endpoint meets every fault, once
//! and lastingly: with one caller, with two callers at two servers, and with a caller that hangs up. Afterwards another
//! server repeats the request. `FAULTS=each cargo test --test it faults -- --nocapture` prints the tables. Without
//! `FAULTS=each`, every second cell of a table is run, so that each endpoint meets every fault in half of the situations.

mod table;

use std::fmt::Write as _;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tier::domain::{Generation, GenerationSetting};

use crate::harness::{Answer, GENERATIONS, Settings, TestApp};
use testing::time::{TIMEOUT, until};

use table::{Callers, ENDPOINTS, Endpoint, FAULTS, Fault};

/// The time limit of each attempt in the tests of timeouts.
const ATTEMPT: Duration = Duration::from_millis(1500);

/// How many cells run concurrently.
const AT_ONCE: usize = 30;

/// The sandbox account of one cell of the table.
struct Cell<'a> {
    stripe: &'a TestApp,
    key: String,
    generation: Generation,
    fault: Fault,
    lasting: bool,
    callers: Callers,
    endpoint: Endpoint,
    clock: String,
}

impl<'a> Cell<'a> {
    async fn new(
        stripe: &'a TestApp,
        generation: Generation,
        (callers, lasting): (Callers, bool),
        (endpoint, fault): (Endpoint, Fault),
    ) -> Self {
        let name = endpoint.name.replace(' ', "");
        let key = format!("sk_test_{fault:?}{name}{lasting}{callers:?}{generation:?}");
        let mut cell = Self {
            stripe,
            key,
            generation,
            fault,
            lasting,
            callers,
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

    /// A server with an empty cache.
    fn server(&self, settings: Settings) -> TestApp {
        self.stripe.second_server_with(&Settings {
            stripe_key: self.key.clone(),
            generation: GenerationSetting::Fixed(self.generation),
            ..settings
        })
    }

    /// A server whose calls to Stripe succeed.
    fn healthy(&self) -> TestApp {
        self.server(Settings::default())
    }

    async fn send(&self, app: &TestApp) -> Answer {
        let path = self.endpoint.path.replace("CLOCK", &self.clock);
        let method = self.endpoint.method.parse().expect("a method");
        let mut call = app.request(method, &path).body(self.endpoint.body);
        if self.endpoint.keyed {
            call = call.header("idempotency-key", "a-key");
        }
        let answered = tokio::time::timeout(TIMEOUT, call.send()).await;
        answered.expect("an answer")
    }

    /// Sends the request, and hangs up as soon as a call that may fail has ended. The answer may arrive before that.
    async fn send_and_hang_up(&self, app: &TestApp) -> Option<Answer> {
        let account = self.stripe.sandbox().account_id(&self.key);
        let calls = || {
            let counts = self.stripe.sandbox().counts(Some(&account)).into_iter();
            let own = counts.filter(|(endpoint, _)| endpoint.starts_with(self.endpoint.calls));
            own.map(|(_, count)| count).sum::<u64>()
        };
        let before = calls();
        let called = until("a call to Stripe", async || {
            (calls() > before).then_some(())
        });
        tokio::select! {
            answer = self.send(app) => Some(answer),
            () = called => None,
        }
    }

    /// The servers that receive the request while calls fail.
    fn faulty(&self) -> [TestApp; 2] {
        let settings = || match self.fault {
            // Nothing listens on port 1.
            Fault::Refused => Settings {
                stripe_url: Some("http://127.0.0.1:1".to_owned()),
                ..Settings::default()
            },
            Fault::Delay => Settings {
                timeout: ATTEMPT,
                ..Settings::default()
            },
            // Each of the two callers waits for the other's calls.
            _ if self.callers == Callers::AtOnce && !self.lasting => Settings {
                retries: 8,
                first_wait: Duration::from_millis(10),
                ..Settings::default()
            },
            _ => Settings::default(),
        };
        [self.server(settings()), self.server(settings())]
    }

    /// Sends the request while calls fail, once or lastingly. Then clears the fault, and repeats the request until it
    /// succeeds.
    async fn run(&self) -> String {
        let cell = format!(
            "{:?}: {} × {}, {}, {:?}",
            self.generation,
            self.endpoint.name,
            self.fault.name(),
            if self.lasting { "lasting" } else { "once" },
            self.callers,
        );
        if let Some(mut rule) = self
            .fault
            .rule(self.endpoint.calls, self.endpoint.calls_path)
        {
            rule.account = Some(self.stripe.sandbox().account_id(&self.key));
            self.stripe
                .sandbox()
                .add_fault(if self.lasting { rule } else { rule.times(1) });
        }
        let servers = self.faulty();
        let [one, other] = &servers;
        let answers = match self.callers {
            Callers::One => vec![Some(self.send(one).await)],
            Callers::AtOnce => {
                let (a, b) = tokio::join!(self.send(one), self.send(other));
                vec![Some(a), Some(b)]
            }
            Callers::HangUp => vec![self.send_and_hang_up(one).await],
        };
        let answered = answers.iter().flatten();
        let acknowledged = answered.filter(|answer| self.check(&cell, answer)).count();
        self.healthy().stripe_delete("/_sandbox/faults").await;
        self.check_effects(&cell, &servers, acknowledged, answers.len())
            .await;
        let shown = answers.iter().map(|answer| match answer {
            None => "left".to_owned(),
            Some(answer) if answer.status == 200 && !none_failed(&answer.json()) => {
                "200 failed".to_owned()
            }
            Some(answer) => answer.status.as_u16().to_string(),
        });
        shown.collect::<Vec<_>>().join("+")
    }

    /// Whether the request succeeded. A request has to succeed if the fault goes away in time.
    fn check(&self, cell: &str, answer: &Answer) -> bool {
        let (status, code) = self.fault.answer();
        let body = answer.json();
        if answer.status == 200 {
            let is_done = none_failed(&body);
            // Another server may find the effect of a call whose answer was lost.
            let cannot_be = self.lasting && self.callers != Callers::AtOnce;
            assert!(
                !(cannot_be && is_done),
                "{cell}: a success is impossible\n{body}"
            );
            return is_done;
        }
        let told_at_once = self.fault == Fault::Delay || self.fault == Fault::Refused;
        assert!(self.lasting || told_at_once, "{cell}: {body}");
        let told = (answer.status.as_u16(), body["code"].as_str());
        // A caller that waits too long for the other caller's call is refused.
        let other = self.callers == Callers::AtOnce && told == (503, Some("stripe_unavailable"));
        // The server has written something, so no client may retry by itself.
        let begun = told == (503, Some("outcome_unknown"));
        let is_temporary = matches!(status, 429 | 503) || self.callers == Callers::AtOnce;
        assert!(
            told == (status, Some(code)) || other || (begun && is_temporary),
            "{cell}: {body}"
        );
        let says_when = !answer.header("retry-after").is_empty();
        assert_eq!(says_when, matches!(told.0, 429 | 503) && !begun, "{cell}");
        false
    }

    /// Repeats the request at another server until it succeeds. After that, every effect must exist exactly once.
    async fn check_effects(
        &self,
        cell: &str,
        servers: &[TestApp],
        acknowledged: usize,
        asked: usize,
    ) {
        let app = self.healthy();
        let used = async || {
            let limits = app.get("/v1/limits?org=org:there").await.json();
            limits["usage"][0]["used"].as_i64().unwrap_or_default()
        };
        let settle = async || {
            for server in servers {
                server.settled().await;
            }
        };
        let counts = |n: usize| 7 * i64::try_from(n).expect("few");
        let adds = self.endpoint.name == "report";
        let before = used().await;
        if adds && self.callers != Callers::HangUp {
            assert!(
                before % 7 == 0 && (counts(acknowledged)..=counts(asked)).contains(&before),
                "{cell}: {before} are counted"
            );
        }
        if acknowledged < asked {
            self.until_done(&app, cell).await;
            settle().await;
            let after = used().await;
            // A delayed or abandoned call may have taken effect.
            let is_late = self.fault == Fault::Delay || self.callers == Callers::HangUp;
            let late = if is_late { counts(asked) } else { 0 };
            let expected = before + 7..=before + 7 + late;
            assert!(
                !adds || after % 7 == 0 && expected.contains(&after),
                "{cell}: {after} are counted after {before}"
            );
        }
        settle().await;
        if self.endpoint.counts_once {
            assert_eq!(used().await, 7, "{cell}");
        }
        self.check_world(cell).await;
    }

    async fn until_done(&self, app: &TestApp, cell: &str) {
        // A call may still hold its idempotency key if its delay has just ended, or if its caller has hung up.
        until("the request succeeds", async || {
            let answer = self.send(app).await;
            if answer.status == 200 && none_failed(&answer.json()) {
                return Some(());
            }
            assert!(
                self.fault == Fault::Delay || self.callers == Callers::HangUp,
                "{cell}: afterwards, {}",
                answer.body
            );
            None
        })
        .await;
    }

    /// Every org must have one customer with at most one live subscription, and every feature must have one price.
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

/// A push reports a result for each feature. Any other request succeeds or fails as a whole.
fn none_failed(body: &Value) -> bool {
    let results = body["results"].as_array().into_iter().flatten();
    results
        .filter(|result| result["status"] == "failed")
        .count()
        == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the table is what people run this for")]
async fn every_fault_on_every_endpoint_is_reported_and_nothing_is_lost_or_doubled() {
    let stripe = TestApp::with(Settings {
        search_lag: Duration::ZERO,
        ..Settings::default()
    })
    .await;
    // All cells take a quarter of the CPU time of `it`.
    let is_whole = std::env::var_os("FAULTS").is_some_and(|which| which == "each");
    let each = |generation| table::SITUATIONS.map(|situation| (generation, situation));
    let tables = GENERATIONS.into_iter().flat_map(each).enumerate();
    for (number, (generation, (callers, lasting))) in tables {
        // Situations come in pairs, lasting and once. In the second generation it is the other half of the cells.
        let turn = number + number / 2;
        let mut table = format!("\n{:>16}", if lasting { "lasting" } else { "once" });
        for fault in FAULTS {
            write!(table, " {:>11}", fault.name()).expect("a String takes everything");
        }
        let rows = ENDPOINTS
            .iter()
            .filter(|row| callers.ask_for(row) && row.is_of(generation));
        let rows: Vec<_> = rows.copied().collect();
        let cells: Vec<_> = rows
            .iter()
            .enumerate()
            .flat_map(|(row, endpoint)| {
                let faults = FAULTS.into_iter().enumerate();
                faults.map(move |(column, fault)| (turn + row + column, (*endpoint, fault)))
            })
            .map(|(turn, place)| {
                let stripe = &stripe;
                async move {
                    if !is_whole && turn % 2 == 1 {
                        return "-".to_owned();
                    }
                    let situation = (callers, lasting);
                    let cell = Cell::new(stripe, generation, situation, place).await;
                    cell.run().await
                }
            })
            .collect();
        let seen: Vec<String> = stream::iter(cells).buffered(AT_ONCE).collect().await;
        for (row, cells) in rows.iter().zip(seen.chunks(FAULTS.len())) {
            write!(table, "\n{:>16}", row.name).expect("a String takes everything");
            for cell in cells {
                write!(table, " {cell:>11}").expect("a String takes everything");
            }
        }
        println!("\n{generation:?}, {callers:?}{table}");
    }
}
