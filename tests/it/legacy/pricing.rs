//! Models in the format of 2022, and the pricing page.

use axum::http::Method;
use serde_json::{Value, json};

use super::{get_as_go, model, server};
use crate::harness::TestApp;

async fn push(app: &TestApp, body: impl Into<Vec<u8>>) -> Value {
    app.post("/api/v1/push", body).await.ok().json()
}

async fn pull(app: &TestApp) -> Value {
    app.get("/api/v1/pull").await.ok().json()
}

#[tokio::test]
async fn a_push_returns_the_result_for_each_feature() {
    let app = TestApp::start().await;
    let all = json!([
        "feature:convert@plan:bulk@1",
        "feature:convert@plan:enterprise@custom-for-acme-signed-2022-05-13",
        "feature:convert@plan:free@1",
        "feature:none@plan:free@1",
        "feature:seat@plan:free@1",
        "feature:convert@plan:paid@24",
        "feature:level@plan:paid@24",
        "feature:peak@plan:paid@24",
    ]);
    let sorted = |list: &Value| {
        let mut list: Vec<String> = serde_json::from_value(list.clone()).expect("names");
        list.sort();
        list
    };
    for _ in 0..2 {
        let pushed = push(&app, model().to_string()).await;
        assert_eq!(sorted(&pushed["succeeded"]), sorted(&all));
        assert_eq!(pushed.get("failed"), None);
    }
    let before = pull(&app).await;
    let other = json!({"plans": {
        "plan:free@1": {"features": {"feature:convert": {"tiers": [{"upto": 11}]}}},
        "plan:free@2": {"features": {"feature:convert": {"tiers": [{"upto": 11}]}}},
    }});
    let pushed = push(&app, other.to_string()).await;
    let expected = json!({
        "succeeded": ["feature:convert@plan:free@2"], "failed": ["feature:convert@plan:free@1"],
    });
    assert_eq!(pushed, expected);
    assert_eq!(
        pull(&app).await["plans"]["plan:free@1"],
        before["plans"]["plan:free@1"]
    );
}

#[tokio::test]
async fn a_pulled_model_can_be_pushed() {
    let app = server().await;
    let more = json!({"plans": {
        "plan:yen@1": {"currency": "jpy", "interval": "@yearly", "features": {
            "feature:a": {"base": 0.123_456_789_012, "divide": {"by": 10, "rounding": "up"}},
            "feature:b": {"mode": "volume", "tiers": [{"upto": 9_007_199_254_740_993_i64, "price": 0.1, "base": 3}, {}]},
            "feature:c": {"tiers": [{"price": 7}], "divide": {"by": 100}},
            "feature:d": {},
        }},
    }});
    app.push(&more).await;
    let pulled = pull(&app).await;
    let pushed = push(&app, pulled.to_string()).await;
    assert_eq!(
        pushed["succeeded"].as_array().map(Vec::len),
        Some(12),
        "{pushed}"
    );
    assert_eq!(pushed.get("failed"), None);
    let page = app.get("/web/pricing-page/-/").await.ok().json();
    let plans = page["plans"].as_array().expect("a list").iter();
    let plans: serde_json::Map<String, Value> = plans
        .map(|plan| (plan["id"].as_str().expect("an id").to_owned(), plan.clone()))
        .collect();
    let pushed = push(&app, json!({ "plans": plans }).to_string()).await;
    assert_eq!(pushed.get("failed"), None, "{pushed}");
    let today = app.get("/v1/pull").await.ok().json();
    assert_eq!(
        today["plans"]["plan:yen@1"]["features"]["feature:a"]["base"],
        json!(0.123_456_789_012)
    );
    // In a new account, the pulled price becomes a flat charge for any usage.
    let elsewhere = TestApp::start().await;
    push(
        &elsewhere,
        json!({"plans": {"plan:free@1": pulled["plans"]["plan:free@1"]}}).to_string(),
    )
    .await;
    let seat = elsewhere.get("/v1/pull").await.ok().json()["plans"]["plan:free@1"]["features"]["feature:seat"].clone();
    assert_eq!(seat, json!({"tiers": [{"base": 100}]}));
}

#[tokio::test]
async fn texts_of_all_clients_are_read() {
    let app = TestApp::start().await;
    let text = r#"{"plans": {"plan:a@1": {"features": {"feature:x": {"tiers": [{"upto": 9223372036854776000,},],},},},},} // c"#;
    let created = json!({"succeeded": ["feature:x@plan:a@1"]});
    assert_eq!(push(&app, text).await, created);
    assert_eq!(
        push(&app, Value::String(text.to_owned()).to_string()).await,
        created
    );
    for nothing in ["", "null", "{}", r#"{"plans":{}} // c"#, r#""{}""#] {
        assert_eq!(push(&app, nothing).await, json!({}), "{nothing:?}");
    }
    for wrong in [
        "[]",
        "1",
        "{",
        r#""{""#,
        r#""1""#,
        r#"{"plan":{}}"#,
        r#"{"plans":{"plan:a":{}}}"#,
        "plans=%7B%7D",
    ] {
        app.post("/api/v1/push", wrong)
            .await
            .fails(400, "invalid_request");
    }
    let cron = json!({"plans": {"plan:b@1": {"features": {"feature:x": {"reset": "0 0 1 * *"}}}}});
    let refused = app
        .post_json("/api/v1/push", &cron)
        .await
        .fails(400, "invalid_request")
        .json();
    let message = refused["message"].as_str().expect("a message");
    assert!(
        message.contains("unknown reset: \"0 0 1 * *\""),
        "{message}"
    );
    app.post("/api/v1/push", vec![0xff])
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn a_pulled_model_to_the_byte() {
    let app = TestApp::start().await;
    insta::assert_snapshot!(app.get("/api/v1/pull").await.ok().body, @r#"
    {
      "plans": {}
    }
    "#);
    let model = json!({"plans": {"plan:free@1": {"title": "Free", "features": {"feature:convert": {"tiers": [{"upto": 10, "price": 0.5}, {}]}}}}});
    push(&app, model.to_string()).await;
    insta::assert_snapshot!(get_as_go(&app, "/api/v1/pull").await.ok().body, @r#"
    {
      "plans": {
        "plan:free@1": {
          "title": "Free",
          "features": {
            "feature:convert": {
              "title": "feature:convert@plan:free@1",
              "type": "graduated",
              "reset": "@monthly",
              "tiers": [
                {
                  "upto": 10,
                  "price": 0.5,
                  "base": 0
                },
                {
                  "upto": 9223372036854775807,
                  "price": 0,
                  "base": 0
                }
              ]
            }
          }
        }
      }
    }
    "#);
}

#[tokio::test]
async fn the_pricing_page_has_the_newest_version_of_each_plan() {
    let app = TestApp::start().await;
    let plan = json!({"features": {"feature:x": {"tiers": [{}]}}});
    let names = [
        "plan:a@9",
        "plan:a@10",
        "plan:b@1",
        "plan:b@2-beta",
        "plan:c:d@0",
    ];
    let plans: serde_json::Map<String, Value> = names
        .map(|name| (name.to_owned(), plan.clone()))
        .into_iter()
        .collect();
    push(&app, json!({ "plans": plans }).to_string()).await;
    let expected = json!([
        ["plan:a@10", "plan:a", "10"],
        ["plan:b@2-beta", "plan:b", "2-beta"],
        ["plan:c:d@0", "plan:c:d", "0"],
    ]);
    for path in [
        "/web/pricing-page/-/",
        "/web/pricing-page/",
        "/web/pricing-page/-/default",
    ] {
        let page = app.get(path).await.ok().json();
        assert_eq!(page["name"], "default", "{path}");
        let plans = page["plans"].as_array().expect("a list").iter();
        let shown: Vec<Value> = plans
            .map(|plan| json!([plan["id"], plan["name"], plan["version"]]))
            .collect();
        assert_eq!(json!(shown), expected, "{path}");
        assert_eq!(
            page["plans"][0]["features"]["feature:x"]["tiers"][0]["upto"],
            i64::MAX
        );
    }
    for unknown in [
        "/web/pricing-page/-/named",
        "/web/pricing-page/-/%ff",
        "/web/pricing-page",
        "/web/pricing-page/-",
        "/web/pricing-page/-/default/",
    ] {
        app.get(unknown).await.fails(404, "not_found");
    }
    let empty = TestApp::start().await;
    let page = empty.get("/web/pricing-page/-/").await.ok().json();
    assert_eq!(page, json!({"name": "default", "plans": []}));
    let refused = app
        .request(Method::POST, "/web/pricing-page/-/")
        .send()
        .await;
    refused.fails(405, "method_not_allowed");
}
