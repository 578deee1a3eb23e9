//! Checks that are answered from memory: which answers are right at once, which only after the next read, and what
//! happens while Stripe is unavailable.

mod changes;
mod deliveries;
mod events;
mod memory;
mod outages;
mod races;
mod strangers;
mod sweep;

use std::time::Duration;

use serde_json::json;
use stripe_sandbox::{Action, Rule};

use crate::harness::{Answer, DAY, START, Settings, TestApp};

const SECOND: Duration = Duration::from_secs(1);

async fn start() -> TestApp {
    start_with(Settings::remembering()).await
}

async fn start_with(settings: Settings) -> TestApp {
    let app = TestApp::with(settings).await;
    app.push(&json!({"plans": {
        "plan:free@1": {"features": {
            "feature:calls": {"tiers": [{"upto": 100}]},
            "feature:disk": {"aggregate": "perpetual", "tiers": [{"upto": 9}]},
            "feature:seats": {},
        }},
        "plan:pro@1": {"features": {
            "feature:calls": {"tiers": [{"upto": 1000}]}, "feature:base": {"base": 900},
        }},
    }}))
    .await;
    // Another server subscribes the org, so that this server has nothing in memory.
    app.second_server()
        .subscribe("org:a", &["plan:free@1"])
        .await;
    app
}

/// The calls in `/v1/limits`: the usage, the source, the age, and the reason why the answer is stale.
async fn calls(app: &TestApp) -> (i64, String, u64, Option<String>) {
    let answer = app.get("/v1/limits?org=org:a").await.ok();
    let used = used(&answer, "feature:calls");
    let (source, age, stale) = freshness(&answer);
    (used.expect("calls are granted"), source, age, stale)
}

fn used(answer: &Answer, feature: &str) -> Option<i64> {
    let limits = answer.json();
    let rows = limits["usage"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["feature"] == feature);
    row.and_then(|row| row["used"].as_i64())
}

fn freshness(answer: &Answer) -> (String, u64, Option<String>) {
    let header = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
    let age = header("age").expect("an age");
    (
        header("tier-source").expect("a source"),
        age.parse().expect("seconds"),
        header("tier-stale"),
    )
}

fn memory(used: i64, age: u64) -> (i64, String, u64, Option<String>) {
    (used, "memory".to_owned(), age, None)
}

fn stripe(used: i64) -> (i64, String, u64, Option<String>) {
    (used, "stripe".to_owned(), 0, None)
}

fn stale(used: i64, age: u64, why: &str) -> (i64, String, u64, Option<String>) {
    (used, "memory".to_owned(), age, Some(why.to_owned()))
}

/// Makes Stripe unavailable until faults are cleared.
fn take_stripe_away(app: &TestApp) {
    for method in ["GET", "POST"] {
        let gone = Action::Status(503, None);
        app.sandbox().add_fault(Rule::new(method, "/v1/*", gone));
    }
}

#[tokio::test]
async fn a_check_makes_no_call_until_the_answer_is_too_old() {
    let app = start().await;
    assert_eq!(calls(&app).await, stripe(0));
    app.get("/v1/phase?org=org:a").await.ok();
    app.forget_calls();
    app.advance(6 * SECOND);
    for _ in 0..3 {
        assert_eq!(calls(&app).await, memory(0, 6));
        let phase = app.get("/v1/phase?org=org:a").await.ok();
        assert_eq!(freshness(&phase), ("memory".to_owned(), 6, None));
    }
    assert_eq!(app.stripe_calls(), 0);
    app.advance(4 * SECOND);
    assert_eq!(calls(&app).await, stripe(0));
    assert_eq!(app.stripe_calls(), 2);

    let asked = app.get_with(
        "/v1/limits?org=org:a",
        &[("cache-control", "max-age=1, no-cache")],
    );
    assert_eq!(freshness(&asked.await.ok()).0, "stripe");
    assert_eq!(app.stripe_calls(), 4);
}

#[tokio::test]
async fn a_busy_org_never_waits() {
    let app = start().await;
    calls(&app).await;
    app.second_server()
        .report("org:a", "feature:calls", 5)
        .await;
    app.advance(7 * SECOND);
    app.forget_calls();
    assert_eq!(calls(&app).await, memory(0, 7));
    app.settled().await;
    assert_eq!(app.stripe_calls(), 2, "the org was read in the background");
    assert_eq!(calls(&app).await, memory(5, 0));
}

#[tokio::test]
async fn writes_by_this_server_show_at_once() {
    let app = start().await;
    calls(&app).await;
    app.forget_calls();
    app.report("org:a", "feature:calls", 3).await;
    assert_eq!(app.stripe_calls(), 1, "only the usage record is sent");
    assert_eq!(calls(&app).await, memory(3, 0));
    let set = json!({"org": "org:a", "feature": "feature:disk", "n": 4, "clobber": true});
    app.post_json("/v1/report", &set).await.ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:disk"), Some(4));
    assert_eq!(freshness(&limits).0, "memory");
    app.forget_calls();
    let keyed = app
        .request(axum::http::Method::POST, "/v1/report")
        .header("idempotency-key", "one")
        .body(json!({"org": "org:a", "feature": "feature:calls", "n": 2}).to_string());
    keyed.send().await.ok();
    assert_eq!(calls(&app).await.0, 5);
    let total = json!({"org": "org:a", "feature": "feature:calls", "n": 20, "clobber": true});
    app.post_json("/v1/report", &total).await.ok();
    assert_eq!(calls(&app).await.0, 20);
    let early =
        json!({"org": "org:a", "feature": "feature:calls", "n": 1, "at": "2023-01-01T00:00:00Z"});
    app.post_json("/v1/report", &early).await.ok();
    assert_eq!(calls(&app).await.0, 21);

    app.subscribe("org:a", &["plan:pro@1"]).await;
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:base"), Some(1));
    assert_eq!(used(&limits, "feature:seats"), None);
    let phase = app.get("/v1/phase?org=org:a").await.ok().json();
    assert_eq!(phase["plans"], json!(["plan:pro@1"]));
    let cancel = json!({"org": "org:a", "phases": [{"features": []}]});
    app.post_json("/v1/subscribe", &cancel).await.ok();
    assert_eq!(app.limits("org:a").await, []);
    app.get("/v1/phase?org=org:a").await.fails(404, "not_found");
    let refused = json!({"org": "org:a", "feature": "feature:calls", "n": 1});
    let refused = app.post_json("/v1/report", &refused).await;
    refused.fails(400, "feature_not_found");
}

#[tokio::test]
async fn writes_by_others_show_after_the_next_read() {
    let app = start().await;
    let other = app.second_server_with(&Settings::remembering());
    calls(&app).await;
    calls(&other).await;
    other.report("org:a", "feature:calls", 7).await;
    other.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(calls(&other).await, memory(7, 0));
    app.advance(5 * SECOND);
    assert_eq!(calls(&app).await, memory(0, 5));
    // The item in memory no longer exists in Stripe.
    app.report("org:a", "feature:calls", 1).await;
    assert_eq!(calls(&app).await.0, 8);
    assert_eq!(calls(&other).await, memory(7, 5));
    app.advance(10 * SECOND);
    assert_eq!(calls(&other).await, stripe(8));
}

#[tokio::test]
async fn nothing_is_recorded_on_an_ended_subscription() {
    let app = start().await;
    calls(&app).await;
    let subscription = app.stripe_get("/v1/subscriptions").await["data"][0]["id"].clone();
    let path = format!(
        "/v1/subscriptions/{}",
        subscription.as_str().expect("an id")
    );
    app.stripe_delete(&path).await;
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 1});
    let refused = app.post_json("/v1/report", &report).await;
    refused.fails(400, "feature_not_found");
    let late =
        json!({"org": "org:a", "feature": "feature:calls", "n": 1, "at": "2020-01-01T00:00:00Z"});
    let app = start().await;
    calls(&app).await;
    let refused = app.post_json("/v1/report", &late).await;
    refused.fails(400, "invalid_request");
    assert_eq!(calls(&app).await, memory(0, 0), "the report added nothing");
}

#[tokio::test]
async fn a_cached_answer_ends_with_its_period() {
    let app = start().await;
    app.report("org:a", "feature:calls", 3).await;
    app.set_clock(START + 31 * 86_400 - 2);
    assert_eq!(calls(&app).await, stripe(3));
    app.advance(2 * SECOND);
    assert_eq!(calls(&app).await, stripe(0));
    let leave = json!({"org": "org:a", "phases": [
        {"features": ["plan:free@1"]}, {"effective": "2023-02-01T00:00:05Z", "features": ["plan:pro@1"]},
    ]});
    app.post_json("/v1/subscribe", &leave).await.ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:base"), None);
    app.advance(5 * SECOND);
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(
        used(&limits, "feature:base"),
        Some(1),
        "the new phase has begun"
    );
}

#[tokio::test]
async fn an_org_that_may_be_subscribing_is_read_every_second() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:new", "info": {}}))
        .await
        .ok();
    assert_eq!(app.limits("org:new").await, []);
    app.settled().await;
    assert_eq!(app.limits("org:new").await, []);
    app.second_server()
        .subscribe("org:new", &["plan:free@1"])
        .await;
    assert_eq!(app.limits("org:new").await, []);
    app.advance(SECOND);
    assert_eq!(app.limits("org:new").await.len(), 3);

    // The same holds while a Checkout page is open.
    calls(&app).await;
    let checkout =
        json!({"org": "org:a", "features": ["plan:pro@1"], "success_url": "https://x.example"});
    app.post_json("/v1/checkout", &checkout).await.ok();
    assert_eq!(calls(&app).await, memory(0, 0));
    app.advance(SECOND);
    assert_eq!(calls(&app).await, stripe(0));
    app.advance(DAY);
    assert_eq!(calls(&app).await, stripe(0));
    app.advance(2 * SECOND);
    assert_eq!(
        calls(&app).await,
        memory(0, 2),
        "the Checkout page has expired"
    );
}

#[tokio::test]
async fn an_org_on_a_test_clock_is_read_every_time() {
    let app = start().await;
    let clock = json!({"name": "c", "present": "2023-01-01T00:00:00Z"});
    let clock = app.post_json("/v1/clock", &clock).await.ok().json();
    let clock = clock["id"].as_str().expect("an id");
    let with_clock = [("tier-clock", clock)];
    let subscribe = json!({"org": "org:c", "phases": [{"features": ["plan:free@1"]}]});
    let subscribe = app
        .request(axum::http::Method::POST, "/v1/subscribe")
        .headers(&with_clock)
        .body(subscribe.to_string());
    subscribe.send().await.ok();
    for _ in 0..2 {
        let limits = app.get_with("/v1/limits?org=org:c", &with_clock).await.ok();
        assert_eq!(freshness(&limits), ("stripe".to_owned(), 0, None));
    }
}

#[tokio::test]
async fn a_deleted_customer_grants_nothing_after_the_next_read() {
    let app = start().await;
    calls(&app).await;
    let whois = app.get("/v1/whois?org=org:a").await.ok().json();
    let customer = whois["stripe_id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/customers/{customer}"))
        .await;
    app.advance(10 * SECOND);
    app.get("/v1/limits?org=org:a")
        .await
        .fails(400, "org_not_found");
}
