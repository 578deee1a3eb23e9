//! Wrong names, queries and headers get the right 400. The server calls Stripe for none of them.

use axum::http::{Method, StatusCode};

use crate::harness::TestApp;
use crate::malformed::refused;

const READS_OF_AN_ORG: [&str; 6] = [
    "/v1/whois",
    "/v1/limits",
    "/v1/phase",
    "/v1/phases",
    "/v1/payment_methods",
    "/v1/invoices",
];
const ORG: &str = "org must be prefixed with \"org:\"";
const NO_ORG: &str = "org is required: org must be prefixed with \"org:\"";

#[tokio::test]
async fn malformed_references() {
    let app = TestApp::start().await;
    for (body, message) in [
        ("", NO_ORG),
        ("null", NO_ORG),
        ("{}", NO_ORG),
        (r#"{"org":null}"#, NO_ORG),
        (r#"{"org":""}"#, NO_ORG),
        (r#"{"org":"org:"}"#, ORG),
        (r#"{"org":"acme"}"#, ORG),
        (r#"{"org":"ORG:a"}"#, ORG),
    ] {
        for path in ["/v1/report", "/v1/subscribe", "/v1/checkout"] {
            refused(&app, path, body, message).await;
        }
    }
    for (reference, message) in [
        ("", "plan name must start with 'plan:': \"\""),
        ("free@1", "plan name must start with 'plan:': \"free@1\""),
        ("plan:free", "plan must have version: \"plan:free\""),
        (
            "plan:@1",
            "plan name must match [a-zA-Z0-9:-]+: \"plan:@1\"",
        ),
        ("plan:a@", "plan must have version: \"plan:a@\""),
        ("feature:a", "feature plan must have version: \"feature:a\""),
        (
            "feature:a@plan:b",
            "feature plan version must match [a-zA-Z0-9-]+ or be a valid plan: \"feature:a@plan:b\"",
        ),
        (
            "feature:a b@plan:b@1",
            "feature plan name must match [a-zA-Z0-9:-]+: \"feature:a b@plan:b@1\"",
        ),
    ] {
        let body = serde_json::json!({"org": "org:a", "phases": [{"features": ["plan:good@1", reference]}]});
        refused(&app, "/v1/subscribe", body.to_string(), message).await;
        let body = serde_json::json!({"org": "org:a", "success_url": "https://x.example", "features": [reference]});
        refused(&app, "/v1/checkout", body.to_string(), message).await;
    }
    refused(
        &app,
        "/v1/report",
        r#"{"org":"org:a"}"#,
        "feature name must start with 'feature:': \"\"",
    )
    .await;
    refused(
        &app,
        "/v1/report",
        r#"{"org":"org:a","feature":"feature:a@1"}"#,
        "feature name must match [a-zA-Z0-9:-]+: \"feature:a@1\"",
    )
    .await;
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn queries() {
    let app = TestApp::start().await;
    for path in READS_OF_AN_ORG {
        for (query, message) in [
            ("", NO_ORG),
            ("?", NO_ORG),
            ("?org=", NO_ORG),
            ("?org=acme", ORG),
            ("?org=org:", ORG),
            ("?org", NO_ORG),
            ("?Org=org:a", NO_ORG),
            ("?org=%6frg", ORG),
            ("?x=org:a", NO_ORG),
            ("?org=&org=org:a", NO_ORG),
        ] {
            let answer = app.get(&format!("{path}{query}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}{query}");
            assert_eq!(answer.json()["message"], message, "{path}{query}");
        }
    }
    let clock = app.get("/v1/clock").await;
    assert_eq!(
        clock.json()["message"],
        "id must name a test clock: ?id=clock_…, or org an org that is on one"
    );
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn headers() {
    let app = TestApp::start().await;
    let long = "k".repeat(256);
    let body = r#"{"org":"org:a","feature":"feature:f"}"#;
    let answer = app
        .request(Method::POST, "/v1/report")
        .header("idempotency-key", &long)
        .body(body)
        .send()
        .await;
    assert_eq!(
        answer.json()["message"],
        "Idempotency-Key must not exceed 255 characters"
    );
    for clock in ["clock_\u{e9}", "clock 1", "clock\t1"] {
        let answer = app
            .request(Method::GET, "/v1/whoami")
            .header("tier-clock", clock)
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{clock:?}");
        assert_eq!(
            answer.json()["message"],
            "the header tier-clock must be visible ASCII, without spaces"
        );
    }
    assert_eq!(app.stripe_calls(), 0);
}
