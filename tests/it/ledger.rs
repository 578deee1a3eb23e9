//! Usage with a ledger is acknowledged once it is on disk, delivered to Stripe later, and billed exactly.

mod batches;
mod changes;
mod crashes;
mod dropped;
mod levels;
mod moves_on_meters;
mod on_meters;
mod outages;
mod reservations;
mod restarts;
mod settlement;
mod superseded;
mod two_threads;
mod year;

use std::path::PathBuf;
use std::time::Duration;

use clock::Clock;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tempfile::TempDir;
use tier::domain::{
    DeliveryCounts, Error, Generation, GenerationSetting, LedgerHandle, LedgerSettings, ParkedUsage,
};

use crate::harness::{Answer, DAY, START, Settings, TestApp};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A server with a ledger, whose plans are pushed, and an org on one of the plans.
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

impl WithLedger {
    async fn start() -> Self {
        Self::with(classic()).await
    }

    /// Starts a server whose plans are on meters.
    async fn on_meters() -> Self {
        Self::with(meters()).await
    }

    async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let app = TestApp::with(settings).await;
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

    /// A new process with the same ledger file and the same sandbox.
    async fn restarted(self) -> Self {
        let Self { app, folder } = self;
        let other_server = app.second_server();
        drop(app);
        let app = other_server
            .with_ledger(&folder.path().join("tier.db"))
            .await;
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

    /// Runs the sender until nothing is left to deliver. Returns how many sets Stripe refused.
    async fn deliver_all(&self) -> usize {
        let mut refused = 0;
        let mut idle = 0;
        for _ in 0..20 {
            self.advance(31 * SECOND);
            // Background work delivers usage too.
            self.settled().await;
            let delivered = self.domain().deliver().await.expect("the ledger is there");
            if delivered != DeliveryCounts::default() {
                refused += delivered.refused;
                idle = 0;
                continue;
            }
            idle += 1;
            // A meter gets at most one event a minute for a total.
            if idle == 2 {
                return refused;
            }
        }
        panic!("deliveries never end");
    }

    /// The amount of the upcoming invoice, in cents.
    async fn upcoming(&self) -> i64 {
        let org = self.get("/v1/whois?org=org:a").await.ok().json();
        let customer = org["stripe_id"].as_str().expect("an id").to_owned();
        let upcoming = self
            .stripe_get(&format!("/v1/invoices/upcoming?customer={customer}"))
            .await;
        upcoming["total"].as_i64().expect("cents")
    }
}

/// A server that answers from memory, whose plans are billed by usage records.
fn classic() -> Settings {
    Settings {
        generation: GenerationSetting::Fixed(Generation::Classic),
        ..Settings::remembering()
    }
}

/// A server that answers from memory, whose plans are on meters. Events still count while the period's invoice is a
/// draft.
fn meters() -> Settings {
    Settings {
        generation: GenerationSetting::Fixed(Generation::Meters),
        invoice_draft: 60 * MINUTE,
        ..Settings::remembering()
    }
}

/// The sum of all invoices of the org's customer, in cents, including drafts.
async fn billed(app: &TestApp) -> i64 {
    let invoices = app.stripe_get("/v1/invoices?limit=100").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum()
}

/// A metric of the ledger, after its maintenance.
async fn ledger_metric(app: &TestApp, name: &str) -> i64 {
    app.domain().maintain_ledger().await.expect("a ledger");
    counted(app, name)
}

fn counted(app: &TestApp, name: &str) -> i64 {
    let text = app
        .metrics()
        .encode(tier::metrics::Format::Classic, [])
        .expect("text");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("tier_ledger_{name} ")));
    line.expect("it is counted").parse().expect("an integer")
}

/// The usage that is parked.
async fn parked(app: &TestApp) -> Vec<ParkedUsage> {
    app.domain().parked().await.expect("a ledger")
}

/// Makes Stripe unreachable until faults are cleared.
fn make_stripe_unreachable(app: &TestApp) {
    for method in ["GET", "POST"] {
        let gone = Action::Status(503, None);
        app.sandbox().add_fault(Rule::new(method, "/v1/*", gone));
    }
}

#[tokio::test]
async fn a_report_costs_no_call_counts_at_once_and_is_delivered_in_one_set() {
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
async fn usage_recorded_by_others_counts_and_is_kept() {
    let app = WithLedger::start().await;
    let before = app.second_server();
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
    let least = "usage of feature:calls cannot be lowered below 7 in this period";
    assert_eq!(refused.json()["message"], least);
    let refund = json!({"feature": "feature:calls", "n": -14});
    let refused = app.add(refund).await.fails(400, "invalid_request");
    assert_eq!(refused.json()["message"], least);
    app.deliver_all().await;
    assert_eq!(app.used("feature:calls").await, 20);
    assert_eq!(app.upcoming().await, 40 + 400);
    // Other servers should not report usage beside a ledger. If they do, their usage is neither lost nor overwritten.
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
async fn the_first_report_can_lower_a_level_that_stripe_has() {
    let app = WithLedger::start().await;
    let before = app.second_server();
    for (feature, n) in [("calls", 7), ("peak", 7), ("level", 4), ("disk", 6)] {
        before
            .report("org:a", &format!("feature:{feature}"), n)
            .await;
    }
    app.advance(11 * SECOND);
    for (feature, n) in [("level", -1), ("disk", -2)] {
        let feature = format!("feature:{feature}");
        app.add(json!({"feature": feature, "n": n})).await.ok();
    }
    // External usage of these features counts, whatever the ledger records in addition.
    for feature in ["calls", "peak"] {
        let feature = format!("feature:{feature}");
        for body in [
            json!({"feature": feature, "n": -1}),
            json!({"feature": feature, "n": 6, "clobber": true}),
        ] {
            let refused = app.add(body).await.fails(400, "invalid_request");
            let least = format!("usage of {feature} cannot be lowered below 7 in this period");
            assert_eq!(refused.json()["message"], least);
        }
    }
    let used = [("calls", 7), ("peak", 7), ("level", 3), ("disk", 4)];
    for (feature, n) in used {
        assert_eq!(app.used(&format!("feature:{feature}")).await, n);
    }
    app.deliver_all().await;
    for (feature, n) in used {
        assert_eq!(app.used(&format!("feature:{feature}")).await, n);
    }
    assert_eq!(app.upcoming().await, 14 + 70 + 300 + 4000);
}

#[tokio::test]
async fn an_ended_period_is_compared_with_stripes_invoice() {
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
    // Somebody changes this total without the ledger's knowledge.
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
async fn a_total_above_stripes_maximum_is_refused() {
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
async fn a_repeated_report_succeeds_even_if_it_would_be_refused_now() {
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
