//! One server for many: each caller's key is the Stripe key that its requests act with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tier::api::{App, Cloud};
use tier::clock::Clock;
use tier::stripe::RateSettings;

use crate::harness::{Settings, TestApp, transport};
use crate::web::Web;

const MODEL: &str = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{"tiers":[{}]}}}}}"#;

/// A server for everybody who has a key of the Stripe at `url`, or at its own sandbox.
async fn cloud(url: Option<&str>) -> TestApp {
    let app = TestApp::start().await;
    let rates = RateSettings {
        total: Some(1000),
        ..RateSettings::default()
    };
    let transport = transport(url.unwrap_or(app.stripe_url()), &Settings::default());
    let idle = Duration::from_secs(60);
    let transport = transport.with_rates(rates);
    let cloud = Cloud::new(transport, Clock::system(), None, 100, idle);
    app.adjusted(|app| *app = App::for_many(cloud))
}

fn basic(key: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")))
}

#[tokio::test]
async fn each_key_is_an_account_and_none_sees_another() {
    let app = cloud(None).await;
    for missing in [
        &[][..],
        &[("authorization", "Basic Og==")],
        &[("authorization", "Bearer ")],
    ] {
        let refused = app
            .get_with("/v1/whoami", missing)
            .await
            .fails(401, "unauthorized");
        assert!(refused.header("www-authenticate").starts_with("Basic"));
    }
    assert_eq!(app.stripe_calls(), 0);

    let (one, two) = (basic("sk_test_one"), "Bearer sk_test_two".to_owned());
    let mut ids = Vec::new();
    for key in [&one, &two] {
        let whoami = app
            .get_with("/v1/whoami", &[("authorization", key)])
            .await
            .ok()
            .json();
        assert_eq!(whoami["key_source"], "authorization");
        ids.push(whoami["id"].to_string());
    }
    assert_ne!(ids[0], ids[1]);

    let push = app.request(Method::POST, "/v1/push").body(MODEL);
    push.header("authorization", &one).send().await.ok();
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let post = |key: &str| {
        let post = app.request(Method::POST, "/v1/subscribe").body(subscribe);
        post.header("authorization", key).send()
    };
    post(&one).await.ok();
    post(&two).await.fails(400, "TERR1020");
    let pulled = app
        .get_with("/v1/pull", &[("authorization", &two)])
        .await
        .ok();
    assert_eq!(pulled.json(), serde_json::json!({"plans": {}}));
    app.get_with("/v1/whois?org=org:a", &[("authorization", &one)])
        .await
        .ok();
    app.get_with("/v1/whois?org=org:a", &[("authorization", &two)])
        .await
        .fails(400, "org_not_found");
    app.get_with("/v1/whoami", &[("authorization", "Bearer nonsense")])
        .await
        .fails(401, "invalid_api_key");
}

#[tokio::test]
async fn numbers_are_for_the_operator_and_name_no_key() {
    let app = cloud(None).await;
    let admin = app.admin();
    app.get_with(
        "/v1/whoami",
        &[("authorization", "Bearer sk_test_secretkey")],
    )
    .await
    .ok();
    app.get_with("/metrics", &[("authorization", "Bearer sk_test_secretkey")])
        .await
        .fails(404, "not_found");
    let shown = admin.get("/metrics").await.ok();
    // The beginning of the key's SHA-256.
    assert!(
        shown
            .body
            .contains("tier_stripe_rate_headroom_ratio{account=\""),
        "{}",
        shown.body
    );
    assert!(!shown.body.contains("secretkey"));
    admin.get("/readyz").await.ok();
    admin.get("/v1/whoami").await.fails(404, "not_found");
}

#[tokio::test]
async fn live_and_test_keys_are_passed_on_as_they_are() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let stripe = Router::new().fallback(async move |headers: HeaderMap| {
        let key = headers["authorization"].to_str().expect("ASCII").to_owned();
        noted.lock().expect("no panic").push(key);
        r#"{"id":"acct_1","object":"account","created":1}"#
    });
    let stripe = Web::start(stripe).await;
    let app = cloud(Some(stripe.url())).await;
    for key in ["sk_live_a", "sk_test_a", "rk_live_b"] {
        app.get_with("/v1/whoami", &[("authorization", &basic(key))])
            .await
            .ok();
    }
    let expected = ["sk_live_a", "sk_test_a", "rk_live_b"].map(basic);
    assert_eq!(*seen.lock().expect("no panic"), expected);
}
