//! Several keys of one account.

use axum::Router;
use axum::http::Method;
use stripe_sandbox::{Action, Rule};
use tier::domain::{MaxAge, Memory};

use super::{MODEL, cloud, cloud_with};
use crate::harness::{DAY, TestApp};
use crate::web::Web;

fn http_client() -> reqwest::Client {
    // The client needs a TLS provider, although nothing here uses TLS. The call fails if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client")
}

/// A Stripe where every key opens the same account.
async fn one_account(app: &TestApp) -> Web {
    let (url, http) = (app.stripe_url().to_owned(), http_client());
    Web::start(
        Router::new().fallback(async move |request: axum::extract::Request| {
            let (head, body) = request.into_parts();
            let path = head.uri.path_and_query().expect("a path").as_str();
            let body = axum::body::to_bytes(body, usize::MAX)
                .await
                .expect("a body");
            let mut headers = head.headers;
            for name in ["authorization", "host", "content-length"] {
                headers.remove(name);
            }
            let call = http.request(head.method, format!("{url}{path}"));
            let call = call
                .headers(headers)
                .bearer_auth(crate::harness::STRIPE_KEY);
            let answer = call.body(body).send().await.expect("an answer");
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.expect("its body");
            let mut copy = axum::response::Response::new(axum::body::Body::from(body));
            *copy.status_mut() = status;
            for name in ["content-type", "idempotent-replayed"] {
                if let Some(value) = headers.get(name) {
                    let name = axum::http::HeaderName::from_static(name);
                    copy.headers_mut().insert(name, value.clone());
                }
            }
            copy
        }),
    )
    .await
}

#[tokio::test]
async fn two_keys_of_one_account_share_its_cached_data() {
    let stripe = TestApp::start().await;
    let web = one_account(&stripe).await;
    let app = cloud(Some(web.url())).await;
    let post = |key: &'static str, path: &'static str, body: String| {
        let call = app.request(Method::POST, path).body(body);
        call.header("authorization", key).send()
    };
    let (one, two) = ("Bearer sk_test_one", "Bearer rk_test_two");
    post(one, "/v1/push", MODEL.to_owned()).await.ok();
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#.to_owned();
    let twice = tokio::join!(
        post(one, "/v1/subscribe", subscribe.clone()),
        post(two, "/v1/subscribe", subscribe)
    );
    twice.0.ok();
    twice.1.ok();
    let live = stripe.stripe_get("/v1/subscriptions").await;
    assert_eq!(live["data"].as_array().map(Vec::len), Some(1), "{live}");

    stripe.forget_calls();
    let set = r#"{"org":"org:a","feature":"feature:f","n":10,"clobber":true}"#.to_owned();
    for key in [one, two, one] {
        post(key, "/v1/report", set.clone()).await.ok();
    }
    let counts = stripe.sandbox().counts(None);
    for endpoint in ["GET /v1/account", "GET /v1/customers/search"] {
        assert_eq!(counts.get(endpoint), None, "it is known: {counts:?}");
    }
    let headers = [("authorization", two)];
    let limits = app.get_with("/v1/limits?org=org:a", &headers).await;
    assert_eq!(limits.ok().json()["usage"][0]["used"], 10);
}

/// Only Stripe knows whether a key may still read, so a key needs a successful read of its own.
#[tokio::test]
async fn a_key_gets_another_keys_cached_data_only_after_its_own_read() {
    let stripe = TestApp::start().await;
    let web = one_account(&stripe).await;
    let memory = Memory::new(
        1_000,
        MaxAge {
            usual: DAY,
            in_outage: DAY,
            ..MaxAge::default()
        },
    );
    let clock = stripe.sandbox().clock().clone();
    let app = cloud_with(100, Some(web.url()), clock, memory).await;
    let (one, two) = ("Bearer sk_test_one", "Bearer rk_test_two");
    let push = app.request(Method::POST, "/v1/push").body(MODEL);
    push.header("authorization", one).send().await.ok();
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let subscribe = app.request(Method::POST, "/v1/subscribe").body(subscribe);
    subscribe.header("authorization", one).send().await.ok();
    let source = async |key: &str| {
        let headers = [("authorization", key)];
        let limits = app.get_with("/v1/limits?org=org:a", &headers).await.ok();
        app.settled().await;
        limits.header("tier-source").to_owned()
    };
    for (key, expected) in [
        (one, "stripe"),
        (one, "memory"),
        (two, "stripe"),
        (two, "memory"),
        (one, "memory"),
    ] {
        assert_eq!(source(key).await, expected, "{key}");
    }
    let report = r#"{"org":"org:a","feature":"feature:f","n":3}"#;
    let report = app.request(Method::POST, "/v1/report").body(report);
    report.header("authorization", two).send().await.ok();
    let headers = [("authorization", one)];
    let limits = app.get_with("/v1/limits?org=org:a", &headers).await.ok();
    assert_eq!(limits.json()["usage"][0]["used"], 3);
    assert_eq!(limits.header("tier-source"), "memory");

    // The same holds while Stripe is unavailable.
    let third = "Bearer rk_test_three";
    app.get_with("/v1/whois?org=org:a", &[("authorization", third)])
        .await
        .ok();
    let gone = Rule::new("GET", "/v1/*", Action::Status(503, None));
    stripe.sandbox().add_fault(gone);
    let headers = [("authorization", third)];
    let refused = app.get_with("/v1/limits?org=org:a", &headers).await;
    refused.fails(502, "stripe_unavailable");
}
