//! Rules that hold for all paths: methods, unknown paths, request ids, keys and sizes.

use axum::http::{Method, StatusCode};
use tier::api::Keys;

use crate::harness::TestApp;

#[tokio::test]
async fn paths_are_exact() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/whoami/",
        "/v1/nothing",
        "/V1/whoami",
        "//v1/whoami",
        "/v1/push/x",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.body, @r#"
            {
                "status": 404,
                "code": "not_found",
                "message": "Not Found"
            }
            "#);
        }
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn other_methods_are_refused_with_the_allowed_ones() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        (Method::POST, "/v1/whoami", "GET,HEAD"),
        (Method::DELETE, "/v1/limits", "GET,HEAD"),
        (Method::OPTIONS, "/v1/limits", "GET,HEAD"),
        (Method::GET, "/v1/report", "POST"),
        (Method::HEAD, "/v1/report", "POST"),
        (Method::PUT, "/v1/clock", "GET,HEAD,POST"),
        (Method::POST, "/healthz", "GET,HEAD"),
    ] {
        let answer = app.request(method.clone(), path).body("{}").send().await;
        assert_eq!(
            answer.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        if method != Method::HEAD {
            insta::allow_duplicates! {
                insta::assert_snapshot!(answer.body, @r#"
                {
                    "status": 405,
                    "code": "method_not_allowed",
                    "message": "Method Not Allowed"
                }
                "#);
            }
        }
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let app = TestApp::start().await;
    let get = app.get("/v1/whoami").await.ok();
    let head = app.request(Method::HEAD, "/v1/whoami").send().await.ok();
    assert_eq!(head.body, "");
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_a_new_one() {
    let app = TestApp::start().await;
    let named = app
        .request(Method::GET, "/healthz")
        .header("x-request-id", "mine-1")
        .send()
        .await;
    assert_eq!(named.header("x-request-id"), "mine-1");
    let (one, two) = (app.get("/healthz").await, app.get("/v1/nothing").await);
    assert_eq!(one.header("x-request-id").len(), 32);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[tokio::test]
async fn with_keys_every_v1_call_needs_one() {
    let keys = ["first".to_owned(), "second".to_owned()];
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.keys = Keys::new(keys.iter().map(String::as_str)));
    for path in ["/v1/whoami", "/v1/whois?org=org:a", "/v1/limits?org=org:a"] {
        let refused = app.get(path).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(
            refused
                .header("www-authenticate")
                .starts_with("Basic realm=\"tier\"")
        );
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused.body, @r#"
            {
                "status": 401,
                "code": "unauthorized",
                "message": "Unauthorized"
            }
            "#);
        }
    }
    let post = app.post("/v1/report", "{}").await;
    assert_eq!(post.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.stripe_calls(), 0);

    // These are `first:` and `second:` in Basic authentication.
    for key in [
        "Basic Zmlyc3Q6",
        "Basic c2Vjb25kOg==",
        "Bearer first",
        "Bearer second",
    ] {
        app.request(Method::GET, "/v1/whoami")
            .header("authorization", key)
            .send()
            .await
            .ok();
    }
    for key in [
        "Basic Og==",
        "Bearer third",
        "Bearer firs",
        "Basic first",
        "first",
    ] {
        let refused = app
            .request(Method::GET, "/v1/whoami")
            .header("authorization", key)
            .send()
            .await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{key}");
    }
    for open in ["/healthz", "/openapi.yaml", "/openapi.json"] {
        app.get(open).await.ok();
    }
}

#[tokio::test]
async fn without_keys_everybody_may_call() {
    let app = TestApp::start().await;
    for key in ["Basic Og==", "Basic c29tZXRoaW5nOg==", "Bearer x"] {
        app.request(Method::GET, "/v1/whoami")
            .header("authorization", key)
            .send()
            .await
            .ok();
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.limits.body = 1_000);
    for path in [
        "/v1/push",
        "/v1/report",
        "/v1/subscribe",
        "/v1/checkout",
        "/v1/clock",
    ] {
        let answer = app.post(path, " ".repeat(1_001)).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.body, @r#"
            {
                "status": 413,
                "code": "request_too_large",
                "message": "the body must not be larger than 1000 bytes"
            }
            "#);
        }
        let within = app.post(path, " ".repeat(1_000)).await;
        assert_ne!(within.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn health_probes_make_no_calls() {
    let app = TestApp::start().await;
    let answer = app.get("/healthz").await.ok();
    assert_eq!(
        (answer.body.as_str(), answer.header("content-type")),
        ("{}", "text/plain; charset=utf-8")
    );
    assert_eq!(app.stripe_calls(), 0);
}

/// The Go client sends a body with every GET.
#[tokio::test]
async fn the_body_of_a_read_is_ignored() {
    let app = TestApp::start().await;
    for body in ["null", "{", "\u{0}"] {
        app.request(Method::GET, "/v1/whoami")
            .body(body)
            .send()
            .await
            .ok();
    }
}

#[tokio::test]
async fn content_types_are_ignored() {
    let app = TestApp::start().await;
    for content_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let body = r#"{"org":"org:a","info":{"name":"A"}}"#;
        let request = app
            .request(Method::POST, "/v1/subscribe")
            .header("content-type", content_type);
        request.body(body).send().await.ok();
    }
}
