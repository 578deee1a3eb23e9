//! Stripe's answers to this server's own changes are cached, so that the next check makes no call.

use std::time::Duration;

use serde_json::{Value, json};
use tier::domain::MaxAge;

use super::{SECOND, calls, freshness, memory};
use crate::harness::{Settings, TestApp};

/// Plans that share features in pairs, each at another price. Two of the plans share one price.
async fn start() -> TestApp {
    let app = TestApp::with(Settings {
        max_age: MaxAge {
            usual: 3_600 * SECOND,
            // On a busy machine, a slow answer must not look like an outage.
            in_outage: Duration::ZERO,
            ..Settings::remembering().max_age
        },
        ..Settings::remembering()
    })
    .await;
    let level = |aggregate: &str, price: u32| json!({"aggregate": aggregate, "tiers": [{"upto": 50, "price": price}, {}]});
    let plan = |price: u32| {
        json!({"features": {
            "feature:sum": {"tiers": [{"upto": 100, "price": price}]},
            "feature:max": level("max", price),
            "feature:last": level("last", price),
            "feature:perpetual": level("perpetual", price),
            "feature:base": {"base": 100 * price},
        }})
    };
    let mut yearly = plan(7);
    yearly["interval"] = json!("@yearly");
    app.push(&json!({"plans": {
        "plan:free@1": {"features": {"feature:sum": {"tiers": [{"upto": 9}]}, "feature:max": level("max", 0)}},
        "plan:a@1": plan(1), "plan:b@1": plan(2), "plan:year@1": yearly,
        "plan:add@1": {"features": {"feature:more": {"tiers": [{"upto": 5}]}}},
    }}))
    .await;
    app
}

async fn subscribe(app: &TestApp, phases: &Value) {
    let request = json!({"org": "org:a", "phases": phases});
    app.post_json("/v1/subscribe", &request).await.ok();
}

/// Whether the next answer comes from memory. In any case, the answer must agree with Stripe.
async fn is_answered_from_memory(app: &TestApp, when: &str) -> bool {
    app.forget_calls();
    let told = app.get("/v1/limits?org=org:a").await.ok();
    let is_known = freshness(&told).0 == "memory";
    assert_eq!(app.stripe_calls() == 0, is_known, "{when}");
    let fresh = [("cache-control", "no-cache")];
    let read = app.get_with("/v1/limits?org=org:a", &fresh).await.ok();
    assert_eq!(told.body, read.body, "{when}");
    is_known
}

#[tokio::test]
async fn a_change_of_plan_is_in_memory_before_it_is_answered() {
    let now = |plans: &[&str]| json!([{"features": plans}]);
    let later = |plan: &str, at: &str, next: &str| json!([{"features": [plan]}, {"effective": at, "features": [next]}]);
    let trial = json!([
        {"trial": true, "features": ["plan:a@1"]}, {"effective": "2023-05-01T00:00:00Z", "features": ["plan:a@1"]},
    ]);
    let changes = [
        (now(&["plan:free@1"]), now(&["plan:a@1"])),
        (now(&["plan:a@1"]), now(&["plan:b@1"])),
        (now(&["plan:a@1"]), now(&["plan:free@1"])),
        (now(&["plan:a@1"]), now(&["plan:a@1", "plan:add@1"])),
        (
            now(&["plan:a@1", "plan:add@1"]),
            now(&["plan:b@1", "plan:add@1"]),
        ),
        (now(&["plan:a@1"]), now(&["plan:year@1"])),
        (now(&["plan:year@1"]), now(&["plan:free@1"])),
        (
            now(&["plan:a@1"]),
            later("plan:a@1", "2023-01-20T00:00:00Z", "plan:b@1"),
        ),
        (
            now(&["plan:a@1"]),
            later("plan:b@1", "2023-01-20T00:00:00Z", "plan:free@1"),
        ),
        (now(&["plan:free@1"]), trial.clone()),
        (trial.clone(), now(&["plan:a@1"])),
        (trial, now(&["plan:b@1"])),
    ];
    let each = changes
        .iter()
        .flat_map(|change| [(change, 0), (change, 90)]);
    let each =
        each.map(|((from, to), seconds)| check_answers_after_change(from, to, seconds * SECOND));
    futures::future::join_all(each).await;
}

async fn check_answers_after_change(from: &Value, to: &Value, wait: Duration) {
    let app = start().await;
    subscribe(&app, from).await;
    let when = format!("{from} at first");
    assert!(is_answered_from_memory(&app, &when).await, "{when}");
    for (feature, n) in [("sum", 4), ("max", 3), ("last", 6), ("perpetual", 5)] {
        let feature = format!("feature:{feature}");
        let report = json!({"org": "org:a", "feature": feature, "n": n, "clobber": true});
        app.post_json("/v1/report", &report).await;
    }
    app.advance(wait);
    is_answered_from_memory(&app, "before the change").await;
    subscribe(&app, to).await;
    let when = format!("{from} -> {to} after {wait:?}");
    // If the change starts a new period, the server does not know the usage of the items that stay.
    let ends_trial = from[0]["trial"] == true && from[0]["features"] == to[0]["features"];
    assert_eq!(
        is_answered_from_memory(&app, &when).await,
        !ends_trial,
        "{when}"
    );
    subscribe(&app, from).await;
    is_answered_from_memory(&app, &format!("{when}, and back")).await;
    subscribe(&app, &json!([{"features": []}])).await;
    assert!(is_answered_from_memory(&app, &format!("{when}, and cancelled")).await);
}

#[tokio::test]
async fn details_and_a_checkout_leave_the_cache() {
    let app = super::start().await;
    calls(&app).await;
    app.get("/v1/phase?org=org:a").await.ok();
    app.advance(SECOND);
    let info = json!({"org": "org:a", "info": {"email": "a@example.com"}});
    app.post_json("/v1/subscribe", &info).await.ok();
    let card = json!({"org": "org:a", "payment_method_id": "pm_card_visa"});
    app.post_json("/v1/subscribe", &card).await.ok();
    let checkout = json!({"org": "org:a", "success_url": "https://x.example"});
    app.post_json("/v1/checkout", &checkout).await.ok();
    app.forget_calls();
    assert_eq!(calls(&app).await, memory(0, 1));
    let phase = app.get("/v1/phase?org=org:a").await.ok();
    assert_eq!(freshness(&phase), ("memory".to_owned(), 1, None));

    let checkout = json!({"org": "org:b", "success_url": "https://x.example"});
    app.post_json("/v1/checkout", &checkout).await.ok();
    let info = json!({"org": "org:c", "info": {}});
    app.post_json("/v1/subscribe", &info).await.ok();
    app.settled().await;
    app.forget_calls();
    for org in ["org:b", "org:c"] {
        assert_eq!(app.limits(org).await, []);
        let phase = app.get(&format!("/v1/phase?org={org}")).await;
        phase.fails(404, "not_found");
    }
    assert_eq!(app.stripe_calls(), 0);
}

/// The server has not read what another server reported on items that stay, so the answer keeps its age.
#[tokio::test]
async fn usage_of_items_that_stay_keeps_its_age() {
    let app = start().await;
    subscribe(&app, &json!([{"features": ["plan:a@1"]}])).await;
    app.second_server().report("org:a", "feature:sum", 5).await;
    app.advance(100 * SECOND);
    let more = json!([{"features": ["plan:a@1", "plan:add@1"]}]);
    subscribe(&app, &more).await;
    let told = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(freshness(&told), ("memory".to_owned(), 100, None));
}
