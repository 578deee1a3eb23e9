//! Levels (`max`, `last`, `perpetual`) across plan changes.

use super::*;

#[tokio::test]
async fn a_level_on_an_unpaid_invoice_is_taken_off_it() {
    let app = start(Classic).await;
    let card = json!({"payment_method": "pm_card_chargeCustomerFail",
        "invoice_settings": {"default_payment_method": "pm_card_chargeCustomerFail"}});
    let body = json!({"org": "org:a", "info": card, "phases": [{"features": ["plan:a@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    report_all(&app, 50).await;
    let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:b@1"]}]);
    schedule(&app, later).await.ok();
    app.pass(11 * DAY).await;
    read(&app).await;
    read(&app).await;
    assert_eq!(charged(&app).await, 50 * 10);
    let invoices = app.stripe_get("/v1/invoices?status=open").await;
    let due = invoices["data"].as_array().expect("a list").iter();
    let due: i64 = due.filter_map(|one| one["amount_remaining"].as_i64()).sum();
    assert_eq!(due, 50 * 10);
    let balance = app.stripe_get("/v1/customers?limit=1").await["data"][0]["balance"].clone();
    assert_eq!(balance, 0);
}

/// A level is billed when its feature is removed. The feature then returns in the same period.
#[tokio::test]
async fn a_level_that_returns_is_billed_once() {
    in_both(async |generation| {
        for (plan, price) in [("plan:a@1", 10), ("plan:b@1", 200)] {
            for leaving in ["now", "scheduled", "scheduled and read"] {
                let app = start(generation).await;
                app.subscribe("org:a", &["plan:a@1"]).await;
                report_all(&app, 5).await;
                for day in ["03", "07"] {
                    if leaving == "now" {
                        app.pass(2 * DAY).await;
                        app.subscribe("org:a", &["plan:none@1"]).await;
                    } else {
                        let effective = format!("2023-01-{day}T00:00:00Z");
                        let later = json!([{"effective": effective, "features": ["plan:none@1"]}]);
                        schedule(&app, later).await.ok();
                        app.pass(2 * DAY).await;
                        if leaving == "scheduled and read" {
                            read(&app).await;
                        }
                    }
                    app.pass(2 * DAY).await;
                    app.subscribe("org:a", &[plan]).await;
                }
                assert_eq!(notes(&app).await, [""; 0], "{plan} {leaving}");
                for feature in ["calls", "peak", "last", "store"] {
                    let feature = format!("feature:{feature}");
                    assert_eq!(used(&app, &feature).await, 5, "{feature} {plan} {leaving}");
                }
                app.pass(25 * DAY).await;
                assert_eq!(charged(&app).await, 50 + 3 * 5 * price, "{plan} {leaving}");
                assert_eq!(used(&app, "feature:store").await, 5);
                assert_eq!(used(&app, "feature:peak").await, 0);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn levels_survive_a_scheduled_plan_that_nobody_read() {
    in_both(async |generation| {
        for reads in [false, true] {
            let app = start(generation).await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 5).await;
            let later = json!([
                {"effective": "2023-01-04T00:00:00Z", "features": ["plan:b@1"]},
                {"effective": "2023-01-06T00:00:00Z", "features": ["plan:a@1"]},
            ]);
            schedule(&app, later).await.ok();
            for _ in 0..2 {
                app.pass(4 * DAY).await;
                if reads {
                    read(&app).await;
                }
            }
            read(&app).await;
            for feature in ["calls", "peak", "last", "store"] {
                let feature = format!("feature:{feature}");
                assert_eq!(used(&app, &feature).await, 5, "{feature} {reads}");
            }
            app.pass(24 * DAY).await;
            assert_eq!(charged(&app).await, 50 + 3 * 5 * 10, "{reads}");
        }
    })
    .await;
}

/// Stripe starts a new period when paid prices replace free ones.
#[tokio::test]
async fn a_level_restarts_when_a_paid_plan_starts_a_new_period() {
    for scheduled in [false, true] {
        let app = start(Classic).await;
        app.subscribe("org:a", &["plan:free@1"]).await;
        report_all(&app, 5).await;
        let at = "2023-01-11T00:00:00Z";
        if scheduled {
            schedule(&app, json!([{"effective": at, "features": ["plan:b@1"]}]))
                .await
                .ok();
            app.pass(10 * DAY).await;
        } else {
            app.pass(10 * DAY).await;
            app.subscribe("org:a", &["plan:b@1"]).await;
        }
        read(&app).await;
        let rows = async || {
            let mut rows = Vec::new();
            for feature in ["calls", "peak", "last", "store"] {
                rows.push(used(&app, &format!("feature:{feature}")).await);
            }
            rows
        };
        assert_eq!(rows().await, [0, 0, 0, 5], "{scheduled}");
        // Stripe would add usage of the same second to the level.
        app.pass(std::time::Duration::from_secs(1)).await;
        report_all(&app, 2).await;
        assert_eq!(rows().await, [2, 2, 2, 2], "{scheduled}");
        if !scheduled {
            app.pass(DAY).await;
            app.subscribe("org:a", &["plan:free@1"]).await;
            assert_eq!(rows().await, [7, 5, 2, 2]);
        }
        app.pass(40 * DAY).await;
        let levels = if scheduled { 3 * 2 * 200 } else { 0 };
        assert_eq!(charged(&app).await, 2 * 200 + levels, "{scheduled}");
    }
}

#[tokio::test]
async fn a_level_reported_in_the_second_of_a_change_replaces_the_earlier_one() {
    in_both(async |generation| {
        let app = start(generation).await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 5).await;
        app.pass(10 * DAY).await;
        app.subscribe("org:a", &["plan:b@1"]).await;
        report_all(&app, 7).await;
        for (feature, expected) in [("calls", 12), ("peak", 7), ("last", 7), ("store", 7)] {
            let feature = format!("feature:{feature}");
            assert_eq!(used(&app, &feature).await, expected, "{feature}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_perpetual_level_moves_to_a_subscription_made_by_checkout() {
    in_both(async |generation| {
        for fails in ["", "/v1/subscriptions/*", "/v1/subscription_items/*"] {
            let app = start(generation).await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 5).await;
            app.pass(10 * DAY).await;
            buy(&app, "feature-store-plan-b-1", &[]).await;
            if !fails.is_empty() {
                app.sandbox()
                    .add_fault(Rule::new("*", fails, Action::Drop).after());
                read(&app).await;
                app.sandbox().clear_faults();
            }
            read(&app).await;
            assert_eq!(used(&app, "feature:store").await, 5, "{fails}");
            // The other levels were billed with the subscription that has ended.
            assert_eq!(charged(&app).await, 3 * 5 * 10, "{fails}");
            assert_eq!(to_come(&app).await, 5 * 200, "{fails}");
        }
    })
    .await;
}
