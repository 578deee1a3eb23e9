//! Kills a server with a ledger at every point: before and after each write to the ledger, and before and after each
//! call to Stripe takes effect. The server restarts after a second or after a month, and the client repeats the
//! requests that were not acknowledged. In the end, exactly the acknowledged usage is billed.
//!
//! `CRASHES=all cargo test --test it ledger::crashes -- --nocapture` combines each point with each outage, and prints
//! the number of runs. With `CRASHES=each`, each point has one of the outages, and without it, every second point.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::domain::{LedgerHandle, LedgerSettings};
use tier::ledger::state::{Batch, Recalled, Stored};
use tier::ledger::store::Names;
use tier::ledger::store::sqlite::{self, Sqlite};
use tier::ledger::values::Time;
use tier::ledger::{Snapshot, Store, StoreError};

use tokio::task::JoinSet;

use crate::harness::{DAY, Settings, TestApp};

const SECOND: Duration = Duration::from_secs(1);
/// The number of parallel runs.
const WORKERS: usize = 8;
const ACCOUNT: &str = "acct_crashes:test";

/// The point at which a server dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    Never,
    BeforeWrite(usize),
    AfterWrite(usize),
    BeforeCall(u32),
    AfterCall(u32),
}

/// An operation of a run.
#[derive(Clone, Copy, Debug)]
enum Op {
    Report(&'static str, i64),
    Deliver,
    Change(&'static str),
}

const OPS: [Op; 14] = [
    Op::Report("calls", 5),
    Op::Report("level", 3),
    Op::Report("disk", 4),
    Op::Deliver,
    Op::Report("calls", -2),
    Op::Report("peak", 7),
    Op::Deliver,
    Op::Report("calls", 6),
    Op::Change("plan:b@1"),
    Op::Report("calls", 4),
    Op::Report("level", 2),
    Op::Report("peak", 6),
    Op::Deliver,
    Op::Report("calls", 1),
];

/// A store that fails once its server has died.
struct MortalStore {
    inner: Sqlite,
    writes: Arc<AtomicUsize>,
    death: Death,
    is_dead: bool,
}

impl Store for MortalStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.inner.load()
    }

    fn recall(&mut self, names: &Names) -> Result<Recalled, StoreError> {
        self.inner.recall(names)
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        self.is_dead |= matches!(self.death, Death::BeforeWrite(at) if at == write);
        if self.is_dead {
            return Err(StoreError::ReadOnly);
        }
        self.inner.append(batch)?;
        if matches!(self.death, Death::AfterWrite(at) if at == write) {
            self.is_dead = true;
            return Err(StoreError::ReadOnly);
        }
        Ok(())
    }

    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        if self.is_dead {
            return Err(StoreError::ReadOnly);
        }
        self.inner.keep(snapshots)
    }

    fn compact(&mut self, before: Time, most: usize) -> Result<usize, StoreError> {
        self.inner.compact(before, most)
    }
}

/// The result of a run.
struct Outcome {
    writes: usize,
    calls: u64,
    has_died: bool,
}

/// The server's settings. A server that dies during a call does not retry that call. Other deaths lose no call, so
/// retries only cover connection errors on a busy machine.
fn settings(death: Death, is_on_meters: bool) -> Settings {
    let dies_of_call = matches!(death, Death::BeforeCall(_) | Death::AfterCall(_));
    Settings {
        retries: if dies_of_call { 0 } else { 2 },
        ..if is_on_meters {
            super::meters()
        } else {
            super::classic()
        }
    }
}

fn model() -> Value {
    let plan = json!({"features": {
        "feature:calls": {"tiers": [{"price": 1}]},
        "feature:peak": {"aggregate": "max", "tiers": [{"price": 1}]},
        "feature:level": {"aggregate": "last", "tiers": [{"price": 1}]},
        "feature:disk": {"aggregate": "perpetual", "tiers": [{"price": 1}]},
    }});
    json!({"plans": {"plan:a@1": plan, "plan:b@1": plan}})
}

fn open(app: &TestApp, file: &Path, death: Death, writes: &Arc<AtomicUsize>) -> TestApp {
    let store = MortalStore {
        inner: Sqlite::open(file, ACCOUNT).expect("a ledger"),
        writes: Arc::clone(writes),
        death,
        is_dead: false,
    };
    let ledger = LedgerHandle::of_store(store, file.to_owned(), LedgerSettings::default());
    app.with_open_ledger(ledger.expect("a ledger"))
}

/// Runs an operation. Returns whether the server acknowledged it. A report that is refused for its content is not
/// acknowledged.
async fn apply(app: &TestApp, place: usize, op: Op) -> Result<i64, ()> {
    match op {
        Op::Report(feature, n) => {
            let report = json!({"org": "org:a", "feature": format!("feature:{feature}"), "n": n});
            let call = app.request(Method::POST, "/v1/report");
            let call = call.header("idempotency-key", format!("key-{place}"));
            let answer = call.body(report.to_string()).send().await;
            match answer.status.as_u16() {
                200 => Ok(n),
                400 if answer.body.contains("cannot be lowered") => Ok(0),
                _ => Err(()),
            }
        }
        Op::Deliver => {
            for _ in 0..4 {
                app.advance(31 * SECOND);
                let delivered = app.domain().deliver().await.map_err(drop)?;
                if delivered.unanswered > 0 {
                    return Err(());
                }
            }
            Ok(0)
        }
        Op::Change(plan) => {
            app.advance(61 * SECOND);
            let change = json!({"org": "org:a", "phases": [{"features": [plan]}]});
            let answer = app.post_json("/v1/subscribe", &change).await;
            app.settled().await;
            answer.status.is_success().then_some(0).ok_or(())
        }
    }
}

/// The units of a feature that were billed.
async fn billed(app: &TestApp, feature: &str) -> i64 {
    let invoices = app.stripe_get("/v1/invoices?limit=100").await;
    let mut units = 0;
    for invoice in invoices["data"].as_array().expect("a list") {
        for line in invoice["lines"]["data"].as_array().expect("a list") {
            let sold = line["price"]["metadata"]["tier.feature"].as_str();
            if sold.is_some_and(|sold| sold.starts_with(&format!("feature:{feature}@"))) {
                units += line["quantity"].as_i64().expect("units");
            }
        }
    }
    units
}

async fn run(death: Death, outage: Duration, is_on_meters: bool) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tier.db");
    let stripe = TestApp::with(settings(death, is_on_meters)).await;
    stripe.push(&model()).await;
    stripe.subscribe("org:a", &["plan:a@1"]).await;
    stripe.advance(60 * SECOND);
    stripe.forget_calls();
    let rule = |at| Rule::new("*", "/v1/*", Action::Drop).skipping(at).times(1);
    match death {
        Death::BeforeCall(at) => stripe.sandbox().add_fault(rule(at)),
        Death::AfterCall(at) => stripe.sandbox().add_fault(rule(at).after()),
        _ => {}
    }
    let writes = Arc::default();
    let mut app = open(&stripe, &file, death, &writes);
    let mut has_died = false;
    let mut calls = 0;
    for (place, op) in OPS.into_iter().enumerate() {
        let mut outcome = apply(&app, place, op).await;
        let is_cut = stripe.sandbox().fault_hits() > 0;
        if !has_died && (is_cut || outcome.is_err()) {
            has_died = true;
            drop(app);
            stripe.sandbox().clear_faults();
            stripe.advance(outage);
            app = open(
                &stripe.second_server_with(&settings(Death::Never, is_on_meters)),
                &file,
                Death::Never,
                &Arc::default(),
            );
            if outcome.is_err() {
                outcome = apply(&app, place, op).await;
            }
        }
        let acknowledged =
            outcome.unwrap_or_else(|()| panic!("{death:?}, {outage:?}: {op:?} failed"));
        if let Op::Report("calls", _) = op {
            calls += acknowledged;
        }
    }
    let outcome = Outcome {
        writes: writes.load(Ordering::SeqCst),
        calls: stripe.stripe_calls(),
        has_died,
    };
    let context = format!("{death:?}, {outage:?}");
    if !has_died {
        // Concurrent reports may share a write, so the server may not have reached the write that would kill it.
        drop(app);
        stripe.sandbox().clear_faults();
        let alive = stripe.second_server_with(&settings(Death::Never, is_on_meters));
        app = open(&alive, &file, Death::Never, &Arc::default());
    }
    for _ in 0..2 {
        for _ in 0..5 {
            let delivered = apply(&app, 0, Op::Deliver).await;
            delivered.unwrap_or_else(|()| panic!("{context}: something still fails"));
        }
        if outage < DAY * 27 {
            break;
        }
        // Late usage is billed in the next period.
        stripe.advance(31 * DAY);
        app.get("/v1/limits?org=org:a").await.ok();
    }
    let used = app.limits("org:a").await;
    stripe.advance(31 * DAY);
    app.settled().await;
    assert_eq!(billed(&stripe, "calls").await, calls, "{context}: calls");
    if outage < 27 * DAY {
        for (feature, units) in [("peak", 7), ("level", 2), ("disk", 4)] {
            assert_eq!(
                billed(&stripe, feature).await,
                units,
                "{context}: {feature}"
            );
            let row = used
                .iter()
                .find(|row| row.0 == format!("feature:{feature}"));
            assert_eq!(
                row.map(|row| row.1),
                Some(units),
                "{context}: {feature} used"
            );
        }
        let row = used.iter().find(|row| row.0 == "feature:calls");
        assert_eq!(row.map(|row| row.1), Some(calls), "{context}: calls used");
    }
    let reader = sqlite::read(&file).expect("a ledger");
    let verified = reader.verify(|problem| panic!("{context}: {problem:?}"));
    verified.expect("a file");
    if outage < 27 * DAY {
        assert_eq!(reader.parked().expect("a file"), [], "{context}");
    }
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_reports_are_billed_wherever_the_server_dies() {
    die_everywhere(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_reports_are_billed_by_meters_wherever_the_server_dies() {
    die_everywhere(true).await;
}

#[expect(
    clippy::print_stderr,
    reason = "the figures are what people run this for"
)]
async fn die_everywhere(is_on_meters: bool) {
    let whole = run(Death::Never, SECOND, is_on_meters).await;
    assert!(!whole.has_died);
    let calls = u32::try_from(whole.calls).expect("not so many");
    let deaths = (0..whole.writes).flat_map(|at| [Death::BeforeWrite(at), Death::AfterWrite(at)]);
    let cuts = (0..calls).flat_map(|at| [Death::BeforeCall(at), Death::AfterCall(at)]);
    let deaths: Vec<Death> = deaths.chain(cuts).collect();
    // Every combination of a point and an outage takes minutes.
    let which = std::env::var_os("CRASHES").unwrap_or_default();
    let (all, each) = (which == "all", which == "each");
    let outages = [SECOND, 600 * SECOND, 25 * 3_600 * SECOND, 30 * DAY];
    let points = deaths.iter().enumerate().flat_map(|(number, death)| {
        let own = outages.iter().enumerate();
        // Points come in pairs, before and after. By default, one of each pair is taken, in turn.
        let pair = number / 2;
        let place = if each { number } else { pair } % outages.len();
        let is_taken = each || pair % 2 == number % 2;
        let own = own.filter(move |(own, _)| all || is_taken && *own == place);
        own.map(|(_, outage)| (*death, *outage))
    });
    let points: Vec<(Death, Duration)> = points.collect();
    eprintln!(
        "{} writes, {calls} calls, {} points of death: {} runs",
        whole.writes,
        deaths.len(),
        points.len()
    );
    let points = Arc::new(Mutex::new(points));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let points = Arc::clone(&points);
        workers.spawn(async move {
            let mut died = 0;
            let next = || points.lock().expect("no worker panics with it").pop();
            while let Some((death, outage)) = next() {
                died += usize::from(run(death, outage, is_on_meters).await.has_died);
            }
            died
        });
    }
    let died: usize = workers.join_all().await.into_iter().sum();
    assert!(died > 0);
    eprintln!("the server died in {died} of them");
}
