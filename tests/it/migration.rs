//! `POST /v1/migrate`: moves the orgs of a plan to another plan.

mod crashes;
mod later;
mod money;
mod refused;
mod to_meters;
mod together;

use serde_json::{Value, json};

use tier::domain::Generation;

use crate::harness::{DAY, START, TestApp};

/// A plan with two versions that differ in their limits, and other plans.
async fn start() -> TestApp {
    start_on(Generation::Classic).await
}

async fn start_on(generation: Generation) -> TestApp {
    let app = TestApp::of(generation).await;
    app.push(&model()).await;
    app
}

fn model() -> Value {
    let calls = |upto: u32, price: u32| json!({"tiers": [{"upto": upto, "price": price}]});
    json!({"plans": {
        "plan:pro@1": {"title": "Pro", "features": {"feature:seat": {"base": 1000}, "feature:calls": calls(100, 1)}},
        "plan:pro@2": {"title": "Pro", "features": {
            "feature:seat": {"base": 2500}, "feature:calls": calls(10, 2), "feature:sso": {"base": 100}}},
        "plan:addon@1": {"features": {"feature:support": {"base": 300}}},
        "plan:free@1": {"features": {"feature:calls": calls(5, 0)}},
        "plan:yen@1": {"currency": "jpy", "features": {"feature:seat": {"base": 1000}}},
    }})
}

/// A day, formatted as in the API.
fn day(days: i64) -> String {
    let time = chrono::DateTime::from_timestamp(START + days * 86_400, 0).expect("a time");
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Subscribes an org that has a card.
async fn subscribe(app: &TestApp, org: &str, phases: Value) {
    let card = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    let request = json!({"org": org, "info": card, "phases": phases});
    app.post_json("/v1/subscribe", &request).await.ok();
}

/// Migrates, and waits until the migration has ended. Returns the last answer.
async fn migrate(app: &TestApp, request: &Value) -> Value {
    let begun = app.post_json("/v1/migrate", request).await.ok().json();
    ended(app, &begun).await
}

/// Waits until a migration has ended.
async fn ended(app: &TestApp, begun: &Value) -> Value {
    app.settled().await;
    let id = begun["id"].as_str().expect("an id");
    app.get(&format!("/v1/migrate?id={id}")).await.ok().json()
}

fn pro() -> Value {
    json!({"from": "plan:pro@1", "to": "plan:pro@2"})
}

/// The request with another value of a field.
fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

/// The plans and features that an org has now.
async fn plans(app: &TestApp, org: &str) -> Value {
    let phase = app.get(&format!("/v1/phase?org={org}")).await;
    if phase.status == 404 {
        return json!([]);
    }
    phase.ok().json()["plans"].clone()
}

async fn customer(app: &TestApp, org: &str) -> String {
    let org = app.get(&format!("/v1/whois?org={org}")).await.ok().json();
    org["stripe_id"].as_str().expect("an id").to_owned()
}

/// The org's live subscription.
async fn subscription(app: &TestApp, org: &str) -> Value {
    let id = customer(app, org).await;
    let list = app
        .stripe_get(&format!("/v1/subscriptions?customer={id}"))
        .await;
    list["data"][0].clone()
}

/// An answer's state and counts.
fn counts(answer: &Value) -> (&str, u64, u64, usize) {
    let count = |field: &str| answer[field].as_u64().expect("a count");
    let failed = answer["failed"].as_array().expect("a list").len();
    (
        answer["state"].as_str().expect("a state"),
        count("total"),
        count("done"),
        failed,
    )
}

#[tokio::test]
async fn a_dry_run_to_the_byte() {
    let app = start().await;
    for org in ["org:b", "org:a", "org:c"] {
        subscribe(&app, org, json!([{"features": ["plan:pro@1"]}])).await;
    }
    subscribe(&app, "org:free", json!([{"features": ["plan:free@1"]}])).await;
    app.report("org:b", "feature:calls", 12).await;
    app.forget_calls();
    let request = with(
        with(pro(), "dry_run", json!(true)),
        "at",
        json!("period_end"),
    );
    let first = with(request.clone(), "limit", json!(2));
    insta::assert_snapshot!(app.post_json("/v1/migrate", &first).await.ok().body, @r#"
    {
    	"state": "planned",
    	"total": 3,
    	"done": 0,
    	"failed": [],
    	"orgs": [
    		{
    			"org": "org:a",
    			"effective": "2023-02-01T00:00:00Z",
    			"next_bill": 2600,
    			"next_bill_now": 1000,
    			"over_limit": []
    		},
    		{
    			"org": "org:b",
    			"effective": "2023-02-01T00:00:00Z",
    			"next_bill": 2612,
    			"next_bill_now": 1012,
    			"over_limit": [
    				"feature:calls"
    			]
    		}
    	],
    	"next": "org:b"
    }
    "#);
    let second = with(first, "after", json!("org:b"));
    let second = app.post_json("/v1/migrate", &second).await.ok().json();
    assert_eq!(
        (&second["orgs"][0]["org"], second.get("next")),
        (&json!("org:c"), None)
    );
    let posts = app.sandbox().counts(None);
    assert!(
        posts.keys().all(|endpoint| !endpoint.starts_with("POST")),
        "{posts:?}"
    );
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
}

#[tokio::test]
async fn all_orgs_of_a_plan_are_moved() {
    let app = start().await;
    subscribe(&app, "org:a", json!([{"features": ["plan:pro@1"]}])).await;
    subscribe(
        &app,
        "org:b",
        json!([{"features": ["plan:addon@1", "plan:pro@1"]}]),
    )
    .await;
    subscribe(&app, "org:free", json!([{"features": ["plan:free@1"]}])).await;
    subscribe(
        &app,
        "org:part",
        json!([{"features": ["feature:seat@plan:pro@1"]}]),
    )
    .await;
    subscribe(&app, "org:gone", json!([{"features": ["plan:pro@1"]}])).await;
    app.advance(DAY);
    let cancel = json!({"org": "org:gone", "phases": [{}]});
    app.post_json("/v1/subscribe", &cancel).await.ok();
    let begun = app.post_json("/v1/migrate", &pro()).await.ok().json();
    assert_eq!(counts(&begun), ("running", 2, 0, 0));
    let id = begun["id"].as_str().expect("an id");
    assert!(id.starts_with("mig_"), "{id}");
    assert_eq!(counts(&ended(&app, &begun).await), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@2"]));
    assert_eq!(
        plans(&app, "org:b").await,
        json!(["plan:addon@1", "plan:pro@2"])
    );
    assert_eq!(plans(&app, "org:free").await, json!(["plan:free@1"]));
    assert_eq!(plans(&app, "org:part").await, Value::Null);
    assert_eq!(plans(&app, "org:gone").await, json!([]));
    assert_eq!(
        subscription(&app, "org:a").await["metadata"]["tier.migration"],
        id
    );
    // A repeated migration does nothing, on this server and on another, even for orgs that subscribed later.
    subscribe(&app, "org:late", json!([{"features": ["plan:pro@1"]}])).await;
    for app in [&app, &app.second_server()] {
        let again = app
            .post_json("/v1/migrate", &json!({"id": id}))
            .await
            .ok()
            .json();
        assert_eq!(counts(&again), ("done", 2, 2, 0));
        assert_eq!(counts(&ended(app, &again).await), ("done", 2, 2, 0));
    }
    assert_eq!(plans(&app, "org:late").await, json!(["plan:pro@1"]));
    assert_eq!(counts(&migrate(&app, &pro()).await), ("done", 1, 1, 0));
    assert_eq!(counts(&migrate(&app, &pro()).await), ("done", 0, 0, 0));
}

#[tokio::test]
async fn some_orgs_are_moved() {
    let app = start().await;
    for org in ["org:a", "org:b"] {
        subscribe(&app, org, json!([{"features": ["plan:pro@1"]}])).await;
    }
    subscribe(&app, "org:free", json!([{"features": ["plan:free@1"]}])).await;
    app.advance(DAY);
    let nobody = migrate(&app, &with(pro(), "orgs", json!([]))).await;
    assert_eq!(counts(&nobody), ("done", 0, 0, 0));
    let orgs = json!(["org:b", "org:free", "org:nobody", "org:b"]);
    let plan = with(with(pro(), "orgs", orgs.clone()), "dry_run", json!(true));
    let plan = app.post_json("/v1/migrate", &plan).await.ok().json();
    assert_eq!(counts(&plan), ("planned", 3, 0, 2));
    let some = migrate(&app, &with(pro(), "orgs", orgs)).await;
    assert_eq!(counts(&some), ("done", 3, 1, 2));
    let failed = some["failed"].as_array().expect("a list");
    let failed: Vec<_> = failed
        .iter()
        .map(|one| (one["org"].as_str(), one["code"].as_str()))
        .collect();
    assert_eq!(
        failed,
        [
            (Some("org:free"), Some("invalid_request")),
            (Some("org:nobody"), Some("org_not_found"))
        ]
    );
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
    assert_eq!(plans(&app, "org:b").await, json!(["plan:pro@2"]));
    // Another server continues with the other orgs.
    subscribe(&app, "org:nobody", json!([{"features": ["plan:pro@1"]}])).await;
    let again = migrate(&app.second_server(), &json!({"id": some["id"]})).await;
    assert_eq!(counts(&again), ("done", 3, 2, 1));
    assert_eq!(plans(&app, "org:nobody").await, json!(["plan:pro@2"]));
}

#[tokio::test]
async fn a_test_clock_has_migrations_of_its_own() {
    let app = start().await;
    subscribe(&app, "org:real", json!([{"features": ["plan:pro@1"]}])).await;
    let request = json!({"name": "a year", "present": day(0)});
    let clock = app.post_json("/v1/clock", &request).await.ok().json();
    let clock = clock["id"].as_str().expect("an id").to_owned();
    let post = async |path: &str, body: Value| {
        let call = app.request(axum::http::Method::POST, path);
        call.headers(&[("tier-clock", &clock)])
            .body(body.to_string())
            .send()
            .await
            .ok()
            .json()
    };
    for (org, phases) in [
        ("org:now", json!([{"features": ["plan:pro@1"]}])),
        (
            "org:waiting",
            json!([{"features": ["plan:pro@1"], "effective": day(9)}]),
        ),
    ] {
        post("/v1/subscribe", json!({"org": org, "phases": phases})).await;
    }
    app.post_json("/v1/clock", &json!({"id": clock, "present": day(2)}))
        .await
        .ok();
    let begun = post("/v1/migrate", pro()).await;
    // A caller that polls need not know the test clock.
    assert_eq!(counts(&ended(&app, &begun).await), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:real").await, json!(["plan:pro@1"]));
    let phase = app
        .get_with("/v1/phase?org=org:now", &[("tier-clock", &clock)])
        .await;
    assert_eq!(phase.ok().json()["plans"], json!(["plan:pro@2"]));
    assert_eq!(counts(&migrate(&app, &pro()).await), ("done", 1, 1, 0));
}

/// `MIGRATION_ORGS=10000 cargo test --test it migration::many` moves 10,000 orgs.
#[tokio::test]
async fn many_orgs_are_moved_once_each() {
    let orgs = std::env::var_os("MIGRATION_ORGS");
    let orgs = orgs.and_then(|orgs| orgs.to_str()?.parse().ok());
    let orgs: u64 = orgs.unwrap_or(150);
    let app = start().await;
    let prices = async |feature: &str| {
        let path = format!("/v1/prices?lookup_keys[]=tier__feature-{feature}-plan-pro-1");
        app.stripe_get(&path).await["data"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (seat, calls) = (prices("seat").await, prices("calls").await);
    for i in 0..orgs {
        let name = format!("org:{i:05}");
        let params = [
            ("metadata[tier.org]", name.as_str()),
            ("payment_method", "pm_card_visa"),
            ("invoice_settings[default_payment_method]", "pm_card_visa"),
        ];
        let made = app.stripe_post("/v1/customers", &params).await;
        let params = [
            ("customer", made["id"].as_str().expect("an id")),
            ("metadata[tier.subscription]", "default"),
            ("items[0][price]", &seat),
            ("items[1][price]", &calls),
        ];
        app.stripe_post("/v1/subscriptions", &params).await;
    }
    app.advance(DAY);
    app.forget_calls();
    let done = migrate(&app, &with(pro(), "at", json!("period_end"))).await;
    assert_eq!(counts(&done), ("done", orgs, orgs, 0));
    let counted = app.sandbox().counts(None);
    assert_eq!(counted["POST /v1/subscription_schedules"], orgs);
    assert_eq!(counted["POST /v1/subscription_schedules/:id"], orgs);
    app.advance(31 * DAY);
    // The sandbox renews all subscriptions during its next call, which may take longer than a server waits.
    app.stripe_get("/v1/prices?limit=1").await;
    let listed = app
        .get("/v1/orgs?plan=plan:pro@2&limit=1000")
        .await
        .ok()
        .json();
    assert_eq!(
        listed["orgs"].as_array().map(Vec::len),
        usize::try_from(orgs.min(1000)).ok()
    );
}
