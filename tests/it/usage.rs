//! `limits` and `report`.

mod clobber;
mod keys;

use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};

const NONE: i64 = i64::MAX;

/// A model with features of every kind.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {
        "plan:free@1": {"features": {
            "feature:calls": {"tiers": [{"upto": 10}]},
            "feature:support": {"base": 0},
        }},
        "plan:pro@1": {"features": {
            "feature:calls": {"tiers": [{"upto": 1000, "base": 900}, {"price": 3.6}]},
            "feature:peak": {"aggregate": "max", "tiers": [{"upto": 50, "price": 2}]},
            "feature:level": {"aggregate": "last", "tiers": [{"price": 1}]},
            "feature:seats": {"base": 1000},
        }},
        "plan:extra@1": {"features": {"feature:calls": {"tiers": [{"upto": 5}]}, "feature:off": {"tiers": []}}},
    }}))
    .await;
    app
}

fn row(feature: &str, used: i64, limit: i64) -> (String, i64, i64) {
    (format!("feature:{feature}"), used, limit)
}

async fn report(app: &TestApp, body: Value) -> Answer {
    app.post_json("/v1/report", &body).await
}

#[tokio::test]
async fn limits_to_the_byte() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.report("org:a", "feature:calls", 8).await;
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.header("content-type"), "application/json");
    assert!(limits.body.ends_with("}\n"));
    insta::assert_snapshot!(limits.body, @r#"
    {
    	"org": "org:a",
    	"usage": [
    		{
    			"feature": "feature:calls",
    			"used": 8,
    			"limit": 10
    		},
    		{
    			"feature": "feature:support",
    			"used": 1,
    			"limit": 9223372036854775807
    		}
    	]
    }
    "#);
}

#[tokio::test]
async fn without_a_subscription_nothing_is_granted() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": [{}]}))
        .await
        .ok();
    app.post_json(
        "/v1/subscribe",
        &json!({"org": "org:b", "info": {"name": "B"}}),
    )
    .await
    .ok();
    for org in ["org:a", "org:b"] {
        let limits = app.get(&format!("/v1/limits?org={org}")).await.ok();
        insta::allow_duplicates! {
            insta::assert_snapshot!(limits.body.replace(org, "org:x"), @r#"
            {
            	"org": "org:x",
            	"usage": []
            }
            "#);
        }
        report(
            &app,
            json!({"org": org, "feature": "feature:calls", "n": 1}),
        )
        .await
        .fails(400, "feature_not_found");
    }
}

#[tokio::test]
async fn reports_add_up_beyond_the_limit() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    for n in [4, 0, 9] {
        app.report("org:a", "feature:calls", n).await;
    }
    let answer = report(&app, json!({"org": "org:a", "feature": "feature:calls"}))
        .await
        .ok();
    assert_eq!(
        (answer.body.as_str(), answer.header("content-type")),
        ("{}", "text/plain; charset=utf-8")
    );
    assert_eq!(
        app.limits("org:a").await,
        [row("calls", 13, 10), row("support", 1, NONE)]
    );
}

/// The original Tier reads only the largest line of the invoice, here 1,000.
#[tokio::test]
async fn usage_over_tiers_is_the_total() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", "feature:calls", 1031).await;
    let rows = [
        row("calls", 1031, NONE),
        row("level", 0, NONE),
        row("peak", 0, 50),
        row("seats", 1, NONE),
    ];
    assert_eq!(app.limits("org:a").await, rows);
}

#[tokio::test]
async fn a_feature_of_two_plans_is_one_row() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1", "plan:extra@1"])
        .await;
    app.report("org:a", "feature:calls", 3).await;
    assert_eq!(
        app.limits("org:a").await,
        [
            row("calls", 3, 15),
            row("off", 0, 0),
            row("support", 1, NONE)
        ]
    );
    app.subscribe("org:b", &["plan:pro@1", "feature:calls@plan:extra@1"])
        .await;
    assert_eq!(app.limits("org:b").await[0], row("calls", 0, NONE));
}

#[tokio::test]
async fn reports_that_are_refused() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let licensed = report(
        &app,
        json!({"org": "org:a", "feature": "feature:support", "n": 1}),
    )
    .await;
    insta::assert_snapshot!(licensed.fails(400, "invalid_request").body, @r#"
    {
        "status": 400,
        "code": "invalid_request",
        "message": "feature not reportable"
    }
    "#);
    let unknown = report(
        &app,
        json!({"org": "org:a", "feature": "feature:peak", "n": 1}),
    )
    .await;
    insta::assert_snapshot!(unknown.fails(400, "feature_not_found").body, @r#"
    {
        "status": 400,
        "code": "feature_not_found",
        "message": "feature not found"
    }
    "#);
    app.forget_calls();
    let negative = report(
        &app,
        json!({"org": "org:a", "feature": "feature:calls", "n": -1}),
    )
    .await;
    insta::assert_snapshot!(negative.fails(400, "invalid_request").body, @r#"
    {
        "status": 400,
        "code": "invalid_request",
        "message": "n must not be negative: only a server with --ledger takes usage back"
    }
    "#);
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn a_time_may_be_given() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let at = |at: &str| json!({"org": "org:a", "feature": "feature:calls", "n": 2, "at": at});
    report(&app, at("2023-01-01T00:00:00.75Z")).await.ok();
    report(&app, at("0001-01-01T00:00:00Z")).await.ok();
    assert_eq!(app.limits("org:a").await[0], row("calls", 4, 10));
    let before = report(&app, at("2020-01-01T00:00:00Z"))
        .await
        .fails(400, "invalid_request");
    assert_ne!(before.json()["message"], "");
    let sent = app.sent("POST /v1/subscription_items/:id/usage_records");
    let times: Vec<_> = sent.iter().map(|params| &params["timestamp"]).collect();
    // Without a time, Stripe uses the present. A time that the server computes would differ in a retry.
    assert_eq!(times[..2], ["1672531200", "now"]);
}

/// A report makes no more calls than in the original Tier.
#[tokio::test]
async fn calls_to_stripe_with_a_warm_cache() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    for _ in 0..2 {
        app.forget_calls();
        app.limits("org:a").await;
        assert!(
            app.stripe_calls() <= 2,
            "limits: {:?}",
            app.sandbox().counts(None)
        );
        app.forget_calls();
        app.report("org:a", "feature:calls", 1).await;
        assert!(
            app.stripe_calls() <= 2,
            "report: {:?}",
            app.sandbox().counts(None)
        );
    }
}

#[tokio::test]
async fn a_failed_renewal_grants_until_stripe_gives_up_and_a_failed_first_payment_does_not() {
    let app = start().await;
    let declined = "pm_card_chargeCustomerFail";
    let info = json!({"payment_method": declined, "invoice_settings": {"default_payment_method": declined}});
    let phases = json!([{"features": ["feature:seats@plan:pro@1"]}]);
    app.post_json(
        "/v1/subscribe",
        &json!({"org": "org:late", "info": info, "phases": phases}),
    )
    .await
    .ok();
    let late = &app.stripe_get("/v1/subscriptions").await["data"][0];
    assert_eq!(late["status"], "past_due");
    assert_eq!(app.limits("org:late").await, [row("seats", 1, i64::MAX)]);
    app.get("/v1/phase?org=org:late").await.ok();

    // The app itself creates this subscription, and the first payment is declined.
    app.post_json("/v1/subscribe", &json!({"org": "org:never", "info": info}))
        .await
        .ok();
    let customer = app.get("/v1/whois?org=org:never").await.ok().json();
    let customer = customer["stripe_id"].as_str().expect("an id").to_owned();
    let price = late["items"]["data"][0]["price"]["id"]
        .as_str()
        .expect("a price")
        .to_owned();
    let mark = ("metadata[tier.subscription]", "default");
    let params = [("customer", &*customer), ("items[0][price]", &*price), mark];
    let never = app.stripe_post("/v1/subscriptions", &params).await;
    assert_eq!(never["status"], "incomplete");
    assert_eq!(app.limits("org:never").await, []);
    app.get("/v1/phase?org=org:never")
        .await
        .fails(404, "not_found");
}

/// Somebody intended a limit, so a broken limit must not count as no limit.
#[tokio::test]
async fn a_limit_in_stripe_that_is_not_a_number_grants_nothing() {
    let app = start().await;
    let prices = "/v1/prices?lookup_keys[]=tier__feature-calls-plan-free-1";
    let prices = app.stripe_get(prices).await;
    let price = prices["data"][0]["id"].as_str().expect("an id");
    for limit in ["lots", "10.5", "99999999999999999999"] {
        let changed = [("metadata[tier.limit]", limit)];
        app.stripe_post(&format!("/v1/prices/{price}"), &changed)
            .await;
        let org = format!("org:{}", limit.len());
        app.subscribe(&org, &["plan:free@1"]).await;
        assert_eq!(app.limits(&org).await[0], row("calls", 0, 0), "{limit}");
    }
}

#[tokio::test]
async fn limits_of_several_plans_add_up_to_no_limit_at_most() {
    let app = start().await;
    app.push(&json!({"plans": {
        "plan:huge@1": {"features": {"feature:calls": {"tiers": [{"upto": NONE - 1}]}}},
    }}))
    .await;
    app.subscribe("org:a", &["plan:huge@1", "plan:free@1"])
        .await;
    let limits = app.limits("org:a").await;
    assert_eq!(limits[0], row("calls", 0, NONE));
}
