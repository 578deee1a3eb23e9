//! Reservations are granted within the limit, are billed once they are committed, and expire.

use axum::http::Method;
use serde_json::{Value, json};

use super::{MINUTE, SECOND, WithLedger};
use crate::harness::{Answer, DAY, TestApp};

/// Adds an org with a limit of 500 calls.
async fn start() -> WithLedger {
    let app = WithLedger::start().await;
    app.push(&json!({"plans": {
        "plan:limited@1": {"features": {
            "feature:calls": {"tiers": [{"upto": 500, "price": 1}]},
            "feature:peak": {"aggregate": "max", "tiers": [{"upto": 5}]},
            "feature:seats": {"base": 0},
        }},
        "plan:other@1": {"features": {"feature:peak": {"aggregate": "max", "tiers": [{"upto": 5}]}}},
    }}))
    .await;
    app.subscribe("org:b", &["plan:limited@1"]).await;
    app.advance(MINUTE);
    app
}

async fn reserve(app: &TestApp, n: i64, ttl: &str) -> Answer {
    let body = json!({"org": "org:b", "feature": "feature:calls", "n": n, "ttl": ttl});
    app.post_json("/v1/reserve", &body).await
}

async fn granted(app: &TestApp, n: i64, ttl: &str) -> String {
    let answer = reserve(app, n, ttl).await.ok().json();
    assert_eq!(answer["granted"], true, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

async fn commit(app: &TestApp, body: Value) -> Answer {
    app.post_json("/v1/reserve/commit", &body).await
}

async fn release(app: &TestApp, id: &str) -> Answer {
    app.post_json("/v1/reserve/release", &json!({"id": id}))
        .await
}

/// The number of used calls, and how many of them are reserved.
async fn used(app: &TestApp) -> (i64, i64) {
    let limits = app.get("/v1/limits?org=org:b").await.ok().json();
    let row = &limits["usage"][0];
    assert_eq!(row["feature"], "feature:calls");
    let number = |name: &str| row[name].as_i64();
    (
        number("used").expect("a figure"),
        number("reserved").unwrap_or(0),
    )
}

#[tokio::test]
async fn twenty_concurrent_reservations_are_granted_up_to_the_limit() {
    let app = start().await;
    let all = (0..20).map(|_| reserve(&app, 75, "60s"));
    let answers = futures::future::join_all(all).await;
    let answers: Vec<Value> = answers.into_iter().map(|one| one.ok().json()).collect();
    let granted = answers.iter().filter(|one| one["granted"] == true);
    assert_eq!(granted.count(), 6);
    let refused = answers.iter().find(|one| one["granted"] == false);
    let full = json!({"granted": false, "used": 450, "limit": 500, "remaining": 50});
    assert_eq!(refused, Some(&full));
    assert_eq!(used(&app).await, (450, 450));
    // The limit never refuses a report, and the reported usage counts against the next reservation.
    app.report("org:b", "feature:calls", 100).await;
    let over = reserve(&app, 1, "60s").await.ok().json();
    assert_eq!(
        (&over["used"], &over["remaining"]),
        (&550.into(), &0.into())
    );
}

#[tokio::test]
async fn a_reservation_is_billed_once_it_is_committed() {
    let app = start().await;
    app.report("org:b", "feature:calls", 10).await;
    let answer = reserve(&app, 40, "1h").await.ok().json();
    let id = answer["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("rsv_"), "{id}");
    let expected = json!({
        "granted": true, "id": id, "used": 50, "limit": 500, "remaining": 450,
        "expires": "2023-01-01T01:02:00Z",
    });
    assert_eq!(answer, expected);
    assert_eq!(used(&app).await, (50, 40));
    app.deliver_all().await;
    assert_eq!(recorded(&app).await, 10);

    for _ in 0..2 {
        commit(&app, json!({"id": id, "n": 25})).await.ok();
        assert_eq!(used(&app).await, (35, 0));
    }
    commit(&app, json!({"id": id})).await.ok();
    let other = commit(&app, json!({"id": id, "n": 26})).await;
    let other = other.fails(409, "reservation_expired").json();
    assert_eq!(other["message"], "reservation has been committed");
    release(&app, &id).await.fails(409, "reservation_expired");
    app.deliver_all().await;
    assert_eq!(recorded(&app).await, 35);

    let all = granted(&app, 5, "60s").await;
    commit(&app, json!({"id": all})).await.ok();
    commit(&app, json!({"id": all})).await.ok();
    assert_eq!(used(&app).await, (40, 0));
}

/// The number of calls that Stripe has recorded.
async fn recorded(app: &TestApp) -> i64 {
    let org = app.get("/v1/whois?org=org:b").await.ok().json();
    let customer = org["stripe_id"].as_str().expect("an id");
    let path = format!("/v1/subscriptions?customer={customer}");
    let subscription = app.stripe_get(&path).await["data"][0].clone();
    let items = subscription["items"]["data"].as_array().expect("items");
    let is_calls =
        |item: &&Value| item["price"]["metadata"]["tier.feature"] == "feature:calls@plan:limited@1";
    let item = items.iter().find(is_calls).expect("an item")["id"].clone();
    let item = item.as_str().expect("an id");
    let path = format!("/v1/subscription_items/{item}/usage_record_summaries");
    app.stripe_get(&path).await["data"][0]["total_usage"]
        .as_i64()
        .expect("a figure")
}

#[tokio::test]
async fn an_expired_reservation_does_not_count() {
    let app = start().await;
    let id = granted(&app, 40, "60s").await;
    let released = granted(&app, 7, "1h").await;
    for _ in 0..2 {
        release(&app, &released).await.ok();
    }
    let late = commit(&app, json!({"id": released})).await;
    let late = late.fails(409, "reservation_expired").json();
    assert_eq!(late["message"], "reservation has been released");
    app.advance(59 * SECOND);
    assert_eq!(used(&app).await, (40, 40));
    app.advance(SECOND);
    for _ in 0..2 {
        assert_eq!(used(&app).await, (0, 0));
        let late = commit(&app, json!({"id": id})).await;
        let late = late.fails(409, "reservation_expired").json();
        assert_eq!(late["message"], "reservation has expired");
        release(&app, &id).await.fails(409, "reservation_expired");
        app.domain().expire_reservations().await.expect("a ledger");
    }
    let again = reserve(&app, 500, "60s").await.ok().json();
    assert_eq!(
        (&again["granted"], &again["remaining"]),
        (&true.into(), &0.into())
    );
}

#[tokio::test]
async fn a_reservation_on_a_test_clock_ends_by_that_clock() {
    let app = start().await;
    // Real time is far ahead of this clock.
    let clock = json!({"name": "a year", "present": "2022-06-01T00:00:00Z"});
    let clock = app.post_json("/v1/clock", &clock).await.ok().json();
    let id = clock["id"].as_str().expect("an id");
    let send = async |path: &str, body: Value| {
        let request = app.request(Method::POST, path).header("tier-clock", id);
        request.body(body.to_string()).send().await
    };
    let subscribe = json!({"org": "org:c", "phases": [{"features": ["plan:limited@1"]}]});
    send("/v1/subscribe", subscribe).await.ok();
    let reserve = async |n: i64| {
        let body = json!({"org": "org:c", "feature": "feature:calls", "n": n, "ttl": "1h"});
        let granted = send("/v1/reserve", body).await.ok().json();
        granted["id"].as_str().expect("it is granted").to_owned()
    };
    let reserved = async || {
        let request = app.request(Method::GET, "/v1/limits?org=org:c");
        let limits = request.header("tier-clock", id).send().await.ok().json();
        limits["usage"][0]["reserved"].as_i64().unwrap_or(0)
    };
    let first = reserve(40).await;
    let second = reserve(2).await;
    app.domain().expire_reservations().await.expect("a ledger");
    assert_eq!(reserved().await, 42);
    send("/v1/reserve/commit", json!({"id": second})).await.ok();
    assert_eq!(reserved().await, 40);

    let later = json!({"id": id, "present": "2022-06-01T02:00:00Z"});
    app.post_json("/v1/clock", &later).await.ok();
    assert_eq!(reserved().await, 0);
    send("/v1/reserve/commit", json!({"id": first}))
        .await
        .fails(409, "reservation_expired");
    reserve(3).await;
    assert_eq!(reserved().await, 3);
    send("/v1/reserve/release", json!({"id": first}))
        .await
        .fails(409, "reservation_expired");
}

#[tokio::test]
async fn a_reservation_can_be_committed_in_one_step() {
    let app = start().await;
    let at_once = |n| {
        let body = json!({"org": "org:b", "feature": "feature:calls", "n": n, "commit": true});
        let app = app.app.clone();
        async move { app.post_json("/v1/reserve", &body).await.ok().json() }
    };
    let done = at_once(490).await;
    assert_eq!(
        (&done["granted"], &done["used"]),
        (&true.into(), &490.into())
    );
    assert_eq!(done.get("expires"), None);
    assert_eq!(used(&app).await, (490, 0));
    let id = done["id"].as_str().expect("an id");
    commit(&app, json!({"id": id})).await.ok();
    let refused = at_once(11).await;
    assert_eq!(
        (&refused["granted"], &refused["remaining"]),
        (&false.into(), &10.into())
    );
    assert_eq!(used(&app).await, (490, 0));
}

#[tokio::test]
async fn a_reservation_ends_with_its_period_and_belongs_to_the_plan_of_its_commit() {
    let app = start().await;
    let kept = granted(&app, 20, "24h").await;
    let lost = granted(&app, 30, "24h").await;
    let change = json!({"org": "org:b", "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &change).await.ok();
    app.advance(MINUTE);
    commit(&app, json!({"id": kept})).await.ok();
    app.advance(MINUTE);
    let change = json!({"org": "org:b", "phases": [{"features": ["plan:other@1"]}]});
    app.post_json("/v1/subscribe", &change).await.ok();
    commit(&app, json!({"id": lost}))
        .await
        .fails(400, "feature_not_found");
    app.settled().await;
    let invoices = app.stripe_get("/v1/invoices").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    let billed: i64 = invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum();
    // This bills twenty calls at two cents each.
    assert_eq!(billed, 40);

    let app = start().await;
    app.advance(30 * DAY + 12 * 60 * MINUTE);
    let answer = reserve(&app, 20, "24h").await.ok().json();
    let phase = app.get("/v1/phase?org=org:b").await.ok().json();
    assert_eq!(answer["expires"], phase["current"]["end"]);
}

#[tokio::test]
async fn an_impossible_reservation_is_refused_with_its_reason() {
    let app = start().await;
    let refused = async |changes: Value| {
        let mut body = json!({"org": "org:b", "feature": "feature:calls", "n": 1});
        for (name, value) in changes.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let answer = app.post_json("/v1/reserve", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        (text("code"), text("message"))
    };
    for n in [0, -1] {
        assert_eq!(refused(json!({"n": n})).await.1, "n must be 1 or more");
    }
    for ttl in ["", "60", "0s", "999ms", "24h 1s", "-1s", "soon"] {
        let message = refused(json!({"ttl": ttl})).await.1;
        assert!(
            message.contains("ttl must be a duration from 1s to 24h"),
            "{message}"
        );
    }
    assert_eq!(
        refused(json!({"feature": "feature:nope"})).await.0,
        "feature_not_found"
    );
    assert_eq!(
        refused(json!({"feature": "feature:seats"})).await.1,
        "feature not reportable"
    );
    let level = refused(json!({"feature": "feature:peak"})).await.1;
    assert!(
        level.contains("only a feature whose usage adds up"),
        "{level}"
    );
    assert_eq!(
        refused(json!({"org": "org:nobody"})).await.0,
        "org_not_found"
    );
    for path in ["/v1/reserve/commit", "/v1/reserve/release"] {
        for body in [json!({"id": "rsv_nope"}), json!({})] {
            let unknown = app.post_json(path, &body).await;
            let unknown = unknown.fails(400, "invalid_request").json();
            assert_eq!(unknown["message"], "there is no such reservation");
        }
    }
    let id = granted(&app, 10, "24h").await;
    for n in [11, -1] {
        let answer = commit(&app, json!({"id": id, "n": n})).await;
        let answer = answer.fails(400, "invalid_request").json();
        assert_eq!(
            answer["message"],
            "n must be from 0 to 10, which was reserved"
        );
    }
    commit(&app, json!({"id": id, "n": 0})).await.ok();
    assert_eq!(used(&app).await, (0, 0));
}

#[tokio::test]
async fn reservations_survive_a_restart() {
    let mut app = start().await;
    let held = granted(&app, 40, "1h").await;
    let ended = granted(&app, 7, "1h").await;
    release(&app, &ended).await.ok();
    app = app.restarted().await;
    assert_eq!(used(&app).await, (40, 40));
    release(&app, &ended).await.ok();
    commit(&app, json!({"id": ended}))
        .await
        .fails(409, "reservation_expired");
    commit(&app, json!({"id": held})).await.ok();
    assert_eq!(used(&app).await, (40, 0));
}

#[tokio::test]
async fn without_a_ledger_reservations_say_that_they_need_one() {
    let app = TestApp::start().await;
    let calls = [
        (
            "/v1/reserve",
            json!({"org": "org:a", "feature": "feature:f", "n": 1}),
        ),
        ("/v1/reserve/commit", json!({"id": "rsv_1"})),
        ("/v1/reserve/release", json!({"id": "rsv_1"})),
        ("/v1/reports", json!({"reports": []})),
        ("/v1/ledger/parked", json!({"id": 1, "action": "retry"})),
    ];
    for (path, body) in calls {
        let refused = app.post_json(path, &body).await;
        let refused = refused.fails(400, "invalid_request").json();
        let message = refused["message"].as_str().expect("a text");
        assert!(message.contains("--ledger"), "{path}: {message}");
    }
    for path in ["/v1/usage?org=org:a&feature=feature:f", "/v1/ledger/parked"] {
        let refused = app.get(path).await.fails(400, "invalid_request").json();
        let message = refused["message"].as_str().expect("a text");
        assert!(message.contains("--ledger"), "{path}: {message}");
    }
    assert_eq!(app.stripe_calls(), 0);
}
