//! `whoami` and `org` of the API of 2022.

use axum::http::Method;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tier::api::Keys;

use super::{append, get_as_go, server};
use crate::harness::TestApp;

#[tokio::test]
async fn the_account_is_an_org() {
    let app = TestApp::start().await;
    let today = app.get("/v1/whoami").await.ok().json();
    let answer = get_as_go(&app, "/api/v1/whoami").await.ok().json();
    let id = today["id"].as_str().expect("an id");
    assert_eq!(answer["org"], format!("org:{id}"));
    for (field, value) in today.as_object().expect("an object") {
        assert_eq!(answer[field], *value, "{field}");
    }
}

#[tokio::test]
async fn keys_are_basic_users_or_bearer_tokens_and_are_ignored_without_keys() {
    let app = TestApp::start().await;
    let basic = |key: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")));
    for authorization in [basic("any"), "Bearer any".to_owned(), "Digest x".to_owned()] {
        let header = [("authorization", authorization.as_str())];
        app.get_with("/api/v1/whoami", &header).await.ok();
    }
    let app = app.adjusted(|app| app.keys = Keys::new(["right"]));
    for (authorization, status) in [
        (basic("right"), 200),
        ("Bearer right".to_owned(), 200),
        (basic("wrong"), 401),
        ("Bearer wrong".to_owned(), 401),
        (String::new(), 401),
    ] {
        for path in ["/api/v1/whoami", "/api/v1/pull", "/web/pricing-page/-/"] {
            let header = [("authorization", authorization.as_str())];
            let answer = app.get_with(path, &header).await;
            assert_eq!(answer.status, status, "{authorization} {path}");
            if status == 401 {
                let expected =
                    json!({"status": 401, "code": "unauthorized", "message": "Unauthorized"});
                assert_eq!(answer.json(), expected);
            }
        }
    }
}

#[tokio::test]
async fn an_org_has_the_details_of_its_customer() {
    let app = server().await;
    append(&app, "org:user+x@example.com", "plan:free@1", None)
        .await
        .ok();
    let org = get_as_go(&app, "/api/v1/org?org=org:user+x@example.com")
        .await
        .ok()
        .json();
    let whois = app.get("/v1/whois?org=org:user%2Bx@example.com").await;
    let customer = whois.ok().json()["stripe_id"].clone();
    let customer = customer.as_str().expect("an id");
    let expected = json!({
        "id": "org:user+x@example.com", "name": "org:user+x@example.com", "delinquent": false,
        "live_mode": false, "url": format!("https://dashboard.stripe.com/test/customers/{customer}"),
    });
    assert_eq!(org, expected);
    let info = json!({"email": "jo@acme.example", "phone": "+1 555 0100", "name": "Jo"});
    let request = json!({"org": "org:acme", "info": info});
    app.post_json("/v1/subscribe", &request).await.ok();
    let org = app.get("/api/v1/org?org=org:acme").await.ok().json();
    assert_eq!(
        (&org["email"], &org["phone"]),
        (&json!("jo@acme.example"), &json!("+1 555 0100"))
    );
    assert_eq!(org["name"], "org:acme");
    app.get("/api/v1/org?org=org:nobody")
        .await
        .fails(404, "not_found");
    app.get("/api/v1/org").await.fails(400, "invalid_request");
    // The customer is deleted in Stripe, and the server does not know it.
    let whois = app.get("/v1/whois?org=org:acme").await.ok().json();
    let customer = whois["stripe_id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/customers/{customer}"))
        .await;
    app.get("/api/v1/org?org=org:acme")
        .await
        .fails(404, "not_found");
}

#[tokio::test]
async fn unknown_paths_and_orgs_are_not_found() {
    let app = TestApp::start().await;
    for (method, path, status) in [
        (Method::GET, "/api/v1/check", 404),
        (Method::GET, "/api/v1/model", 404),
        (Method::GET, "/api/v1/", 404),
        (Method::POST, "/api/v1/schedule", 405),
        (Method::GET, "/api/v1/push", 405),
    ] {
        let answer = app.request(method.clone(), path).send().await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}
