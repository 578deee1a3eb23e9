//! Changes between usage records and meters at the end of a billing period. A new subscription succeeds the old one.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::domain::{Generation, GenerationSetting};

use super::orgs::{app as on_meters, used};
use crate::harness::{DAY, START, Settings, TestApp};

const ORG: &str = "org:a";
/// The end of the first billing period.
const PERIOD_END: &str = "2023-02-01T00:00:00Z";
const MONTH: i64 = 31 * 86_400;

/// An account with plans of both generations, and an org on a classic plan.
async fn app() -> TestApp {
    let app = on_meters().await;
    let classic = app.second_server_with(&Settings {
        generation: GenerationSetting::Fixed(Generation::Classic),
        ..Settings::default()
    });
    let plan = |base: i64, price: i64| {
        json!({ "features": {
            "feature:base": { "base": base }, "feature:x": { "tiers": [{ "price": price }] },
        } })
    };
    let old = json!({ "plans": { "plan:old@1": plan(500, 7), "plan:old@2": plan(700, 11) } });
    classic.push(&old).await;
    app.subscribe(ORG, &["plan:old@1"]).await;
    app
}

/// A change to a plan, or to no plan, at this time.
fn later(plan: &[&str], at: &str) -> Value {
    json!({ "org": ORG, "phases": [{ "features": plan, "effective": at }] })
}

/// The org's plans, with the time at which each begins.
async fn phases(app: &TestApp) -> Vec<Value> {
    let phases = app.get(&format!("/v1/phases?org={ORG}")).await.ok().json();
    let phases = phases["phases"].as_array().expect("a list");
    let of = |phase: &Value| json!([phase["effective"], phase["plans"]]);
    phases.iter().map(of).collect()
}

/// The features on all invoices with their quantities, and the sum of all totals in cents.
async fn billed(app: &TestApp) -> (Vec<(String, i64)>, i64) {
    let bills = app.bills(ORG).await;
    let total = bills.iter().map(|(_, total)| total).sum();
    (
        bills.into_iter().flat_map(|(lines, _)| lines).collect(),
        total,
    )
}

async fn count(app: &TestApp, path: &str) -> usize {
    let list = app.stripe_get(path).await;
    list["data"].as_array().expect("a list").len()
}

/// The number of schedules that have not started, and of subscriptions that have not ended.
async fn objects(app: &TestApp) -> (usize, usize) {
    let schedules = count(app, "/v1/subscription_schedules?scheduled=true").await;
    (schedules, count(app, "/v1/subscriptions").await)
}

#[tokio::test]
async fn each_plan_bills_its_own_periods() {
    let app = app().await;
    app.report(ORG, "feature:x", 2).await;
    app.post_json("/v1/subscribe", &later(&["plan:b@1"], PERIOD_END))
        .await
        .ok();
    let expected = [
        json!(["2023-01-01T00:00:00Z", ["plan:old@1"]]),
        json!([PERIOD_END, ["plan:b@1"]]),
    ];
    assert_eq!(phases(&app).await, expected);
    app.advance(DAY);
    app.report(ORG, "feature:x", 3).await;
    app.set_clock(START + MONTH + 1);
    assert_eq!(used(&app.limits(ORG).await)[2], ("feature:x", 0));
    assert_eq!(phases(&app).await, expected);
    app.report(ORG, "feature:x", 5).await;
    // A change back follows in the same way.
    app.post_json(
        "/v1/subscribe",
        &later(&["plan:old@1"], "2023-03-01T00:00:00Z"),
    )
    .await
    .ok();
    app.set_clock(START + 2 * MONTH);
    app.report(ORG, "feature:x", 1).await;
    app.set_clock(START + 3 * MONTH);
    assert_eq!(objects(&app).await, (0, 1));
    let (lines, total) = billed(&app).await;
    let of = |feature: &str| -> Vec<i64> {
        let lines = lines.iter().filter(|(name, _)| name == feature);
        lines.map(|(_, quantity)| *quantity).collect()
    };
    assert_eq!(of("feature:x@plan:old@1"), [5, 1]);
    assert_eq!(of("feature:x@plan:b@1"), [5]);
    assert_eq!(total, (500 + 5 * 7) + (3000 + 5 * 2) + (500 + 7) + 500);
}

#[tokio::test]
async fn cancel_at_is_listed_only_if_no_plan_follows() {
    let app = app().await;
    let ends = async || {
        let listed = app.get("/v1/orgs").await.ok().json();
        listed["orgs"][0].get("cancel_at").cloned()
    };
    for (plan, expected) in [
        (&["plan:b@1"][..], None),
        (&[], Some(json!(PERIOD_END))),
        (&["plan:b@1"], None),
    ] {
        let change = later(plan, PERIOD_END);
        app.post_json("/v1/subscribe", &change).await.ok();
        assert_eq!(ends().await, expected, "{plan:?}");
    }
}

#[tokio::test]
async fn a_later_change_replaces_what_was_to_follow() {
    let change = |plan: &[&str]| json!({ "org": ORG, "phases": [{ "features": plan }] });
    let none: [&str; 0] = [];
    for (request, plan) in [
        (change(&["plan:old@2"]), Some("plan:old@2")),
        (change(&["plan:b@1"]), Some("plan:b@1")),
        (change(&[]), None),
        (later(&none, PERIOD_END), None),
        (later(&["plan:a@1"], PERIOD_END), Some("plan:a@1")),
        (later(&["plan:old@2"], PERIOD_END), Some("plan:old@2")),
        (
            later(&["plan:old@2"], "2023-01-20T00:00:00Z"),
            Some("plan:old@2"),
        ),
    ] {
        let app = app().await;
        app.post_json(
            "/v1/subscribe",
            &later(&["plan:free@1", "feature:x@plan:b@1"], PERIOD_END),
        )
        .await
        .ok();
        assert_eq!(objects(&app).await, (1, 1));
        app.advance(DAY);
        app.post_json("/v1/subscribe", &request).await.ok();
        let live = app.stripe_get("/v1/subscriptions").await;
        let metadata = &live["data"][0]["metadata"];
        assert!(
            metadata["tier.succession"].is_null(),
            "{request}: {metadata}"
        );
        app.set_clock(START + MONTH + 1);
        let now = app.get(&format!("/v1/phase?org={ORG}")).await;
        match plan {
            Some(plan) => assert_eq!(now.ok().json()["plans"], json!([plan]), "{request}"),
            None => drop(now.fails(404, "not_found")),
        }
        let live = usize::from(plan.is_some());
        assert_eq!(objects(&app).await, (0, live), "{request}");
    }
}

#[tokio::test]
async fn a_phase_is_added_after_what_follows() {
    let app = app().await;
    app.post_json("/v1/subscribe", &later(&["plan:b@1"], PERIOD_END))
        .await
        .ok();
    let plan = "plan:a@1".parse().expect("a plan");
    let april = START + 90 * 86_400;
    let org = ORG.parse().expect("an org");
    let appended = app.domain().append(&org, &plan, Some(april));
    appended.await.expect("it is added");
    let expected = [
        json!(["2023-01-01T00:00:00Z", ["plan:old@1"]]),
        json!([PERIOD_END, ["plan:b@1"]]),
        json!(["2023-04-01T00:00:00Z", ["plan:a@1"]]),
    ];
    assert_eq!(phases(&app).await, expected);
    assert_eq!(objects(&app).await, (1, 1));
}

#[tokio::test]
async fn a_schedule_that_has_not_started_is_replaced_by_one_of_the_other_generation() {
    for at in [None, Some("2023-01-20T00:00:00Z")] {
        let app = app().await;
        app.post_json(
            "/v1/subscribe",
            &json!({ "org": "org:b", "phases": [
            { "features": ["plan:old@1"], "effective": "2023-01-10T00:00:00Z" }] }),
        )
        .await
        .ok();
        let phase = json!({ "features": ["plan:b@1"], "effective": at });
        let change = json!({ "org": "org:b", "phases": [phase] });
        app.post_json("/v1/subscribe", &change).await.ok();
        app.set_clock(START + MONTH - 1);
        let now = app.get("/v1/phase?org=org:b").await.ok().json();
        assert_eq!(now["plans"], json!(["plan:b@1"]), "{at:?}");
        assert_eq!(objects(&app).await, (0, 2), "{at:?}");
    }
}

#[tokio::test]
async fn nothing_follows_a_subscription_that_ends_early() {
    let app = app().await;
    app.post_json("/v1/subscribe", &later(&["plan:b@1"], PERIOD_END))
        .await
        .ok();
    app.advance(DAY);
    let live = app.stripe_get("/v1/subscriptions").await;
    let id = live["data"][0]["id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/subscriptions/{id}")).await;
    assert!(app.limits(ORG).await.is_empty());
    app.settled().await;
    assert_eq!(objects(&app).await, (0, 0));
}

#[tokio::test]
async fn a_replaced_schedule_is_canceled_by_the_repeated_request() {
    let app = app().await;
    let change = |plan: &str, at: &str| json!({ "org": "org:b", "phases": [{ "features": [plan], "effective": at }] });
    let old = change("plan:old@1", "2023-01-20T00:00:00Z");
    app.post_json("/v1/subscribe", &old).await.ok();
    let fails = Rule::new(
        "POST",
        "/v1/subscription_schedules/*/cancel",
        Action::Status(402, None),
    );
    app.sandbox().add_fault(fails);
    let new = change("plan:b@1", "2023-01-10T00:00:00Z").to_string();
    let send = async || {
        let call = app.request(axum::http::Method::POST, "/v1/subscribe");
        call.body(new.clone())
            .header("idempotency-key", "one")
            .send()
            .await
    };
    assert_ne!(send().await.status, 200);
    app.sandbox().clear_faults();
    send().await.ok();
    app.set_clock(START + MONTH - 1);
    let now = app.get("/v1/phase?org=org:b").await.ok().json();
    assert_eq!(now["plans"], json!(["plan:b@1"]));
    assert_eq!(objects(&app).await, (0, 2));
}

#[tokio::test]
async fn a_temporary_coupon_must_be_named_in_a_change_of_generation() {
    let app = app().await;
    app.stripe_post(
        "/v1/coupons",
        &[
            ("id", "half"),
            ("percent_off", "50"),
            ("duration", "repeating"),
            ("duration_in_months", "3"),
        ],
    )
    .await;
    let with_coupon =
        json!({ "org": ORG, "phases": [{ "features": ["plan:old@1"], "coupon": "half" }] });
    app.post_json("/v1/subscribe", &with_coupon).await.ok();
    let mut change = later(&["plan:b@1"], PERIOD_END);
    let refused = app.post_json("/v1/subscribe", &change).await;
    let message = refused.fails(400, "invalid_request").json()["message"].clone();
    let message = message.as_str().expect("a text");
    assert!(
        message.starts_with("the org's coupon \"half\" is for a time"),
        "{message}"
    );
    change["phases"][0]["coupon"] = json!("half");
    app.post_json("/v1/subscribe", &change).await.ok();
}

#[tokio::test]
async fn a_cancellation_after_an_interrupted_change_takes_effect() {
    let app = app().await;
    let fails = Rule::new(
        "POST",
        "/v1/subscription_schedules/*",
        Action::Status(402, None),
    );
    app.sandbox().add_fault(fails);
    let follows = later(&["plan:b@1"], PERIOD_END);
    assert_ne!(app.post_json("/v1/subscribe", &follows).await.status, 200);
    app.sandbox().clear_faults();
    assert_eq!(objects(&app).await, (1, 1));
    let none: [&str; 0] = [];
    app.post_json("/v1/subscribe", &later(&none, PERIOD_END))
        .await
        .ok();
    app.set_clock(START + MONTH + 1);
    assert_eq!(objects(&app).await, (0, 0));
}

/// Makes the server die after this call: no later call reaches Stripe.
fn dies(app: &TestApp, call: u32) {
    let rule = |at| Rule::new("*", "/v1/*", Action::Drop).skipping(at);
    app.sandbox().add_fault(rule(call).times(1).after());
    app.sandbox().add_fault(rule(call));
}

/// Makes a change during which the server dies. The caller repeats the change, or nobody does. Returns the plan of the
/// next period, the sum that was billed, the number of calls of the change, and whether the server died.
async fn change(
    before: Option<&Value>,
    request: &Value,
    death: Option<u32>,
    repeats: bool,
) -> (Value, i64, u32, bool) {
    let app = app().await;
    if let Some(before) = before {
        app.post_json("/v1/subscribe", before).await.ok();
    }
    app.advance(DAY);
    let mortal = app.second_server_with(&Settings {
        retries: usize::from(death.is_none()),
        ..Settings::default()
    });
    mortal.limits(ORG).await;
    mortal.settled().await;
    app.forget_calls();
    if let Some(death) = death {
        dies(&app, death);
    }
    let send = async |app: &TestApp| {
        let call = app.request(axum::http::Method::POST, "/v1/subscribe");
        let call = call.body(request.to_string());
        call.header("idempotency-key", "one").send().await
    };
    let answer = send(&mortal).await;
    mortal.settled().await;
    let calls = u32::try_from(app.stripe_calls()).expect("a number");
    let is_cut = app.sandbox().fault_hits() > 0;
    app.sandbox().clear_faults();
    if repeats && answer.status != 200 {
        send(&app).await.ok();
    }
    // A later read completes what the change has left undone.
    app.advance(Duration::from_secs(30 * 60));
    app.limits(ORG).await;
    app.settled().await;
    let known = phases(&app).await;
    app.set_clock(START + MONTH + 2);
    app.limits(ORG).await;
    app.settled().await;
    let plans = app.get(&format!("/v1/phase?org={ORG}")).await.ok().json()["plans"].clone();
    let last = known.last().expect("a phase");
    assert_eq!(plans, last[1], "{death:?}: {known:?}");
    assert_eq!(objects(&app).await, (0, 1), "{death:?}");
    (plans, billed(&app).await.1, calls, is_cut)
}

#[tokio::test]
async fn a_change_is_whole_wherever_a_server_dies() {
    let follows = later(&["plan:b@1"], PERIOD_END);
    let replaces = json!({ "org": ORG, "phases": [{ "features": ["plan:old@2"] }] });
    for (before, request) in [(None, &follows), (Some(&follows), &replaces)] {
        let (plan, total, calls, _) = change(before, request, None, true).await;
        let unchanged = match before {
            None => json!(["plan:old@1"]),
            Some(_) => json!(["plan:b@1"]),
        };
        for death in 0..calls {
            let repeated = change(before, request, Some(death), true).await;
            assert_eq!(repeated, (plan.clone(), total, repeated.2, true), "{death}");
            let (left, ..) = change(before, request, Some(death), false).await;
            assert!(left == plan || left == unchanged, "{death}: {left}");
        }
    }
}
