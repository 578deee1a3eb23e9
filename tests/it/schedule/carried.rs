//! What was used before a change is billed once, at the price that it was used at, and a level by the plan then in
//! force, whatever goes wrong in between.

use axum::http::StatusCode;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use super::{buy, schedule, subscriptions};
use crate::harness::{DAY, Settings, TestApp};

/// How long Stripe remembers an idempotency key, and a bit more.
const FORGOTTEN: std::time::Duration = std::time::Duration::from_secs(25 * 3600);

/// Plans that count calls and hold levels, at prices that tell them apart. The paid ones cost nothing without usage.
async fn start() -> TestApp {
    let app = TestApp::with(Settings::default()).await;
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
    app.push(&json!({"plans": {
        "plan:a@1": plan(10), "plan:b@1": plan(200), "plan:c@1": plan(3000), "plan:free@1": plan(0),
        "plan:none@1": {"features": {"feature:other": {"tiers": [{"price": 1}]}}},
    }}))
    .await;
    let card = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    let body = json!({"org": "org:a", "info": card});
    app.post_json("/v1/subscribe", &body).await.ok();
    app
}

/// What all invoices of the org charge together, and what waits for the next one, in cents.
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

/// What the running period is going to charge by itself.
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

/// The metadata keys of the org's subscriptions that say that something is to be done.
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

/// Reads the org, and waits for what that queues.
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
async fn changes_in_one_second_bill_each_price_once() {
    let app = start().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    app.report("org:a", "feature:calls", 5).await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    app.report("org:a", "feature:calls", 3).await;
    app.subscribe("org:a", &["plan:c@1"]).await;
    app.report("org:a", "feature:calls", 1).await;
    assert_eq!(charged(&app).await, 5 * 10 + 3 * 200);
    assert_eq!(used(&app, "feature:calls").await, 9);
    assert_eq!(notes(&app).await, [""; 0]);
    app.advance(32 * DAY);
    assert_eq!(charged(&app).await, 5 * 10 + 3 * 200 + 3000);
    assert_eq!(used(&app, "feature:calls").await, 0);
}

/// The change is made, and what it has to charge is charged by whoever comes next.
#[tokio::test]
async fn a_charge_that_fails_is_made_up_for() {
    let failures = [
        ("POST", "/v1/invoiceitems", Action::Status(500, None), false),
        ("POST", "/v1/invoiceitems", Action::Drop, true),
        ("POST", "/v1/invoiceitems", Action::CutBody, true),
        // The note cannot be removed.
        (
            "POST",
            "/v1/subscriptions/*",
            Action::Status(500, None),
            false,
        ),
        ("POST", "/v1/subscriptions/*", Action::Drop, true),
    ];
    for (method, path, action, after) in failures {
        for retry in ["same", "read", "other", "cancel", "late"] {
            let case = format!("{path} {action:?} {after} {retry}");
            let app = start().await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            app.report("org:a", "feature:calls", 5).await;
            let rule = Rule::new(method, path, action.clone());
            app.sandbox()
                .add_fault(if after { rule.after() } else { rule });
            let change = json!([{"features": ["plan:b@1"]}]);
            let answer = schedule(&app, change.clone()).await;
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{case}");
            app.sandbox().clear_faults();
            match retry {
                "same" => drop(schedule(&app, change).await.ok()),
                "read" => read(&app).await,
                "late" => {
                    app.advance(FORGOTTEN);
                    read(&app).await;
                }
                "other" => drop(
                    schedule(&app, json!([{"features": ["plan:c@1"]}]))
                        .await
                        .ok(),
                ),
                _ => drop(schedule(&app, json!([{}])).await.ok()),
            }
            assert_eq!(notes(&app).await, [""; 0], "{case}");
            read(&app).await;
            app.advance(32 * DAY);
            assert_eq!(charged(&app).await, 50, "{case}");
        }
    }
}

#[tokio::test]
async fn a_change_in_one_second_that_is_refused_charges_nothing() {
    let app = start().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    app.report("org:a", "feature:calls", 5).await;
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules/*", refusal));
    let change = json!([{"features": ["plan:b@1"]}]);
    schedule(&app, change.clone())
        .await
        .fails(400, "invalid_request");
    app.sandbox().clear_faults();
    assert_eq!((charged(&app).await, notes(&app).await), (0, vec![]));
    assert_eq!(used(&app, "feature:calls").await, 5);
    schedule(&app, change).await.ok();
    app.advance(32 * DAY);
    assert_eq!(charged(&app).await, 50);
}

#[tokio::test]
async fn a_change_now_bills_sums_at_their_price_and_levels_once() {
    for days in [0, 10] {
        let app = start().await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 5).await;
        app.advance(days * DAY);
        app.subscribe("org:a", &["plan:b@1"]).await;
        assert_eq!((charged(&app).await, notes(&app).await), (50, vec![]));
        for feature in ["calls", "peak", "last", "store"] {
            assert_eq!(
                used(&app, &format!("feature:{feature}")).await,
                5,
                "{feature}"
            );
        }
        app.advance(32 * DAY);
        assert_eq!(charged(&app).await, 50 + 3 * 5 * 200, "{days}");
        assert_eq!(used(&app, "feature:store").await, 5);
        assert_eq!(used(&app, "feature:peak").await, 0);
    }
}

/// Nobody is there when it happens: who comes next gives back what Stripe has invoiced of levels.
#[tokio::test]
async fn a_scheduled_change_bills_sums_at_their_price_and_levels_once() {
    let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:b@1"]}]);
    for next in ["read", "change", "cancel", "fails"] {
        let app = start().await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 5).await;
        schedule(&app, later.clone()).await.ok();
        app.advance(11 * DAY);
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
                let app = app.twin();
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
        app.advance(21 * DAY);
        assert_eq!(charged(&app).await, 50 + 3 * 5 * price, "{next}");
        assert_eq!(used(&app, "feature:store").await, 5);
    }
}

#[tokio::test]
async fn a_settlement_that_fails_half_way_is_made_up_for() {
    let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:b@1"]}]);
    for path in [
        "/v1/invoiceitems",
        "/v1/subscriptions/*",
        "/v1/subscription_items/*",
    ] {
        for (after, wait) in [(false, false), (true, false), (true, true)] {
            let app = start().await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 5).await;
            schedule(&app, later.clone()).await.ok();
            app.advance(11 * DAY);
            let rule = Rule::new("POST", path, Action::Drop);
            app.sandbox()
                .add_fault(if after { rule.after() } else { rule });
            read(&app).await;
            app.sandbox().clear_faults();
            if wait {
                app.advance(FORGOTTEN);
            }
            read(&app).await;
            let case = format!("{path} {after} {wait}");
            assert_eq!(notes(&app).await, [""; 0], "{case}");
            app.advance(21 * DAY);
            assert_eq!(charged(&app).await, 50 + 3 * 5 * 200, "{case}");
        }
    }
}

/// A level of an invoice that nobody has paid is taken off it.
#[tokio::test]
async fn levels_are_given_back_where_they_were_billed() {
    let app = start().await;
    let card = json!({"payment_method": "pm_card_chargeCustomerFail",
        "invoice_settings": {"default_payment_method": "pm_card_chargeCustomerFail"}});
    let body = json!({"org": "org:a", "info": card, "phases": [{"features": ["plan:a@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    report_all(&app, 50).await;
    let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:b@1"]}]);
    schedule(&app, later).await.ok();
    app.advance(11 * DAY);
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

/// A feature that a scheduled change takes away keeps what was used of it in the period.
#[tokio::test]
async fn what_was_used_of_a_feature_that_comes_back() {
    let app = start().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    report_all(&app, 5).await;
    let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:none@1"]}]);
    schedule(&app, later).await.ok();
    app.advance(11 * DAY);
    read(&app).await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    for feature in ["calls", "peak", "last", "store"] {
        assert_eq!(
            used(&app, &format!("feature:{feature}")).await,
            5,
            "{feature}"
        );
    }
}

/// A level that was billed when its feature went is billed once all the same, if the feature comes back.
#[tokio::test]
async fn a_level_that_comes_back_is_billed_once() {
    for (plan, price) in [("plan:a@1", 10), ("plan:b@1", 200)] {
        for leaving in ["now", "scheduled", "scheduled and read"] {
            let app = start().await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 5).await;
            for day in ["03", "07"] {
                if leaving == "now" {
                    app.advance(2 * DAY);
                    app.subscribe("org:a", &["plan:none@1"]).await;
                } else {
                    let effective = format!("2023-01-{day}T00:00:00Z");
                    let later = json!([{"effective": effective, "features": ["plan:none@1"]}]);
                    schedule(&app, later).await.ok();
                    app.advance(2 * DAY);
                    if leaving == "scheduled and read" {
                        read(&app).await;
                    }
                }
                app.advance(2 * DAY);
                app.subscribe("org:a", &[plan]).await;
            }
            assert_eq!(notes(&app).await, [""; 0], "{plan} {leaving}");
            for feature in ["calls", "peak", "last", "store"] {
                let feature = format!("feature:{feature}");
                assert_eq!(used(&app, &feature).await, 5, "{feature} {plan} {leaving}");
            }
            app.advance(25 * DAY);
            assert_eq!(charged(&app).await, 50 + 3 * 5 * price, "{plan} {leaving}");
            assert_eq!(used(&app, "feature:store").await, 5);
            assert_eq!(used(&app, "feature:peak").await, 0);
        }
    }
}

/// Nobody has reported on the plan in between.
#[tokio::test]
async fn levels_go_through_a_plan_that_nobody_saw() {
    for reads in [false, true] {
        let app = start().await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 5).await;
        let later = json!([
            {"effective": "2023-01-04T00:00:00Z", "features": ["plan:b@1"]},
            {"effective": "2023-01-06T00:00:00Z", "features": ["plan:a@1"]},
        ]);
        schedule(&app, later).await.ok();
        for _ in 0..2 {
            app.advance(4 * DAY);
            if reads {
                read(&app).await;
            }
        }
        read(&app).await;
        for feature in ["calls", "peak", "last", "store"] {
            let feature = format!("feature:{feature}");
            assert_eq!(used(&app, &feature).await, 5, "{feature} {reads}");
        }
        app.advance(24 * DAY);
        assert_eq!(charged(&app).await, 50 + 3 * 5 * 10, "{reads}");
    }
}

/// What is noted before a change that then does not come about counts for nothing.
#[tokio::test]
async fn a_change_that_fails_after_levels_were_taken_along_counts_nothing_twice() {
    for status in [400, 402, 409, 429, 500] {
        let app = start().await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 60).await;
        app.advance(DAY);
        let refuse = Rule::new(
            "POST",
            "/v1/subscription_schedules*",
            Action::Status(status, None),
        );
        app.sandbox().add_fault(refuse);
        let body = json!({"org": "org:a", "info": {"name": "New"}, "phases": [{"features": ["plan:b@1"]}]});
        let answer = app.post_json("/v1/subscribe", &body).await;
        assert!(answer.status.as_u16() >= 400, "{status}");
        app.sandbox().clear_faults();
        for feature in ["calls", "peak", "last", "store"] {
            let feature = format!("feature:{feature}");
            assert_eq!(used(&app, &feature).await, 60, "{feature} {status}");
        }
        let name = app
            .get("/v1/whois?org=org:a&include=info")
            .await
            .ok()
            .json()["name"]
            .clone();
        assert_eq!(name == "New", status >= 409, "{status}: {name}");
        // The levels are on their way: nobody is asked to come back by himself.
        assert!(!answer.headers.contains_key("retry-after"), "{status}");
        app.settled().await;
        app.subscribe("org:a", &["plan:b@1"]).await;
        assert_eq!(used(&app, "feature:calls").await, 60);
        app.advance(32 * DAY);
        assert_eq!(charged(&app).await, 60 * 10 + 3 * 60 * 200, "{status}");
    }
}

/// Stripe begins a new period where prices that are not free take the place of free ones.
#[tokio::test]
async fn a_level_begins_again_with_a_period_that_a_paid_plan_restarts() {
    for scheduled in [false, true] {
        let app = start().await;
        app.subscribe("org:a", &["plan:free@1"]).await;
        report_all(&app, 5).await;
        let at = "2023-01-11T00:00:00Z";
        if scheduled {
            schedule(&app, json!([{"effective": at, "features": ["plan:b@1"]}]))
                .await
                .ok();
            app.advance(10 * DAY);
        } else {
            app.advance(10 * DAY);
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
        // In one second, usage would be added to the level that has been set.
        app.advance(std::time::Duration::from_secs(1));
        report_all(&app, 2).await;
        assert_eq!(rows().await, [2, 2, 2, 2], "{scheduled}");
        if !scheduled {
            app.advance(DAY);
            app.subscribe("org:a", &["plan:free@1"]).await;
            assert_eq!(rows().await, [7, 5, 2, 2]);
        }
        app.advance(40 * DAY);
        let levels = if scheduled { 3 * 2 * 200 } else { 0 };
        assert_eq!(charged(&app).await, 2 * 200 + levels, "{scheduled}");
    }
}

#[tokio::test]
async fn a_level_that_is_reported_in_the_second_of_a_change_is_not_added_to_the_one_before() {
    let app = start().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    report_all(&app, 5).await;
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:b@1"]).await;
    report_all(&app, 7).await;
    for (feature, expected) in [("calls", 12), ("peak", 7), ("last", 7), ("store", 7)] {
        let feature = format!("feature:{feature}");
        assert_eq!(used(&app, &feature).await, expected, "{feature}");
    }
}

/// Checkout makes a subscription of its own.
#[tokio::test]
async fn a_level_that_never_starts_again_goes_along_to_a_subscription_of_checkout() {
    for fails in ["", "/v1/subscriptions/*", "/v1/subscription_items/*"] {
        let app = start().await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        report_all(&app, 5).await;
        app.advance(10 * DAY);
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
}
