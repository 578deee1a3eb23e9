//! `POST /api/v1/append` and `GET /api/v1/schedule`.

use serde_json::{Value, json};

use super::{SECOND, append, get_as_go, now, server, servers, time};
use crate::harness::{DAY, TestApp};

const FORTNIGHT: i64 = 14 * 86_400;

/// The org's plans, each with its beginning in seconds from now. An asterisk marks the current plan.
async fn schedule(app: &TestApp, org: &str) -> Vec<String> {
    let schedule = app
        .get(&format!("/api/v1/schedule?org={org}"))
        .await
        .ok()
        .json();
    let current = schedule["current"].as_i64().expect("always there");
    let phases = schedule["phases"].as_array().expect("a list");
    let row = |(index, phase): (i64, &Value)| {
        assert_eq!(phase["org"], org);
        let text = |name: &str| phase[name].as_str().expect("a text").to_owned();
        let begins: chrono::DateTime<chrono::Utc> = text("effective").parse().expect("a time");
        let mark = if index == current { "*" } else { "" };
        format!("{mark}{} {}", text("plan"), begins.timestamp() - now(app))
    };
    (0..).zip(phases).map(row).collect()
}

async fn plan(app: &TestApp, org: &str) -> Value {
    let phase = app.get(&format!("/v1/phase?org={org}")).await;
    phase.json()["plans"][0].clone()
}

#[tokio::test]
async fn both_orders_of_the_documented_trial_work() {
    for app in servers().await {
        let later = now(&app) + FORTNIGHT;
        append(&app, "org:a", "plan:free@1", None).await.ok();
        append(&app, "org:a", "plan:paid@24", Some(later))
            .await
            .ok();
        append(&app, "org:b", "plan:paid@24", Some(later))
            .await
            .ok();
        assert_eq!(schedule(&app, "org:b").await, ["plan:paid@24 1209600"]);
        append(&app, "org:b", "plan:free@1", Some(now(&app)))
            .await
            .ok();
        for org in ["org:a", "org:b"] {
            let expected = ["*plan:free@1 0", "plan:paid@24 1209600"];
            assert_eq!(schedule(&app, org).await, expected, "{org}");
        }
        app.advance(15 * DAY);
        for org in ["org:a", "org:b"] {
            let expected = ["plan:free@1 -1296000", "*plan:paid@24 -86400"];
            assert_eq!(schedule(&app, org).await, expected, "{org}");
            assert_eq!(plan(&app, org).await, "plan:paid@24");
        }
    }
}

#[tokio::test]
async fn phases_before_and_after_stay_and_one_of_the_same_time_is_replaced() {
    let app = server().await;
    let at = |days: i64| Some(now(&app) + days * 86_400);
    append(&app, "org:a", "plan:free@1", None).await.ok();
    append(&app, "org:a", "plan:paid@24", at(20)).await.ok();
    append(&app, "org:a", "plan:bulk@1", at(10)).await.ok();
    let all = [
        "*plan:free@1 0",
        "plan:bulk@1 864000",
        "plan:paid@24 1728000",
    ];
    assert_eq!(schedule(&app, "org:a").await, all);
    // The same request again changes nothing.
    append(&app, "org:a", "plan:bulk@1", at(10)).await.ok();
    assert_eq!(schedule(&app, "org:a").await, all);
    append(&app, "org:a", "plan:free@1", at(10)).await.ok();
    append(&app, "org:a", "plan:bulk@1", at(30)).await.ok();
    app.advance(DAY);
    append(&app, "org:a", "plan:bulk@1", None).await.ok();
    let now_bulk = [
        "plan:free@1 -86400",
        "*plan:bulk@1 0",
        "plan:free@1 777600",
        "plan:paid@24 1641600",
        "plan:bulk@1 2505600",
    ];
    assert_eq!(schedule(&app, "org:a").await, now_bulk);
    app.advance(25 * DAY);
    assert_eq!(plan(&app, "org:a").await, "plan:paid@24");
    app.advance(30 * DAY);
    assert_eq!(plan(&app, "org:a").await, "plan:bulk@1");
}

#[tokio::test]
async fn a_time_about_now_is_now() {
    let app = server().await;
    for (org, skew) in [
        ("org:a", 30),
        ("org:b", -30),
        ("org:c", 60),
        ("org:d", -86_400 * 400),
    ] {
        append(&app, org, "plan:free@1", Some(now(&app) + skew))
            .await
            .ok();
        assert_eq!(schedule(&app, org).await, ["*plan:free@1 0"], "{org}");
        app.advance(SECOND);
        append(&app, org, "plan:paid@24", Some(now(&app) + skew))
            .await
            .ok();
        assert_eq!(
            schedule(&app, org).await,
            ["plan:free@1 -1", "*plan:paid@24 0"],
            "{org}"
        );
    }
    append(&app, "org:e", "plan:free@1", Some(now(&app) + 61))
        .await
        .ok();
    assert_eq!(schedule(&app, "org:e").await, ["plan:free@1 61"]);
}

#[tokio::test]
async fn two_concurrent_appends_both_take_effect() {
    for app in servers().await {
        let other_server = app.second_server();
        append(&app, "org:a", "plan:free@1", None).await.ok();
        let (one, other) = (now(&app) + 86_400, now(&app) + 2 * 86_400);
        let (first, second) = tokio::join!(
            append(&app, "org:a", "plan:paid@24", Some(one)),
            append(&app, "org:a", "plan:bulk@1", Some(other)),
        );
        first.ok();
        second.ok();
        let all = ["*plan:free@1 0", "plan:paid@24 86400", "plan:bulk@1 172800"];
        assert_eq!(schedule(&app, "org:a").await, all);
        // The requests may also go to two servers.
        let (one, other) = (now(&app) + 3 * 86_400, now(&app) + 4 * 86_400);
        let (first, second) = tokio::join!(
            append(&app, "org:a", "plan:free@1", Some(one)),
            append(&other_server, "org:a", "plan:paid@24", Some(other)),
        );
        first.ok();
        second.ok();
        let found = schedule(&app, "org:a").await;
        assert_eq!(found[..3], all);
        assert_eq!(found[3..], ["plan:free@1 259200", "plan:paid@24 345600"]);
        let (first, second) = tokio::join!(
            append(&app, "org:new", "plan:free@1", None),
            append(&other_server, "org:new", "plan:paid@24", Some(one)),
        );
        first.ok();
        second.ok();
        assert_eq!(
            schedule(&app, "org:new").await,
            ["*plan:free@1 0", "plan:paid@24 259200"]
        );
    }
}

#[tokio::test]
async fn phases_of_todays_api_stay() {
    let app = server().await;
    let at = |days: i64| time(now(&app) + days * 86_400);
    // The phases are a trial, a plan after the trial, and an end.
    let phases = json!([
        {"features": ["plan:free@1"], "trial": true},
        {"features": ["plan:free@1"], "effective": at(10)},
        {"effective": at(30)},
    ]);
    let request = json!({"org": "org:a", "phases": phases});
    app.post_json("/v1/subscribe", &request).await.ok();
    append(&app, "org:a", "plan:paid@24", Some(now(&app) + 20 * 86_400))
        .await
        .ok();
    let phases = app.get("/v1/phases?org=org:a").await.ok().json();
    let phases = phases["phases"].as_array().expect("a list").clone();
    let rows: Vec<Value> = phases
        .iter()
        .map(|phase| json!([phase["plans"][0], phase["trial"], phase["effective"]]))
        .collect();
    let whole = |days: i64| at(days).replace(".000", "");
    let expected = json!([
        ["plan:free@1", true, whole(0)],
        ["plan:free@1", null, whole(10)],
        ["plan:paid@24", null, whole(20)],
        [null, null, whole(30)],
    ]);
    assert_eq!(json!(rows), expected);
    // The old format cannot express a phase without features.
    assert_eq!(schedule(&app, "org:a").await.len(), 3);
    let refused = append(&app, "org:a", "plan:bulk@1", Some(now(&app) + 31 * 86_400)).await;
    refused.fails(400, "invalid_request");
    app.advance(35 * DAY);
    assert!(
        schedule(&app, "org:a")
            .await
            .iter()
            .all(|row| !row.starts_with('*'))
    );
    append(&app, "org:a", "plan:bulk@1", None).await.ok();
    assert_eq!(plan(&app, "org:a").await, "plan:bulk@1");
}

#[tokio::test]
async fn a_coupon_stays_through_appended_phases() {
    let app = server().await;
    app.stripe_post(
        "/v1/coupons",
        &[
            ("id", "HALF"),
            ("percent_off", "50"),
            ("duration", "forever"),
        ],
    )
    .await;
    let phases = json!([{"features": ["plan:free@1"], "coupon": "HALF"}]);
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": phases}))
        .await
        .ok();
    let at = |days: i64| Some(now(&app) + days * 86_400);
    append(&app, "org:a", "plan:paid@24", at(10)).await.ok();
    append(&app, "org:a", "plan:bulk@1", at(20)).await.ok();
    append(&app, "org:a", "plan:free@1", at(15)).await.ok();
    let phases = app.get("/v1/phases?org=org:a").await.ok().json();
    let coupons: Vec<_> = phases["phases"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|phase| phase["coupon"].clone())
        .collect();
    assert_eq!(coupons, ["HALF"; 4]);
}

#[tokio::test]
async fn usage_before_an_appended_plan_is_billed_by_the_one_before() {
    for app in servers().await {
        append(&app, "org:a", "plan:paid@24", None).await.ok();
        app.advance(DAY);
        app.report("org:a", "feature:convert", 10).await;
        append(&app, "org:a", "plan:bulk@1", None).await.ok();
        app.advance(DAY);
        app.report("org:a", "feature:convert", 5).await;
        app.settled().await;
        let limits = app.limits("org:a").await;
        assert_eq!(limits, [("feature:convert".to_owned(), 15, 500)]);
        let invoices = app.stripe_get("/v1/invoices?limit=100").await;
        let billed: i64 = invoices["data"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| one["total"].as_i64())
            .sum();
        let org = app.get("/v1/whois?org=org:a").await.ok().json();
        let items = app
            .stripe_get(&format!(
                "/v1/invoiceitems?customer={}",
                org["stripe_id"].as_str().expect("an id")
            ))
            .await;
        let pending: i64 = items["data"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|one| one["invoice"].is_null())
            .filter_map(|one| one["amount"].as_i64())
            .sum();
        assert_eq!(billed + pending, 10, "ten at a cent");
    }
}

#[tokio::test]
async fn unknown_and_invalid_names_are_refused() {
    let app = server().await;
    append(&app, "org:a", "plan:gone@1", None)
        .await
        .fails(404, "not_found");
    append(&app, "org:a", "plan:free", None)
        .await
        .fails(400, "invalid_request");
    append(&app, "acme", "plan:free@1", None)
        .await
        .fails(400, "invalid_request");
    for body in [
        json!({"org": "org:a"}),
        json!({"plan": "plan:free@1"}),
        json!({"org": "org:a", "plan": "plan:free@1", "effective": 1}),
        json!({"org": "org:a", "plan": "plan:free@1", "effective": "now"}),
        json!({"org": "org:a", "plan": ["plan:free@1"]}),
        json!({"org": "org:a", "plan": "feature:convert@plan:free@1"}),
        json!({"org": "org:a", "plan": "plan:free@1", "trial": true}),
    ] {
        let answer = app.post_json("/api/v1/append", &body).await;
        answer.fails(400, "invalid_request");
    }
    app.get("/api/v1/schedule?org=org:a")
        .await
        .fails(404, "not_found");
    for query in ["", "?org=", "?org=acme", "?ORG=org:a", "?x=org:a"] {
        let answer = app.get(&format!("/api/v1/schedule{query}")).await;
        answer.fails(400, "invalid_request");
    }
    app.post_json("/v1/subscribe", &json!({"org": "org:b", "info": {}}))
        .await
        .ok();
    let none = app.get("/api/v1/schedule?org=org:b").await.ok().json();
    assert_eq!(none, json!({"current": -1, "phases": []}));
    assert_eq!(app.get("/api/v1/schedule").await.status, 400);
}

/// Clients put orgs into the query without encoding them.
#[tokio::test]
async fn a_plus_in_a_query_is_not_read_as_a_space() {
    let app = server().await;
    let (plus, space) = ("org:user+x@example.com", "org:user x@example.com");
    append(&app, plus, "plan:free@1", None).await.ok();
    append(&app, space, "plan:paid@24", None).await.ok();
    let plan = async |query: &str| {
        let answer = get_as_go(&app, &format!("/api/v1/schedule?org={query}")).await;
        answer.ok().json()["phases"][0]["plan"].clone()
    };
    assert_eq!(plan("org:user+x@example.com").await, "plan:free@1");
    assert_eq!(
        plan("org%3Auser%2Bx%40example.com&x=1").await,
        "plan:free@1"
    );
    assert_eq!(plan("org:user%20x@example.com").await, "plan:paid@24");
}

#[tokio::test]
async fn an_answer_to_the_byte() {
    let app = server().await;
    let answer = append(&app, "org:acme", "plan:free@1", None).await.ok();
    assert_eq!(answer.body, "{}");
    let answer = app.get("/api/v1/schedule?org=org:acme").await.ok();
    insta::assert_snapshot!(answer.body, @r#"
    {
    	"current": 0,
    	"phases": [
    		{
    			"org": "org:acme",
    			"plan": "plan:free@1",
    			"effective": "2023-01-01T00:00:00Z"
    		}
    	]
    }
    "#);
}
