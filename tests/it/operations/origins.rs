//! Web pages cannot call unless they may.

use std::sync::Arc;

use axum::http::HeaderValue;
use tier::api::{Keys, Origins};

use super::{Service, build};

const PAGE: &str = "https://app.example";

fn allow(origins: &[&'static str], loopback_only: bool) -> Origins {
    let allowed: Arc<[_]> = origins
        .iter()
        .copied()
        .map(HeaderValue::from_static)
        .collect();
    Origins {
        allowed,
        loopback_only,
    }
}

#[tokio::test]
async fn a_page_that_is_not_allowed_is_refused_before_anything_happens() {
    let open = Service::start(|_| ()).await;
    let some = Service::start(|app| app.origins = allow(&[PAGE], false)).await;
    for service in [open, some] {
        for origin in [
            "https://evil.example",
            "null",
            "http://app.example",
            "https://app.example.evil",
        ] {
            let cancel = r#"{"org":"org:a","phases":[{}]}"#;
            let post = build("POST", "/v1/subscribe", &[("origin", origin)], cancel);
            service.send(post).await.is(403, "forbidden");
            service
                .get("/v1/whoami", &[("origin", origin)])
                .await
                .is(403, "forbidden");
            let asks = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
            ];
            let preflight = service
                .send(build("OPTIONS", "/v1/subscribe", &asks, ""))
                .await;
            assert_eq!(preflight.status, 403);
            assert_eq!(preflight.header("access-control-allow-origin"), "");
        }
        assert_eq!(service.stripe_calls(), 0);
        service
            .get("/healthz", &[("origin", "https://evil.example")])
            .await
            .is(200, "");
    }
}

#[tokio::test]
async fn an_allowed_page_may_ask_and_read_answers_and_errors_with_credentials() {
    let service = Service::start(|app| {
        app.origins = allow(&["https://other.example", PAGE], false);
        app.keys = Keys::new(["one"]);
    })
    .await;
    let asks = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,tier-clock",
        ),
    ];
    // A browser asks without a key.
    let preflight = service
        .send(build("OPTIONS", "/v1/report", &asks, ""))
        .await
        .is(200, "");
    assert_eq!(preflight.header("access-control-allow-origin"), PAGE);
    assert_eq!(preflight.header("access-control-allow-credentials"), "true");
    let allowed = preflight.header("access-control-allow-headers");
    for header in [
        "authorization",
        "content-type",
        "tier-clock",
        "idempotency-key",
        "user-agent",
    ] {
        assert!(allowed.contains(header), "{header} in {allowed}");
    }
    let called = service.get(
        "/v1/whoami",
        &[("origin", PAGE), ("authorization", "Bearer one")],
    );
    let answer = called.await.is(200, "");
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("retry-after")
    );
    let refused = service
        .get("/v1/whoami", &[("origin", PAGE)])
        .await
        .is(401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn an_open_port_is_called_by_loopback_names_only() {
    let service = Service::start(|app| app.origins = allow(&[], true)).await;
    for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
        service
            .get("/v1/whoami", &[("host", host)])
            .await
            .is(200, "");
    }
    let before = service.stripe_calls();
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "192.168.0.1:8080",
    ] {
        service
            .get("/v1/whoami", &[("host", host)])
            .await
            .is(403, "forbidden");
        service.get("/healthz", &[("host", host)]).await.is(200, "");
    }
    assert_eq!(service.stripe_calls(), before);
}
