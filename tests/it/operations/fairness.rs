//! A busy org does not block other orgs.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::api::Keys;
use tokio::task::JoinSet;

use crate::harness::{Answer, TestApp};
use testing::time::until;

fn model() -> Value {
    json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}}}}})
}

fn subscribe(org: &str) -> Value {
    json!({"org": org, "phases": [{"features": ["plan:p@1"]}]})
}

fn report(org: &str) -> Value {
    json!({"org": org, "feature": "feature:f", "n": 1})
}

/// A server with two subscribed orgs. Stripe never finishes a change of a subscription, and the key has so few slots
/// that one org's requests could take all of them.
async fn start(places: usize) -> TestApp {
    let app = TestApp::start().await;
    app.push(&model()).await;
    for org in ["org:busy", "org:other"] {
        app.subscribe(org, &["plan:p@1"]).await;
    }
    let never = Action::Delay(Duration::from_secs(600));
    for path in ["/v1/subscription_schedules*", "/v1/subscriptions*"] {
        app.sandbox()
            .add_fault(Rule::new("POST", path, never.clone()));
    }
    app.adjusted(|app| {
        app.keys = Keys::new(["one"]);
        app.limits.concurrent_per_key = places;
    })
}

const ONE: (&str, &str) = ("authorization", "Bearer one");

/// Sends a request with the same idempotency key each time.
async fn repeat(app: TestApp, path: &'static str, body: Value) -> Answer {
    let call = app.request(axum::http::Method::POST, path);
    let call = call.headers(&[ONE, ("idempotency-key", "again")]);
    call.body(body.to_string()).send().await
}

async fn post(app: TestApp, path: &'static str, body: Value) -> Answer {
    let call = app.request(axum::http::Method::POST, path);
    call.headers(&[ONE]).body(body.to_string()).send().await
}

/// Sends requests that the server handles one after the other. Stripe never finishes the first, and `waiting` requests
/// wait behind it.
async fn queue<F>(app: &TestApp, waiting: usize, send: impl Fn() -> F) -> JoinSet<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut queued = JoinSet::new();
    for before in 0..=waiting {
        until("those before it wait", async || {
            (app.slots().waiting() + 1 >= before).then_some(())
        })
        .await;
        queued.spawn(send());
    }
    until("all wait", async || {
        (app.slots().waiting() >= waiting).then_some(())
    })
    .await;
    queued
}

#[tokio::test]
async fn requests_that_wait_for_an_org_hold_no_slot_and_their_queue_is_limited() {
    let app = start(33).await;
    let change = || post(app.clone(), "/v1/subscribe", subscribe("org:busy"));
    let _queued = queue(&app, 32, change).await;
    let refused = change().await;
    let refused = refused.fails(429, "rate_limited");
    let message = refused.json()["message"].clone();
    assert_eq!(
        message,
        "too many requests are waiting to change this org, and nothing was done"
    );
    assert_eq!(refused.header("retry-after"), "1");
    // One request is running, and the waiting requests have given up their slots.
    for _ in 0..3 {
        post(app.clone(), "/v1/report", report("org:other"))
            .await
            .ok();
        let limits = app.get_with("/v1/limits?org=org:other", &[ONE]).await;
        assert_eq!(limits.ok().json()["usage"][0]["feature"], "feature:f");
    }
    let metrics = app.get_with("/metrics", &[ONE]).await.ok().body;
    assert!(
        metrics.contains("tier_http_requests_waiting 32\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn requests_that_wait_for_a_key_hold_no_slot_and_their_queue_is_limited() {
    for (path, body) in [
        ("/v1/report", report("org:busy")),
        ("/v1/subscribe", subscribe("org:busy")),
    ] {
        let app = start(33).await;
        let never = Action::Delay(Duration::from_secs(600));
        let records = "/v1/subscription_items*";
        app.sandbox()
            .add_fault(Rule::new("POST", records, never).times(1));
        let again = || repeat(app.clone(), path, body.clone());
        let queued = queue(&app, 32, again).await;
        let refused = again().await.fails(429, "rate_limited");
        let message = refused.json()["message"].clone();
        assert_eq!(
            message,
            "too many requests are waiting for one with the same Idempotency-Key"
        );
        for _ in 0..3 {
            app.get_with("/v1/limits?org=org:other", &[ONE]).await.ok();
        }
        app.sandbox().clear_faults();
        for answer in queued.join_all().await {
            answer.ok();
        }
        assert_eq!(app.slots().waiting(), 0);
        let records = app.sent("POST /v1/subscription_items/:id/usage_records");
        assert_eq!(records.len(), usize::from(path == "/v1/report"));
    }
}

#[tokio::test]
async fn requests_of_one_org_leave_slots_to_another() {
    let app = start(6).await;
    let never = Action::Delay(Duration::from_secs(600));
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_items*", never));
    let mut busy = JoinSet::new();
    for _ in 0..6 {
        busy.spawn(post(app.clone(), "/v1/report", report("org:busy")));
    }
    let refused = busy.join_next().await.expect("one is too many");
    let refused = refused.expect("no panic").fails(429, "rate_limited");
    let message = refused.json()["message"].clone();
    assert_eq!(message, "too many requests in flight for this org");
    app.get_with("/v1/limits?org=org:busy", &[ONE])
        .await
        .fails(429, "rate_limited");
    app.get_with("/v1/limits?org=org:other", &[ONE]).await.ok();
}
