//! Past phases stay visible after Stripe has released their schedule.

use serde_json::{Value, json};

use super::{buy, phase, phases, schedule, start, timeline};
use crate::harness::{DAY, TestApp};

/// An org that changed its plan on the 10th.
async fn upgraded() -> TestApp {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.advance(9 * DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app
}

#[tokio::test]
async fn a_past_change_keeps_its_date_after_the_schedule_is_released() {
    let app = upgraded().await;
    let whole = ["01-01 .. 01-10: plan:free@1", "01-10 .. -: plan:pro@1"];
    for days in [1, 40, 40] {
        assert_eq!(timeline(&app).await, whole);
        assert_eq!(
            phase(&app).await.ok().json()["effective"],
            json!("2023-01-10T00:00:00Z")
        );
        app.advance(days * DAY);
    }
}

#[tokio::test]
async fn changes_after_a_released_schedule_follow_its_phases() {
    let app = upgraded().await;
    app.advance(60 * DAY);
    let later = json!([{"effective": "2023-03-20T00:00:00Z", "features": ["plan:extra@1"]}]);
    schedule(&app, later).await.ok();
    let whole = [
        "01-01 .. 01-10: plan:free@1",
        "01-10 .. 03-20: plan:pro@1",
        "03-20 .. -: plan:extra@1",
    ];
    assert_eq!(timeline(&app).await, whole);
    assert_eq!(
        phase(&app).await.ok().json()["effective"],
        json!("2023-01-10T00:00:00Z")
    );
    app.advance(10 * DAY);
    assert_eq!(timeline(&app).await, whole);
    app.advance(60 * DAY);
    app.subscribe("org:a", &["plan:free@1"]).await;
    assert_eq!(
        timeline(&app).await[2..],
        ["03-20 .. 05-20: plan:extra@1", "05-20 .. -: plan:free@1"]
    );
}

#[tokio::test]
async fn each_phase_has_its_own_coupon() {
    let app = start().await;
    for id in ["first", "second"] {
        let coupon = [("id", id), ("percent_off", "50"), ("duration", "forever")];
        app.stripe_post("/v1/coupons", &coupon).await;
    }
    let with = |plan: &str, coupon: &str| json!([{"features": [plan], "coupon": coupon}]);
    schedule(&app, with("plan:free@1", "first")).await.ok();
    app.advance(9 * DAY);
    schedule(&app, with("plan:pro@1", "second")).await.ok();
    app.advance(9 * DAY);
    schedule(&app, with("plan:extra@1", "")).await.ok();
    for days in [1, 40] {
        let all = phases(&app).await.ok().json();
        let all = all["phases"].as_array().expect("a list").iter();
        let coupons: Vec<Value> = all.map(|phase| phase["coupon"].clone()).collect();
        assert_eq!(coupons, [json!("first"), json!("second"), Value::Null]);
        app.advance(days * DAY);
    }
}

#[tokio::test]
async fn a_subscription_made_by_checkout_is_shown_from_its_start() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    let trial = [("trial_period_days", "10")];
    buy(&app, "feature-calls-plan-free-1", &trial).await;
    app.advance(60 * DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(
        timeline(&app).await,
        [
            "01-01 .. 01-11: plan:free@1, trial",
            "01-11 .. 03-02: plan:free@1",
            "03-02 .. -: plan:pro@1"
        ]
    );
}

#[tokio::test]
async fn phases_before_a_purchase_are_kept() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.advance(9 * DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(9 * DAY);
    buy(&app, "feature-storage-plan-extra-1", &[]).await;
    let whole = [
        "01-01 .. 01-10: plan:free@1",
        "01-10 .. 01-19: plan:pro@1",
        // One feature of a plan is not the whole plan.
        "01-19 .. -: ",
    ];
    // The phases are the same while the older subscription is live, and after its end.
    for days in [1, 40, 40] {
        assert_eq!(timeline(&app).await, whole);
        app.settled().await;
        assert_eq!(timeline(&app).await, whole);
        app.advance(days * DAY);
    }
}

#[tokio::test]
async fn phases_before_a_cancellation_are_kept() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(9 * DAY);
    schedule(&app, json!([{}])).await.ok();
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.advance(DAY);
    schedule(&app, json!([{}])).await.ok();
    let before = ["01-01 .. 01-10: plan:pro@1", "01-10 .. 01-20: "];
    assert_eq!(timeline(&app).await[..2], before);
    app.subscribe("org:a", &["plan:extra@1"]).await;
    let after = ["01-20 .. 01-21: plan:free@1", "01-21 .. -: plan:extra@1"];
    for days in [1, 40] {
        let whole = timeline(&app).await;
        assert_eq!(
            (&whole[..2], &whole[2..]),
            (
                &before.map(str::to_owned)[..],
                &after.map(str::to_owned)[..]
            )
        );
        app.advance(days * DAY);
    }
}

#[tokio::test]
async fn a_later_coupon_is_not_shown_on_earlier_phases() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    let trial = [("trial_period_days", "10")];
    buy(&app, "feature-calls-plan-free-1", &trial).await;
    let coupon = [
        ("id", "half"),
        ("percent_off", "50"),
        ("duration", "forever"),
    ];
    app.stripe_post("/v1/coupons", &coupon).await;
    app.advance(20 * DAY);
    let subscriptions = super::subscriptions(&app).await;
    let id = subscriptions[0]["id"].as_str().expect("an id");
    app.stripe_post(&format!("/v1/subscriptions/{id}"), &[("coupon", "half")])
        .await;
    let all = phases(&app).await.ok().json();
    assert_eq!(
        (&all["phases"][0]["coupon"], &all["phases"][1]["coupon"]),
        (&Value::Null, &json!("half"))
    );
}

#[tokio::test]
async fn a_trial_of_zero_length_is_left_out() {
    let app = start().await;
    schedule(&app, json!([{"trial": true, "features": ["plan:pro@1"]}]))
        .await
        .ok();
    app.subscribe("org:a", &["plan:pro@1"]).await;
    for days in [1, 60] {
        assert_eq!(timeline(&app).await, ["01-01 .. -: plan:pro@1"]);
        app.advance(days * DAY);
    }
}

#[tokio::test]
async fn a_trial_that_ended_early_is_shown_with_its_real_length() {
    let app = start().await;
    schedule(&app, json!([{"trial": true, "features": ["plan:pro@1"]}]))
        .await
        .ok();
    app.advance(4 * DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    for days in [1, 60] {
        assert_eq!(
            timeline(&app).await,
            [
                "01-01 .. 01-05: plan:pro@1, trial",
                "01-05 .. -: plan:pro@1"
            ]
        );
        app.advance(days * DAY);
    }
}
