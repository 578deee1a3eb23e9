//! Web pages may call the server only from an allowed origin.

use std::sync::Arc;

use axum::http::{HeaderValue, Method};
use tier::api::{Keys, Origins};

use crate::harness::TestApp;

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
    let open = TestApp::start().await;
    let some = TestApp::start().await;
    let some = some.adjusted(|app| app.origins = allow(&[PAGE], false));
    for app in [open, some] {
        for origin in [
            "https://evil.example",
            "null",
            "http://app.example",
            "https://app.example.evil",
        ] {
            let cancel = r#"{"org":"org:a","phases":[{}]}"#;
            let post = app.request(Method::POST, "/v1/subscribe").body(cancel);
            let refused = post.header("origin", origin).send().await;
            refused.fails(403, "forbidden");
            app.get_with("/v1/whoami", &[("origin", origin)])
                .await
                .fails(403, "forbidden");
            let asks = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
            ];
            let preflight = app.request(Method::OPTIONS, "/v1/subscribe");
            let preflight = preflight.headers(&asks).send().await;
            assert_eq!(preflight.status, 403);
            assert_eq!(preflight.header("access-control-allow-origin"), "");
        }
        assert_eq!(app.stripe_calls(), 0);
        app.get_with("/healthz", &[("origin", "https://evil.example")])
            .await
            .ok();
    }
}

#[tokio::test]
async fn an_allowed_page_may_ask_and_read_answers_and_errors_with_credentials() {
    let app = TestApp::start().await.adjusted(|app| {
        app.origins = allow(&["https://other.example", PAGE], false);
        app.keys = Keys::new(["one"]);
    });
    let asks = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,tier-clock",
        ),
    ];
    // A browser sends its preflight request without a key.
    let preflight = app.request(Method::OPTIONS, "/v1/report");
    let preflight = preflight.headers(&asks).send().await.ok();
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
    let called = app.get_with(
        "/v1/whoami",
        &[("origin", PAGE), ("authorization", "Bearer one")],
    );
    let answer = called.await.ok();
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("retry-after")
    );
    let refused = app
        .get_with("/v1/whoami", &[("origin", PAGE)])
        .await
        .fails(401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn an_open_port_accepts_loopback_names_only() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.origins = allow(&[], true));
    for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
        app.get_with("/v1/whoami", &[("host", host)]).await.ok();
    }
    let before = app.stripe_calls();
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "192.168.0.1:8080",
    ] {
        app.get_with("/v1/whoami", &[("host", host)])
            .await
            .fails(403, "forbidden");
        app.get_with("/healthz", &[("host", host)]).await.ok();
    }
    assert_eq!(app.stripe_calls(), before);
}

#[tokio::test]
async fn the_admin_listener_has_its_own_rule() {
    let app = TestApp::start().await;
    for api_is_loopback_only in [true, false] {
        let origins = allow(&[], api_is_loopback_only);
        let app = app.clone().adjusted(|app| app.origins = origins);
        for (loopback_only, host, status) in [
            (true, "127.0.0.1:9090", 200),
            (true, "evil.example:9090", 403),
            (false, "tier.internal:9090", 200),
            (false, "10.0.0.7:9090", 200),
        ] {
            let admin = app.admin(loopback_only);
            let host = [("host", host)];
            let numbers = admin.get_with("/metrics", &host).await;
            assert_eq!(numbers.status, status, "{host:?}");
            admin.get_with("/healthz", &host).await.ok();
        }
    }
}

#[tokio::test]
async fn without_keys_same_origin_calls_are_allowed_only_on_ip_addresses_and_localhost() {
    let open = TestApp::start().await;
    let keyed = TestApp::start().await;
    let keyed = keyed.adjusted(|app| app.keys = Keys::new(["one"]));
    for (host, without_keys) in [
        ("127.0.0.1:8080", true),
        ("localhost:8080", true),
        ("10.1.2.3:8080", true),
        ("[::1]:8080", true),
        ("[2001:db8::1]", true),
        // The owner of this name may point it at any machine, also at this one.
        ("evil.example:8080", false),
        ("10.1.2.3.example", false),
    ] {
        let origin = format!("http://{host}");
        for (app, taken) in [(&open, without_keys), (&keyed, true)] {
            let post = app.request(Method::POST, "/v1/push").body("{}");
            let key = ("authorization", "Bearer one");
            let own = [("origin", origin.as_str()), ("host", host), key];
            let answer = post.headers(&own).send().await;
            assert_eq!(answer.status == 200, taken, "{host}: {}", answer.body);
            // This request needs no key and changes no account, so it is allowed.
            let validate = app.request(Method::POST, "/v1/validate").body("{}");
            validate.headers(&own).send().await.ok();
        }
        for other in ["http://127.0.0.1:8081", "http://127.0.0.1", "null"] {
            let post = open.request(Method::POST, "/v1/push").body("{}");
            let refused = post
                .headers(&[("origin", other), ("host", host)])
                .send()
                .await;
            refused.fails(403, "forbidden");
        }
    }
}
