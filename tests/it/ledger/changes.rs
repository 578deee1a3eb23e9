//! Plan changes with a ledger.

use super::*;

#[tokio::test]
async fn a_change_of_plan_bills_each_part_at_its_price_and_carries_levels_over() {
    let app = WithLedger::start().await;
    for (feature, n) in [("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)] {
        let feature = format!("feature:{feature}");
        app.add(json!({"feature": feature, "n": n})).await.ok();
    }
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@2"]).await;
    for (feature, used) in [("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature} at once"
        );
    }
    app.advance(MINUTE);
    for (feature, used) in [("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature}"
        );
    }
    app.add(json!({"feature": "feature:calls", "n": 3}))
        .await
        .ok();
    app.add(json!({"feature": "feature:peak", "n": 3}))
        .await
        .ok();
    app.add(json!({"feature": "feature:level", "n": 2}))
        .await
        .ok();
    for (feature, used) in [("calls", 13), ("peak", 4), ("level", 2), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature}"
        );
    }
    let refused = app.deliver_all().await;
    assert_eq!(refused, 0, "nothing is delivered for removed items");
    for (feature, used) in [("calls", 13), ("peak", 4), ("level", 2), ("disk", 6)] {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            used,
            "{feature}"
        );
    }
    let after = 3 * 3 + 4 * 20 + 2 * 200 + 6 * 2000;
    assert_eq!(app.upcoming().await, after);
    let invoices = app.stripe_get("/v1/invoices").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    let billed: i64 = invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum();
    assert_eq!(
        billed,
        10 * 2,
        "the usage before the change, at the old price"
    );
}

#[tokio::test]
async fn usage_of_a_subscription_cancelled_in_stripe_is_parked() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 10}))
        .await
        .ok();
    let subscription = app.stripe_get("/v1/subscriptions").await;
    let id = subscription["data"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.stripe_delete(&format!("/v1/subscriptions/{id}")).await;
    app.deliver_all().await;
    assert_eq!(ledger_metric(&app, "parked").await, 1);
    assert_eq!(ledger_metric(&app, "undelivered").await, 0);
}

/// Parked usage waits for a person's decision, and no plan change waits for that.
#[tokio::test]
async fn parked_reports_do_not_block_a_change_of_plan_and_can_be_retried_after_it() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 10}))
        .await
        .ok();
    let refused = Action::Status(400, None);
    let records = "/v1/subscription_items/*/usage_records";
    app.sandbox().add_fault(Rule::new("POST", records, refused));
    app.deliver_all().await;
    app.sandbox().clear_faults();
    assert_eq!(ledger_metric(&app, "parked").await, 1);
    app.subscribe("org:a", &["plan:pro@2"]).await;
    app.add(json!({"feature": "feature:calls", "n": 4}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 14);

    let parked = async || app.get("/v1/ledger/parked").await.ok().json()["parked"].clone();
    let listed = parked().await;
    assert_eq!(listed[0]["n"], 10);
    let decide = async |action: &str| {
        let body = json!({"id": listed[0]["id"], "action": action});
        app.post_json("/v1/ledger/parked", &body).await.ok();
    };
    // The item of the parked usage no longer exists, so the usage is billed where the feature's usage goes now.
    decide("retry").await;
    app.deliver_all().await;
    assert_eq!(parked().await, json!([]));
    assert_eq!(app.used("feature:calls").await, 14);
    assert_eq!(app.upcoming().await, 3 * 14);
}

#[tokio::test]
async fn usage_before_a_scheduled_change_is_delivered_before_it() {
    let app = WithLedger::start().await;
    let phases = json!([{"features": ["plan:pro@1"]}, {"effective": "2023-01-11T00:00:00Z", "features": ["plan:pro@2"]}]);
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": phases}))
        .await
        .ok();
    app.set_clock(START + 10 * 86_400 - 120);
    app.add(json!({"feature": "feature:calls", "n": 7}))
        .await
        .ok();
    for _ in 0..2 {
        app.domain().deliver().await.expect("a ledger");
        app.advance(21 * SECOND);
    }
    app.advance(2 * MINUTE);
    app.settled().await;
    assert_eq!(billed(&app).await, 14);
    assert_eq!(app.used("feature:calls").await, 7);
    app.add(json!({"feature": "feature:calls", "n": 2}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 6);
    assert_eq!(app.used("feature:calls").await, 9);
}

#[tokio::test]
async fn remembered_state_alone_refuses_no_report() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:seats", "n": 1}))
        .await
        .fails(400, "feature_not_found");
    app.second_server()
        .subscribe("org:a", &["plan:free@1"])
        .await;
    app.add(json!({"feature": "feature:seats", "n": 1}))
        .await
        .fails(400, "invalid_request");
    app.add(json!({"feature": "feature:calls", "n": 1}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 1);
    app.second_server()
        .subscribe("org:b", &["plan:pro@1"])
        .await;
    app.report("org:b", "feature:peak", 2).await;
}

#[tokio::test]
async fn a_level_that_a_change_of_plan_has_moved_can_be_lowered() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:peak", "n": 77}))
        .await
        .ok();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@2"]).await;
    app.add(json!({"feature": "feature:peak", "n": -7}))
        .await
        .ok();
    assert_eq!(app.used("feature:peak").await, 70);
    app.deliver_all().await;
    assert_eq!(app.used("feature:peak").await, 70);
    assert_eq!(app.upcoming().await, 70 * 20);
    app.add(json!({"feature": "feature:peak", "n": 5, "clobber": true}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.used("feature:peak").await, 5);
    assert_eq!(app.upcoming().await, 5 * 20);
}

#[tokio::test]
async fn a_perpetual_level_ends_with_its_subscription() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:disk", "n": 7}))
        .await
        .ok();
    app.advance(DAY);
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": [{}]}))
        .await
        .ok();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(MINUTE);
    assert_eq!(app.used("feature:disk").await, 0);
    app.add(json!({"feature": "feature:disk", "n": -1}))
        .await
        .fails(400, "invalid_request");
    app.add(json!({"feature": "feature:disk", "n": 3}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.used("feature:disk").await, 3);
    assert_eq!(app.upcoming().await, 3000);
}

#[tokio::test]
async fn the_last_period_of_a_subscription_is_compared_with_its_last_invoice() {
    for (features, cents) in [
        (
            &[("calls", 10), ("peak", 4), ("level", 5), ("disk", 6)][..],
            20 + 40 + 500 + 6000,
        ),
        (&[("level", 7)], 700),
    ] {
        let app = WithLedger::start().await;
        for (feature, n) in features {
            let feature = format!("feature:{feature}");
            app.add(json!({"feature": feature, "n": n})).await.ok();
        }
        app.advance(DAY);
        app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": [{}]}))
            .await
            .ok();
        app.advance(32 * DAY);
        assert_eq!(billed(&app).await, cents);
        assert_eq!(ledger_metric(&app, "undelivered").await, 0);
        assert_eq!(ledger_metric(&app, "differences_total").await, 0);
    }
}

/// Stripe does not bill the usage of an item that somebody removes from the subscription, and a server cannot know why
/// the item was removed.
#[tokio::test]
async fn usage_of_an_item_removed_in_stripe_is_a_difference() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 10}))
        .await
        .ok();
    app.deliver_all().await;
    let subscription = app.stripe_get("/v1/subscriptions").await["data"][0].clone();
    let items = subscription["items"]["data"].as_array().expect("a list");
    let calls =
        |item: &&Value| item["price"]["metadata"]["tier.feature"] == "feature:calls@plan:pro@1";
    let calls = items.iter().find(calls).expect("an item");
    let path = format!(
        "/v1/subscriptions/{}",
        subscription["id"].as_str().expect("an id")
    );
    let remove = [
        ("items[0][id]", calls["id"].as_str().expect("an id")),
        ("items[0][deleted]", "true"),
        ("items[0][clear_usage]", "true"),
    ];
    app.stripe_post(&path, &remove).await;
    app.advance(35 * DAY);
    assert_eq!(billed(&app).await, 0);
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
}

#[tokio::test]
async fn usage_that_no_last_invoice_has_is_a_difference() {
    let app = WithLedger::start().await;
    for (feature, n) in [("calls", 10), ("peak", 4)] {
        let feature = format!("feature:{feature}");
        app.add(json!({"feature": feature, "n": n})).await.ok();
    }
    app.deliver_all().await;
    let subscription = app.stripe_get("/v1/subscriptions").await;
    let id = subscription["data"][0]["id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/subscriptions/{id}")).await;
    app.advance(35 * DAY);
    assert_eq!(billed(&app).await, 0);
    assert_eq!(ledger_metric(&app, "differences_total").await, 2);
}
