//! Writes whose caller does not wait for the answer: they are carried through, and the caller's next try finds them.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tier::sandbox::{Action, Rule};

use crate::harness::TestApp;

async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {"plan:pro@1": {"features": {
        "feature:calls": {"tiers": [{"upto": 100}]}, "feature:seats": {"base": 1000},
    }}}}))
    .await;
    app
}

/// Sends a request, hangs up when the call to Stripe that `path` names is under way, and lets that call end while
/// `next` goes on.
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
        // Long enough for what comes next to reach the lock.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        app.sandbox().clear_faults();
    };
    futures::join!(next, call_ends).0
}

#[tokio::test]
async fn a_subscribe() {
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
async fn a_clobber() {
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
async fn a_report_with_a_key() {
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
