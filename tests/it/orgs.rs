//! `GET /v1/orgs`: who is on which plan.

use serde_json::{Value, json};

use crate::harness::{DAY, START, TestApp};

/// Two versions of a plan, another plan, and a plan with a low limit.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    let pro = |price: u32| json!({"title": "Pro", "features": {"feature:seat": {"base": price}, "feature:calls": {"tiers": [{"upto": 10}]}}});
    let model = json!({"plans": {
        "plan:pro@1": pro(1000), "plan:pro@2": pro(2000),
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": 2}]}}},
        "plan:extra@1": {"features": {"feature:a": {"base": 1}, "feature:b": {"base": 2}}},
    }});
    app.push(&model).await;
    app
}

/// The orgs in the answer.
async fn list(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = app.get(&format!("/v1/orgs{query}")).await.ok().json();
    answer["orgs"].as_array().expect("a list").clone()
}

/// The names of the orgs in the answer.
async fn names(app: &TestApp, query: &str) -> Vec<String> {
    let orgs = list(app, query).await.into_iter();
    orgs.map(|org| org["org"].as_str().expect("a name").to_owned())
        .collect()
}

async fn create(app: &TestApp, org: &str) {
    let request = json!({"org": org, "info": {"name": "N"}});
    app.post_json("/v1/subscribe", &request).await.ok();
}

#[tokio::test]
async fn a_list_to_the_byte() {
    let app = start().await;
    create(&app, "org:b").await;
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1", "feature:a@plan:extra@1"])
        .await;
    let answer = app.get("/v1/orgs").await.ok();
    let mut body = answer.body.clone();
    for (i, org) in answer.json()["orgs"]
        .as_array()
        .expect("a list")
        .iter()
        .enumerate()
    {
        let id = org["stripe_id"].as_str().expect("an id");
        body = body.replace(id, &format!("cus_{i}"));
    }
    insta::assert_snapshot!(body, @r#"
    {
    	"orgs": [
    		{
    			"org": "org:a",
    			"stripe_id": "cus_0",
    			"plans": [
    				"plan:pro@1"
    			],
    			"fragments": [
    				"feature:a@plan:extra@1"
    			],
    			"status": "active",
    			"since": "2023-01-02T00:00:00Z",
    			"current": {
    				"effective": "2023-01-02T00:00:00Z",
    				"end": "2023-02-02T00:00:00Z"
    			},
    			"trial": false
    		},
    		{
    			"org": "org:b",
    			"stripe_id": "cus_1",
    			"plans": [],
    			"fragments": [],
    			"status": "none",
    			"since": "2023-01-01T00:00:00Z",
    			"trial": false
    		}
    	]
    }
    "#);
    assert_eq!(
        TestApp::start().await.get("/v1/orgs").await.ok().body,
        "{\n\t\"orgs\": []\n}\n"
    );
}

#[tokio::test]
async fn a_filter_leaves_those_that_match_now() {
    let app = start().await;
    for (org, features) in [
        ("org:d", &["plan:pro@1"][..]),
        ("org:c", &["plan:pro@2", "plan:extra@1"]),
        ("org:b", &["feature:seat@plan:pro@1"]),
        ("org:a", &["plan:free@1"]),
        ("org:gone", &["plan:pro@1"]),
        ("org:moved", &["plan:pro@1"]),
    ] {
        app.subscribe(org, features).await;
    }
    create(&app, "org:never").await;
    app.advance(DAY);
    app.subscribe("org:moved", &["plan:free@1"]).await;
    app.post_json("/v1/subscribe", &json!({"org": "org:gone", "phases": [{}]}))
        .await
        .ok();
    for (query, expected) in [
        ("?plan=plan:pro@1", vec!["org:d"]),
        ("?plan=plan:pro@2", vec!["org:c"]),
        ("?plan=plan:pro", vec!["org:c", "org:d"]),
        ("?plan=plan:free@1", vec!["org:a", "org:moved"]),
        ("?plan=plan:extra@1&feature=feature:seat", vec!["org:c"]),
        ("?plan=plan:pro@1&feature=feature:a", vec![]),
        ("?feature=feature:seat", vec!["org:b", "org:c", "org:d"]),
        ("?feature=feature:seat@plan:pro@1", vec!["org:b", "org:d"]),
        ("?status=canceled", vec!["org:gone"]),
        ("?status=none", vec!["org:never"]),
        ("?status=past_due", vec![]),
        ("?plan=plan:pro@1&status=active", vec!["org:d"]),
        ("?plan=plan:pro@1&status=canceled", vec![]),
        (
            "?status=active",
            vec!["org:a", "org:b", "org:c", "org:d", "org:moved"],
        ),
        (
            "?plan=&feature=&status=&over_limit=&limit=&after=",
            vec![
                "org:a",
                "org:b",
                "org:c",
                "org:d",
                "org:gone",
                "org:moved",
                "org:never",
            ],
        ),
    ] {
        assert_eq!(names(&app, query).await, expected, "{query}");
    }
    let gone = &list(&app, "?status=canceled").await[0];
    assert_eq!((&gone["plans"], gone.get("current")), (&json!([]), None));
}

#[tokio::test]
async fn filters_that_are_unknown_or_malformed_are_refused() {
    let app = start().await;
    for (query, code, message) in [
        (
            "plan=plan:nope@1",
            "TERR1020",
            "feature or plan not found: \"plan:nope@1\"",
        ),
        (
            "plan=plan:nope",
            "TERR1020",
            "feature or plan not found: \"plan:nope\"",
        ),
        (
            "plan=plan:pro@3",
            "TERR1020",
            "feature or plan not found: \"plan:pro@3\"",
        ),
        (
            "feature=feature:nope",
            "TERR1020",
            "feature or plan not found: \"feature:nope\"",
        ),
        (
            "feature=feature:a@plan:pro@1",
            "TERR1020",
            "feature or plan not found: \"feature:a@plan:pro@1\"",
        ),
        (
            "plan=pro@1",
            "invalid_request",
            "plan name must start with 'plan:': \"pro@1\"",
        ),
        (
            "plan=pro",
            "invalid_request",
            "plan name must start with 'plan:': \"pro\"",
        ),
        (
            "plan=plan:",
            "invalid_request",
            "plan name must match [a-zA-Z0-9:-]+: \"plan:\"",
        ),
        (
            "plan=plan:a_b",
            "invalid_request",
            "plan name must match [a-zA-Z0-9:-]+: \"plan:a_b\"",
        ),
        (
            "plan=feature:a",
            "invalid_request",
            "plan name must start with 'plan:': \"feature:a\"",
        ),
        (
            "status=nope",
            "invalid_request",
            "status must be one of trialing, active, past_due, unpaid, paused, incomplete, incomplete_expired, canceled, none, not \"nope\"",
        ),
        (
            "over_limit=yes",
            "invalid_request",
            "over_limit must be true or false, not \"yes\"",
        ),
        (
            "limit=0",
            "invalid_request",
            "limit must be a number from 1 to 1000, not \"0\"",
        ),
        (
            "limit=1001",
            "invalid_request",
            "limit must be a number from 1 to 1000, not \"1001\"",
        ),
        (
            "limit=-1",
            "invalid_request",
            "limit must be a number from 1 to 1000, not \"-1\"",
        ),
        (
            "after=x",
            "invalid_request",
            "after must be a page's `next`, not \"x\"",
        ),
        (
            "after=5:x",
            "invalid_request",
            "after must be a page's `next`, not \"5:x\"",
        ),
    ] {
        let answer = app.get(&format!("/v1/orgs?{query}")).await;
        let body = answer.fails(400, code).json();
        assert_eq!(body["message"], message, "{query}");
    }
}

/// The names on all pages. Every page except the last must be full.
async fn pages(app: &TestApp, query: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/orgs?limit={limit}{query}&after={after}");
        let page = app.get(&path).await.ok().json();
        let orgs = page["orgs"].as_array().expect("a list");
        all.extend(
            orgs.iter()
                .map(|org| org["org"].as_str().expect("a name").to_owned()),
        );
        match page["next"].as_str() {
            None => return all,
            Some(next) => after = form_urlencoded::byte_serialize(next.as_bytes()).collect(),
        }
        assert_eq!(orgs.len(), limit);
    }
}

#[tokio::test]
async fn pages_have_each_org_once() {
    let app = start().await;
    for org in ["org:b", "org:a", "org:ö:1", "org:c", "org:A"] {
        app.subscribe(org, &["plan:pro@1"]).await;
        if org == "org:a" {
            app.advance(DAY);
        }
    }
    let newest_first = ["org:A", "org:c", "org:ö:1", "org:a", "org:b"];
    let by_name = ["org:A", "org:a", "org:b", "org:c", "org:ö:1"];
    for limit in 1..7 {
        assert_eq!(pages(&app, "", limit).await, newest_first, "{limit}");
        let of_plan = pages(&app, "&plan=plan:pro@1", limit).await;
        assert_eq!(of_plan, by_name, "{limit}");
    }
    // Another server has no memory of the list, and still continues at the same place.
    let first = app.get("/v1/orgs?limit=3").await.ok().json();
    let next = first["next"].as_str().expect("more");
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let rest = names(&app.second_server(), &format!("?after={next}")).await;
    assert_eq!(rest, newest_first[3..]);
}

#[tokio::test]
async fn later_pages_cost_nothing_and_show_the_same_list() {
    let app = start().await;
    for org in ["org:a", "org:b", "org:c"] {
        app.subscribe(org, &["plan:pro@1"]).await;
    }
    let path = "/v1/orgs?plan=plan:pro@1&limit=2";
    let first = app.get(path).await.ok().json();
    app.subscribe("org:bb", &["plan:pro@1"]).await;
    app.forget_calls();
    let next = first["next"].as_str().expect("more").replace(':', "%3A");
    assert_eq!(
        names(&app, &format!("?plan=plan:pro@1&limit=2&after={next}")).await,
        ["org:c"]
    );
    assert_eq!(app.stripe_calls(), 0);
    assert_eq!(names(&app, "?plan=plan:pro@1").await.len(), 4);
    assert_eq!(app.stripe_calls(), 2, "the prices, and the subscriptions");
}

#[tokio::test]
async fn an_org_with_two_subscriptions_is_listed_with_the_one_that_counts() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let id = list(&app, "").await[0]["stripe_id"].clone();
    app.advance(DAY);
    let prices = app
        .stripe_get("/v1/prices?lookup_keys[]=tier__feature-calls-plan-free-1")
        .await;
    let params = [
        ("customer", id.as_str().expect("an id")),
        ("metadata[tier.subscription]", "default"),
        (
            "items[0][price]",
            prices["data"][0]["id"].as_str().expect("an id"),
        ),
    ];
    app.stripe_post("/v1/subscriptions", &params).await;
    assert_eq!(list(&app, "").await.len(), 1);
    assert_eq!(list(&app, "").await[0]["plans"], json!(["plan:free@1"]));
    assert_eq!(names(&app, "?plan=plan:pro@1").await, [""; 0]);
    assert_eq!(names(&app, "?plan=plan:free").await, ["org:a"]);
    // Subscriptions that Tier did not create belong to no org.
    let params = [params[0], params[2]];
    app.stripe_post("/v1/subscriptions", &params).await;
    assert_eq!(list(&app, "").await.len(), 1);
}

#[tokio::test]
async fn orgs_can_be_filtered_by_whether_they_are_over_a_limit() {
    let app = start().await;
    for (org, plan, used) in [
        ("org:above", "plan:free@1", 3),
        ("org:at", "plan:free@1", 2),
        ("org:large", "plan:pro@1", 3),
    ] {
        app.subscribe(org, &[plan]).await;
        app.report(org, "feature:calls", used).await;
    }
    create(&app, "org:never").await;
    assert_eq!(names(&app, "?over_limit=true").await, ["org:above"]);
    assert_eq!(
        names(&app, "?over_limit=true&plan=plan:pro@1").await,
        [""; 0]
    );
    assert_eq!(names(&app, "?over_limit=false").await.len(), 4);
}

#[tokio::test]
async fn a_list_shows_trials_and_cancellation_times() {
    let app = start().await;
    let at = |days: i64| {
        let time = chrono::DateTime::from_timestamp(START + days * 86_400, 0).expect("a time");
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let trial = json!({"org": "org:trial", "phases": [
        {"features": ["plan:pro@1"], "trial": true}, {"features": ["plan:pro@1"], "effective": at(10)}]});
    let ending = json!({"org": "org:ending", "phases": [
        {"features": ["plan:pro@1"]}, {"effective": at(40)}]});
    for request in [trial, ending] {
        app.post_json("/v1/subscribe", &request).await.ok();
    }
    let orgs = list(&app, "?plan=plan:pro@1").await;
    assert_eq!(
        (&orgs[0]["cancel_at"], &orgs[0]["trial"]),
        (&json!(at(40)), &json!(false))
    );
    assert_eq!(
        (
            &orgs[1]["status"],
            &orgs[1]["trial"],
            orgs[1].get("cancel_at")
        ),
        (&json!("trialing"), &json!(true), None)
    );
}

#[tokio::test]
async fn a_test_clock_has_orgs_of_its_own() {
    let app = start().await;
    app.subscribe("org:real", &["plan:pro@1"]).await;
    let request = json!({"name": "a year", "present": "2023-01-01T00:00:00Z"});
    let clock = app.post_json("/v1/clock", &request).await.ok().json();
    let clock = [("tier-clock", clock["id"].as_str().expect("an id"))];
    for body in [
        json!({"org": "org:later", "phases": [{"features": ["plan:pro@1"]}]}),
        json!({"org": "org:never", "info": {"name": "N"}}),
    ] {
        let call = app.request(axum::http::Method::POST, "/v1/subscribe");
        call.headers(&clock)
            .body(body.to_string())
            .send()
            .await
            .ok();
    }
    for (query, expected) in [("", 2), ("?plan=plan:pro@1", 1)] {
        let orgs = app.get_with(&format!("/v1/orgs{query}"), &clock).await;
        let orgs = orgs.ok().json()["orgs"].as_array().expect("a list").len();
        assert_eq!(orgs, expected, "{query}");
        assert_eq!(names(&app, query).await, ["org:real"], "{query}");
    }
}

#[tokio::test]
async fn a_long_list_is_read_a_hundred_at_a_time() {
    let app = start().await;
    for i in 0..130 {
        app.subscribe(&format!("org:{i:03}"), &["plan:free@1"])
            .await;
    }
    app.forget_calls();
    let orgs = names(&app, "?plan=plan:free@1&limit=1000").await;
    assert_eq!(orgs.len(), 130);
    assert!(orgs.is_sorted());
    assert_eq!(app.stripe_calls(), 3);
    app.forget_calls();
    assert_eq!(names(&app, "?limit=1000").await.len(), 130);
    assert_eq!(app.stripe_calls(), 5, "the customers are read too");
}
