//! Changes that are refused before anything is written.

use axum::http::StatusCode;
use serde_json::json;

use super::{schedule, start};
use tier::sandbox::{Action, Rule};

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
        let message = format!("feature or plan not found: {reference:?}");
        assert_eq!(answer.json()["message"], message);
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

async fn start_with_coupons() -> TestApp {
    let app = start().await;
    app.push(&json!({"plans": {
        "plan:yearly@1": {"interval": "@yearly", "features": {"feature:y": {"base": 1}}},
        "plan:euro@1": {"currency": "eur", "features": {"feature:e": {"base": 1}}},
    }}))
    .await;
    app.stripe_post(
        "/v1/coupons",
        &[("id", "euros"), ("amount_off", "5"), ("currency", "eur")],
    )
    .await;
    let spent = [
        ("id", "spent"),
        ("percent_off", "5"),
        ("max_redemptions", "1"),
    ];
    app.stripe_post("/v1/coupons", &spent).await;
    let other =
        json!({"org": "org:other", "phases": [{"features": ["plan:pro@1"], "coupon": "spent"}]});
    app.post_json("/v1/subscribe", &other).await.ok();
    app
}

/// Requests that are refused, each by its fields and the code of its answer.
fn refused() -> Vec<(serde_json::Value, &'static str)> {
    let phases =
        |features: &[&str], coupon: &str| json!([{"features": features, "coupon": coupon}]);
    let with = |phases: serde_json::Value| json!({"phases": phases});
    vec![
        (with(phases(&["plan:pro@1"], "none")), "invalid_request"),
        (with(phases(&["plan:pro@1"], "../x")), "invalid_request"),
        (with(phases(&["plan:pro@1"], "spent")), "invalid_request"),
        (with(phases(&["plan:pro@1"], "euros")), "invalid_request"),
        (
            with(json!([{"features": ["plan:pro@1"]},
            {"effective": "2023-02-01T00:00:00Z", "features": ["plan:pro@1"], "coupon": "none"}])),
            "invalid_request",
        ),
        (
            with(json!([{"features": ["plan:pro@1", "plan:yearly@1"]}])),
            "invalid_request",
        ),
        (
            with(json!([{"features": ["plan:pro@1", "plan:euro@1"]}])),
            "invalid_request",
        ),
        (
            json!({"payment_method_id": "pm_none", "phases": [{"features": ["plan:pro@1"]}]}),
            "invalid_payment_method",
        ),
        (
            json!({"payment_method_id": "pm_card_us", "phases": [{"features": ["plan:pro@1"]}]}),
            "invalid_payment_method",
        ),
    ]
}

#[tokio::test]
async fn a_sign_up_that_is_refused_leaves_no_org() {
    let app = start_with_coupons().await;
    for (mut body, code) in refused() {
        body["org"] = json!("org:a");
        body["info"] = json!({"name": "N"});
        app.post_json("/v1/subscribe", &body).await.fails(400, code);
        app.get("/v1/whois?org=org:a")
            .await
            .fails(400, "org_not_found");
    }
    let body =
        json!({"org": "org:a", "info": {"name": "N"}, "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_everything_as_it_was() {
    let app = start_with_coupons().await;
    let first = json!({"org": "org:a", "info": {"name": "Before", "metadata": {"a": "1"}}, "phases": [{"features": ["plan:free@1"]}]});
    app.post_json("/v1/subscribe", &first).await.ok();
    let state = async || {
        let info = app.get("/v1/whois?org=org:a&include=info").await.ok().body;
        (info, super::subscriptions(&app).await)
    };
    let before = state().await;
    let currency = json!({"phases": [{"features": ["plan:euro@1"]}]});
    for (mut body, code) in refused().into_iter().chain([(currency, "invalid_request")]) {
        body["org"] = json!("org:a");
        body["info"] = json!({"name": "After", "metadata": {"a": "2", "b": "3"}});
        app.post_json("/v1/subscribe", &body).await.fails(400, code);
        assert_eq!(state().await, before, "{body}");
    }
}

/// Stripe may refuse what nothing here could foresee.
#[tokio::test]
async fn particulars_are_taken_back_when_stripe_refuses_the_rest() {
    let app = start_with_coupons().await;
    let first = json!({"org": "org:a", "info": {"name": "Before", "metadata": {"a": "1"}}, "phases": [{"features": ["plan:free@1"]}]});
    app.post_json("/v1/subscribe", &first).await.ok();
    let before = app.get("/v1/whois?org=org:a&include=info").await.ok().body;
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules*", refusal));
    let body = json!({"org": "org:a", "info": {"name": "After", "phone": "1", "metadata": {"a": "2", "b": "3"}},
        "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &body)
        .await
        .fails(400, "invalid_request");
    app.sandbox().clear_faults();
    let after = app.get("/v1/whois?org=org:a&include=info").await.ok().body;
    assert_eq!(after, before);
}

/// Nothing that works is ended before what takes its place is there.
#[tokio::test]
async fn superseded_subscriptions_live_until_the_new_state_is_written() {
    let app = start_with_coupons().await;
    app.subscribe("org:a", &["plan:extra@1"]).await;
    app.advance(crate::harness::DAY);
    super::buy(&app, "feature-calls-plan-free-1", &[]).await;
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules*", refusal));
    app.post_json(
        "/v1/subscribe",
        &json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]}),
    )
    .await
    .fails(400, "invalid_request");
    let all = super::subscriptions(&app).await;
    assert!(all.iter().all(|s| s["status"] != "canceled"), "{all:?}");
}
