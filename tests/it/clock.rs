//! Test clocks and their customers.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use crate::harness::TestApp;

async fn make(app: &TestApp) -> String {
    let request = json!({"name": "a year", "present": "2023-01-01T00:00:00Z"});
    let clock = app.post_json("/v1/clock", &request).await.ok().json();
    clock["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_clock_to_the_byte() {
    let app = TestApp::start().await;
    let request = json!({"name": "a year", "present": "2023-01-01T01:00:00.9+01:00"});
    let made = app.post_json("/v1/clock", &request).await.ok();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(made.body.replace(&id, "clock_1"), @r#"
    {
    	"id": "clock_1",
    	"link": "https://dashboard.stripe.com/test/test-clocks/clock_1",
    	"present": "2023-01-01T00:00:00Z",
    	"status": "ready"
    }
    "#);
    assert_eq!(
        app.get(&format!("/v1/clock?id={id}")).await.ok().body,
        made.body
    );
}

#[tokio::test]
async fn a_clock_advances() {
    let app = TestApp::start().await;
    let id = make(&app).await;
    let request = json!({"id": id, "present": "2023-02-01T00:00:00Z"});
    app.post_json("/v1/clock", &request).await.ok();
    let clock = app.get(&format!("/v1/clock?id={id}")).await.ok().json();
    assert_eq!(clock["present"], "2023-02-01T00:00:00Z");
}

#[tokio::test]
async fn field_names_of_the_go_client_are_accepted() {
    let app = TestApp::start().await;
    let made = app
        .post(
            "/v1/clock",
            r#"{"ID":"","Name":"x","Present":"2023-01-01T00:00:00Z"}"#,
        )
        .await
        .ok()
        .json();
    let request = json!({"ID": made["id"], "Name": "", "Present": "2023-01-02T00:00:00Z"});
    let advanced = app.post_json("/v1/clock", &request).await.ok().json();
    assert_eq!(advanced["id"], made["id"]);
    // Of fields whose names differ only in case, the exact match counts.
    let twice = app
        .post(
            "/v1/clock",
            r#"{"id":"clock_a","ID":"clock_b","present":"2023-01-03T00:00:00Z"}"#,
        )
        .await
        .fails(400, "invalid_request");
    let message = twice.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("clock_a"), "{message}");
}

#[tokio::test]
async fn refusals_have_stripes_message() {
    let app = TestApp::start().await;
    let unknown = app
        .get("/v1/clock?id=clock_none")
        .await
        .fails(400, "invalid_request");
    insta::assert_snapshot!(unknown.body, @r#"
    {
        "status": 400,
        "code": "invalid_request",
        "message": "No such test clock: 'clock_none'"
    }
    "#);
    let id = make(&app).await;
    let back = json!({"id": id, "present": "2022-01-01T00:00:00Z"});
    let back = app
        .post_json("/v1/clock", &back)
        .await
        .fails(400, "invalid_request");
    assert_ne!(back.json()["message"], "");
    // An id is always one path segment, whatever characters it contains.
    app.get("/v1/clock?id=../../v1/customers")
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn an_org_belongs_to_the_test_clock_it_was_created_on() {
    let app = TestApp::start().await;
    let id = make(&app).await;
    let request = json!({"org": "org:a", "info": {}}).to_string();
    app.forget_calls();
    app.request(Method::POST, "/v1/subscribe")
        .header("tier-clock", &id)
        .body(request)
        .send()
        .await
        .ok();
    // A write of an org's details does not need the time.
    assert!(
        app.sent("GET /v1/test_helpers/test_clocks/:id").is_empty(),
        "{:?}",
        app.sandbox().counts(None)
    );
    app.request(Method::GET, "/v1/whois?org=org:a")
        .header("tier-clock", &id)
        .send()
        .await
        .ok();
    let other = make(&app).await;
    let elsewhere = app
        .request(Method::GET, "/v1/whois?org=org:a")
        .header("tier-clock", &other)
        .send()
        .await;
    elsewhere.fails(400, "org_not_found");
    // By now search finds this customer, as it finds every customer.
    app.advance(Duration::from_secs(60));
    let without = app.get("/v1/whois?org=org:a").await;
    without.fails(400, "org_not_found");
}

#[tokio::test]
async fn an_unknown_clock_is_refused() {
    let app = TestApp::start().await;
    let body = json!({"org": "org:a", "info": {"name": "A"}}).to_string();
    let made = app
        .request(Method::POST, "/v1/subscribe")
        .header("tier-clock", "clock_none")
        .body(body);
    let answer = made.send().await.fails(400, "invalid_request");
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("clock_none"),
        "{}",
        answer.body
    );
    // An empty header counts as a missing header.
    app.request(Method::GET, "/v1/whoami")
        .header("tier-clock", "")
        .send()
        .await
        .ok();
}
