//! Failing disks and damaged files: what callers are answered, and what the operator sees.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Method;
use serde_json::json;
use tier::domain::{LedgerHandle, LedgerSettings};
use tier::ledger::state::{Batch, Recalled, Stored};
use tier::ledger::store::Names;
use tier::ledger::store::sqlite::Sqlite;
use tier::ledger::values::Time;
use tier::ledger::{Snapshot, Store, StoreError};

use super::{MINUTE, WithLedger, billed, make_stripe_unreachable};
use crate::binary::Place;
use crate::harness::{Answer, START, TestApp};

type MakeError = fn() -> StoreError;

/// The error of the next writes, if they fail.
type Fault = Arc<Mutex<Option<fn() -> StoreError>>>;

/// A store whose disk fails on demand.
struct FailingStore {
    inner: Sqlite,
    fault: Fault,
}

impl Store for FailingStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.inner.load()
    }

    fn recall(&mut self, names: &Names) -> Result<Recalled, StoreError> {
        self.inner.recall(names)
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.map_or_else(|| self.inner.append(batch), |fault| Err(fault()))
    }

    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.inner.keep(snapshots)
    }

    fn compact(&mut self, before: Time, most: usize) -> Result<usize, StoreError> {
        self.inner.compact(before, most)
    }
}

async fn report(app: &TestApp, key: &str, n: i64) -> Answer {
    let body = json!({"org": "org:a", "feature": "feature:calls", "n": n}).to_string();
    let call = app.request(Method::POST, "/v1/report");
    call.header("idempotency-key", key).body(body).send().await
}

#[tokio::test]
async fn a_failing_disk_acknowledges_nothing_and_checks_continue() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let fault = Fault::default();
    let file = folder.path().join("failing.db");
    let store = FailingStore {
        inner: Sqlite::open(&file, "acct_failing:test").expect("a ledger"),
        fault: Arc::clone(&fault),
    };
    let ledger = LedgerHandle::of_store(store, file, LedgerSettings::default());
    let app = app.with_open_ledger(ledger.expect("a ledger"));
    let app = WithLedger { app, folder };
    let set = |to| *fault.lock().unwrap_or_else(PoisonError::into_inner) = to;

    report(&app, "before", 5).await.ok();
    let faults: [(MakeError, &str); 2] = [
        (|| StoreError::Full, "the disk of the ledger is full"),
        (|| StoreError::ReadOnly, "the ledger is read-only"),
    ];
    for (place, (fails, says)) in (0..).zip(faults) {
        let used = 5 + 7 * place;
        set(Some(fails));
        let key = format!("during-{place}");
        for _ in 0..2 {
            let refused = report(&app, &key, 7).await;
            let refused = refused.fails(503, "ledger_unavailable");
            assert!(refused.body.contains(says), "{}", refused.body);
        }
        assert_eq!(app.used("feature:calls").await, used);
        // The sender must write to the ledger before it calls Stripe.
        app.advance(MINUTE);
        app.forget_calls();
        app.domain().deliver().await.expect_err("it cannot write");
        let sets = app.sent("POST /v1/subscription_items/:id/usage_records");
        assert!(sets.is_empty(), "{sets:?}");
        set(None);
        report(&app, &key, 7).await.ok();
        report(&app, &key, 7).await.ok();
        assert_eq!(app.used("feature:calls").await, used + 7);
    }
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 2 * 19);
}

/// The invoice of the ended period is final before Stripe is available again.
#[tokio::test]
async fn a_period_that_ends_while_stripe_is_away_is_billed_with_the_next_one() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 2}))
        .await
        .ok();
    app.deliver_all().await;
    app.set_clock(START + 31 * 86_400 - 600);
    app.used("feature:calls").await;
    make_stripe_unreachable(&app);
    for (feature, n) in [("calls", 3), ("disk", 6), ("level", 5)] {
        let feature = format!("feature:{feature}");
        app.add(json!({"feature": feature, "n": n})).await.ok();
    }
    assert_eq!(app.used("feature:calls").await, 5);
    app.advance(40 * MINUTE);
    let nothing = app.domain().deliver().await.expect("a ledger");
    assert_eq!((nothing.delivered, nothing.refused), (0, 0));
    app.add(json!({"feature": "feature:calls", "n": 4}))
        .await
        .ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.header("tier-stale"), "period-predicted");
    for (feature, used) in [("calls", 4), ("disk", 6), ("level", 0)] {
        assert_eq!(app.used(&format!("feature:{feature}")).await, used);
    }
    app.sandbox().clear_faults();
    app.deliver_all().await;
    for (feature, used) in [("calls", 7), ("disk", 6), ("level", 0)] {
        assert_eq!(app.used(&format!("feature:{feature}")).await, used);
    }
    assert_eq!(billed(&app).await, 2 * 2, "the period that has ended");
    assert_eq!(app.upcoming().await, 7 * 2 + 6 * 1000);
    // The level of an ended period cannot be billed in another period, so a person decides about the parked usage.
    let parked = app.get("/v1/ledger/parked").await.ok().json();
    let parked = parked["parked"].as_array().expect("a list").clone();
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert_eq!(
        (&parked[0]["feature"], &parked[0]["n"]),
        (&"feature:level".into(), &5.into())
    );
    let usage = app.get("/v1/usage?org=org:a&feature=feature:calls&by=period");
    let usage = usage.await.ok().json();
    assert_eq!(usage["usage"][0]["total"], 2, "{usage}");
    assert_eq!(usage["usage"][1]["total"], 7, "{usage}");
}

const SERVE: [&str; 5] = ["serve", "--addr", "127.0.0.1:0", "--ledger", "tier.db"];

#[tokio::test]
async fn a_file_has_one_server_at_a_time() {
    let place = Place::start().await;
    let first = place.tier(&SERVE).started().await;
    let said = place.tier(&SERVE).fault().await;
    assert!(
        said.contains("tier.db") && said.contains("in use by another process"),
        "{said}"
    );
    assert_eq!(first.stop("-KILL").await.code, None);
    // Under another file name, SQLite would not find the latest writes.
    let other = place.path().join("other.db");
    std::fs::hard_link(place.path().join("tier.db"), &other).expect("a second name");
    for name in ["tier.db", "other.db"] {
        let serve = ["serve", "--addr", "127.0.0.1:0", "--ledger", name];
        let said = place.tier(&serve).fault().await;
        assert!(said.contains("has 2 names (hard links)"), "{said}");
        let status = ["ledger", "status", "--ledger", name];
        let said = place.tier(&status).fault().await;
        assert!(said.contains("has 2 names (hard links)"), "{said}");
    }
    std::fs::remove_file(other).expect("a file");
    let next = place.tier(&SERVE).started().await;
    assert_eq!(next.stop("-TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused_at_the_start() {
    let place = Place::start().await;
    let first = place.tier(&SERVE).started().await;
    assert_eq!(first.stop("-TERM").await.code, Some(0));
    let file = place.path().join("tier.db");
    let whole = std::fs::read(&file).expect("a file");
    let mut overwritten = whole.clone();
    overwritten[4096..3 * 4096].fill(0xff);
    for (bytes, says) in [
        (
            b"no ledger at all, but a text\n".repeat(200),
            "not a ledger",
        ),
        (whole[..4096].to_vec(), "tier.db: the ledger is damaged"),
        (overwritten, "the ledger is damaged"),
    ] {
        replace(&file, &bytes);
        let said = place.tier(&SERVE).fault().await;
        assert!(said.contains(says), "{said}");
        assert!(
            std::fs::read(&file).expect("a file") == bytes,
            "the file stays unchanged"
        );
    }
    replace(&file, &whole);
    let next = place.tier(&SERVE).started().await;
    assert_eq!(next.stop("-TERM").await.code, Some(0));
}

/// Replaces the bytes of the ledger, and removes SQLite's other files.
fn replace(file: &Path, bytes: &[u8]) {
    for beside in ["-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(beside);
        let _ = std::fs::remove_file(name);
    }
    std::fs::write(file, bytes).expect("a file");
}
