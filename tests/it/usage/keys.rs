//! Reports with an `Idempotency-Key`.

use axum::http::Method;
use serde_json::json;

use super::{row, start};
use crate::harness::TestApp;

#[tokio::test]
async fn an_idempotency_key_counts_once() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let keyed = async |key: &'static str, n: i64| {
        let body = json!({"org": "org:a", "feature": "feature:calls", "n": n}).to_string();
        app.request(Method::POST, "/v1/report")
            .header("idempotency-key", key)
            .body(body)
            .send()
            .await
    };
    let first = keyed("one", 2).await.ok();
    for _ in 0..3 {
        assert_eq!(keyed("one", 2).await.ok().body, first.body);
    }
    assert_eq!(app.limits("org:a").await[0], row("calls", 2, 10));
    keyed("two", 2).await.ok();
    assert_eq!(app.limits("org:a").await[0], row("calls", 4, 10));
    let other = keyed("one", 3).await.fails(400, "invalid_request");
    assert_ne!(other.json()["message"], "");
    assert_eq!(app.limits("org:a").await[0], row("calls", 4, 10));
}

/// Stripe remembers a key for longer than a server runs.
#[tokio::test]
async fn an_idempotency_key_counts_once_across_restarts() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let keyed = async |server: &TestApp, key: &'static str, report: serde_json::Value| {
        let request = server.request(Method::POST, "/v1/report");
        let request = request.header("idempotency-key", key);
        request.body(report.to_string()).send().await
    };
    let added = json!({"org": "org:a", "feature": "feature:calls", "n": 2});
    let set = json!({"org": "org:a", "feature": "feature:calls", "n": 6, "clobber": true});
    keyed(&app, "added", added.clone()).await.ok();
    keyed(&app, "set", set.clone()).await.ok();
    // The first round changes the total, and with it the difference from the six units that the report sets.
    for used in [8, 8] {
        let restarted = app.second_server();
        keyed(&restarted, "more", added.clone()).await.ok();
        keyed(&restarted, "added", added.clone()).await.ok();
        keyed(&restarted, "set", set.clone()).await.ok();
        assert_eq!(app.limits("org:a").await[0], row("calls", used, 10));
    }
    let mut other = added;
    other["n"] = json!(3);
    keyed(&app.second_server(), "added", other)
        .await
        .fails(400, "invalid_request");
    let lower = json!({"org": "org:a", "feature": "feature:calls", "n": 1, "clobber": true});
    for server in [&app, &app, &app.second_server()] {
        let refused = keyed(server, "lower", lower.clone()).await;
        let message = refused.fails(400, "invalid_request").json()["message"].to_string();
        assert!(message.contains("cannot be lowered"), "{message}");
    }
    assert_eq!(app.limits("org:a").await[0], row("calls", 8, 10));
}

/// A refused report is not counted. Its retry is refused as well, even after the total has changed.
#[tokio::test]
async fn a_refused_clobber_is_not_mistaken_for_a_counted_one() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let body = json!({"org": "org:a", "feature": "feature:calls", "n": 6, "clobber": true,
        "at": "2022-06-01T00:00:00Z"})
    .to_string();
    for server in [&app, &app, &app.second_server()] {
        let request = server.request(Method::POST, "/v1/report");
        let request = request.header("idempotency-key", "one").body(body.clone());
        request.send().await.fails(400, "invalid_request");
        app.report("org:a", "feature:calls", 1).await;
    }
    assert_eq!(app.limits("org:a").await[0], row("calls", 3, 10));
}

/// Orgs with the same name on two clocks are two customers.
#[tokio::test]
async fn an_idempotency_key_belongs_to_its_test_clock() {
    let app = start().await;
    for _ in 0..2 {
        let clock = app.stripe_post(
            "/v1/test_helpers/test_clocks",
            &[("frozen_time", "1672531200")],
        );
        let clock = clock.await["id"].as_str().expect("an id").to_owned();
        let on_clock = async |path: &'static str, body: serde_json::Value| {
            let request = app.request(Method::POST, path).header("tier-clock", &clock);
            let request = request.header("idempotency-key", "one");
            request.body(body.to_string()).send().await.ok();
        };
        let phases = json!([{"features": ["plan:free@1"]}]);
        on_clock("/v1/subscribe", json!({"org": "org:a", "phases": phases})).await;
        on_clock(
            "/v1/report",
            json!({"org": "org:a", "feature": "feature:calls", "n": 2}),
        )
        .await;
        let limits = app.request(Method::GET, "/v1/limits?org=org:a");
        let limits = limits.header("tier-clock", &clock).send().await.ok().json();
        assert_eq!(limits["usage"][0]["used"], 2, "{limits}");
    }
}
