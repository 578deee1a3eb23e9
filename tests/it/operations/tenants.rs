//! A server with `--cloud`, where each caller's key is the Stripe key for the caller's requests.

mod shared;
mod unknown_keys;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clock::Clock;
use tier::api::{App, Cloud};
use tier::domain::Memory;
use tier::stripe::RateSettings;

use crate::harness::{DAY, Settings, TestApp, transport};
use crate::web::Web;

const MODEL: &str = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{"tiers":[{}]}}}}}"#;

/// A server for all keys of the Stripe at `url`, or of the server's own sandbox.
async fn cloud(url: Option<&str>) -> TestApp {
    cloud_of(100, url).await
}

/// Starts such a server for at most `most` accounts.
async fn cloud_of(most: usize, url: Option<&str>) -> TestApp {
    cloud_with(most, url, Clock::system(), Memory::default()).await
}

async fn cloud_with(most: usize, url: Option<&str>, clock: Clock, memory: Memory) -> TestApp {
    let app = TestApp::start().await;
    let rates = RateSettings {
        total: Some(1000),
        ..RateSettings::default()
    };
    let transport = transport(url.unwrap_or(app.stripe_url()), &Settings::default());
    let transport = transport.with_rates(rates);
    let cloud = Cloud::new(transport, clock, None, most, DAY, memory);
    app.adjusted(|app| *app = App::for_many(cloud))
}

fn basic(key: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")))
}

#[tokio::test]
async fn clients_of_2022_bring_their_stripe_key_too() {
    let app = cloud(None).await;
    for (key, used) in [("sk_test_a", 3), ("sk_test_b", 4)] {
        let authorization = basic(key);
        let send = async |method: Method, path: &str, body: &str| {
            let call = app.request(method, path).body(body.to_owned());
            call.header("authorization", &authorization).send().await
        };
        send(Method::POST, "/api/v1/push", MODEL).await.ok();
        let phase = r#"{"org":"org:a","plan":"plan:p@1"}"#;
        send(Method::POST, "/api/v1/append", phase).await.ok();
        let take = format!(r#"{{"org":"org:a","feature":"feature:f","p":{used},"op":"incr"}}"#);
        let taken = send(Method::POST, "/api/v1/reserve", &take)
            .await
            .ok()
            .json();
        assert_eq!(taken["used"], used);
        let path = "/api/v1/schedule?org=org:a";
        let schedule = send(Method::GET, path, "").await.ok().json();
        assert_eq!(schedule["current"], 0);
        // The publishable key cannot be derived from the secret key.
        let org = r#"{"org":"org:a"}"#;
        let refused = send(Method::POST, "/api/v1/stripe/options", org).await;
        refused.fails(400, "invalid_request");
    }
    app.get("/api/v1/whoami").await.fails(401, "unauthorized");
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

    // The callers' idempotency keys are separate, too.
    for (key, org, refused) in [
        (&one, "org:a", None),
        (&one, "org:b", Some("invalid_request")),
        (&two, "org:b", Some("org_not_found")),
    ] {
        let report = format!(r#"{{"org":"{org}","feature":"feature:f","n":1}}"#);
        let post = app.request(Method::POST, "/v1/report").body(report);
        let post = post.header("authorization", key);
        let answer = post.header("idempotency-key", "k").send().await;
        match refused {
            None => answer.ok(),
            Some(code) => answer.fails(400, code),
        };
    }
}

#[tokio::test]
async fn metrics_show_at_most_a_hundred_accounts() {
    let app = cloud_of(200, None).await;
    for i in 0..120 {
        let bearer = format!("Bearer sk_test_number{i}");
        app.get_with("/v1/whoami", &[("authorization", &bearer)])
            .await
            .ok();
    }
    let shown = app.admin(true).get("/metrics").await.ok().body;
    let kept = shown.matches("tier_stripe_rate_headroom_ratio{").count();
    assert_eq!(kept, 100, "{shown}");
}

#[tokio::test]
async fn metrics_are_for_the_operator_and_name_no_key() {
    let app = cloud(None).await;
    let admin = app.admin(true);
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
    // The metrics identify a key by the beginning of its SHA-256.
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
