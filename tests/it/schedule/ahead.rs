//! Schedules that have not started, of orgs without a subscription or with one that Checkout made.

use serde_json::{Value, json};

use super::{buy, phases, schedule, start, subscriptions, timeline};
use crate::harness::{DAY, TestApp};

const LATER: &str = "2023-01-20T00:00:00Z";

/// An org that bought `plan:free@1` in Checkout, before its first scheduled phase began.
async fn bought_before_the_first_phase() -> TestApp {
    let app = start().await;
    let plan = json!([{"effective": LATER, "features": ["plan:pro@1"]}]);
    schedule(&app, plan).await.ok();
    app.advance(DAY);
    buy(&app, "feature-calls-plan-free-1", &[]).await;
    app
}

async fn live(app: &TestApp) -> usize {
    let all = subscriptions(app).await;
    all.iter().filter(|s| s["status"] != "canceled").count()
}

#[tokio::test]
async fn cancelling_cancels_a_schedule_that_has_not_started() {
    let app = bought_before_the_first_phase().await;
    schedule(&app, json!([{}])).await.ok();
    app.advance(30 * DAY);
    assert_eq!(live(&app).await, 0);
    assert!(app.limits("org:a").await.is_empty());
}

#[tokio::test]
async fn a_change_replaces_a_schedule_that_has_not_started() {
    let app = bought_before_the_first_phase().await;
    app.subscribe("org:a", &["plan:extra@1"]).await;
    app.advance(30 * DAY);
    assert_eq!(live(&app).await, 1);
    assert_eq!(timeline(&app).await, ["01-02 .. -: plan:extra@1"]);
}

#[tokio::test]
async fn only_one_schedule_may_be_about_to_start() {
    let app = start().await;
    let plan = json!([{"effective": LATER, "features": ["plan:pro@1"]}]);
    schedule(&app, plan.clone()).await.ok();
    let customer = app.get("/v1/whois?org=org:a").await.ok().json();
    let prices = app
        .stripe_get("/v1/prices?lookup_keys[]=tier__feature-calls-plan-free-1")
        .await;
    // Two servers that handle concurrent requests may create two schedules.
    app.stripe_post(
        "/v1/subscription_schedules",
        &[
            ("customer", customer["stripe_id"].as_str().unwrap()),
            ("start_date", "1673000000"),
            (
                "phases[0][items][0][price]",
                prices["data"][0]["id"].as_str().unwrap(),
            ),
            ("phases[0][metadata][tier.subscription]", "default"),
        ],
    )
    .await;
    schedule(&app, plan).await.ok();
    app.advance(30 * DAY);
    assert_eq!(live(&app).await, 1);
    assert_eq!(timeline(&app).await, ["01-20 .. -: plan:pro@1"]);
}

#[tokio::test]
async fn future_phases_follow_an_ended_subscription() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(DAY);
    schedule(&app, json!([{}])).await.ok();
    let plan = json!([{"effective": LATER, "features": ["plan:free@1"]}]);
    schedule(&app, plan).await.ok();
    assert_eq!(
        timeline(&app).await,
        [
            "01-01 .. 01-02: plan:pro@1",
            "01-02 .. 01-20: ",
            "01-20 .. -: plan:free@1"
        ]
    );
}

#[tokio::test]
async fn tax_of_a_schedule_that_has_not_started() {
    let app = start().await;
    let request = json!({
        "org": "org:a",
        "tax": {"automatic": true},
        "info": {"email": "a@example.com"},
        "phases": [{"effective": LATER, "features": ["plan:pro@1"]}],
    });
    app.post_json("/v1/subscribe", &request).await.ok();
    let phase = phases(&app).await.ok().json()["phases"][0].clone();
    assert_eq!(phase["tax"], json!({"automatic": true}), "{phase}");
}

/// The trial from Checkout ends long before the phase that is kept.
#[tokio::test]
async fn a_trial_that_ends_within_a_kept_phase() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    buy(
        &app,
        "feature-calls-plan-free-1",
        &[("trial_period_days", "10")],
    )
    .await;
    let plan = json!([{"effective": LATER, "features": ["plan:pro@1"]}]);
    schedule(&app, plan).await.ok();
    let whole = [
        "01-01 .. 01-11: plan:free@1, trial",
        "01-11 .. 01-20: plan:free@1",
        "01-20 .. -: plan:pro@1",
    ];
    assert_eq!(timeline(&app).await, whole);
    let in_force = async || app.get("/v1/phase?org=org:a").await.ok().json();
    let trial = in_force().await;
    assert_eq!(
        (&trial["trial"], &trial["end"]),
        (&json!(true), &json!("2023-01-11T00:00:00Z"))
    );
    app.advance(12 * DAY);
    assert_eq!(timeline(&app).await, whole);
    let paid = in_force().await;
    assert_eq!(
        (&paid["trial"], &paid["effective"], &paid["end"]),
        (&Value::Null, &json!("2023-01-11T00:00:00Z"), &json!(LATER))
    );
}

#[tokio::test]
async fn a_scheduled_change_overrides_an_end_set_in_stripe() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    buy(&app, "feature-calls-plan-free-1", &[]).await;
    let id = subscriptions(&app).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ending = [("cancel_at_period_end", "true")];
    app.stripe_post(&format!("/v1/subscriptions/{id}"), &ending)
        .await;
    assert_eq!(
        timeline(&app).await,
        ["01-01 .. 02-01: plan:free@1", "02-01 .. -: "]
    );
    app.advance(DAY);
    app.subscribe("org:a", &["plan:extra@1"]).await;
    app.advance(40 * DAY);
    assert_eq!(live(&app).await, 1);
    assert_eq!(
        timeline(&app).await,
        ["01-01 .. 01-02: plan:free@1", "01-02 .. -: plan:extra@1"]
    );
}
