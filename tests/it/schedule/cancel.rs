//! Cancellation: now, at a later time, and without a subscription.

use serde_json::json;

use super::{phase, phases, schedule, start, subscriptions};
use crate::harness::DAY;

#[tokio::test]
async fn cancelling_at_once() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(DAY);
    schedule(&app, json!([{}])).await.ok();
    phase(&app).await.fails(404, "not_found");
    assert!(app.limits("org:a").await.is_empty());
    assert_eq!(subscriptions(&app).await[0]["status"], "canceled");
    insta::assert_snapshot!(phases(&app).await.ok().body, @r#"
    {
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
    			"end": "2023-01-02T00:00:00Z"
    		},
    		{
    			"effective": "2023-01-02T00:00:00Z"
    		}
    	]
    }
    "#);
    schedule(&app, json!([{}])).await.ok();
    app.subscribe("org:a", &["plan:free@1"]).await;
    assert_eq!(
        phase(&app).await.ok().json()["plans"],
        json!(["plan:free@1"])
    );
}

#[tokio::test]
async fn cancelling_at_a_later_time() {
    let app = start().await;
    let plan = json!([{"features": ["plan:pro@1"]}, {"effective": "2023-01-20T00:00:00Z"}]);
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
    	"effective": "2023-01-01T00:00:00Z",
    	"end": "2023-01-20T00:00:00Z",
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
    			"end": "2023-01-20T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-02-01T00:00:00Z"
    			}
    		},
    		{
    			"effective": "2023-01-20T00:00:00Z",
    			"current": {
    				"effective": "2023-01-01T00:00:00Z",
    				"end": "2023-02-01T00:00:00Z"
    			}
    		}
    	]
    }
    "#);
    assert_eq!(app.limits("org:a").await.len(), 2);
    app.advance(20 * DAY);
    assert!(app.limits("org:a").await.is_empty());
    phase(&app).await.fails(404, "not_found");
}

#[tokio::test]
async fn cancelling_without_a_subscription_creates_the_org() {
    let app = start().await;
    schedule(&app, json!([{}])).await.ok();
    app.get("/v1/whois?org=org:a").await.ok();
    phase(&app).await.fails(404, "not_found");
}
