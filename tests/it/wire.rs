//! `push`, `pull` and the model's schema, to the byte. `push.rs` and `pricing.rs` test their effects.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::TestApp;

fn model() -> Value {
    json!({"plans": {
        "plan:pro@1": {"title": "Pro", "features": {
            "feature:seats": {"base": 1000.5},
            "feature:convert": {"tiers": [{"upto": 10}, {"price": 0.000_001, "base": 5}]},
        }},
        "plan:free@0": {"features": {"feature:convert": {"tiers": [{"upto": 3}]}}},
    }})
}

#[tokio::test]
async fn push_to_the_byte() {
    let app = TestApp::start().await;
    let first = app.post_json("/v1/push", &model()).await.ok();
    assert_eq!(first.header("content-type"), "application/json");
    let mut shown = first.body.clone();
    for (i, result) in first.json()["results"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let id = result["id"].as_str().unwrap();
        assert_eq!(
            result["link"],
            format!("https://dashboard.stripe.com/test/prices/{id}")
        );
        shown = shown.replace(id, &format!("price_{i}"));
    }
    insta::assert_snapshot!(shown, @r#"
    {
    	"results": [
    		{
    			"feature": "feature:convert@plan:free@0",
    			"status": "ok",
    			"reason": "created",
    			"id": "price_0",
    			"link": "https://dashboard.stripe.com/test/prices/price_0"
    		},
    		{
    			"feature": "feature:convert@plan:pro@1",
    			"status": "ok",
    			"reason": "created",
    			"id": "price_1",
    			"link": "https://dashboard.stripe.com/test/prices/price_1"
    		},
    		{
    			"feature": "feature:seats@plan:pro@1",
    			"status": "ok",
    			"reason": "created",
    			"id": "price_2",
    			"link": "https://dashboard.stripe.com/test/prices/price_2"
    		}
    	]
    }
    "#);

    let mut changed = model();
    changed["plans"]["plan:free@0"]["title"] = json!("Free");
    let again = app.post_json("/v1/push", &changed).await.ok().json();
    let reasons: Vec<_> = again["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (&r["status"], &r["reason"]))
        .collect();
    insta::assert_snapshot!(format!("{reasons:#?}"), @r#"
    [
        (
            String("failed"),
            String("plan already exists"),
        ),
        (
            String("ok"),
            String("feature already exists"),
        ),
        (
            String("ok"),
            String("feature already exists"),
        ),
    ]
    "#);
}

#[tokio::test]
async fn pull_to_the_byte() {
    let app = TestApp::start().await;
    let empty = app.get("/v1/pull").await.ok();
    insta::assert_snapshot!(empty.body, @r#"
    {
      "plans": {}
    }
    "#);
    app.push(&model()).await;
    app.forget_calls();
    let pulled = app.get("/v1/pull").await.ok();
    assert_eq!(pulled.header("content-type"), "application/json");
    assert!(!pulled.body.ends_with('\n'));
    insta::assert_snapshot!(pulled.body, @r#"
    {
      "plans": {
        "plan:free@0": {
          "title": "plan:free@0",
          "features": {
            "feature:convert": {
              "tiers": [
                {
                  "upto": 3
                }
              ]
            }
          }
        },
        "plan:pro@1": {
          "title": "Pro",
          "features": {
            "feature:convert": {
              "tiers": [
                {
                  "upto": 10
                },
                {
                  "price": 0.000001,
                  "base": 5
                }
              ]
            },
            "feature:seats": {
              "base": 1000.5
            }
          }
        }
      }
    }
    "#);
    assert_eq!(app.stripe_calls(), 1);
}

#[tokio::test]
async fn pushing_an_empty_model_does_nothing() {
    let app = TestApp::start().await;
    for body in [
        "",
        "null",
        "{}",
        r#"{"plans":{}}"#,
        r#"{"plans":null}"#,
        "// nothing\n{}",
    ] {
        assert_eq!(
            app.post("/v1/push", body).await.ok().body,
            "{}\n",
            "{body:?}"
        );
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn a_model_with_faults_is_one_400_that_lists_them() {
    let app = TestApp::start().await;
    let body = r#"{"plans": {"plan:a": {}, "plan:b@1": {"features": {"feature:x": {"base": -1, "y": 2}}}}}"#;
    let answer = app
        .post("/v1/push", body)
        .await
        .fails(400, "invalid_request");
    insta::assert_snapshot!(answer.json()["message"].as_str().unwrap(), @r#"
    plans["plan:a"]: plan must have version: "plan:a"
    plans["plan:a"]: plans must have at least one feature
    plans["plan:b@1"].features["feature:x"]: base must be positive
    plans["plan:b@1"].features["feature:x"]: unknown field "y"
    "#);
    for (body, message) in [
        ("{", "invalid json syntax at line 1, column "),
        ("{} {}", "invalid json syntax at line 1, column 4: "),
        (r#"{"x":1}"#, "unknown field \"x\""),
    ] {
        let answer = app
            .post("/v1/push", body)
            .await
            .fails(400, "invalid_request");
        let told = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(told.starts_with(message), "{body}: {told}");
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn the_schema_of_the_model_is_served() {
    let app = TestApp::start().await;
    let answer = app.get("/v1/schema").await.ok();
    let validator = jsonschema::validator_for(&answer.json()).unwrap();
    assert!(validator.is_valid(&model()));
    assert!(!validator.is_valid(&json!({"plans": {"plan:a": {}}})));
    assert_eq!((answer.status, app.stripe_calls()), (StatusCode::OK, 0));
}
