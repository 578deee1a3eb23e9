//! `POST /v1/migrate`: moves the orgs of a plan to another plan.

mod crashes;
mod money;
mod together;

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use crate::harness::{DAY, START, TestApp};

/// A plan in two versions with different limits, and other plans.
async fn start() -> TestApp {
    let app = TestApp::start().await;
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

/// A day, as the API writes it.
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

/// Migrates, and waits for the end. Returns the last answer.
async fn migrate(app: &TestApp, request: &Value) -> Value {
    let begun = app.post_json("/v1/migrate", request).await.ok().json();
    ended(app, &begun).await
}

/// Waits for the end of a migration.
async fn ended(app: &TestApp, begun: &Value) -> Value {
    app.settled().await;
    let id = begun["id"].as_str().expect("an id");
    app.get(&format!("/v1/migrate?id={id}")).await.ok().json()
}

fn pro() -> Value {
    json!({"from": "plan:pro@1", "to": "plan:pro@2"})
}

/// The request with another field.
fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

/// What an org has now.
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

/// The counts and the state of an answer.
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
    // Repeating it does nothing, here and on another server, also for orgs that came later.
    subscribe(&app, "org:late", json!([{"features": ["plan:pro@1"]}])).await;
    for app in [&app, &app.twin()] {
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
    let again = migrate(&app.twin(), &json!({"id": some["id"]})).await;
    assert_eq!(counts(&again), ("done", 3, 2, 1));
    assert_eq!(plans(&app, "org:nobody").await, json!(["plan:pro@2"]));
}

#[tokio::test]
async fn future_phases_are_moved_too() {
    let app = start().await;
    let later =
        json!([{"features": ["plan:free@1"]}, {"features": ["plan:pro@1"], "effective": day(10)}]);
    subscribe(&app, "org:later", later).await;
    let waiting = json!([{"features": ["plan:pro@1"], "effective": day(20)}]);
    subscribe(&app, "org:waiting", waiting).await;
    app.advance(DAY);
    for at in ["now", "period_end"] {
        let request = with(with(pro(), "dry_run", json!(true)), "at", json!(at));
        let plan = app.post_json("/v1/migrate", &request).await.ok().json();
        let orgs = plan["orgs"].as_array().expect("a list").iter();
        let effective: Vec<_> = orgs.map(|one| one["effective"].clone()).collect();
        assert_eq!(effective, [json!(day(10)), json!(day(20))], "{at}");
    }
    assert_eq!(counts(&migrate(&app, &pro()).await), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:later").await, json!(["plan:free@1"]));
    app.advance(25 * DAY);
    assert_eq!(plans(&app, "org:later").await, json!(["plan:pro@2"]));
    assert_eq!(plans(&app, "org:waiting").await, json!(["plan:pro@2"]));
}

#[tokio::test]
async fn at_a_time_or_at_the_end_of_each_period() {
    let app = start().await;
    subscribe(&app, "org:a", json!([{"features": ["plan:pro@1"]}])).await;
    app.advance(5 * DAY);
    subscribe(
        &app,
        "org:b",
        json!([{"features": ["plan:pro@1"]}, {"effective": day(50)}]),
    )
    .await;
    app.advance(DAY);
    let planned = migrate(&app, &with(pro(), "at", json!("period_end"))).await;
    assert_eq!(counts(&planned), ("done", 2, 2, 0));
    let starts = async |org: &str| -> Vec<Value> {
        let phases = app.get(&format!("/v1/phases?org={org}")).await.ok().json();
        let phases = phases["phases"].as_array().expect("phases");
        phases
            .iter()
            .map(|phase| json!([phase["effective"], phase["plans"]]))
            .collect()
    };
    let moved = [
        json!([day(0), ["plan:pro@1"]]),
        json!([day(31), ["plan:pro@2"]]),
    ];
    assert_eq!(starts("org:a").await, moved);
    let moved = [
        json!([day(5), ["plan:pro@1"]]),
        json!([day(36), ["plan:pro@2"]]),
        json!([day(50), null]),
    ];
    assert_eq!(starts("org:b").await, moved);
    // It is scheduled once, whatever else is scheduled.
    assert_eq!(
        counts(&migrate(&app, &with(pro(), "at", json!("period_end"))).await),
        ("done", 0, 0, 0)
    );
    let back = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &back).await.ok();
    let again = migrate(&app.twin(), &json!({"id": planned["id"]})).await;
    assert_eq!(counts(&again), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
    let timed = migrate(&app, &with(pro(), "at", json!(day(9)))).await;
    assert_eq!(counts(&timed), ("done", 2, 2, 0));
    app.set_clock(START + 9 * 86_400 + 1);
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@2"]));
}

/// Invalid requests, each with its code and message.
#[rustfmt::skip]
fn nonsense() -> Vec<(Value, &'static str, &'static str)> {
    let to = |to: &str| json!({"from": "plan:pro@1", "to": to});
    vec![
        (to("plan:pro@1"), "invalid_request", "from and to are the same plan: \"plan:pro@1\""),
        (to("plan:pro@3"), "TERR1020", "feature or plan not found: \"plan:pro@3\""),
        (json!({"from": "plan:no@1", "to": "plan:pro@2"}), "TERR1020", "feature or plan not found: \"plan:no@1\""),
        (to("plan:free@1"), "plan_archived", "plan is archived: \"plan:free@1\""),
        (to("plan:yen@1"), "invalid_request", "the currency of a subscription cannot change: from is in usd, and to in jpy"),
        (to("plan:pro"), "invalid_request", "plan must have version: \"plan:pro\""),
        (json!({"to": "plan:pro@2"}), "invalid_request", "plan name must start with 'plan:': \"\""),
        (json!({}), "invalid_request", "plan name must start with 'plan:': \"\""),
        (with(pro(), "at", json!(day(0))), "invalid_request", "at must not be in the past"),
        (with(pro(), "at", json!("soon")), "invalid_request", "at must be now, period_end or an RFC 3339 time like 2030-01-31T12:00:00Z, not \"soon\""),
        (with(pro(), "at", json!(5)), "invalid_request", "at must be a string, not a number"),
        (with(pro(), "orgs", json!(["a"])), "invalid_request", "org must be prefixed with \"org:\""),
        (with(pro(), "orgs", json!("org:a")), "invalid_request", "orgs must be a list, not a string"),
        (with(pro(), "limit", json!(0)), "invalid_request", "limit must be a number from 1 to 1000, not 0"),
        (with(pro(), "x", json!(0)), "invalid_request", "unknown field \"x\""),
        (json!({"id": "mig_none"}), "invalid_request", "no such migration: \"mig_none\""),
        (json!({"id": "mig_../x"}), "invalid_request", "no such migration: \"mig_../x\""),
        (with(pro(), "id", json!("mig_none")), "invalid_request", "id names a migration that goes on, and nothing else is said of it"),
    ]
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let app = start().await;
    subscribe(&app, "org:a", json!([{"features": ["plan:pro@1"]}])).await;
    app.post_json("/v1/archive", &json!({"plan": "plan:free@1"}))
        .await
        .ok();
    app.advance(DAY);
    for (request, code, message) in nonsense() {
        for dry_run in [false, true] {
            let mut request = request.clone();
            if dry_run && request.get("id").is_none() {
                request["dry_run"] = json!(true);
            }
            let answer = app.post_json("/v1/migrate", &request).await;
            let body = answer.fails(400, code).json();
            assert_eq!(body["message"], message, "{request}");
        }
    }
    for query in ["", "?id=", "?id=mig_none", "?id=tier__plan-pro-1"] {
        app.get(&format!("/v1/migrate{query}"))
            .await
            .fails(400, "invalid_request");
    }
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
    let orgs: Vec<String> = (0..3000).map(|i| format!("org:{i:010}")).collect();
    app.post_json("/v1/migrate", &with(pro(), "orgs", json!(orgs)))
        .await
        .fails(400, "invalid_request");
    // Unset is now.
    let unset = with(
        with(pro(), "at", json!("0001-01-01T00:00:00Z")),
        "orgs",
        Value::Null,
    );
    assert_eq!(counts(&migrate(&app, &unset).await), ("done", 1, 1, 0));
}

#[tokio::test]
async fn an_archived_plan_can_be_left() {
    let app = start().await;
    subscribe(
        &app,
        "org:a",
        json!([{"features": ["plan:pro@1", "plan:addon@1"]}]),
    )
    .await;
    app.advance(DAY);
    for plan in ["plan:pro@1", "plan:addon@1"] {
        app.post_json("/v1/archive", &json!({"plan": plan}))
            .await
            .ok();
    }
    let planned = migrate(&app, &with(pro(), "at", json!("period_end"))).await;
    assert_eq!(counts(&planned), ("done", 1, 1, 0));
    app.advance(31 * DAY);
    assert_eq!(
        plans(&app, "org:a").await,
        json!(["plan:addon@1", "plan:pro@2"])
    );
}

#[tokio::test]
async fn a_failure_of_one_org_does_not_stop_the_others() {
    let app = start().await;
    for org in ["org:a", "org:b", "org:c"] {
        subscribe(&app, org, json!([{"features": ["plan:pro@1"]}])).await;
    }
    app.advance(DAY);
    // Stripe refuses the change of one of them.
    let failing = customer(&app, "org:b").await;
    let path = format!("/v1/subscription_schedules?customer={failing}");
    let schedule = app.stripe_get(&path).await["data"][0]["id"].clone();
    let path = format!(
        "/v1/subscription_schedules/{}",
        schedule.as_str().expect("an id")
    );
    app.sandbox()
        .add_fault(Rule::new("POST", &path, Action::Status(500, None)));
    let begun = app.post_json("/v1/migrate", &pro()).await.ok().json();
    let ended_with = ended(&app, &begun).await;
    assert_eq!(counts(&ended_with), ("done", 3, 2, 1));
    assert_eq!(ended_with["failed"][0]["org"], "org:b");
    assert_eq!(ended_with["failed"][0]["code"], "stripe_unavailable");
    app.sandbox().clear_faults();
    let again = migrate(&app, &json!({"id": begun["id"]})).await;
    assert_eq!(counts(&again), ("done", 3, 3, 0));
    assert_eq!(plans(&app, "org:b").await, json!(["plan:pro@2"]));
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
    // A caller that polls need not know the clock.
    assert_eq!(counts(&ended(&app, &begun).await), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:real").await, json!(["plan:pro@1"]));
    let phase = app
        .get_with("/v1/phase?org=org:now", &[("tier-clock", &clock)])
        .await;
    assert_eq!(phase.ok().json()["plans"], json!(["plan:pro@2"]));
    assert_eq!(counts(&migrate(&app, &pro()).await), ("done", 1, 1, 0));
}

/// `MIGRATION_ORGS=10000 cargo test --test it migration::many` moves more of them.
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
    // The sandbox renews all subscriptions in its next call, which may take longer than a server waits.
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
