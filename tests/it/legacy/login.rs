//! Device login of the client of 2022: the device's requests, and the page on which a person gives the device a key.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tier::api::{DeviceLogin, Keys};

use super::SECOND;
use crate::harness::{Answer, TestApp};

const DEVICE: &str = "70911773-1f4c-4b0e-9d0e-0c6f2f0d6a5b";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const HOST: (&str, &str) = ("host", "tier.example:8080");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A server with these keys, which lets devices log in.
async fn start(keys: &[&'static str]) -> TestApp {
    let app = TestApp::start().await;
    let clock = app.sandbox().clock().clone();
    app.adjusted(|app| {
        app.login = Some(DeviceLogin::new(clock));
        app.keys = Keys::new(keys.iter().copied());
    })
}

async fn post(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let call = app.request(Method::POST, path).headers(&[HOST, FORM]);
    call.body(body).send().await
}

async fn begin(app: &TestApp) -> Value {
    let begun = post(app, "/auth/cli", &[("client_id", DEVICE)]).await.ok();
    assert_eq!(begun.header("cache-control"), "no-store");
    begun.json()
}

async fn poll_as(app: &TestApp, client: &str, login: &Value) -> Answer {
    let code = login["device_code"].as_str().expect("a code");
    let fields = [
        ("client_id", client),
        ("device_code", code),
        ("grant_type", GRANT),
    ];
    let answer = post(app, "/auth/cli", &fields).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer
}

/// Waits for the interval, and polls.
async fn poll(app: &TestApp, login: &Value) -> Answer {
    app.advance(2 * SECOND);
    poll_as(app, DEVICE, login).await
}

#[track_caller]
fn fails(answer: &Answer, error: &str) {
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(answer.json(), json!({ "error": error }));
}

async fn verify(app: &TestApp, code: &str, key: &str) -> Answer {
    let fields = [("user_code", code), ("key", key)];
    post(app, "/auth/cli/verify", &fields).await
}

fn code(login: &Value) -> &str {
    login["user_code"].as_str().expect("a code")
}

/// Checks that the page has this status and text, loads nothing, and can be neither framed nor cached.
#[track_caller]
fn says(page: &Answer, status: u16, text: &str) {
    assert_eq!(page.status, status, "{}", page.body);
    assert!(page.body.contains(text), "{text:?} is not in {}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "same-origin");
    for loads in [
        "<script", "<style", "<link", "<img", " style=", " onclick", "src=",
    ] {
        assert!(!page.body.contains(loads), "{loads}");
    }
}

#[tokio::test]
async fn a_device_receives_the_key_that_a_person_types_with_its_code() {
    let app = start(&["one", "right"]).await;
    let login = begin(&app).await;
    let page = "http://tier.example:8080/auth/cli/verify";
    let complete = format!("{page}?code={}", code(&login));
    assert_eq!(login["verification_uri"], page);
    assert_eq!(login["verification_uri_complete"], complete);
    assert_eq!(login["expires_in"], 600);
    fails(&poll(&app, &login).await, "authorization_pending");
    let link = format!("/auth/cli/verify?code={}", code(&login));
    says(
        &app.get(&link).await,
        200,
        &format!("value=\"{}\"", code(&login)),
    );
    let typed = code(&login).to_lowercase().replace('-', " ");
    says(&verify(&app, &typed, " right ").await, 200, "Logged in");
    says(&verify(&app, code(&login), "right").await, 400, "No login");
    let token = poll(&app, &login).await.ok().json();
    assert_eq!(
        token,
        json!({"access_token": "right", "token_type": "basic"})
    );
    fails(&poll(&app, &login).await, "expired_token");
}

#[tokio::test]
async fn a_server_without_keys_accepts_only_local_as_the_key() {
    let app = start(&[]).await;
    says(
        &app.get("/auth/cli/verify").await,
        200,
        "<code>local</code>",
    );
    let login = begin(&app).await;
    says(
        &verify(&app, code(&login), "sk_mine").await,
        400,
        "does not accept this key",
    );
    says(&verify(&app, code(&login), "local").await, 200, "Logged in");
    assert_eq!(
        poll(&app, &login).await.ok().json()["access_token"],
        "local"
    );
    let keyed = start(&["right"]).await;
    let login = begin(&keyed).await;
    says(
        &verify(&keyed, code(&login), "local").await,
        400,
        "does not accept this key",
    );
}

#[tokio::test]
async fn five_wrong_keys_end_a_login() {
    let app = start(&["right"]).await;
    let login = begin(&app).await;
    for wrong in ["", "wrong", "righ", "rightt"] {
        let page = verify(&app, code(&login), wrong).await;
        says(&page, 400, "does not accept this key");
        assert!(page.body.contains(code(&login)));
        fails(&poll(&app, &login).await, "authorization_pending");
    }
    says(&verify(&app, code(&login), "RIGHT").await, 400, "void");
    says(&verify(&app, code(&login), "right").await, 400, "No login");
    fails(&poll(&app, &login).await, "access_denied");
    fails(&poll(&app, &login).await, "expired_token");
}

#[tokio::test]
async fn a_login_expires() {
    let app = start(&["right"]).await;
    let (login, approved) = (begin(&app).await, begin(&app).await);
    says(
        &verify(&app, code(&approved), "right").await,
        200,
        "Logged in",
    );
    app.advance(Duration::from_secs(600));
    says(&verify(&app, code(&login), "right").await, 400, "expired");
    for login in [login, approved] {
        fails(&poll_as(&app, DEVICE, &login).await, "expired_token");
    }
}

#[tokio::test]
async fn a_device_that_polls_too_often_is_slowed_down() {
    let app = start(&["right"]).await;
    let login = begin(&app).await;
    assert_eq!(login["interval"], 2);
    says(&verify(&app, code(&login), "right").await, 200, "Logged in");
    fails(&poll_as(&app, DEVICE, &login).await, "slow_down");
    fails(&poll(&app, &login).await, "slow_down");
    app.advance(12 * SECOND);
    poll_as(&app, DEVICE, &login).await.ok();
}

#[tokio::test]
async fn malformed_requests_get_the_errors_of_the_standard() {
    let app = start(&["right"]).await;
    let login = begin(&app).await;
    let long = "x".repeat(101);
    let with_grant = |grant| {
        [
            ("client_id", DEVICE),
            ("device_code", "x"),
            ("grant_type", grant),
        ]
    };
    for (fields, error) in [
        (&[][..], "invalid_request"),
        (&[("client_id", "")], "invalid_request"),
        (&[("client_id", &long)], "invalid_request"),
        (
            &[("client_id", DEVICE), ("device_code", "x")],
            "invalid_request",
        ),
        (
            &[("client_id", DEVICE), ("grant_type", GRANT)],
            "invalid_request",
        ),
        (&with_grant("password"), "unsupported_grant_type"),
        (&with_grant(GRANT), "expired_token"),
    ] {
        fails(&post(&app, "/auth/cli", fields).await, error);
    }
    app.advance(2 * SECOND);
    fails(&poll_as(&app, "another", &login).await, "invalid_grant");
    let nameless = app.request(Method::POST, "/auth/cli").body("client_id=a");
    fails(&nameless.send().await, "invalid_request");
    let large = format!("client_id=a&x={}", "x".repeat(4096));
    let large = app.request(Method::POST, "/auth/cli").body(large);
    large.send().await.fails(413, "request_too_large");
    for wrong in ["", "ABCD-EFGH", "BCDF-GHJK", "<b>"] {
        let page = verify(&app, wrong, "right").await;
        says(&page, 400, "No login");
        assert!(!page.body.contains("<b>"));
    }
    let shown = app.get("/auth/cli/verify?code=%22%3E%3Cb%3E").await;
    says(&shown, 200, "<form");
    assert!(!shown.body.contains("<b>"));
}

#[tokio::test]
async fn logins_and_failures_are_limited_per_address() {
    let app = start(&["right"]).await;
    let login = begin(&app).await;
    for _ in 1..20 {
        begin(&app).await;
    }
    let refused = post(&app, "/auth/cli", &[("client_id", DEVICE)]).await;
    assert_eq!(refused.header("retry-after"), "600");
    refused.fails(429, "rate_limited");
    for _ in 0..20 {
        says(&verify(&app, "BCDF-GHJ", "right").await, 400, "No login");
    }
    let refused = verify(&app, code(&login), "right").await;
    refused.fails(429, "rate_limited");
    app.advance(Duration::from_secs(600));
    let login = begin(&app).await;
    says(&verify(&app, code(&login), "right").await, 200, "Logged in");
}

#[tokio::test]
async fn only_the_servers_own_page_may_send_the_form() {
    let app = start(&["right"]).await;
    let login = begin(&app).await;
    let form = format!("user_code={}&key=right", code(&login));
    let send = async |path: &'static str, origin: &'static str| {
        let call = app.request(Method::POST, path).headers(&[HOST, FORM]);
        call.header("origin", origin)
            .body(form.as_str())
            .send()
            .await
    };
    for origin in [
        "null",
        "http://evil.example",
        "http://tier.example",
        "http://tier.example:8081",
        "ftp://tier.example:8080",
        "http://evil.tier.example:8080",
    ] {
        let refused = send("/auth/cli/verify", origin).await;
        refused.fails(403, "forbidden");
    }
    // Somebody else may have pointed this name at this machine, so a page without a key may not begin a login there.
    let own = "http://tier.example:8080";
    send("/auth/cli", own).await.fails(403, "forbidden");
    send("/api/v1/append", own).await.fails(401, "unauthorized");
    for origin in ["http://tier.example:8080", "https://tier.example:8080"] {
        let login = begin(&app).await;
        let form = format!("user_code={}&key=right", code(&login));
        let call = app.request(Method::POST, "/auth/cli/verify");
        let call = call.headers(&[HOST, FORM, ("origin", origin)]);
        says(&call.body(form).send().await, 200, "Logged in");
    }
}

#[tokio::test]
async fn login_is_off_by_default() {
    let app = TestApp::start().await;
    for path in ["/auth/cli", "/auth/cli/verify"] {
        let refused = post(&app, path, &[("client_id", DEVICE)]).await;
        refused.fails(404, "not_found");
    }
    app.get("/auth/cli/verify").await.fails(404, "not_found");
}
