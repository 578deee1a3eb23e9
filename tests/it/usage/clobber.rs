//! Reports that set the total (`clobber`).

use axum::http::Method;
use serde_json::json;

use super::{NONE, report, row, start};
use crate::harness::{DAY, TestApp};

/// An item with usage stays when the org adds a plan whose item gets the new usage.
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

/// The other plan's item was part of the total. The item is removed and a new period begins before the report is
/// repeated.
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
    keyed(&app.second_server()).await;
    assert_eq!(app.limits("org:a").await[0], row("calls", 7, 5));
    app.advance(DAY / 8 * 7);
    keyed(&app.second_server()).await;
    assert_eq!(app.limits("org:a").await[0], row("calls", 0, 5));
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
