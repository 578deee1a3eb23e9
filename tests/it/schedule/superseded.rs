//! Several subscriptions of one org. The newest paid one counts, and older ones are ended in the background.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use super::{buy, phase, schedule, start, subscriptions, timeline};
use crate::harness::{DAY, TestApp};
use tier::metrics::Task;

async fn live(app: &TestApp) -> Vec<String> {
    let all = subscriptions(app).await.into_iter();
    let ended = ["canceled", "incomplete_expired"].map(Value::from);
    let live = all.filter(|s| !ended.contains(&s["status"]));
    live.map(|s| s["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// An org that had a plan, and bought another plan in Checkout a day later.
async fn bought_twice() -> (TestApp, String) {
    let app = start().await;
    let body = json!({"org": "org:a", "info": {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}});
    app.post_json("/v1/subscribe", &body).await.ok();
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", "feature:calls", 3).await;
    app.advance(DAY);
    buy(&app, "feature-storage-plan-extra-1", &[]).await;
    let newest = live(&app).await[0].clone();
    (app, newest)
}

#[tokio::test]
async fn every_read_queues_the_end_of_the_older_one() {
    for path in ["/v1/limits", "/v1/phase", "/v1/phases"] {
        let (app, newest) = bought_twice().await;
        assert_eq!(live(&app).await.len(), 2);
        app.get(&format!("{path}?org=org:a")).await.ok();
        app.settled().await;
        assert_eq!(live(&app).await, [newest.as_str()], "{path}");
        assert_eq!(app.metrics().superseded.get(), 1);
        // The unused paid time is credited.
        let org = app.get("/v1/whois?org=org:a").await.ok().json();
        let customer = format!(
            "/v1/customers/{}",
            org["stripe_id"].as_str().expect("an id")
        );
        let balance = app.stripe_get(&customer).await["balance"].clone();
        assert!(balance.as_i64().expect("a number") < 0, "{balance}");
    }
}

#[tokio::test]
async fn a_read_neither_waits_for_the_end_nor_fails_with_it() {
    let (app, newest) = bought_twice().await;
    let failing = Action::Status(500, None);
    app.sandbox()
        .add_fault(Rule::new("DELETE", "/v1/subscriptions/*", failing));
    app.get("/v1/limits?org=org:a").await.ok();
    app.settled().await;
    assert_eq!(live(&app).await.len(), 2);
    // The next read tries again.
    app.sandbox().clear_faults();
    app.get("/v1/limits?org=org:a").await.ok();
    app.settled().await;
    assert_eq!(live(&app).await, [newest]);
}

#[tokio::test]
async fn an_unpaid_subscription_supersedes_nothing() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let old = live(&app).await;
    app.advance(DAY);
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let attach = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let holder = [("customer", org["stripe_id"].as_str().expect("an id"))];
    let declined = app.stripe_post(attach, &holder).await;
    let declined = declined["id"].as_str().expect("an id");
    buy(
        &app,
        "feature-seats-plan-pro-1",
        &[("default_payment_method", declined)],
    )
    .await;
    app.get("/v1/limits?org=org:a").await.ok();
    app.settled().await;
    assert_eq!(live(&app).await.len(), 2);
    assert_eq!(
        phase(&app).await.ok().json()["plans"],
        json!(["plan:pro@1"])
    );
    // A plan change applies to the paid subscription, and leaves the other unchanged.
    app.subscribe("org:a", &["plan:free@1"]).await;
    assert_eq!(live(&app).await.len(), 2);
    assert!(live(&app).await.contains(&old[0]));
    schedule(&app, json!([{}])).await.ok();
    assert_eq!(live(&app).await.len(), 0, "a cancellation ends all");
}

#[tokio::test]
async fn a_schedule_that_has_not_started_is_canceled() {
    for trial in [None, Some(("trial_period_days", "7"))] {
        let app = start().await;
        let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:pro@1"]}]);
        schedule(&app, later).await.ok();
        app.advance(DAY);
        buy(&app, "feature-calls-plan-free-1", trial.as_slice()).await;
        app.get("/v1/limits?org=org:a").await.ok();
        app.settled().await;
        app.advance(30 * DAY);
        assert_eq!(live(&app).await.len(), 1);
        assert_eq!(
            timeline(&app)
                .await
                .last()
                .map(|last| last.ends_with("plan:free@1")),
            Some(true)
        );
    }
}

#[tokio::test]
async fn a_subscription_made_by_checkout_is_settled_once() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    buy(&app, "feature-calls-plan-free-1", &[]).await;
    let settle = Task {
        task: "settle",
        outcome: "ok",
    };
    for _ in 0..3 {
        let fresh = [("cache-control", "no-cache")];
        app.get_with("/v1/limits?org=org:a", &fresh).await.ok();
        app.settled().await;
        let runs = app.metrics().background.get_or_create(&settle).get();
        assert_eq!(runs, 1);
    }
}

#[tokio::test]
async fn subscriptions_that_are_not_tiers_stay() {
    let (app, _) = bought_twice().await;
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let prices = app
        .stripe_get("/v1/prices?lookup_keys[]=tier__feature-logs-plan-extra-1")
        .await;
    let theirs = [
        ("customer", org["stripe_id"].as_str().expect("an id")),
        (
            "items[0][price]",
            prices["data"][0]["id"].as_str().expect("an id"),
        ),
    ];
    let theirs = app.stripe_post("/v1/subscriptions", &theirs).await;
    app.get("/v1/limits?org=org:a").await.ok();
    app.settled().await;
    let left = live(&app).await;
    assert_eq!(left.len(), 2);
    assert!(left.contains(&theirs["id"].as_str().expect("an id").to_owned()));
}
