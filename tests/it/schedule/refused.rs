//! Changes that are refused before anything is written.

use axum::http::StatusCode;
use serde_json::json;

use super::{schedule, start};
use crate::harness::TestApp;

#[tokio::test]
async fn requests_that_contradict_themselves() {
    let app = start().await;
    let pro = json!(["plan:pro@1"]);
    for phases in [
        json!([{"features": pro}, {"features": pro}]),
        json!([{"effective": "2023-03-01T00:00:00Z", "features": pro}, {"effective": "2023-02-01T00:00:00Z", "features": pro}]),
        json!([{"effective": "2023-03-01T00:00:00Z", "features": pro}, {"effective": "2023-03-01T00:00:00Z", "features": pro}]),
        json!([{}, {"effective": "2023-02-01T00:00:00Z", "features": pro}]),
        json!([{"features": pro}, {"effective": "2023-02-01T00:00:00Z"}, {"effective": "2023-03-01T00:00:00Z", "features": pro}]),
    ] {
        let answer = schedule(&app, phases.clone())
            .await
            .fails(400, "invalid_request");
        assert_ne!(answer.json()["message"], "", "{phases}");
    }
    app.get("/v1/whois?org=org:a")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn references_are_looked_up_before_anything_is_written() {
    let app = start().await;
    for reference in [
        "plan:none@1",
        "plan:pro@2",
        "feature:none@plan:pro@1",
        "feature:calls@1",
    ] {
        let body = json!({"org": "org:a", "info": {"name": "A"}, "phases": [{"features": ["plan:pro@1", reference]}]});
        let answer = app
            .post_json("/v1/subscribe", &body)
            .await
            .fails(400, "TERR1020");
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.body, @r#"
            {
                "status": 400,
                "code": "TERR1020",
                "message": "feature or plan not found"
            }
            "#);
        }
    }
    app.get("/v1/whois?org=org:a")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn more_than_stripe_takes_is_said() {
    let app = TestApp::start().await;
    let features: serde_json::Map<_, _> = (0..21)
        .map(|i| (format!("feature:f{i}"), json!({"base": 1})))
        .collect();
    app.push(&json!({"plans": {"plan:big@1": {"features": features}}}))
        .await;
    let answer = schedule(&app, json!([{"features": ["plan:big@1"]}])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("20"),
        "{}",
        answer.body
    );
}
