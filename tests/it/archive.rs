//! `POST /v1/archive`: plans that are taken off sale.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use crate::harness::{DAY, START, TestApp};

async fn start() -> TestApp {
    let app = TestApp::start().await;
    let pro = |price: u32| json!({"title": "Pro", "features": {"feature:seat": {"base": price}, "feature:calls": {"tiers": [{"price": 1}]}}});
    let model = json!({"plans": {
        "plan:pro@1": pro(1000), "plan:pro@2": pro(2000),
        "plan:extra@1": {"features": {"feature:a": {"base": 5}}},
    }});
    app.push(&model).await;
    app
}

async fn archive(app: &TestApp, plan: &str, archived: bool) {
    let request = json!({"plan": plan, "archived": archived});
    let answer = app.post_json("/v1/archive", &request).await.ok();
    assert_eq!(answer.body, "{}");
}

async fn pulled(app: &TestApp, query: &str) -> Value {
    app.get(&format!("/v1/pull{query}")).await.ok().json()["plans"].clone()
}

fn plans(pulled: &Value) -> Vec<&String> {
    pulled.as_object().expect("plans").keys().collect()
}

fn subscribe(org: &str, features: &[&str]) -> Value {
    json!({"org": org, "phases": [{"features": features}]})
}

#[tokio::test]
async fn a_pull_omits_archived_plans_by_default() {
    let app = start().await;
    let before = app.get("/v1/pull").await.ok().body;
    archive(&app, "plan:pro@1", true).await;
    assert_eq!(
        plans(&pulled(&app, "").await),
        ["plan:extra@1", "plan:pro@2"]
    );
    let all = pulled(&app, "?archived=true").await;
    assert_eq!(plans(&all), ["plan:extra@1", "plan:pro@1", "plan:pro@2"]);
    assert_eq!(all["plan:pro@1"]["archived"], true);
    assert_eq!(all["plan:pro@2"].get("archived"), None);
    for (query, expected) in [("?archived=false", 2), ("?archived=", 2)] {
        assert_eq!(plans(&pulled(&app, query).await).len(), expected);
    }
    app.get("/v1/pull?archived=1")
        .await
        .fails(400, "invalid_request");
    archive(&app, "plan:pro@1", false).await;
    assert_eq!(app.get("/v1/pull").await.ok().body, before);
    assert_eq!(app.get("/v1/pull?archived=true").await.ok().body, before);
}

#[tokio::test]
async fn the_archived_field_of_a_pull_cannot_be_pushed() {
    let app = start().await;
    archive(&app, "plan:pro@1", true).await;
    let all = json!({"plans": pulled(&app, "?archived=true").await});
    let refused = app.post_json("/v1/push", &all).await;
    let message = refused.fails(400, "invalid_request").json()["message"].clone();
    let message = message.as_str().expect("text");
    assert!(message.contains("unknown field \"archived\""), "{message}");
    // A plan that is pushed again is still archived.
    let mut all = all;
    all["plans"]["plan:pro@1"]
        .as_object_mut()
        .expect("a plan")
        .remove("archived");
    let again = app.post_json("/v1/push", &all).await.ok().json();
    for result in again["results"].as_array().expect("results") {
        assert_eq!(
            (&result["status"], &result["reason"]),
            (&json!("ok"), &json!("feature already exists"))
        );
        let is_archived = result["feature"]
            .as_str()
            .is_some_and(|name| name.ends_with("@plan:pro@1"));
        assert_eq!(
            result.get("archived"),
            is_archived.then_some(&json!(true)),
            "{result}"
        );
        let warning = result["warnings"][0].as_str();
        let says = |text: &str| warning.is_some_and(|warning| warning.contains(text));
        assert_eq!(
            says("plan:pro@1 is archived, and stays off sale"),
            is_archived,
            "{result}"
        );
    }
    assert_eq!(plans(&pulled(&app, "").await).len(), 2);
}

#[tokio::test]
async fn an_archived_plan_cannot_be_subscribed_to() {
    let app = start().await;
    app.subscribe("org:other", &["plan:pro@2"]).await;
    archive(&app, "plan:pro@1", true).await;
    let later = json!({"org": "org:new", "phases": [
        {"features": ["plan:pro@2"]}, {"features": ["plan:pro@1"], "effective": "2023-03-01T00:00:00Z"}]});
    let checkout = |features: Value| json!({"org": "org:new", "features": features, "success_url": "https://a.example"});
    for (path, request) in [
        ("/v1/subscribe", subscribe("org:new", &["plan:pro@1"])),
        (
            "/v1/subscribe",
            subscribe("org:new", &["plan:extra@1", "feature:seat@plan:pro@1"]),
        ),
        (
            "/v1/subscribe",
            subscribe("org:new", &["feature:seat@plan:pro@1"]),
        ),
        ("/v1/subscribe", later),
        ("/v1/subscribe", subscribe("org:other", &["plan:pro@1"])),
        ("/v1/checkout", checkout(json!(["plan:pro@1"]))),
        (
            "/v1/checkout",
            checkout(json!(["feature:calls@plan:pro@1"])),
        ),
    ] {
        let refused = app
            .post_json(path, &request)
            .await
            .fails(400, "plan_archived");
        assert_eq!(
            refused.json()["message"],
            "plan is archived: \"plan:pro@1\"",
            "{request}"
        );
    }
    app.get("/v1/whois?org=org:new")
        .await
        .fails(400, "org_not_found");
    let phase = app.get("/v1/phase?org=org:other").await.ok().json();
    assert_eq!(phase["plans"], json!(["plan:pro@2"]));
    archive(&app, "plan:pro@1", false).await;
    app.subscribe("org:new", &["plan:pro@1"]).await;
    let bought = app
        .post_json("/v1/checkout", &checkout(json!(["plan:pro@1"])))
        .await;
    bought.ok();
}

#[tokio::test]
async fn orgs_keep_an_archived_plan() {
    let app = start().await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let planned = json!({"org": "org:planned", "phases": [
        {"features": ["plan:pro@2"]}, {"features": ["plan:pro@1"], "effective": "2023-01-20T00:00:00Z"}]});
    let waiting = json!({"org": "org:waiting", "phases": [
        {"features": ["plan:pro@1"], "effective": "2023-01-20T00:00:00Z"}]});
    app.post_json("/v1/subscribe", &planned).await.ok();
    app.post_json("/v1/subscribe", &waiting).await.ok();
    archive(&app, "plan:pro@1", true).await;
    app.advance(DAY);
    // The plan alone, together with another one, and as it was scheduled.
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.subscribe("org:a", &["plan:extra@1", "plan:pro@1"])
        .await;
    let other = json!({"org": "org:a", "phases": [
        {"features": ["plan:pro@2"], "effective": "2023-04-01T00:00:00Z"}]});
    app.post_json("/v1/subscribe", &other).await.ok();
    app.post_json("/v1/subscribe", &planned).await.ok();
    app.post_json("/v1/subscribe", &waiting).await.ok();
    app.report("org:a", "feature:calls", 7).await;
    app.set_clock(START + 32 * 86_400);
    for (org, expected) in [
        ("org:a", json!(["plan:extra@1", "plan:pro@1"])),
        ("org:planned", json!(["plan:pro@1"])),
        ("org:waiting", json!(["plan:pro@1"])),
    ] {
        let phase = app.get(&format!("/v1/phase?org={org}")).await.ok().json();
        assert_eq!(phase["plans"], expected, "{org}");
    }
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let id = org["stripe_id"].as_str().expect("an id");
    let invoices = app.stripe_get(&format!("/v1/invoices?customer={id}")).await;
    let renewal = invoices["data"][0]["lines"]["data"]
        .as_array()
        .expect("lines");
    let amounts: Vec<i64> = renewal
        .iter()
        .filter_map(|line| line["amount"].as_i64())
        .collect();
    assert!(
        amounts.contains(&1000) && amounts.contains(&7),
        "{amounts:?}"
    );
    // An org that has left the plan cannot get it again.
    app.subscribe("org:a", &["plan:pro@2"]).await;
    let back = app
        .post_json("/v1/subscribe", &subscribe("org:a", &["plan:pro@1"]))
        .await;
    back.fails(400, "plan_archived");
}

#[tokio::test]
async fn repeating_completes_an_interrupted_archive() {
    for write in 0..4 {
        let app = start().await;
        for archived in [true, false] {
            let path = if (write < 2) == archived {
                "/v1/prices/*"
            } else {
                "/v1/products/*"
            };
            let mut rule = Rule::new("POST", path, Action::Status(500, None));
            rule.skip = write % 2;
            app.sandbox().add_fault(rule);
            let request = json!({"plan": "plan:pro@1", "archived": archived});
            let broken = app.post_json("/v1/archive", &request).await;
            assert_ne!(broken.status, 200, "{path}");
            app.sandbox().clear_faults();
            if write > 0 || !archived {
                assert_eq!(
                    pulled(&app, "").await.get("plan:pro@1"),
                    None,
                    "{write} {archived}"
                );
                let request = subscribe("org:new", &["plan:pro@1"]);
                let sold = app.post_json("/v1/subscribe", &request).await;
                sold.fails(400, "plan_archived");
            }
            archive(&app, "plan:pro@1", archived).await;
        }
        app.subscribe("org:new", &["plan:pro@1"]).await;
        assert_eq!(plans(&pulled(&app, "").await).len(), 3);
    }
}

#[tokio::test]
async fn the_plan_has_to_exist() {
    let app = start().await;
    for (request, code, message) in [
        (
            json!({"plan": "plan:nope@1", "archived": true}),
            "TERR1020",
            "feature or plan not found: \"plan:nope@1\"",
        ),
        (
            json!({"plan": "plan:pro"}),
            "invalid_request",
            "plan must have version: \"plan:pro\"",
        ),
        (
            json!({"archived": true}),
            "invalid_request",
            "plan name must start with 'plan:': \"\"",
        ),
        (
            json!({"plan": null}),
            "invalid_request",
            "plan name must start with 'plan:': \"\"",
        ),
        (
            json!({"plan": "feature:seat@plan:pro@1"}),
            "invalid_request",
            "plan name must start with 'plan:': \"feature:seat@plan:pro@1\"",
        ),
        (
            json!({"plan": "plan:pro@1", "archived": "yes"}),
            "invalid_request",
            "archived must be true or false, not a string",
        ),
        (
            json!({"plan": "plan:pro@1", "x": 1}),
            "invalid_request",
            "unknown field \"x\"",
        ),
    ] {
        let answer = app.post_json("/v1/archive", &request).await;
        let body = answer.fails(400, code).json();
        assert_eq!(body["message"], message, "{request}");
    }
    assert_eq!(plans(&pulled(&app, "").await).len(), 3);
    // By default, a request archives.
    app.post_json(
        "/v1/archive",
        &json!({"plan": "plan:pro@1", "archived": null}),
    )
    .await
    .ok();
    assert_eq!(plans(&pulled(&app, "").await).len(), 2);
}
