//! Usage before a plan change is billed once, at the earlier plan's price. A level is billed by the plan at the end of
//! the period. Both rules hold, whichever calls fail.

mod failures;
mod levels;

use axum::http::StatusCode;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::domain::Generation::{self, Classic, Meters};
use tier::domain::GenerationSetting;

use super::{buy, schedule, subscriptions};
use crate::harness::{DAY, Settings, TestApp};

/// A longer time than Stripe keeps an idempotency key.
const FORGOTTEN: std::time::Duration = std::time::Duration::from_secs(25 * 3600);

/// Runs a test with usage records and with meters, at the same time.
async fn in_both(test: impl AsyncFn(Generation)) {
    tokio::join!(Box::pin(test(Classic)), Box::pin(test(Meters)));
}

/// Plans with calls and levels at different prices. Paid plans cost nothing without usage. On meters, the server has a
/// ledger, since meters do not support all aggregates without one.
async fn start(generation: Generation) -> TestApp {
    let app = TestApp::with(Settings {
        generation: GenerationSetting::Fixed(generation),
        ..Settings::default()
    })
    .await;
    let app = match generation {
        Classic => app,
        Meters => app.with_own_ledger().await,
    };
    let feature =
        |aggregate: &str, price: i64| json!({"aggregate": aggregate, "tiers": [{"price": price}]});
    let plan = |price: i64| {
        json!({"features": {
            "feature:calls": feature("sum", price),
            "feature:peak": feature("max", price),
            "feature:last": feature("last", price),
            "feature:store": feature("perpetual", price),
        }})
    };
    let mut paid = plan(0);
    paid["features"]["feature:base"] = json!({"base": 1000});
    let mut free_in_tiers = plan(0);
    for feature in ["calls", "peak", "last", "store"] {
        let tiers = &mut free_in_tiers["features"][format!("feature:{feature}")]["tiers"];
        *tiers = json!([{"upto": 3}, {"upto": 10}]);
    }
    app.push(&json!({"plans": {
        "plan:a@1": plan(10), "plan:b@1": plan(200), "plan:c@1": plan(3000), "plan:free@1": plan(0),
        "plan:tiered@1": free_in_tiers, "plan:paid@1": paid, "plan:paid@2": paid,
        "plan:base@1": {"features": {"feature:base": {"base": 1000}}},
        "plan:other@1": {"features": {"feature:other": {"tiers": [{}]}}},
        "plan:none@1": {"features": {"feature:other": {"tiers": [{"price": 1}]}}},
    }}))
    .await;
    let card = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    let body = json!({"org": "org:a", "info": card});
    app.post_json("/v1/subscribe", &body).await.ok();
    app
}

/// The sum of all invoices, pending items and credit notes of the org, in cents.
async fn charged(app: &TestApp) -> i64 {
    let sum = async |path: &str, field: &str| {
        let list = app.stripe_get(path).await;
        let list = list["data"].as_array().expect("a list").clone();
        let live = list.iter().filter(|one| one["status"] != "void");
        live.filter_map(|one| one[field].as_i64()).sum::<i64>()
    };
    sum("/v1/invoices?limit=100", "total").await
        + sum("/v1/invoiceitems?limit=100&pending=true", "amount").await
        - sum("/v1/credit_notes?limit=100", "amount").await
}

/// The total of the upcoming invoice, in cents.
async fn to_come(app: &TestApp) -> i64 {
    let subscription = subscriptions(app).await[0].clone();
    let path = format!(
        "/v1/invoices/upcoming?customer={}&subscription={}",
        subscription["customer"].as_str().expect("an id"),
        subscription["id"].as_str().expect("an id")
    );
    app.stripe_get(&path).await["total"]
        .as_i64()
        .expect("cents")
}

async fn used(app: &TestApp, feature: &str) -> i64 {
    let rows = app.limits("org:a").await;
    let row = rows.iter().find(|row| row.0 == feature);
    row.map_or(-1, |row| row.1)
}

/// The metadata keys of the org's subscriptions that note unsettled work.
async fn notes(app: &TestApp) -> Vec<String> {
    let mut notes = Vec::new();
    for subscription in subscriptions(app).await {
        let metadata = subscription["metadata"].as_object().expect("pairs").clone();
        let unsettled = |(key, value): &(String, Value)| {
            let open = value.as_str().is_some_and(|value| value.contains("open"));
            ["tier.c.", "tier.unpaid", "tier.scheduled"]
                .iter()
                .any(|note| key.starts_with(note))
                || open
        };
        notes.extend(metadata.into_iter().filter(unsettled).map(|(key, _)| key));
    }
    notes
}

/// Reads the org, and waits for the background tasks that this read starts.
async fn read(app: &TestApp) {
    app.get("/v1/limits?org=org:a").await.ok();
    app.settled().await;
}

async fn report_all(app: &TestApp, n: i64) {
    for feature in [
        "feature:calls",
        "feature:peak",
        "feature:last",
        "feature:store",
    ] {
        app.report("org:a", feature, n).await;
    }
}

#[tokio::test]
async fn calls_before_changes_in_one_second_are_billed_at_each_price() {
    in_both(async |generation| {
        let app = start(generation).await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        app.report("org:a", "feature:calls", 5).await;
        app.subscribe("org:a", &["plan:b@1"]).await;
        app.report("org:a", "feature:calls", 3).await;
        app.subscribe("org:a", &["plan:c@1"]).await;
        app.report("org:a", "feature:calls", 1).await;
        assert_eq!(charged(&app).await, 5 * 10 + 3 * 200);
        assert_eq!(used(&app, "feature:calls").await, 9);
        assert_eq!(notes(&app).await, [""; 0]);
        app.pass(32 * DAY).await;
        assert_eq!(charged(&app).await, 5 * 10 + 3 * 200 + 3000);
        assert_eq!(used(&app, "feature:calls").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_immediate_change_bills_sums_at_their_price_and_levels_once() {
    in_both(async |generation| {
        for days in [0, 10] {
            let app = start(generation).await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 5).await;
            app.pass(days * DAY).await;
            app.subscribe("org:a", &["plan:b@1"]).await;
            assert_eq!((charged(&app).await, notes(&app).await), (50, vec![]));
            for feature in ["calls", "peak", "last", "store"] {
                assert_eq!(
                    used(&app, &format!("feature:{feature}")).await,
                    5,
                    "{feature}"
                );
            }
            app.pass(32 * DAY).await;
            assert_eq!(charged(&app).await, 50 + 3 * 5 * 200, "{days}");
            assert_eq!(used(&app, "feature:store").await, 5);
            assert_eq!(used(&app, "feature:peak").await, 0);
        }
    })
    .await;
}

/// Stripe makes a scheduled change by itself. The next request credits the levels that Stripe has invoiced.
#[tokio::test]
async fn a_scheduled_change_bills_sums_at_their_price_and_levels_once() {
    in_both(async |generation| {
        let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:b@1"]}]);
        for next in ["read", "change", "cancel", "fails"] {
            let app = start(generation).await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 5).await;
            schedule(&app, later.clone()).await.ok();
            app.pass(11 * DAY).await;
            for feature in ["calls", "peak", "last", "store"] {
                assert_eq!(
                    used(&app, &format!("feature:{feature}")).await,
                    5,
                    "{feature}"
                );
            }
            match next {
                "read" => app.settled().await,
                "change" => app.subscribe("org:a", &["plan:c@1"]).await,
                "cancel" => drop(schedule(&app, json!([{}])).await.ok()),
                _ => {
                    app.settled().await;
                    let app = app.second_server();
                    read(&app).await;
                }
            }
            app.settled().await;
            assert_eq!(notes(&app).await, [""; 0], "{next}");
            let price = if next == "change" { 3000 } else { 200 };
            if next == "cancel" {
                assert_eq!(charged(&app).await, 50 + 3 * 5 * price, "{next}");
                continue;
            }
            for feature in ["calls", "peak", "last", "store"] {
                assert_eq!(
                    used(&app, &format!("feature:{feature}")).await,
                    5,
                    "{feature} {next}"
                );
            }
            app.pass(21 * DAY).await;
            assert_eq!(charged(&app).await, 50 + 3 * 5 * price, "{next}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_feature_that_returns_within_the_period_keeps_its_total() {
    in_both(async |generation| {
        let app = start(generation).await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 5).await;
        let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:none@1"]}]);
        schedule(&app, later).await.ok();
        app.pass(11 * DAY).await;
        read(&app).await;
        app.subscribe("org:a", &["plan:b@1"]).await;
        for feature in ["calls", "peak", "last", "store"] {
            assert_eq!(
                used(&app, &format!("feature:{feature}")).await,
                5,
                "{feature}"
            );
        }
    })
    .await;
}

/// Going to a paid plan and back gives no second allowance of the free one, whatever plans come between.
#[tokio::test]
async fn an_org_that_returns_to_a_free_plan_finds_what_it_used_of_it() {
    in_both(async |generation| {
        for (free, between) in [
            ("plan:free@1", &["plan:paid@1"][..]),
            (
                "plan:free@1",
                &["plan:paid@1", "plan:free@1", "plan:tiered@1"],
            ),
            ("plan:tiered@1", &["plan:paid@1", "plan:paid@2"]),
            ("plan:tiered@1", &["plan:other@1", "plan:paid@1"]),
            ("plan:tiered@1", &["plan:base@1", "plan:other@1"]),
            (
                "plan:tiered@1",
                &["plan:free@1", "plan:paid@1", "plan:free@1", "plan:paid@2"],
            ),
        ] {
            let app = start(generation).await;
            app.subscribe("org:a", &[free]).await;
            report_all(&app, 5).await;
            for plan in between.iter().chain([&free]) {
                app.pass(DAY).await;
                app.subscribe("org:a", &[plan]).await;
            }
            for feature in ["calls", "peak", "last", "store"] {
                let used = used(&app, &format!("feature:{feature}")).await;
                assert_eq!(used, 5, "{generation:?} {free} {between:?} {feature}");
            }
        }
    })
    .await;
}

/// What is used of a paid plan does not count in a later period of the free one.
#[tokio::test]
async fn usage_of_a_paid_plan_does_not_count_after_a_trial_of_a_free_one() {
    // On meters, what was used of the free plan is not known after the trial.
    for (generation, before) in [(Classic, 0), (Classic, 4), (Meters, 0)] {
        let app = start(generation).await;
        app.subscribe("org:a", &["plan:free@1"]).await;
        report_all(&app, before).await;
        app.pass(DAY).await;
        app.subscribe("org:a", &["plan:paid@1"]).await;
        report_all(&app, 5).await;
        app.pass(DAY).await;
        let trial = json!([
            {"trial": true, "features": ["plan:free@1"]},
            {"effective": "2023-01-04T00:00:00Z", "features": ["plan:free@1"]},
        ]);
        schedule(&app, trial).await.ok();
        app.pass(2 * DAY).await;
        read(&app).await;
        for feature in ["calls", "peak", "last"] {
            let used = used(&app, &format!("feature:{feature}")).await;
            assert_eq!(used, before, "{generation:?} {feature}");
        }
    }
}
