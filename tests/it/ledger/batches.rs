//! Batches of reports, and usage over time.

use serde_json::{Value, json};

use super::{MINUTE, WithLedger};
use crate::harness::{Answer, DAY};

async fn send(app: &WithLedger, reports: Value) -> Answer {
    app.post_json("/v1/reports", &json!({"reports": reports}))
        .await
}

#[tokio::test]
async fn each_report_of_a_batch_has_its_own_result_in_order() {
    let app = WithLedger::start().await;
    app.subscribe("org:b", &["plan:free@1"]).await;
    let reports = json!([
        {"org": "org:a", "feature": "feature:calls", "n": 3, "key": "k-1"},
        {"org": "org:nobody", "feature": "feature:calls", "n": 1},
        {"org": "org:b", "feature": "feature:calls", "n": 5},
        {"org": "org:a", "feature": "feature:nope", "n": 1},
        {"org": "org:b", "feature": "feature:seats", "n": 1},
        {"org": "a", "feature": "feature:calls", "n": 1},
        {"org": "org:a", "feature": "calls", "n": 1},
        {"org": "org:a", "feature": "feature:calls", "n": -4},
        {"org": "org:a", "feature": "feature:calls", "n": 3, "key": "k-1"},
        {"org": "org:a", "feature": "feature:calls", "n": 4, "key": "k-1"},
        {"org": "org:a", "feature": "feature:calls", "n": 7, "clobber": true},
        {"org": "org:a", "feature": "feature:calls", "n": 1, "at": "2030-01-01T00:00:00Z"},
        {"org": "org:a", "feature": "feature:calls", "key": "k".repeat(256)},
        {"org": "org:b", "feature": "feature:calls"},
    ]);
    let answer = send(&app, reports.clone()).await.ok().json();
    let results = answer["results"].as_array().expect("results");
    let codes: Vec<&str> = results
        .iter()
        .map(|one| one["code"].as_str().unwrap_or("ok"))
        .collect();
    assert_eq!(
        codes,
        [
            "ok",
            "org_not_found",
            "ok",
            "feature_not_found",
            "invalid_request",
            "invalid_request",
            "invalid_request",
            "invalid_request",
            "ok",
            "invalid_request",
            "ok",
            "invalid_request",
            "invalid_request",
            "ok",
        ]
    );
    assert_eq!(results[0], json!({"status": "ok"}));
    assert_eq!(
        results[1],
        json!({"status": "failed", "code": "org_not_found", "message": "org not found"})
    );
    assert_eq!(app.used("feature:calls").await, 7);
    assert_eq!(app.limits("org:b").await[0].1, 5);
    // A report with a key counts once, whether it is repeated in a batch or alone.
    send(&app, json!([reports[0]])).await.ok();
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 3});
    let headers = [("idempotency-key", "k-1")];
    let again = app
        .request(axum::http::Method::POST, "/v1/report")
        .headers(&headers);
    again.body(report.to_string()).send().await.ok();
    assert_eq!(app.used("feature:calls").await, 7);
}

#[tokio::test]
async fn a_batch_has_at_most_a_thousand_reports() {
    let app = WithLedger::start().await;
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 1});
    app.used("feature:calls").await;
    app.forget_calls();
    let answer = send(&app, vec![report.clone(); 1_000].into())
        .await
        .ok()
        .json();
    assert_eq!(
        answer["results"],
        json!(vec![json!({"status": "ok"}); 1_000])
    );
    assert_eq!(app.used("feature:calls").await, 1_000);
    assert_eq!(app.stripe_calls(), 0);
    let many = send(&app, vec![report; 1_001].into()).await;
    let many = many.fails(400, "invalid_request").json();
    assert_eq!(
        many["message"],
        "there are 1001 reports, and 1000 at most are taken at once"
    );
    let none = send(&app, json!([])).await.ok().json();
    assert_eq!(none, json!({"results": []}));
    for wrong in [json!([{"org": "org:a", "x": 1}]), json!([null]), json!("x")] {
        send(&app, wrong).await.fails(400, "invalid_request");
    }
    assert_eq!(app.used("feature:calls").await, 1_000);
}

#[tokio::test]
async fn usage_over_time_is_grouped_by_hours_days_and_periods() {
    let app = WithLedger::start().await;
    for (n, wait) in [(3, 30 * MINUTE), (4, 60 * MINUTE), (-2, DAY), (10, DAY)] {
        app.report("org:a", "feature:calls", n).await;
        app.advance(wait);
    }
    let usage = async |query: &str| {
        let path = format!("/v1/usage?org=org:a&feature=feature:calls&{query}");
        let answer = app.get(&path).await.ok().json();
        assert_eq!(
            (&answer["org"], &answer["feature"]),
            (&"org:a".into(), &"feature:calls".into())
        );
        let rows = answer["usage"].as_array().expect("rows").iter();
        let row = |row: &Value| {
            let text = |name: &str| row[name].as_str().expect("a time").to_owned();
            let number = |name: &str| row[name].as_i64().expect("a figure");
            (text("from"), text("to"), number("n"), number("total"))
        };
        rows.map(row).collect::<Vec<_>>()
    };
    let row =
        |from: &str, to: &str, n, total| (format!("{from}:00Z"), format!("{to}:00Z"), n, total);
    let days = [
        row("2023-01-01T00:00", "2023-01-02T00:00", 5, 5),
        row("2023-01-02T00:00", "2023-01-03T00:00", 10, 15),
    ];
    assert_eq!(usage("").await, days);
    assert_eq!(usage("by=day").await, days);
    let hours = [
        row("2023-01-01T00:00", "2023-01-01T01:00", 7, 7),
        row("2023-01-01T01:00", "2023-01-01T02:00", -2, 5),
        row("2023-01-02T01:00", "2023-01-02T02:00", 10, 15),
    ];
    assert_eq!(usage("by=hour&from=2023-01-01T00:00:00Z").await, hours);
    assert_eq!(usage("by=hour&to=2023-01-02T00:00:00Z").await, hours[..2]);
    assert_eq!(usage("by=hour").await, hours[2..]);
    assert_eq!(usage("from=2023-01-02T00:00:00Z").await, days[1..]);
    assert_eq!(usage("from=&to=2023-01-02T00:00:00Z").await, days[..1]);
    let period = [row("2023-01-01T00:00", "2023-02-01T00:00", 15, 15)];
    assert_eq!(usage("by=period").await, period);

    for (query, message) in [
        ("org=org:a", "feature name must start with 'feature:': \"\""),
        (
            "org=a&feature=feature:calls",
            "org must be prefixed with \"org:\"",
        ),
        (
            "org=org:a&feature=feature:calls&by=week",
            "by must be hour, day or period, not \"week\"",
        ),
        (
            "org=org:a&feature=feature:calls&from=yesterday",
            "from must be an RFC 3339 time like 2030-01-31T12:00:00Z, not \"yesterday\"",
        ),
        (
            "org=org:a&feature=feature:calls&from=2023-01-02T00:00:00Z&to=2023-01-02T00:00:00Z",
            "from must be before to",
        ),
        (
            "org=org:a&feature=feature:calls&by=hour&from=2020-01-01T00:00:00Z&to=2023-01-02T00:00:00Z",
            "from and to must not be more than 10000 hours or days apart",
        ),
    ] {
        let refused = app.get(&format!("/v1/usage?{query}")).await;
        let refused = refused.fails(400, "invalid_request").json();
        assert_eq!(refused["message"], message, "{query}");
    }
    let other = app
        .get("/v1/usage?org=org:none&feature=feature:none")
        .await
        .ok()
        .json();
    assert_eq!(other["usage"], json!([]));
}

#[tokio::test]
async fn an_operator_decides_about_parked_usage() {
    let app = WithLedger::start().await;
    app.report("org:a", "feature:calls", 5).await;
    app.deliver_all().await;
    app.report("org:a", "feature:calls", 3).await;
    let subscription = app.stripe_get("/v1/subscriptions").await["data"][0]["id"].clone();
    let subscription = subscription.as_str().expect("an id");
    app.stripe_delete(&format!("/v1/subscriptions/{subscription}"))
        .await;
    app.deliver_all().await;
    let parked = async || app.get("/v1/ledger/parked").await.ok().json()["parked"].clone();
    let listed = parked().await;
    let row = &listed[0];
    let figures = (&row["org"], &row["feature"], &row["n"], &row["total"]);
    assert_eq!(
        figures,
        (
            &"org:a".into(),
            &"feature:calls".into(),
            &3.into(),
            &8.into()
        )
    );
    assert_eq!(row["from"], "2023-01-01T00:00:00Z");
    assert!(
        row["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{row}"
    );

    let decide = async |body: Value| app.post_json("/v1/ledger/parked", &body).await;
    let id = row["id"].clone();
    decide(json!({"id": id, "action": "retry"})).await.ok();
    assert_eq!(parked().await, json!([]));
    app.deliver_all().await;
    assert_eq!(parked().await[0]["n"], 3, "Stripe refused the usage again");
    decide(json!({"id": id, "action": "write_off"})).await.ok();
    app.deliver_all().await;
    assert_eq!(parked().await, json!([]));
    for (body, message) in [
        (
            json!({"id": id, "action": "retry"}),
            format!("the usage with the id {id} is not parked"),
        ),
        (
            json!({"id": 99, "action": "retry"}),
            "there is no parked usage with the id 99".to_owned(),
        ),
        (
            json!({"id": id}),
            "action must be retry or write_off".to_owned(),
        ),
    ] {
        let refused = decide(body).await.fails(400, "invalid_request").json();
        assert_eq!(refused["message"], message.as_str());
    }
    decide(json!({"id": id, "action": "forget"}))
        .await
        .fails(400, "invalid_request");
}
