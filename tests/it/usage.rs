//! `limits` and `report`.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, DAY, TestApp};

const NONE: i64 = i64::MAX;

/// Features of every kind.
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

/// The original reads only the largest line of the invoice, here 1,000.
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

/// An item with usage stays when a plan is added whose item gets new usage.
#[tokio::test]
async fn clobber_sets_the_total_of_all_plans_that_sell_the_feature() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.report("org:a", "feature:calls", 3).await;
    app.subscribe("org:a", &["plan:free@1", "plan:extra@1"])
        .await;
    for (n, key) in [(7, None), (9, Some("nine")), (9, Some("nine"))] {
        let request = app.request(Method::POST, "/v1/report");
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let set = json!({"org": "org:a", "feature": "feature:calls", "n": n, "clobber": true});
        request.body(set.to_string()).send().await.ok();
        assert_eq!(app.limits("org:a").await[0], row("calls", n, 15));
    }
    let lower = json!({"org": "org:a", "feature": "feature:calls", "n": 8, "clobber": true});
    report(&app, lower).await.fails(400, "invalid_request");
}

/// The other plan's item was part of the total. Before the report is repeated, the item is removed and a period begins.
#[tokio::test]
async fn a_keyed_clobber_is_recognised_after_another_plan_with_the_feature_ended() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.report("org:a", "feature:calls", 3).await;
    app.advance(30 * DAY + DAY / 2);
    app.subscribe("org:a", &["plan:free@1", "plan:extra@1"])
        .await;
    let set = json!({"org": "org:a", "feature": "feature:calls", "n": 7, "clobber": true});
    let keyed = async |server: &TestApp| {
        let request = server.request(Method::POST, "/v1/report");
        let request = request.header("idempotency-key", "set");
        request.body(set.to_string()).send().await.ok();
    };
    keyed(&app).await;
    app.subscribe("org:a", &["plan:extra@1"]).await;
    keyed(&app.twin()).await;
    assert_eq!(app.limits("org:a").await[0], row("calls", 7, 5));
    app.advance(DAY / 8 * 7);
    keyed(&app.twin()).await;
    assert_eq!(app.limits("org:a").await[0], row("calls", 0, 5));
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
        "message": "n must not be negative"
    }
    "#);
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn clobber_sets_the_value() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let set = async |feature: &str, n: i64| {
        report(
            &app,
            json!({"org": "org:a", "feature": feature, "n": n, "clobber": true}),
        )
        .await
    };
    app.report("org:a", "feature:calls", 5).await;
    set("feature:calls", 12).await.ok();
    set("feature:calls", 12).await.ok();
    assert_eq!(app.limits("org:a").await[0], row("calls", 12, NONE));
    let lower = set("feature:calls", 11).await.fails(400, "invalid_request");
    insta::assert_snapshot!(lower.body, @r#"
    {
        "status": 400,
        "code": "invalid_request",
        "message": "usage of feature:calls cannot be lowered: 12 are recorded in this period, and n is 11"
    }
    "#);
    assert_eq!(app.limits("org:a").await[0], row("calls", 12, NONE));

    set("feature:level", 7).await.ok();
    set("feature:level", 3).await.ok();
    set("feature:peak", 9).await.ok();
    assert_eq!(
        app.limits("org:a").await[1..3],
        [row("level", 3, NONE), row("peak", 9, 50)]
    );
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
    // Unset means Stripe's "now". A computed second would differ in a retry.
    assert_eq!(times[..2], ["1672531200", "now"]);
}

#[tokio::test]
async fn an_idempotency_key_counts_once() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let keyed = async |key: &'static str, n: i64| {
        let body = json!({"org": "org:a", "feature": "feature:calls", "n": n}).to_string();
        app.request(Method::POST, "/v1/report")
            .header("idempotency-key", key)
            .body(body)
            .send()
            .await
    };
    let first = keyed("one", 2).await.ok();
    for _ in 0..3 {
        assert_eq!(keyed("one", 2).await.ok().body, first.body);
    }
    assert_eq!(app.limits("org:a").await[0], row("calls", 2, 10));
    keyed("two", 2).await.ok();
    assert_eq!(app.limits("org:a").await[0], row("calls", 4, 10));
    let other = keyed("one", 3).await.fails(400, "invalid_request");
    assert_ne!(other.json()["message"], "");
    assert_eq!(app.limits("org:a").await[0], row("calls", 4, 10));
}

/// Stripe remembers a key for longer than a server lives.
#[tokio::test]
async fn an_idempotency_key_counts_once_across_restarts() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let keyed = async |server: &TestApp, key: &'static str, report: serde_json::Value| {
        let request = server.request(Method::POST, "/v1/report");
        let request = request.header("idempotency-key", key);
        request.body(report.to_string()).send().await
    };
    let added = json!({"org": "org:a", "feature": "feature:calls", "n": 2});
    let set = json!({"org": "org:a", "feature": "feature:calls", "n": 6, "clobber": true});
    keyed(&app, "added", added.clone()).await.ok();
    keyed(&app, "set", set.clone()).await.ok();
    // The total changes, and so does the difference to six.
    for used in [8, 8] {
        let restarted = app.twin();
        keyed(&restarted, "more", added.clone()).await.ok();
        keyed(&restarted, "added", added.clone()).await.ok();
        keyed(&restarted, "set", set.clone()).await.ok();
        assert_eq!(app.limits("org:a").await[0], row("calls", used, 10));
    }
    let mut other = added;
    other["n"] = json!(3);
    keyed(&app.twin(), "added", other)
        .await
        .fails(400, "invalid_request");
    let lower = json!({"org": "org:a", "feature": "feature:calls", "n": 1, "clobber": true});
    for server in [&app, &app, &app.twin()] {
        let refused = keyed(server, "lower", lower.clone()).await;
        let message = refused.fails(400, "invalid_request").json()["message"].to_string();
        assert!(message.contains("cannot be lowered"), "{message}");
    }
    assert_eq!(app.limits("org:a").await[0], row("calls", 8, 10));
}

/// A refused report was not counted. A retry does not say otherwise after the total has changed.
#[tokio::test]
async fn a_refused_clobber_is_not_mistaken_for_a_counted_one() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let body = json!({"org": "org:a", "feature": "feature:calls", "n": 6, "clobber": true,
        "at": "2022-06-01T00:00:00Z"})
    .to_string();
    for server in [&app, &app, &app.twin()] {
        let request = server.request(Method::POST, "/v1/report");
        let request = request.header("idempotency-key", "one").body(body.clone());
        request.send().await.fails(400, "invalid_request");
        app.report("org:a", "feature:calls", 1).await;
    }
    assert_eq!(app.limits("org:a").await[0], row("calls", 3, 10));
}

/// An org of the same name on another clock is another customer.
#[tokio::test]
async fn an_idempotency_key_belongs_to_its_test_clock() {
    let app = start().await;
    for _ in 0..2 {
        let clock = app.stripe_post(
            "/v1/test_helpers/test_clocks",
            &[("frozen_time", "1672531200")],
        );
        let clock = clock.await["id"].as_str().expect("an id").to_owned();
        let on_clock = async |path: &'static str, body: serde_json::Value| {
            let request = app.request(Method::POST, path).header("tier-clock", &clock);
            let request = request.header("idempotency-key", "one");
            request.body(body.to_string()).send().await.ok();
        };
        let phases = json!([{"features": ["plan:free@1"]}]);
        on_clock("/v1/subscribe", json!({"org": "org:a", "phases": phases})).await;
        on_clock(
            "/v1/report",
            json!({"org": "org:a", "feature": "feature:calls", "n": 2}),
        )
        .await;
        let limits = app.request(Method::GET, "/v1/limits?org=org:a");
        let limits = limits.header("tier-clock", &clock).send().await.ok().json();
        assert_eq!(limits["usage"][0]["used"], 2, "{limits}");
    }
}

/// No more calls than the original makes.
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

    // Created by the app itself, with a declined first payment.
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

/// A limit was intended, so it does not become no limit.
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
