//! One org, however busy, leaves room to the others.

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

/// With two orgs that are subscribed, and a Stripe that takes for ever to change another subscription.
/// A key has so few places that the requests of one org would take all of them.
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

/// The same request again and again, with one idempotency key.
async fn repeat(app: TestApp, path: &'static str, body: Value) -> Answer {
    let call = app.request(axum::http::Method::POST, path);
    let call = call.headers(&[ONE, ("idempotency-key", "again")]);
    call.body(body.to_string()).send().await
}

async fn post(app: TestApp, path: &'static str, body: Value) -> Answer {
    let call = app.request(axum::http::Method::POST, path);
    call.headers(&[ONE]).body(body.to_string()).send().await
}

/// Requests that cannot be worked on at once: one that Stripe works on for ever, and `waiting` that wait for it.
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
async fn what_waits_for_an_org_takes_no_place_and_the_queue_has_an_end() {
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
    // One works, and the others have given their places away.
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
async fn what_waits_for_its_idempotency_key_takes_no_place_and_the_queue_has_an_end() {
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
async fn requests_of_one_org_leave_places_to_those_of_another() {
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
