//! `subscribe`, `phase` and `phases`.

mod ahead;
mod cancel;
mod cards;
mod carried;
mod clock_skew;
mod given_back;
mod history;
mod refused;
mod stays;
mod superseded;
mod terms;
mod unpaid;

use serde_json::{Value, json};

use crate::harness::{Answer, DAY, TestApp};

async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": 10}]}}},
        "plan:pro@1": {"features": {"feature:calls": {"tiers": [{"upto": 100}]}, "feature:seats": {"base": 1000}}},
        "plan:extra@1": {"features": {"feature:storage": {"base": 5}, "feature:logs": {"base": 7}}},
    }}))
    .await;
    app
}

async fn schedule(app: &TestApp, phases: Value) -> Answer {
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": phases}))
        .await
}

async fn phase(app: &TestApp) -> Answer {
    app.get("/v1/phase?org=org:a").await
}

async fn phases(app: &TestApp) -> Answer {
    app.get("/v1/phases?org=org:a").await
}

/// The org's subscriptions in Stripe, including ended ones.
async fn subscriptions(app: &TestApp) -> Vec<Value> {
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let customer = org["stripe_id"].as_str().expect("an id");
    let list = app
        .stripe_get(&format!("/v1/subscriptions?status=all&customer={customer}"))
        .await;
    list["data"].as_array().expect("a list").clone()
}

/// The org's phases, one per line: `01-01 .. 01-15: plan:pro@1, trial`.
async fn timeline(app: &TestApp) -> Vec<String> {
    let all = phases(app).await.ok().json();
    let day = |time: &Value| {
        time.as_str()
            .map_or("-".to_owned(), |time| time[5..10].to_owned())
    };
    let line = |phase: &Value| {
        let plans = phase["plans"].as_array().into_iter().flatten();
        let plans: Vec<&str> = plans.filter_map(Value::as_str).collect();
        let trial = if phase["trial"] == true {
            ", trial"
        } else {
            ""
        };
        let (effective, end) = (day(&phase["effective"]), day(&phase["end"]));
        format!("{effective} .. {end}: {}{trial}", plans.join(" "))
    };
    let phases = all["phases"].as_array().expect("a list");
    phases.iter().map(line).collect()
}

/// A subscription to one feature of a plan, as Checkout creates it.
pub(crate) async fn buy(app: &TestApp, feature: &str, more: &[(&'static str, &str)]) {
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let key = format!("/v1/prices?lookup_keys[]=tier__{feature}");
    let prices = app.stripe_get(&key).await;
    let made = [
        ("customer", org["stripe_id"].as_str().expect("an id")),
        (
            "items[0][price]",
            prices["data"][0]["id"].as_str().expect("an id"),
        ),
        ("metadata[tier.subscription]", "default"),
    ];
    app.stripe_post("/v1/subscriptions", &[&made, more].concat())
        .await;
}

#[tokio::test]
async fn a_plan_to_the_byte() {
    let app = start().await;
    let answer = schedule(&app, json!([{"features": ["plan:pro@1"]}]))
        .await
        .ok();
    assert_eq!(
        (answer.body.as_str(), answer.header("content-type")),
        ("{}", "text/plain; charset=utf-8")
    );
    let phase = phase(&app).await.ok();
    assert!(phase.body.ends_with("}\n"));
    insta::assert_snapshot!(phase.body, @r#"
    {
    	"features": [
    		"feature:calls@plan:pro@1",
    		"feature:seats@plan:pro@1"
    	],
    	"plans": [
    		"plan:pro@1"
    	],
    	"effective": "2023-01-01T00:00:00Z",
    	"current": {
    		"effective": "2023-01-01T00:00:00Z",
    		"end": "2023-02-01T00:00:00Z"
    	}
    }
    "#);
    insta::assert_snapshot!(phases(&app).await.ok().body, @r#"
    {
    	"current": {
    		"effective": "2023-01-01T00:00:00Z",
    		"end": "2023-02-01T00:00:00Z"
    	},
    	"phases": [
    		{
    			"features": [
    				"feature:calls@plan:pro@1",
    				"feature:seats@plan:pro@1"
    			],
    			"plans": [
    				"plan:pro@1"
    			],
    			"effective": "2023-01-01T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-02-01T00:00:00Z"
    			}
    		}
    	]
    }
    "#);
    let [subscription] = &subscriptions(&app).await[..] else {
        panic!("there is one")
    };
    assert_eq!(subscription["metadata"]["tier.subscription"], "default");
    assert_eq!(subscription["items"]["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_subscription() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    insta::assert_snapshot!(phase(&app).await.fails(404, "not_found").body, @r#"
    {
        "status": 404,
        "code": "not_found",
        "message": "Not Found"
    }
    "#);
    insta::assert_snapshot!(phases(&app).await.ok().body, @r#"
    {
    	"phases": []
    }
    "#);
}

#[tokio::test]
async fn plans_and_fragments() {
    let app = start().await;
    app.subscribe(
        "org:a",
        &[
            "feature:storage@plan:extra@1",
            "plan:pro@1",
            "feature:seats@plan:pro@1",
        ],
    )
    .await;
    let phase = phase(&app).await.ok().json();
    assert_eq!(phase["plans"], json!(["plan:pro@1"]));
    assert_eq!(phase["fragments"], json!(["feature:storage@plan:extra@1"]));
    assert_eq!(
        phase["features"],
        json!([
            "feature:calls@plan:pro@1",
            "feature:seats@plan:pro@1",
            "feature:storage@plan:extra@1"
        ])
    );
}

#[tokio::test]
async fn a_change_ends_the_running_phase_and_the_new_one_follows() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.advance(3 * DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let phase = phase(&app).await.ok().json();
    assert_eq!(
        (&phase["plans"], &phase["effective"]),
        (&json!(["plan:pro@1"]), &json!("2023-01-04T00:00:00Z"))
    );
    assert_eq!(subscriptions(&app).await.len(), 1);
    let before = ["01-01 .. 01-04: plan:free@1", "01-04 .. -: plan:pro@1"];
    assert_eq!(timeline(&app).await, before);
    // A request for the same items changes the phase in place.
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(timeline(&app).await, before);
}

#[tokio::test]
async fn a_scheduled_change_keeps_the_current_phase_until_then() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let ahead = async |at: &str, plan: &str| {
        schedule(&app, json!([{"effective": at, "features": [plan]}]))
            .await
            .ok();
    };
    ahead("2023-03-01T00:00:00Z", "plan:extra@1").await;
    ahead("2023-02-01T00:00:00Z", "plan:pro@1").await;
    insta::assert_snapshot!(phases(&app).await.ok().body, @r#"
    {
    	"current": {
    		"effective": "2023-01-01T00:00:00Z",
    		"end": "2023-02-01T00:00:00Z"
    	},
    	"phases": [
    		{
    			"features": [
    				"feature:calls@plan:free@1"
    			],
    			"plans": [
    				"plan:free@1"
    			],
    			"effective": "2023-01-01T00:00:00Z",
    			"end": "2023-02-01T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-02-01T00:00:00Z"
    			}
    		},
    		{
    			"features": [
    				"feature:calls@plan:pro@1",
    				"feature:seats@plan:pro@1"
    			],
    			"plans": [
    				"plan:pro@1"
    			],
    			"effective": "2023-02-01T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-02-01T00:00:00Z"
    			}
    		}
    	]
    }
    "#);
    app.advance(32 * DAY);
    assert_eq!(
        phase(&app).await.ok().json()["plans"],
        json!(["plan:pro@1"])
    );
}

/// Checkout always creates a new subscription, and the newest subscription counts as the org's.
#[tokio::test]
async fn the_newest_subscription_is_the_orgs_and_the_next_change_ends_the_others() {
    let app = start().await;
    app.subscribe("org:a", &["plan:extra@1"]).await;
    let old = subscriptions(&app).await[0].clone();
    app.advance(DAY);
    buy(&app, "feature-calls-plan-free-1", &[]).await;
    assert_eq!(
        phase(&app).await.ok().json()["plans"],
        json!(["plan:free@1"])
    );
    let calls = ("feature:calls".to_owned(), 0, 10);
    assert_eq!(app.limits("org:a").await, [calls]);
    app.report("org:a", "feature:calls", 1).await;

    app.subscribe("org:a", &["plan:pro@1"]).await;
    let all = subscriptions(&app).await;
    let live: Vec<&Value> = all.iter().filter(|s| s["status"] != "canceled").collect();
    assert_eq!((all.len(), live.len()), (2, 1));
    assert_ne!(live[0]["id"], old["id"]);
    assert_eq!(
        phase(&app).await.ok().json()["plans"],
        json!(["plan:pro@1"])
    );
}

#[tokio::test]
async fn calls_to_stripe_with_a_warm_cache() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    phase(&app).await.ok();
    app.forget_calls();
    phase(&app).await.ok();
    assert!(
        app.stripe_calls() <= 3,
        "phase: {:?}",
        app.sandbox().counts(None)
    );
    app.forget_calls();
    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert!(
        app.stripe_calls() <= 6,
        "subscribe: {:?}",
        app.sandbox().counts(None)
    );
}
