//! Writes whose callers hang up before the answer. The server completes a write that has begun, and the caller's next
//! attempt finds its effect. A write that has not begun never begins.

use std::task::Poll;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::metrics::Format;

use crate::harness::TestApp;
use testing::time::{hold_time, until};

async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {"plan:pro@1": {"features": {
        "feature:calls": {"tiers": [{"upto": 100}]}, "feature:seats": {"base": 1000},
    }}}}))
    .await;
    app
}

/// Sends a request, hangs up while its call to `path` at Stripe is in progress, and lets that call end while `next`
/// runs.
async fn hang_up<T>(
    app: &TestApp,
    path: &str,
    request: (&str, &Value, &str),
    next: impl Future<Output = T>,
) -> T {
    let slow = Action::Delay(Duration::from_secs(600));
    app.sandbox()
        .add_fault(Rule::new("POST", path, slow).times(1));
    let (endpoint, body, key) = request;
    let call = app
        .request(Method::POST, endpoint)
        .header("idempotency-key", key)
        .body(body.to_string());
    app.hang_up(call).await;
    let call_ends = async {
        // Long enough for the next request to reach the lock.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        app.sandbox().clear_faults();
    };
    futures::join!(next, call_ends).0
}

#[tokio::test]
async fn a_subscribe_whose_caller_hangs_up_takes_effect_once() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    let body = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    let (schedules, request) = ("/v1/subscription_schedules", ("/v1/subscribe", &body, ""));
    let again = app.post_json("/v1/subscribe", &body);
    hang_up(&app, schedules, request, again).await.ok();
    let all = app.stripe_get("/v1/subscriptions?status=all").await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1), "{all}");
    let invoices = app.stripe_get("/v1/invoices").await;
    assert_eq!(
        invoices["data"].as_array().map(Vec::len),
        Some(1),
        "{invoices}"
    );
}

#[tokio::test]
async fn a_clobber_whose_caller_hangs_up_counts_once() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let body = json!({"org": "org:a", "feature": "feature:calls", "n": 10, "clobber": true});
    let records = "/v1/subscription_items/*/usage_records";
    let again = app.post_json("/v1/report", &body);
    let request = ("/v1/report", &body, "");
    hang_up(&app, records, request, again).await.ok();
    let calls = ("feature:calls".to_owned(), 10, 100);
    assert_eq!(app.limits("org:a").await[0], calls);
}

#[tokio::test]
async fn a_keyed_report_whose_caller_hangs_up_counts_once() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let body = json!({"org": "org:a", "feature": "feature:calls", "n": 10});
    let records = "/v1/subscription_items/*/usage_records";
    let next = async {
        app.report("org:a", "feature:calls", 5).await;
        let again = app.request(Method::POST, "/v1/report");
        let again = again.header("idempotency-key", "one");
        again.body(body.to_string()).send().await
    };
    let request = ("/v1/report", &body, "one");
    hang_up(&app, records, request, next).await.ok();
    let calls = ("feature:calls".to_owned(), 15, 100);
    assert_eq!(app.limits("org:a").await[0], calls);
}

/// Delays the next plan change until the faults are cleared.
async fn slow_change(app: &TestApp) {
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let schedules = "/v1/subscription_schedules*";
    app.slow_down("POST", schedules, Duration::from_secs(600));
}

/// How many writes ended after their callers had hung up, by status.
fn ended_late(app: &TestApp) -> String {
    let shown = app
        .metrics()
        .encode(Format::Classic, Vec::new())
        .expect("text");
    let lines = shown.lines();
    let lines = lines.filter(|line| line.starts_with("tier_http_writes_left_total{"));
    lines.collect::<Vec<_>>().join("\n")
}

async fn until_ended_late(app: &TestApp, expected: &str) {
    until(expected, async || {
        ended_late(app).contains(expected).then_some(())
    })
    .await;
}

const FREE: &str = r#"{"org": "org:a", "phases": [{"features": ["feature:calls@plan:pro@1"]}]}"#;
const CANCEL: &str = r#"{"org": "org:a", "phases": [{}]}"#;

#[tokio::test]
async fn a_waiting_cancellation_does_not_begin_after_its_caller_hung_up() {
    let app = start().await;
    slow_change(&app).await;
    let changed = app.post("/v1/subscribe", FREE);
    let cancelled = async {
        app.until_slow().await;
        let mut waits = Box::pin(app.post("/v1/subscribe", CANCEL));
        until("it waits", async || {
            if let Poll::Ready(answer) = futures::poll!(&mut waits) {
                panic!("it has to wait: {answer:?}");
            }
            (app.slots().waiting() > 0).then_some(())
        })
        .await;
        drop(waits);
        app.sandbox().clear_faults();
    };
    let (changed, ()) = tokio::join!(changed, cancelled);
    changed.ok();
    until_ended_late(&app, "status=\"503\"").await;
    app.post("/v1/subscribe", FREE).await.ok();
    let counts = app.sandbox().counts(None);
    assert_eq!(counts.get("DELETE /v1/subscriptions/:id"), None);
    assert_eq!(app.limits("org:a").await.len(), 1);
}

#[tokio::test]
async fn a_write_that_outlasts_its_time_limit_is_completed_and_counted() {
    let app = start().await;
    slow_change(&app).await;
    let hasty = app
        .clone()
        .adjusted(|app| app.limits.request_timeout = Duration::from_millis(150));
    let _time = hold_time();
    let time_passes = async {
        app.until_slow().await;
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    let (late, ()) = tokio::join!(hasty.post("/v1/subscribe", FREE), time_passes);
    late.fails(504, "stripe_unavailable");
    app.sandbox().clear_faults();
    until_ended_late(&app, "endpoint=\"/v1/subscribe\",status=\"200\"").await;
    assert_eq!(app.limits("org:a").await.len(), 1);
}

/// The answer has `Retry-After`, since the write has not begun.
#[tokio::test]
async fn a_write_that_is_still_waiting_at_its_time_limit_does_not_begin() {
    let app = start().await;
    slow_change(&app).await;
    let hasty = app
        .clone()
        .adjusted(|app| app.limits.request_timeout = Duration::from_millis(150));
    let _time = hold_time();
    let cancelled = async {
        app.until_slow().await;
        let time_passes = async {
            until("it waits", async || {
                (app.slots().waiting() > 0).then_some(())
            })
            .await;
            tokio::time::advance(Duration::from_secs(1)).await;
        };
        let (late, ()) = tokio::join!(hasty.post("/v1/subscribe", CANCEL), time_passes);
        app.sandbox().clear_faults();
        late
    };
    let (changed, late) = tokio::join!(app.post("/v1/subscribe", FREE), cancelled);
    let late = late.fails(503, "stripe_unavailable");
    assert_eq!(late.header("retry-after"), "1");
    changed.ok();
    until_ended_late(&app, "status=\"503\"").await;
    let counts = app.sandbox().counts(None);
    assert_eq!(counts.get("DELETE /v1/subscriptions/:id"), None);
    assert_eq!(app.limits("org:a").await.len(), 1);
}

/// Checks that a request that reaches its time limit while it reads from Stripe writes nothing.
async fn writes_nothing_after_its_time_limit(path: &str, body: &str) {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.slow_down("GET", "/v1/subscriptions", Duration::from_secs(600));
    app.forget_calls();
    let hasty = app
        .clone()
        .adjusted(|app| app.limits.request_timeout = Duration::from_millis(150));
    let _time = hold_time();
    let time_passes = async {
        app.until_slow().await;
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    let (late, ()) = tokio::join!(hasty.post(path, body), time_passes);
    let late = late.fails(503, "stripe_unavailable");
    assert_eq!(late.header("retry-after"), "1");
    app.sandbox().clear_faults();
    until_ended_late(&app, "status=\"503\"").await;
    let counts = app.sandbox().counts(None);
    let writes = counts.keys().filter(|call| !call.starts_with("GET "));
    assert_eq!(writes.count(), 0, "{counts:?}");
}

#[tokio::test]
async fn a_cancellation_that_has_only_read_at_its_time_limit_writes_nothing() {
    writes_nothing_after_its_time_limit("/v1/subscribe", CANCEL).await;
}

#[tokio::test]
async fn a_report_that_has_only_read_at_its_time_limit_writes_nothing() {
    let report = r#"{"org": "org:a", "feature": "feature:calls", "n": 1}"#;
    writes_nothing_after_its_time_limit("/v1/report", report).await;
}
