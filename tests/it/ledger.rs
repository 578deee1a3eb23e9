//! Usage in a ledger: acknowledged once it is on disk, told to Stripe afterwards, and billed to the unit.

mod batches;
mod crashes;
mod outages;
mod reservations;

use std::path::PathBuf;
use std::time::Duration;

use clock::Clock;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tempfile::TempDir;
use tier::domain::{Delivered, Error, LedgerHandle, LedgerSettings, MaxAge};

use crate::harness::{Answer, DAY, START, Settings, TestApp};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A server with a ledger, its plans pushed, and an org on one of them.
struct WithLedger {
    app: TestApp,
    folder: TempDir,
}

impl std::ops::Deref for WithLedger {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

/// As a server is set up that nobody has told otherwise.
fn settings() -> Settings {
    Settings {
        retries: 0,
        max_age: MaxAge {
            usual: 10 * SECOND,
            with_events: 300 * SECOND,
            in_outage: 3_600 * SECOND,
        },
        ..Settings::default()
    }
}

impl WithLedger {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let app = TestApp::with(settings()).await;
        let app = app.with_ledger(&folder.path().join("tier.db")).await;
        app.push(&json!({"plans": {
            "plan:free@1": {"features": {
                "feature:calls": {"tiers": [{"upto": 100}]},
                "feature:seats": {"base": 0},
            }},
            "plan:pro@1": {"features": {
                "feature:calls": {"tiers": [{"price": 2}]},
                "feature:peak": {"aggregate": "max", "tiers": [{"price": 10}]},
                "feature:level": {"aggregate": "last", "tiers": [{"price": 100}]},
                "feature:disk": {"aggregate": "perpetual", "tiers": [{"price": 1000}]},
            }},
            "plan:pro@2": {"features": {
                "feature:calls": {"tiers": [{"price": 3}]},
                "feature:peak": {"aggregate": "max", "tiers": [{"price": 20}]},
                "feature:level": {"aggregate": "last", "tiers": [{"price": 200}]},
                "feature:disk": {"aggregate": "perpetual", "tiers": [{"price": 2000}]},
            }},
        }}))
        .await;
        app.subscribe("org:a", &["plan:pro@1"]).await;
        app.advance(MINUTE);
        Self { app, folder }
    }

    /// Another process in its place, over the same file and the same Stripe.
    async fn restarted(self) -> Self {
        let Self { app, folder } = self;
        let twin = app.twin();
        drop(app);
        let app = twin.with_ledger(&folder.path().join("tier.db")).await;
        Self { app, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tier.db")
    }

    async fn used(&self, feature: &str) -> i64 {
        let limits = self.limits("org:a").await;
        let row = limits.into_iter().find(|(name, ..)| name == feature);
        row.expect("it is granted").1
    }

    async fn add(&self, body: Value) -> Answer {
        let mut body = body;
        body["org"] = "org:a".into();
        self.post_json("/v1/report", &body).await
    }

    /// Lets the sender work until it has nothing to do.
    async fn deliver_all(&self) {
        for _ in 0..20 {
            self.advance(31 * SECOND);
            let delivered = self.domain().deliver().await.expect("the ledger is there");
            if delivered == Delivered::default() {
                return;
            }
        }
        panic!("there is no end of deliveries");
    }

    /// What Stripe bills of the running period, in cents.
    async fn upcoming(&self) -> i64 {
        let org = self.get("/v1/whois?org=org:a").await.ok().json();
        let customer = org["stripe_id"].as_str().expect("an id").to_owned();
        let upcoming = self
            .stripe_get(&format!("/v1/invoices/upcoming?customer={customer}"))
            .await;
        upcoming["total"].as_i64().expect("cents")
    }
}

#[tokio::test]
async fn a_report_costs_no_call_is_counted_at_once_and_told_in_one_set() {
    let app = WithLedger::start().await;
    assert_eq!(app.used("feature:calls").await, 0);
    app.forget_calls();
    for n in 1..=10 {
        app.add(json!({"feature": "feature:calls", "n": n}))
            .await
            .ok();
    }
    assert_eq!(app.used("feature:calls").await, 55);
    assert_eq!(app.stripe_calls(), 0);
    let answer = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(answer.header("tier-source"), "ledger");
    app.deliver_all().await;
    let sets = app.sent("POST /v1/subscription_items/:id/usage_records");
    assert_eq!(sets.len(), 1, "{sets:?}");
    assert_eq!(
        (&sets[0]["quantity"], &sets[0]["action"]),
        (&"55".into(), &"set".into())
    );
    assert_eq!(app.used("feature:calls").await, 55);
    assert_eq!(app.upcoming().await, 110);
}

#[tokio::test]
async fn refunds_and_clobbers_lower_what_is_billed() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 50}))
        .await
        .ok();
    app.deliver_all().await;
    app.add(json!({"feature": "feature:calls", "n": -20}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 30);
    let refused = app.add(json!({"feature": "feature:calls", "n": -31})).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("cannot be lowered below 0"),
        "{}",
        refused.body
    );
    app.add(json!({"feature": "feature:peak", "n": 9}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 60 + 90);
    for (feature, n) in [("calls", 5), ("peak", 2), ("level", 3), ("disk", 1)] {
        let feature = format!("feature:{feature}");
        app.add(json!({"feature": feature, "n": n, "clobber": true}))
            .await
            .ok();
        assert_eq!(app.used(&feature).await, n);
    }
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 10 + 20 + 300 + 1000);
}

#[tokio::test]
async fn what_others_recorded_before_counts_and_is_kept() {
    let app = WithLedger::start().await;
    let before = app.twin();
    before.report("org:a", "feature:calls", 7).await;
    before.report("org:a", "feature:level", 4).await;
    app.advance(11 * SECOND);
    assert_eq!(app.used("feature:calls").await, 7);
    app.add(json!({"feature": "feature:calls", "n": 5}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 12);
    app.add(json!({"feature": "feature:calls", "n": 20, "clobber": true}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 20);
    let refused = app
        .add(json!({"feature": "feature:calls", "n": 6, "clobber": true}))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    app.deliver_all().await;
    assert_eq!(app.used("feature:calls").await, 20);
    assert_eq!(app.upcoming().await, 40 + 400);
    // Others should not report beside a ledger. If they do, it is neither lost nor written over.
    before.report("org:a", "feature:calls", 3).await;
    app.advance(11 * SECOND);
    assert_eq!(app.used("feature:calls").await, 23);
    app.add(json!({"feature": "feature:calls", "n": 1}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 48 + 400);
}

#[tokio::test]
async fn a_key_counts_once_also_after_a_restart_and_not_for_another_report() {
    let app = WithLedger::start().await;
    let report = |app: TestApp, n: i64| async move {
        let body = json!({"org": "org:a", "feature": "feature:calls", "n": n}).to_string();
        let call = app.request(axum::http::Method::POST, "/v1/report");
        call.header("idempotency-key", "key-1")
            .body(body)
            .send()
            .await
    };
    report(app.app.clone(), 5).await.ok();
    report(app.app.clone(), 5).await.ok();
    let refused = report(app.app.clone(), 6).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("use a new key"), "{}", refused.body);
    assert_eq!(app.used("feature:calls").await, 5);
    let WithLedger { app, folder } = app;
    let twin = app.twin();
    drop(app);
    let app = twin.with_ledger(&folder.path().join("tier.db")).await;
    report(app.clone(), 5).await.ok();
    assert_eq!(report(app.clone(), 6).await.status, 400);
    let app = WithLedger { app, folder };
    assert_eq!(app.used("feature:calls").await, 5);
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 10);
    assert!(app.file().exists());
}

#[tokio::test]
async fn a_change_of_plan_bills_each_part_at_its_price_and_takes_levels_along() {
    let app = WithLedger::start().await;
    for (feature, n) in [("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)] {
        let feature = format!("feature:{feature}");
        app.add(json!({"feature": feature, "n": n})).await.ok();
    }
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@2"]).await;
    for (feature, used) in [("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature} at once"
        );
    }
    app.advance(MINUTE);
    for (feature, used) in [("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature}"
        );
    }
    app.add(json!({"feature": "feature:calls", "n": 3}))
        .await
        .ok();
    app.add(json!({"feature": "feature:peak", "n": 3}))
        .await
        .ok();
    app.add(json!({"feature": "feature:level", "n": 2}))
        .await
        .ok();
    for (feature, used) in [("calls", 13), ("peak", 4), ("level", 2), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature}"
        );
    }
    app.deliver_all().await;
    for (feature, used) in [("calls", 13), ("peak", 4), ("level", 2), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature}"
        );
    }
    let after = 3 * 3 + 4 * 20 + 2 * 200 + 6 * 2000;
    assert_eq!(app.upcoming().await, after);
    let invoices = app.stripe_get("/v1/invoices").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    let billed: i64 = invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum();
    assert_eq!(
        billed,
        10 * 2,
        "what was used before the change, at its price"
    );
}

#[tokio::test]
async fn without_stripe_usage_is_taken_and_a_plan_is_not_changed() {
    let app = WithLedger::start().await;
    assert_eq!(app.used("feature:calls").await, 0);
    take_stripe_away(&app);
    app.advance(MINUTE);
    app.add(json!({"feature": "feature:calls", "n": 8}))
        .await
        .ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.header("tier-stale"), "stripe-unavailable");
    assert_eq!(app.used("feature:calls").await, 8);
    let delivered = app.domain().deliver().await.expect("a ledger");
    assert_eq!((delivered.told, delivered.refused), (0, 0));
    app.sandbox().clear_faults();
    let records = Rule::new(
        "POST",
        "/v1/subscription_items/*",
        Action::Status(503, None),
    );
    app.sandbox().add_fault(records);
    app.advance(MINUTE);
    let change = json!({"org": "org:a", "phases": [{"features": ["plan:free@1"]}]});
    let refused = app.post_json("/v1/subscribe", &change).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "1");
    app.sandbox().clear_faults();
    let phase = app.get("/v1/phase?org=org:a").await.ok().json();
    assert_eq!(phase["plans"], json!(["plan:pro@1"]));
    app.post_json("/v1/subscribe", &change).await.ok();
    app.settled().await;
    let invoices = app.stripe_get("/v1/invoices").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    let billed: i64 = invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum();
    assert_eq!(billed, 16);
}

/// What Stripe says of invoices, in cents: those of the org's customer, the draft and the paid.
async fn billed(app: &TestApp) -> i64 {
    let invoices = app.stripe_get("/v1/invoices?limit=100").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum()
}

async fn ledger_metric(app: &TestApp, name: &str) -> i64 {
    app.domain().maintain_ledger().await.expect("a ledger");
    let text = app
        .metrics()
        .encode(tier::metrics::Format::Classic, [])
        .expect("text");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("tier_ledger_{name} ")));
    line.expect("it is counted").parse().expect("an integer")
}

#[tokio::test]
async fn a_period_that_is_over_is_compared_with_what_stripe_billed() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 10}))
        .await
        .ok();
    app.add(json!({"feature": "feature:level", "n": 2}))
        .await
        .ok();
    assert_eq!(ledger_metric(&app, "undelivered").await, 2);
    app.deliver_all().await;
    assert_eq!(ledger_metric(&app, "undelivered").await, 0);
    app.advance(32 * DAY);
    assert_eq!(billed(&app).await, 20 + 200);
    assert_eq!(app.used("feature:calls").await, 0);
    assert_eq!(ledger_metric(&app, "differences_total").await, 0);
    // This one is changed behind the ledger's back.
    app.add(json!({"feature": "feature:calls", "n": 5}))
        .await
        .ok();
    app.deliver_all().await;
    let sets = app.sent("POST /v1/subscription_items/:id/usage_records");
    let last = sets.last().expect("it was told").clone();
    let items = app.stripe_get("/v1/subscriptions").await;
    let items = items["data"][0]["items"]["data"]
        .as_array()
        .expect("a list")
        .clone();
    let calls = items
        .iter()
        .find(|item| item["price"]["metadata"]["tier.feature"] == "feature:calls@plan:pro@1");
    let path = format!(
        "/v1/subscription_items/{}/usage_records",
        calls.expect("calls")["id"].as_str().expect("an id")
    );
    let timestamp = last["timestamp"].as_str().expect("a time").to_owned();
    app.stripe_post(
        &path,
        &[
            ("quantity", "1"),
            ("timestamp", &timestamp),
            ("action", "set"),
        ],
    )
    .await;
    app.advance(32 * DAY);
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
}

#[tokio::test]
async fn usage_of_a_subscription_that_is_cancelled_in_stripe_is_parked() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 10}))
        .await
        .ok();
    let subscription = app.stripe_get("/v1/subscriptions").await;
    let id = subscription["data"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.stripe_delete(&format!("/v1/subscriptions/{id}")).await;
    app.deliver_all().await;
    assert_eq!(ledger_metric(&app, "parked").await, 1);
    assert_eq!(ledger_metric(&app, "undelivered").await, 0);
}

#[tokio::test]
async fn usage_before_a_planned_change_is_told_before_it() {
    let app = WithLedger::start().await;
    let phases = json!([{"features": ["plan:pro@1"]}, {"effective": "2023-01-11T00:00:00Z", "features": ["plan:pro@2"]}]);
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": phases}))
        .await
        .ok();
    app.set_clock(START + 10 * 86_400 - 120);
    app.add(json!({"feature": "feature:calls", "n": 7}))
        .await
        .ok();
    for _ in 0..2 {
        app.domain().deliver().await.expect("a ledger");
        app.advance(21 * SECOND);
    }
    app.advance(2 * MINUTE);
    app.settled().await;
    assert_eq!(billed(&app).await, 14);
    assert_eq!(app.used("feature:calls").await, 7);
    app.add(json!({"feature": "feature:calls", "n": 2}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 6);
    assert_eq!(app.used("feature:calls").await, 9);
}

#[tokio::test]
async fn usage_is_recorded_at_stripes_time_whatever_the_clock_of_this_machine_says() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    let stripe = app.twin();
    stripe.advance(DAY);
    drop(app);
    let mut first: Option<i64> = None;
    for (units, off) in [(1, -600), (2, 600)] {
        let clock = Clock::manual(stripe.sandbox().clock().unix() + off);
        let app = stripe.with_clock(clock.clone()).with_ledger(&file).await;
        app.report("org:a", "feature:calls", 1).await;
        for _ in 0..3 {
            stripe.advance(31 * SECOND);
            clock.set(clock.unix() + 31);
            app.domain().deliver().await.expect("a ledger");
        }
        assert_eq!(ledger_metric(&app, "parked").await, 0, "off by {off} s");
        assert_eq!(
            ledger_metric(&app, "undelivered").await,
            0,
            "off by {off} s"
        );
        let records = stripe.sent("POST /v1/subscription_items/:id/usage_records");
        let last = records.last().expect("a set");
        assert_eq!(last["quantity"], units.to_string());
        let recorded_at = last["timestamp"].as_str().expect("a time");
        let recorded_at: i64 = recorded_at.parse().expect("seconds");
        let chosen = *first.get_or_insert(recorded_at);
        assert_eq!(recorded_at, chosen, "the second that was chosen first");
        let now = stripe.sandbox().clock().unix();
        assert!((recorded_at - now).abs() < 200, "{recorded_at}, {now}");
    }
}

/// Stripe answers nothing until faults are cleared.
fn take_stripe_away(app: &TestApp) {
    for method in ["GET", "POST"] {
        let gone = Action::Status(503, None);
        app.sandbox().add_fault(Rule::new(method, "/v1/*", gone));
    }
}

#[tokio::test]
async fn a_server_that_is_started_without_stripe_goes_on_from_what_the_ledger_keeps() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    app.report("org:a", "feature:calls", 3).await;
    let beside = app.beside(&settings());
    drop(app);
    take_stripe_away(&beside);
    beside.advance(30 * MINUTE);
    let app = WithLedger {
        app: beside.with_ledger(&file).await,
        folder,
    };
    app.add(json!({"feature": "feature:calls", "n": 4}))
        .await
        .ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.header("tier-stale"), "stripe-unavailable");
    assert_eq!(app.used("feature:calls").await, 7);
    app.get("/v1/limits?org=org:b")
        .await
        .fails(502, "stripe_unavailable");
    app.advance(31 * MINUTE);
    app.get("/v1/limits?org=org:a")
        .await
        .fails(502, "stripe_unavailable");
    app.sandbox().clear_faults();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 14);
}

#[tokio::test]
async fn a_key_that_the_ledger_has_not_seen_needs_stripe_before_anything_is_counted() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    let other = app.beside(&Settings {
        stripe_key: "sk_test_rolled".to_owned(),
        ..settings()
    });
    drop(app);
    take_stripe_away(&other);
    let ledger = LedgerHandle::new(file, LedgerSettings::default()).expect("a ledger");
    let other = other.with_open_ledger(ledger);
    let unasked = other
        .domain()
        .open_ledger()
        .await
        .expect_err("Stripe is away");
    assert!(matches!(unasked, Error::Unavailable { .. }), "{unasked}");
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 1});
    let refused = other.post_json("/v1/report", &report).await;
    refused.fails(503, "ledger_unavailable");
    other.sandbox().clear_faults();
    // In the sandbox another key is another account.
    let refused = other
        .domain()
        .open_ledger()
        .await
        .expect_err("of another account");
    assert!(
        refused.to_string().contains("the ledger belongs to"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_is_remembered_refuses_nothing() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:seats", "n": 1}))
        .await
        .fails(400, "feature_not_found");
    app.twin().subscribe("org:a", &["plan:free@1"]).await;
    app.add(json!({"feature": "feature:seats", "n": 1}))
        .await
        .fails(400, "invalid_request");
    app.add(json!({"feature": "feature:calls", "n": 1}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 1);
    app.twin().subscribe("org:b", &["plan:pro@1"]).await;
    app.report("org:b", "feature:peak", 2).await;
}

#[tokio::test]
async fn a_level_that_a_change_of_plan_has_moved_can_be_lowered() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:peak", "n": 77}))
        .await
        .ok();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@2"]).await;
    app.add(json!({"feature": "feature:peak", "n": -7}))
        .await
        .ok();
    assert_eq!(app.used("feature:peak").await, 70);
    app.deliver_all().await;
    assert_eq!(app.used("feature:peak").await, 70);
    assert_eq!(app.upcoming().await, 70 * 20);
    app.add(json!({"feature": "feature:peak", "n": 5, "clobber": true}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.used("feature:peak").await, 5);
    assert_eq!(app.upcoming().await, 5 * 20);
}

#[tokio::test]
async fn a_perpetual_level_ends_with_its_subscription() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:disk", "n": 7}))
        .await
        .ok();
    app.advance(DAY);
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": [{}]}))
        .await
        .ok();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(MINUTE);
    assert_eq!(app.used("feature:disk").await, 0);
    app.add(json!({"feature": "feature:disk", "n": -1}))
        .await
        .fails(400, "invalid_request");
    app.add(json!({"feature": "feature:disk", "n": 3}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.used("feature:disk").await, 3);
    assert_eq!(app.upcoming().await, 3000);
}

#[tokio::test]
async fn a_total_beyond_what_stripe_takes_is_refused() {
    let app = WithLedger::start().await;
    for feature in ["calls", "peak", "level", "disk"] {
        let feature = format!("feature:{feature}");
        let largest = (1_i64 << 53) - 1;
        app.add(json!({"feature": feature, "n": i64::MAX}))
            .await
            .fails(400, "invalid_request");
        app.add(json!({"feature": feature, "n": largest + 1, "clobber": true}))
            .await
            .fails(400, "invalid_request");
        app.add(json!({"feature": feature, "n": largest}))
            .await
            .ok();
        app.add(json!({"feature": feature, "n": 1, "clobber": true}))
            .await
            .ok();
    }
    app.deliver_all().await;
    assert_eq!(ledger_metric(&app, "parked").await, 0);
    assert_eq!(app.upcoming().await, 2 + 10 + 100 + 1000);
}

#[tokio::test]
async fn a_report_that_was_counted_is_answered_so_though_it_would_be_refused_now() {
    let app = WithLedger::start().await;
    let report = async |n: i64| {
        let body = json!({"org": "org:a", "feature": "feature:peak", "n": n}).to_string();
        let call = app.request(axum::http::Method::POST, "/v1/report");
        call.header("idempotency-key", "key-1")
            .body(body)
            .send()
            .await
    };
    report(5).await.ok();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:free@1"]).await;
    report(5).await.ok();
    report(6).await.fails(400, "invalid_request");
    app.add(json!({"feature": "feature:peak", "n": 1}))
        .await
        .fails(400, "feature_not_found");
}

#[tokio::test]
async fn nothing_is_acknowledged_once_the_file_is_gone() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 5}))
        .await
        .ok();
    let away = app.folder.path().join("away.db");
    std::fs::rename(app.file(), &away).expect("a file");
    let refused = app.add(json!({"feature": "feature:calls", "n": 7})).await;
    let refused = refused.fails(503, "ledger_unavailable");
    assert!(
        refused.body.contains("no longer where it was"),
        "{}",
        refused.body
    );
    assert_eq!(app.used("feature:calls").await, 5);
    std::fs::rename(&away, app.file()).expect("a file");
    app.add(json!({"feature": "feature:calls", "n": 7}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 12);
}
