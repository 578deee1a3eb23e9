//! One server for many: each caller's key is the Stripe key that its requests act with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tier::api::{App, Cloud, admin_router};
use tier::clock::Clock;
use tier::stripe::RateSettings;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Service, build, sandbox, send, transport};

const MODEL: &str = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{"tiers":[{}]}}}}}"#;

fn cloud(base_url: &str) -> App {
    let rates = RateSettings {
        total: Some(1000),
        ..RateSettings::default()
    };
    let transport = transport(base_url).with_rates(rates);
    let idle = Duration::from_secs(60);
    App::for_many(Cloud::new(transport, Clock::system(), None, 100, idle))
}

fn basic(key: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")))
}

#[tokio::test]
async fn each_key_is_an_account_and_none_sees_another() {
    let stripe = sandbox().await;
    let service = Service::of(cloud(stripe.url()), stripe);
    for missing in [
        &[][..],
        &[("authorization", "Basic Og==")],
        &[("authorization", "Bearer ")],
    ] {
        let refused = service
            .get("/v1/whoami", missing)
            .await
            .is(401, "unauthorized");
        assert!(refused.header("www-authenticate").starts_with("Basic"));
    }
    assert_eq!(service.stripe_calls(), 0);

    let (one, two) = (basic("sk_test_one"), "Bearer sk_test_two".to_owned());
    let mut ids = Vec::new();
    for key in [&one, &two] {
        let whoami = service
            .get("/v1/whoami", &[("authorization", key)])
            .await
            .is(200, "")
            .json();
        assert_eq!(whoami["key_source"], "authorization");
        ids.push(whoami["id"].to_string());
    }
    assert_ne!(ids[0], ids[1]);

    let push = build("POST", "/v1/push", &[("authorization", &one)], MODEL);
    service.send(push).await.is(200, "");
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let post = |key: &str| {
        build(
            "POST",
            "/v1/subscribe",
            &[("authorization", key)],
            subscribe,
        )
    };
    service.send(post(&one)).await.is(200, "");
    service.send(post(&two)).await.is(400, "TERR1020");
    let pulled = service
        .get("/v1/pull", &[("authorization", &two)])
        .await
        .is(200, "");
    assert_eq!(pulled.json(), serde_json::json!({"plans": {}}));
    service
        .get("/v1/whois?org=org:a", &[("authorization", &one)])
        .await
        .is(200, "");
    service
        .get("/v1/whois?org=org:a", &[("authorization", &two)])
        .await
        .is(400, "org_not_found");
    service
        .get("/v1/whoami", &[("authorization", "Bearer nonsense")])
        .await
        .is(401, "invalid_api_key");
}

#[tokio::test]
async fn numbers_are_for_the_operator_and_name_no_key() {
    let stripe = sandbox().await;
    let app = cloud(stripe.url());
    let admin = admin_router(app.clone());
    let service = Service::of(app, stripe);
    service
        .get(
            "/v1/whoami",
            &[("authorization", "Bearer sk_test_secretkey")],
        )
        .await
        .is(200, "");
    service
        .get("/metrics", &[("authorization", "Bearer sk_test_secretkey")])
        .await
        .is(404, "not_found");
    let shown = send(&admin, build("GET", "/metrics", &[], ""))
        .await
        .is(200, "");
    // The beginning of the key's SHA-256.
    assert!(
        shown
            .body
            .contains("tier_stripe_rate_headroom_ratio{account=\""),
        "{}",
        shown.body
    );
    assert!(!shown.body.contains("secretkey"));
    send(&admin, build("GET", "/readyz", &[], ""))
        .await
        .is(200, "");
    send(&admin, build("GET", "/v1/whoami", &[], ""))
        .await
        .is(404, "not_found");
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
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let mut server = JoinSet::new();
    server.spawn(tier::server::serve(
        listener,
        stripe,
        std::future::pending(),
    ));
    let service = Service::of(cloud(&url), sandbox().await);
    for key in ["sk_live_a", "sk_test_a", "rk_live_b"] {
        service
            .get("/v1/whoami", &[("authorization", &basic(key))])
            .await
            .is(200, "");
    }
    let expected = ["sk_live_a", "sk_test_a", "rk_live_b"].map(basic);
    assert_eq!(*seen.lock().expect("no panic"), expected);
}
