//! What operators look at: probes and numbers.

use tier::api::{App, Keys, router};
use tier::clock::Clock;
use tier::domain::Domain;
use tier::stripe::{Client, Credentials};

use super::{Service, build, send, transport};

#[tokio::test]
async fn readiness_asks_stripe_but_not_for_every_probe() {
    let service = Service::start(|app| app.keys = Keys::new(["one"])).await;
    for _ in 0..20 {
        service.get("/readyz", &[]).await.is(200, "");
    }
    assert_eq!(service.stripe_calls(), 1);

    let nowhere = transport("http://127.0.0.1:1");
    let client = Client::new(nowhere, Credentials::new("sk_test_x"));
    let app = App::new(Domain::new(client, Clock::system(), "sandbox"));
    let router = router(app);
    send(&router, build("GET", "/readyz", &[], ""))
        .await
        .is(502, "stripe_unavailable");
    send(&router, build("GET", "/healthz", &[], ""))
        .await
        .is(200, "");
}

#[tokio::test]
async fn requests_and_calls_are_counted_by_endpoint_and_outcome() {
    let service = Service::start(|_| ()).await;
    service.get("/v1/whoami", &[]).await.is(200, "");
    service
        .get("/v1/whois?org=org:nobody", &[])
        .await
        .is(400, "org_not_found");
    service
        .get("/v1/made/up/path", &[])
        .await
        .is(404, "not_found");
    let shown = service.get("/metrics", &[]).await.is(200, "");
    assert!(
        shown
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
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
async fn numbers_need_a_key_where_calls_do() {
    let service = Service::start(|app| app.keys = Keys::new(["one"])).await;
    service.get("/metrics", &[]).await.is(401, "unauthorized");
    service
        .get("/metrics", &[("authorization", "Bearer one")])
        .await
        .is(200, "");
    let elsewhere = Service::start(|app| app.shows_metrics = false).await;
    elsewhere.get("/metrics", &[]).await.is(404, "not_found");
}

#[tokio::test]
async fn the_document_is_a_page_that_loads_nothing() {
    let service = Service::start(|_| ()).await;
    let page = service.get("/docs", &[]).await.is(200, "");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert!(page.body.contains("<code>/v1/limits</code>"));
}
