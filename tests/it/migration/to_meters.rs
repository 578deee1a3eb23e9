//! `to_meters` moves an account from usage records to meters.

use axum::http::Method;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::domain::{Generation, GenerationSetting};

use super::{counts, day, ended, plans, subscribe};
use crate::harness::{DAY, START, Settings, TestApp};

/// Plans that are billed by usage records. One of them is archived, and one has no metered features.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    let calls = |price: u32| json!({"tiers": [{"upto": 100, "price": price}]});
    let disk = json!({"aggregate": "perpetual", "tiers": [{"price": 10}]});
    app.push(&json!({"plans": {
        "plan:pro@1": {"features": {"feature:seat": {"base": 1000}, "feature:calls": calls(1), "feature:disk": disk}},
        "plan:pro@2": {"title": "Pro", "features": {"feature:seat": {"base": 2500}, "feature:calls": calls(2)}},
        "plan:addon@1": {"features": {"feature:support": {"base": 300}}},
        "plan:old@1": {"features": {"feature:calls": calls(9)}},
    }}))
    .await;
    app
}

/// An org on each plan, an org on a part of a plan, an org in a trial, and an org whose plan begins later.
async fn subscribed() -> TestApp {
    let app = start().await;
    for (org, phases) in [
        ("org:addon", json!([{"features": ["plan:addon@1"]}])),
        (
            "org:both",
            json!([{"features": ["plan:pro@2", "plan:addon@1"]}]),
        ),
        ("org:old", json!([{"features": ["plan:old@1"]}])),
        (
            "org:part",
            json!([{"features": ["feature:calls@plan:pro@1"]}]),
        ),
        ("org:pro", json!([{"features": ["plan:pro@1"]}])),
        (
            "org:trial",
            json!([{"features": ["plan:pro@1"], "trial": true}, {"features": ["plan:pro@1"], "effective": day(14)}]),
        ),
        (
            "org:waiting",
            json!([{"features": ["plan:pro@2"], "effective": day(20)}]),
        ),
    ] {
        subscribe(&app, org, phases).await;
    }
    app.post_json("/v1/archive", &json!({"plan": "plan:old@1"}))
        .await
        .ok();
    app.report("org:pro", "feature:calls", 7).await;
    app.report("org:pro", "feature:disk", 3).await;
    app.advance(DAY);
    app.with_own_ledger().await
}

async fn to_meters(app: &TestApp) -> Value {
    let begun = app
        .post_json("/v1/migrate", &json!({"to_meters": true}))
        .await;
    ended(app, &begun.ok().json()).await
}

/// The orgs whose migration failed.
fn failed(migration: &Value) -> Vec<&str> {
    let failed = migration["failed"].as_array().expect("a list").iter();
    failed
        .map(|one| one["org"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn a_dry_run_says_what_would_move() {
    let app = subscribed().await;
    app.forget_calls();
    let request = json!({"to_meters": true, "dry_run": true});
    let planned = app.post_json("/v1/migrate", &request).await.ok().json();
    let writes = app.sandbox().counts(None);
    assert!(
        writes.keys().all(|call| call.starts_with("GET ")),
        "{writes:?}"
    );
    let copies = json!({"plan:pro@1": "plan:pro@3", "plan:pro@2": "plan:pro@4"});
    assert_eq!(planned["plans"], copies);
    let orgs = planned["orgs"].as_array().expect("a list").iter();
    let orgs: Vec<Value> = orgs
        .map(|one| {
            json!([
                one["org"],
                one["effective"],
                one["next_bill"],
                one["next_bill_now"]
            ])
        })
        .collect();
    assert_eq!(
        orgs,
        [
            json!(["org:both", day(31), 2800, 2800]),
            json!(["org:part", day(31), 0, 0]),
            json!(["org:pro", day(31), 1037, 1037]),
            json!(["org:trial", day(14), 1000, 1000]),
            json!(["org:waiting", day(20), null, null]),
        ]
    );
    assert_eq!(failed(&planned), ["org:old"]);
}

#[tokio::test]
async fn all_orgs_move_at_the_end_of_their_periods() {
    let app = subscribed().await;
    let done = to_meters(&app).await;
    assert_eq!(
        (counts(&done), failed(&done)),
        (("done", 6, 5, 1), vec!["org:old"])
    );
    let pulled = app.get("/v1/pull").await.ok().json();
    for (copy, plan) in [("plan:pro@3", "plan:pro@1"), ("plan:pro@4", "plan:pro@2")] {
        assert_eq!(
            pulled["plans"][copy]["features"], pulled["plans"][plan]["features"],
            "{copy}"
        );
    }
    assert_eq!(pulled["plans"]["plan:pro@3"]["title"], "plan:pro@3");
    assert_eq!(pulled["plans"]["plan:pro@4"]["title"], "Pro");
    assert_eq!(plans(&app, "org:pro").await, json!(["plan:pro@1"]));
    app.set_clock(START + 31 * 86_400 + 60);
    for (org, plan) in [
        ("org:addon", json!(["plan:addon@1"])),
        ("org:both", json!(["plan:addon@1", "plan:pro@4"])),
        ("org:old", json!(["plan:old@1"])),
        ("org:pro", json!(["plan:pro@3"])),
        ("org:trial", json!(["plan:pro@3"])),
        ("org:waiting", json!(["plan:pro@4"])),
    ] {
        assert_eq!(plans(&app, org).await, plan, "{org}");
    }
    let part = app.get("/v1/phase?org=org:part").await.ok().json();
    assert_eq!(part["fragments"], json!(["feature:calls@plan:pro@3"]));
    let live = app.stripe_get("/v1/subscriptions?limit=100").await;
    assert_eq!(live["data"].as_array().expect("a list").len(), 7);
    // A level goes on, and a sum begins again at zero.
    let used = app.limits("org:pro").await;
    let used: Vec<(&str, i64)> = used
        .iter()
        .map(|(name, used, _)| (name.as_str(), *used))
        .collect();
    assert_eq!(
        used,
        [
            ("feature:calls", 0),
            ("feature:disk", 3),
            ("feature:seat", 1)
        ]
    );
    // A repeated request gets the same answer, although the old plans are no longer on sale.
    let repeated = async |request: Value| {
        let call = app.request(Method::POST, "/v1/migrate");
        let call = call.body(request.to_string());
        call.header("idempotency-key", "one").send().await
    };
    let request = json!({"to_meters": true, "orgs": ["org:pro"]});
    let first = repeated(request.clone()).await.ok().json();
    app.settled().await;
    // A second migration finds the plans on meters, and no org left to move.
    let again = to_meters(&app).await;
    assert_eq!(
        (counts(&again), failed(&again)),
        (("done", 1, 0, 1), vec!["org:old"])
    );
    let after = app.get("/v1/pull").await.ok().json();
    assert_eq!(after, pulled);
    for plan in ["plan:pro@1", "plan:pro@2"] {
        app.post_json("/v1/archive", &json!({"plan": plan}))
            .await
            .ok();
    }
    let second = repeated(request).await.ok().json();
    assert_eq!(second["id"], first["id"]);
    repeated(json!({"to_meters": true}))
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn a_push_that_broke_off_is_completed() {
    let app = subscribed().await;
    let fault = Rule::new("POST", "/v1/prices", Action::Status(402, None)).skipping(1);
    app.sandbox().add_fault(fault);
    let request = json!({"to_meters": true});
    let broken = app.post_json("/v1/migrate", &request).await;
    let message = broken.fails(502, "stripe_unavailable").json()["message"].clone();
    let message = message.as_str().expect("a text");
    assert!(message.contains("nobody was moved"), "{message}");
    app.sandbox().clear_faults();
    assert_eq!(counts(&to_meters(&app).await), ("done", 6, 5, 1));
    let pulled = app.get("/v1/pull").await.ok().json();
    let names: Vec<&String> = pulled["plans"].as_object().expect("plans").keys().collect();
    let expected = [
        "plan:addon@1",
        "plan:pro@1",
        "plan:pro@2",
        "plan:pro@3",
        "plan:pro@4",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn what_cannot_move_is_refused() {
    let app = start().await;
    let refused = async |app: &TestApp, request: Value| {
        let refused = app.post_json("/v1/migrate", &request).await;
        let refused = refused.fails(400, "invalid_request").json();
        refused["message"].as_str().expect("a text").to_owned()
    };
    let request = json!({"to_meters": true});
    assert_eq!(
        refused(&app, request.clone()).await,
        "feature:disk@plan:pro@1 has the aggregate perpetual, which meters count only with a ledger: start the server with --ledger"
    );
    let with_ledger = app.with_own_ledger().await;
    assert_eq!(
        refused(
            &with_ledger,
            json!({"to_meters": true, "from": "plan:pro@1"})
        )
        .await,
        "to_meters moves the orgs of all plans: from and to are not given with it"
    );
    assert!(
        refused(&with_ledger, json!({"to_meters": true, "at": day(40)}))
            .await
            .ends_with("at must be now or period_end")
    );
    let classic = app.second_server_with(&Settings {
        generation: GenerationSetting::Fixed(Generation::Classic),
        ..Settings::default()
    });
    assert_eq!(
        refused(&classic, request.clone()).await,
        "this server creates plans with usage records only: start it with --stripe-generation auto or meters"
    );
    for plan in ["plan:pro@1", "plan:pro@2", "plan:old@1"] {
        app.post_json("/v1/archive", &json!({"plan": plan}))
            .await
            .ok();
    }
    assert_eq!(
        refused(&with_ledger, request).await,
        "no plan on sale is billed by usage records: there is nothing to move"
    );
}
