//! The terms of a phase: trials, coupons and tax.

use serde_json::{Value, json};

use super::{phase, phases, schedule, start, subscriptions};
use crate::harness::DAY;

#[tokio::test]
async fn a_trial_followed_by_a_paid_phase() {
    let app = start().await;
    let plan = json!([
        {"trial": true, "features": ["plan:pro@1"]},
        {"effective": "2023-01-15T00:00:00Z", "features": ["plan:pro@1"]},
    ]);
    schedule(&app, plan).await.ok();
    insta::assert_snapshot!(phase(&app).await.ok().body, @r#"
    {
    	"features": [
    		"feature:calls@plan:pro@1",
    		"feature:seats@plan:pro@1"
    	],
    	"plans": [
    		"plan:pro@1"
    	],
    	"trial": true,
    	"effective": "2023-01-01T00:00:00Z",
    	"end": "2023-01-15T00:00:00Z",
    	"current": {
    		"effective": "2023-01-01T00:00:00Z",
    		"end": "2023-01-15T00:00:00Z"
    	}
    }
    "#);
    insta::assert_snapshot!(phases(&app).await.ok().body, @r#"
    {
    	"current": {
    		"effective": "2023-01-01T00:00:00Z",
    		"end": "2023-01-15T00:00:00Z"
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
    			"trial": true,
    			"effective": "2023-01-01T00:00:00Z",
    			"end": "2023-01-15T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-01-15T00:00:00Z"
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
    			"effective": "2023-01-15T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-01-15T00:00:00Z"
    			}
    		}
    	]
    }
    "#);
    app.advance(15 * DAY);
    let paid = phase(&app).await.ok().json();
    assert_eq!(
        (&paid["trial"], &paid["effective"]),
        (&Value::Null, &json!("2023-01-15T00:00:00Z"))
    );
    assert_eq!(subscriptions(&app).await[0]["status"], "active");
}

#[tokio::test]
async fn a_trial_without_end_is_as_long_as_stripe_allows() {
    let app = start().await;
    schedule(&app, json!([{"trial": true, "features": ["plan:free@1"]}]))
        .await
        .ok();
    let phase = phase(&app).await.ok().json();
    assert_eq!(phase["trial"], true);
    let [subscription] = &subscriptions(&app).await[..] else {
        panic!("there is one")
    };
    assert_eq!(subscription["status"], "trialing");
    assert_eq!(
        subscription["trial_end"],
        json!(crate::harness::START + 730 * 86_400)
    );
}

#[tokio::test]
async fn a_coupon_to_the_byte() {
    let app = start().await;
    app.stripe_post(
        "/v1/coupons",
        &[
            ("id", "half"),
            ("percent_off", "50"),
            ("duration", "forever"),
            ("metadata[a]", "b"),
        ],
    )
    .await;
    app.stripe_post(
        "/v1/coupons",
        &[
            ("id", "some"),
            ("percent_off", "12.5"),
            ("duration", "once"),
            ("name", "Some off"),
        ],
    )
    .await;
    schedule(
        &app,
        json!([{"features": ["plan:pro@1"], "coupon": "half", "coupon_data": {"any": ["thing"]}}]),
    )
    .await
    .ok();
    insta::assert_snapshot!(phase(&app).await.ok().body, @r#"
    {
    	"features": [
    		"feature:calls@plan:pro@1",
    		"feature:seats@plan:pro@1"
    	],
    	"plans": [
    		"plan:pro@1"
    	],
    	"coupon_data": {
    		"id": "half",
    		"Metadata": {
    			"a": "b"
    		},
    		"Created": "2023-01-01T00:00:00Z",
    		"duration": "forever",
    		"percent_off": 50,
    		"RedeemBy": "0001-01-01T00:00:00Z",
    		"times_redeemed": 1,
    		"valid": true
    	},
    	"effective": "2023-01-01T00:00:00Z",
    	"current": {
    		"effective": "2023-01-01T00:00:00Z",
    		"end": "2023-02-01T00:00:00Z"
    	},
    	"coupon": "half"
    }
    "#);
    schedule(
        &app,
        json!([{"features": ["plan:pro@1"], "coupon": "some"}]),
    )
    .await
    .ok();
    assert_eq!(
        phase(&app).await.ok().json()["coupon_data"]["percent_off"],
        12.5
    );
    let unknown = schedule(
        &app,
        json!([{"features": ["plan:pro@1"], "coupon": "none"}]),
    )
    .await;
    insta::assert_snapshot!(unknown.fails(400, "invalid_request").body, @r#"
    {
        "status": 400,
        "code": "invalid_request",
        "message": "No such coupon: 'none'"
    }
    "#);
}

#[tokio::test]
async fn tax_applies_to_all_phases() {
    let app = start().await;
    let body = json!({"org": "org:a", "tax": {"automatic": true}, "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    assert_eq!(
        phase(&app).await.ok().json()["tax"],
        json!({"automatic": true})
    );
    schedule(
        &app,
        json!([{"effective": "2023-02-01T00:00:00Z", "features": ["plan:free@1"]}]),
    )
    .await
    .ok();
    assert_eq!(
        phase(&app).await.ok().json()["tax"],
        json!({"automatic": true})
    );
    let body = json!({"org": "org:a", "tax": {"automatic": false},
        "phases": [{"effective": "2023-02-01T00:00:00Z", "features": ["plan:free@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    assert_eq!(phase(&app).await.ok().json()["tax"], Value::Null);
}
