//! Probes and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use stripe_sandbox::{Action, Rule};
use tier::api::Keys;
use tokio::sync::Notify;

use crate::harness::{Settings, TestApp};
use crate::web::Web;
use testing::time::{hold_time, until};

#[tokio::test]
async fn readiness_calls_stripe_but_not_for_every_probe() {
    let nowhere = Settings {
        stripe_url: Some("http://127.0.0.1:1".to_owned()),
        ..Settings::default()
    };
    let app = TestApp::with(nowhere).await;
    app.get("/readyz").await.fails(502, "stripe_unavailable");
    app.get("/healthz").await.ok();

    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.keys = Keys::new(["one"]));
    let _time = hold_time();
    for _ in 0..20 {
        app.get("/readyz").await.ok();
    }
    assert_eq!(app.stripe_calls(), 1);
}

#[tokio::test]
async fn probes_that_time_out_share_one_call_and_its_result() {
    let (asked, answer) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let calls = Arc::<AtomicUsize>::default();
    let (reached, told, counted) = (asked.clone(), answer.clone(), calls.clone());
    let stripe = Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        reached.notify_one();
        told.notified().await;
        r#"{"id":"acct_1","object":"account","created":1}"#
    });
    let stripe = Web::start(stripe).await;
    let app = TestApp::with(Settings {
        stripe_url: Some(stripe.url().to_owned()),
        ..Settings::default()
    })
    .await;
    let _time = hold_time();
    for _ in 0..8 {
        let gives_up = Box::pin(app.get("/readyz"));
        assert!(futures::poll!(gives_up).is_pending());
    }
    asked.notified().await;

    // The server soon answers waiting probes with the last known state.
    tokio::time::advance(Duration::from_millis(2500)).await;
    let unsure = app.get("/readyz").await.fails(503, "stripe_unavailable");
    assert_eq!(unsure.header("retry-after"), "1");
    assert_eq!(
        unsure.json()["message"],
        "Stripe was asked 2 s ago and has not answered yet"
    );

    answer.notify_one();
    until("ready", async || {
        (app.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    app.get("/readyz").await.ok();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn requests_and_calls_are_counted_by_endpoint_and_outcome() {
    let app = TestApp::start().await;
    app.get("/v1/whoami").await.ok();
    app.get("/v1/whois?org=org:nobody")
        .await
        .fails(400, "org_not_found");
    app.get("/v1/made/up/path").await.fails(404, "not_found");
    let open = [(
        "accept",
        "application/openmetrics-text;version=1.0.0,*/*;q=0.2",
    )];
    let open = app.get_with("/metrics", &open).await.ok();
    assert!(
        open.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    // Clients that name no format get the classic one.
    let shown = app.get("/metrics").await.ok();
    assert_eq!(
        shown.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(shown.body.contains("# TYPE tier_panics_total counter\n"));
    assert!(shown.body.contains("\nprocess_open_fds "), "{}", shown.body);
    for line in [
        "tier_http_requests_total{endpoint=\"/v1/whoami\",status=\"200\",code=\"\"} 1",
        "tier_http_requests_total{endpoint=\"/v1/whois\",status=\"400\",code=\"org_not_found\"} 1",
        "tier_http_requests_total{endpoint=\"none\",status=\"404\",code=\"not_found\"} 1",
        "tier_http_request_duration_seconds_count{endpoint=\"/v1/whoami\"} 1",
        "tier_http_requests_in_flight 1",
        "tier_stripe_calls_total{endpoint=\"/v1/account\",outcome=\"ok\"} 1",
        "tier_stripe_calls_total{endpoint=\"/v1/customers/search\",outcome=\"ok\"} 1",
        "tier_cache_lookups_total{cache=\"orgs\",outcome=\"miss\"} 1",
        concat!(
            "tier_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(
            shown.body.lines().any(|shown| shown == line),
            "{line} is not in\n{}",
            shown.body
        );
    }
    assert!(!shown.body.contains("made/up"));
}

#[tokio::test]
async fn metrics_need_a_key_where_calls_do() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.keys = Keys::new(["one"]));
    app.get("/metrics").await.fails(401, "unauthorized");
    app.get_with("/metrics", &[("authorization", "Bearer one")])
        .await
        .ok();
    let elsewhere = app.adjusted(|app| app.shows_metrics = false);
    elsewhere.get("/metrics").await.fails(404, "not_found");
}

#[tokio::test]
async fn the_page_about_the_api_loads_nothing() {
    let app = TestApp::start().await;
    let page = app.get("/docs").await.ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let (_, style) = page.body.split_once("<style>").expect("a style");
    let (style, _) = style.split_once("</style>").expect("its end");
    let digest = STANDARD.encode(Sha256::digest(style));
    let policy = format!("default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'");
    assert_eq!(page.header("content-security-policy"), policy);
    assert!(page.body.contains("<code>/v1/limits</code>"));
}

/// A check of all log lines fails the test run if one of these secrets is logged.
#[tokio::test]
async fn secrets_in_text_from_outside_are_not_logged() {
    let app = TestApp::start().await;
    let answer = app
        .request(Method::GET, "/v1/whois?org=org:jo@acme.example")
        .header("idempotency-key", "usage:jo@acme.example:sk_test_abc")
        .header("x-request-id", "jo@acme.example")
        .header("tier-clock", "jo@acme.example");
    let answer = answer.send().await;
    assert_ne!(answer.header("x-request-id"), "jo@acme.example");
    // "sk_test_abc:", encoded as in Basic authorization.
    let encoded = "c2tfdGVzdF9hYmM6";
    let headers = [("idempotency-key", encoded), ("x-request-id", encoded)];
    let answer = app.get_with("/v1/whoami", &headers).await;
    assert_ne!(answer.header("x-request-id"), encoded);
    let body = r#"{"org": "org:a", "info": {"payment_method": "4242424242424242"}}"#;
    // The card number is sent first to create the customer, and then to attach the card.
    for _ in 0..2 {
        app.post("/v1/subscribe", body).await;
        app.post("/v1/subscribe", r#"{"org": "org:a", "info": {}}"#)
            .await
            .ok();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted() {
    let app = TestApp::start().await;
    let slow = Rule::new("*", "*", Action::Delay(Duration::from_secs(600)));
    app.sandbox().add_fault(slow);
    app.hang_up(app.request(Method::GET, "/v1/whoami")).await;
    let numbers = app.get("/metrics").await.ok().body;
    let counted =
        r#"tier_http_requests_total{endpoint="/v1/whoami",status="499",code="client_gone"} 1"#;
    assert!(numbers.contains(counted), "{numbers}");
    assert_eq!(app.metrics().in_flight.get(), 0);
}
