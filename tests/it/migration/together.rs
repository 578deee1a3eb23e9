//! Concurrent migrations, and migrations that run while plans change otherwise.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use testing::time::{hold_time, until};
use tier::stripe::RateSettings;
use tokio::task::JoinSet;

use super::{counts, ended, migrate, plans, pro, start, subscribe, subscription};
use crate::harness::{DAY, Settings, TestApp};

const ORGS: [&str; 8] = [
    "org:a", "org:b", "org:c", "org:d", "org:e", "org:f", "org:g", "org:h",
];

async fn subscribed(orgs: &[&str], plan: &str) -> TestApp {
    let app = start().await;
    for org in orgs {
        subscribe(&app, org, json!([{"features": [plan]}])).await;
    }
    app.advance(DAY);
    app
}

fn back() -> Value {
    json!({"from": "plan:pro@2", "to": "plan:pro@1"})
}

#[tokio::test]
async fn two_servers_move_each_org_once() {
    let app = subscribed(&ORGS, "plan:pro@1").await;
    let other = app.second_server();
    let begun = app.post_json("/v1/migrate", &pro()).await.ok().json();
    let id = json!({"id": begun["id"]});
    other.post_json("/v1/migrate", &id).await.ok();
    for app in [&app, &other] {
        let done = ended(app, &begun).await;
        assert_eq!(
            (&done["state"], &done["failed"]),
            (&json!("done"), &json!([]))
        );
    }
    for org in ORGS {
        assert_eq!(plans(&app, org).await, json!(["plan:pro@2"]));
        // The first plan was the first revision, and the migration made the second.
        let metadata = subscription(&app, org).await["metadata"].clone();
        assert_eq!(metadata["tier.rev"], "2", "{metadata}");
    }
}

#[tokio::test]
async fn opposite_migrations_leave_each_org_one_plan() {
    let app = subscribed(&ORGS, "plan:pro@1").await;
    for org in &ORGS[4..] {
        app.subscribe(org, &["plan:pro@2"]).await;
    }
    app.advance(DAY);
    let (there, back) = (pro(), back());
    let (there, back) = tokio::join!(
        app.post_json("/v1/migrate", &there),
        app.post_json("/v1/migrate", &back)
    );
    let (there, back) = (there.ok().json(), back.ok().json());
    let other = app.second_server();
    for begun in [&there, &back] {
        let done = ended(&app, begun).await;
        assert_eq!(
            (&done["state"], &done["failed"]),
            (&json!("done"), &json!([]))
        );
        let id = json!({"id": begun["id"]});
        other.post_json("/v1/migrate", &id).await.ok();
        assert_eq!(ended(&other, begun).await["failed"], json!([]));
    }
    for (i, org) in ORGS.into_iter().enumerate() {
        let has = plans(&app, org).await;
        let pro = ["plan:pro@1", "plan:pro@2"].map(|plan| json!([plan]));
        assert!(pro.contains(&has), "{has}");
        let metadata = subscription(&app, org).await["metadata"].clone();
        let moved_by = metadata["tier.migration"].as_str().expect("it was moved");
        let first = if i < 4 { &there } else { &back };
        assert!(
            moved_by.contains(first["id"].as_str().expect("an id")),
            "{moved_by}"
        );
    }
}

#[tokio::test]
async fn a_change_in_between_is_not_undone() {
    let app = subscribed(&["org:a", "org:b"], "plan:pro@1").await;
    let other = app.second_server();
    // Another server changes the org's plan after the migration has read its state.
    app.slow_down("POST", "/v1/subscription_schedules/*", DAY);
    let begun = app
        .post_json(
            "/v1/migrate",
            &json!({"from": "plan:pro@1", "to": "plan:pro@2", "orgs": ["org:a"]}),
        )
        .await;
    let begun = begun.ok().json();
    app.until_slow().await;
    let changed = async {
        let request = json!({"org": "org:a", "phases": [{"features": ["plan:addon@1"]}]});
        other.post_json("/v1/subscribe", &request).await.ok();
    };
    let freed = async {
        tokio::task::yield_now().await;
        app.sandbox().clear_faults();
    };
    tokio::join!(changed, freed);
    ended(&app, &begun).await;
    // Either write may come last, but the person's change prevails, since it was made after the migration had begun.
    assert_eq!(plans(&app, "org:a").await, json!(["plan:addon@1"]));
}

#[tokio::test]
async fn a_migration_continues_after_its_caller_has_left() {
    let app = subscribed(&ORGS, "plan:pro@1").await;
    // The caller hangs up before the migration has begun, so no org moves.
    app.slow_down("GET", "/v1/subscriptions", DAY);
    let request = pro().to_string();
    let call = app
        .request(Method::POST, "/v1/migrate")
        .body(request.clone());
    app.hang_up(call).await;
    app.sandbox().clear_faults();
    app.settled().await;
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
    // The caller hangs up after the migration has begun, so every org moves.
    app.slow_down("POST", "/v1/products", DAY);
    let call = app.request(Method::POST, "/v1/migrate").body(request);
    let call = call.header("idempotency-key", "k");
    app.hang_up(call).await;
    app.sandbox().clear_faults();
    let call = app
        .request(Method::POST, "/v1/migrate")
        .body(pro().to_string());
    let begun = call.header("idempotency-key", "k").send().await.ok().json();
    assert_eq!(counts(&ended(&app, &begun).await), ("done", 8, 8, 0));
    let call = app
        .request(Method::POST, "/v1/migrate")
        .body(back().to_string());
    let other = call.header("idempotency-key", "k").send().await;
    other.fails(400, "invalid_request");
}

#[tokio::test]
async fn an_org_that_was_moved_back_by_hand_stays() {
    let app = subscribed(&["org:a", "org:b"], "plan:pro@1").await;
    let orgs = json!(["org:a", "org:b", "org:nobody"]);
    let mut request = pro();
    request["orgs"] = orgs;
    let first = migrate(&app, &request).await;
    assert_eq!(counts(&first), ("done", 3, 2, 1));
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.subscribe("org:b", &["plan:free@1"]).await;
    app.subscribe("org:b", &["plan:pro@1"]).await;
    for app in [&app, &app.second_server()] {
        let again = migrate(app, &json!({"id": first["id"]})).await;
        assert_eq!(counts(&again), ("done", 3, 2, 1));
        for org in ["org:a", "org:b"] {
            assert_eq!(plans(app, org).await, json!(["plan:pro@1"]));
        }
    }
}

/// How many calls to Stripe are allowed each second, and how many of them are left for bulk work.
const RATE: u32 = 10;
const OF_BULK: u64 = 8;

/// A second, the margin that the limiter adds to it, and the resolution of timers.
const SECOND: Duration = Duration::from_millis(1000 + 10 + 2);

#[tokio::test]
async fn it_calls_stripe_as_often_as_the_budget_allows_and_no_more() {
    let app = subscribed(&ORGS, "plan:pro@1").await;
    let rates = RateSettings {
        total: Some(RATE),
        ..RateSettings::default()
    };
    let slow = app.second_server_with(&Settings {
        rates,
        ..Settings::default()
    });
    slow.forget_calls();
    let time = hold_time();
    let mut tasks = JoinSet::new();
    let server = slow.clone();
    let migration = tasks.spawn(async move { migrate(&server, &pro()).await });
    let mut seconds = 0;
    while !migration.is_finished() {
        seconds += 1;
        until("the calls of a second are made", async || {
            let calls = slow.stripe_calls();
            let allowed = seconds * OF_BULK;
            assert!(calls <= allowed, "{calls} calls in {seconds} s");
            (calls == allowed || migration.is_finished()).then_some(())
        })
        .await;
        tokio::time::advance(SECOND).await;
    }
    drop(time);
    assert!(seconds > 2, "too few calls: {}", slow.stripe_calls());
    let done = tasks.join_next().await.expect("a migration");
    let done = done.expect("no panic");
    assert_eq!(counts(&done), ("done", 8, 8, 0));
}
