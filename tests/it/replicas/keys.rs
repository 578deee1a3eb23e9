//! A client's `Idempotency-Key` on subscribe and checkout. A repeated request gets the first answer on every server,
//! whatever has changed since.

use axum::http::Method;
use serde_json::{Value, json};

use super::{features, live, subscribe, two};
use crate::harness::{Answer, TestApp};

const CHECKOUT: &str =
    r#"{"org":"org:a","success_url":"https://app.example/ok","features":["plan:pro@1"]}"#;

async fn keyed(app: &TestApp, path: &str, body: &Value, key: &str) -> Answer {
    let call = app.request(Method::POST, path).body(body.to_string());
    call.header("idempotency-key", key).send().await
}

fn phases(features: &[&str]) -> Value {
    json!({"org": "org:a", "phases": [{"features": features}]})
}

#[tokio::test]
async fn a_repeated_subscribe_changes_nothing() {
    let (one, two) = two().await;
    let (pro, free) = (phases(&["plan:pro@1"]), phases(&["plan:free@1"]));
    keyed(&one, "/v1/subscribe", &pro, "first").await.ok();
    keyed(&two, "/v1/subscribe", &free, "second").await.ok();
    for server in [&one, &two, &one.second_server_with(&super::patient())] {
        let answer = keyed(server, "/v1/subscribe", &pro, "first").await.ok();
        assert_eq!(answer.body, "{}");
        assert_eq!(features(server, "org:a").await, ["feature:calls"]);
    }
    let other = keyed(&one, "/v1/subscribe", &free, "first").await;
    other.fails(400, "invalid_request");
    assert_eq!(live(&one).await.len(), 1);
}

#[tokio::test]
async fn a_repeated_cancellation_does_not_end_a_newer_subscription() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    let cancel = phases(&[]);
    keyed(&one, "/v1/subscribe", &cancel, "over").await.ok();
    assert_eq!(live(&one).await.len(), 0);
    subscribe(&two, "org:a", &["plan:pro@1"]).await.ok();
    for server in [&one, &two, &one.second_server_with(&super::patient())] {
        keyed(server, "/v1/subscribe", &cancel, "over").await.ok();
        assert_eq!(live(&one).await.len(), 1);
    }
}

#[tokio::test]
async fn the_last_five_keys_are_known_elsewhere_and_a_refused_request_takes_none() {
    let (one, two) = two().await;
    let (pro, free) = (phases(&["plan:pro@1"]), phases(&["plan:free@1"]));
    let unknown = phases(&["plan:none@1"]);
    keyed(&one, "/v1/subscribe", &unknown, "0")
        .await
        .fails(400, "TERR1020");
    for key in ["0", "1", "2", "3", "4", "5"] {
        keyed(&one, "/v1/subscribe", &pro, key).await.ok();
    }
    subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
    for key in ["1", "3", "5"] {
        keyed(&two, "/v1/subscribe", &pro, key).await.ok();
        assert_eq!(features(&one, "org:a").await, ["feature:calls"], "{key}");
    }
    keyed(&two, "/v1/subscribe", &pro, "0").await.ok();
    assert_eq!(
        features(&one, "org:a").await.len(),
        2,
        "the request is applied as new"
    );
    keyed(&two, "/v1/subscribe", &free, "6").await.ok();
}

#[tokio::test]
async fn a_repeated_checkout_returns_the_same_page() {
    let (one, two) = two().await;
    let checkout: Value = serde_json::from_str(CHECKOUT).expect("JSON");
    let page = |answer: Answer| answer.ok().json()["url"].to_string();
    let first = page(keyed(&one, "/v1/checkout", &checkout, "k").await);
    one.advance(std::time::Duration::from_secs(3600));
    for server in [&one, &two] {
        assert_eq!(
            page(keyed(server, "/v1/checkout", &checkout, "k").await),
            first
        );
        let mut other = checkout.clone();
        other["trial_days"] = json!(3);
        let refused = keyed(server, "/v1/checkout", &other, "k").await;
        refused.fails(400, "invalid_request");
    }
    assert_ne!(
        page(keyed(&two, "/v1/checkout", &checkout, "other").await),
        first
    );
}

#[tokio::test]
async fn two_clicks_open_one_page_until_something_has_changed() {
    let (one, two) = two().await;
    let page = |answer: Answer| answer.ok().json()["url"].to_string();
    let (first, second) = tokio::join!(
        one.post("/v1/checkout", CHECKOUT),
        two.post("/v1/checkout", CHECKOUT)
    );
    let first = page(first);
    assert_eq!(page(second), first);
    subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
    let changed = page(two.post("/v1/checkout", CHECKOUT).await);
    assert_ne!(changed, first);
    one.advance(std::time::Duration::from_secs(60));
    assert_ne!(page(one.post("/v1/checkout", CHECKOUT).await), changed);
}
