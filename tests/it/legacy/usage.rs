//! `POST /api/v1/reserve`.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{SECOND, Server, append, now, server, servers, time};
use crate::harness::{Answer, DAY, Settings, TestApp};

const NO_LIMIT: i64 = i64::MAX;

async fn reserve(app: &TestApp, body: Value) -> Answer {
    let mut request = json!({"org": "org:acme", "feature": "feature:convert"});
    for (name, value) in body.as_object().expect("an object") {
        request[name] = value.clone();
    }
    app.post_json("/api/v1/reserve", &request).await
}

#[track_caller]
fn figures(answer: Answer) -> (i64, i64) {
    let answer = answer.ok().json();
    let number = |name: &str| answer[name].as_i64().expect("an integer");
    (number("used"), number("limit"))
}

/// Takes units as npm's `@tier.run/sdk` 1.1.1 does, which sends the client's time.
async fn take(app: &TestApp, p: i64, at: i64) -> (i64, i64) {
    figures(reserve(app, json!({"p": p, "op": "incr", "now": time(at)})).await)
}

async fn look(app: &TestApp, org: &str, feature: &str) -> (i64, i64) {
    let body = json!({"org": org, "feature": feature, "p": 0, "op": "incr", "now": time(now(app))});
    figures(reserve(app, body).await)
}

async fn used(app: &TestApp) -> i64 {
    let limits = app.limits("org:acme").await;
    let row = limits.iter().find(|row| row.0 == "feature:convert");
    row.expect("the feature is granted").1
}

async fn subscribed(plan: &str) -> Vec<Server> {
    let servers = servers().await;
    for app in &servers {
        append(app, "org:acme", plan, None).await.ok();
        app.advance(60 * 60 * SECOND);
    }
    servers
}

#[tokio::test]
async fn the_answer_has_the_usage_afterwards_also_beyond_the_limit() {
    for app in subscribed("plan:free@1").await {
        let now = now(&app);
        assert_eq!(look(&app, "org:acme", "feature:convert").await, (0, 10));
        assert_eq!(take(&app, 9, now).await, (9, 10));
        assert_eq!(look(&app, "org:acme", "feature:convert").await, (9, 10));
        assert_eq!(take(&app, 3, now).await, (12, 10));
        assert_eq!(take(&app, 1, now).await, (13, 10));
        app.report("org:acme", "feature:convert", 2).await;
        assert_eq!(take(&app, 1, now).await, (16, 10));
        assert_eq!(used(&app).await, 16);
        let unlimited = "plan:enterprise@custom-for-acme-signed-2022-05-13";
        append(&app, "org:acme", unlimited, None).await.ok();
        assert_eq!(
            look(&app, "org:acme", "feature:convert").await,
            (16, NO_LIMIT)
        );
        assert_eq!(take(&app, 1, now).await, (17, NO_LIMIT));
    }
}

#[tokio::test]
async fn concurrent_requests_are_each_answered_with_their_own_total() {
    for app in subscribed("plan:bulk@1").await {
        let now = now(&app);
        let all = (0..40).map(|_| take(&app, 75, now));
        let mut answers = join_all(all).await;
        answers.sort_unstable();
        let expected: Vec<(i64, i64)> = (1..=40).map(|n| (n * 75, 500)).collect();
        assert_eq!(answers, expected);
        assert_eq!(used(&app).await, 40 * 75);
    }
}

#[tokio::test]
async fn a_refund_is_exact_with_a_ledger_and_refused_without() {
    for app in subscribed("plan:paid@24").await {
        let at = now(&app);
        take(&app, 9, at).await;
        take(&app, 3, at).await;
        app.advance(10 * 60 * SECOND);
        let refund = json!({"n": 3, "op": "decr", "now": time(at)});
        let answer = reserve(&app, refund).await;
        if !app.has_ledger {
            let refused = answer.fails(400, "invalid_request").json();
            let message = "refunds need the ledger: start the server with --ledger FILE";
            assert_eq!(refused["message"], message);
            let old = reserve(&app, json!({"n": -3})).await;
            old.fails(400, "invalid_request");
            assert_eq!(used(&app).await, 12);
            continue;
        }
        assert_eq!(figures(answer), (9, NO_LIMIT));
        // The Go client and clients before 1.0 give units back in this way.
        assert_eq!(
            figures(reserve(&app, json!({"n": -2})).await),
            (7, NO_LIMIT)
        );
        let go =
            json!({"Op": "decr", "P": 0, "N": 2, "CounterID": "", "Now": "0001-01-01T00:00:00Z"});
        assert_eq!(figures(reserve(&app, go).await), (5, NO_LIMIT));
        let too_much = json!({"n": 6, "op": "decr"});
        reserve(&app, too_much).await.fails(400, "invalid_request");
        assert_eq!(used(&app).await, 5);
        while app.domain().deliver().await.expect("a ledger")
            != tier::domain::DeliveryCounts::default()
        {}
        app.advance(31 * SECOND);
        while app.domain().deliver().await.expect("a ledger")
            != tier::domain::DeliveryCounts::default()
        {}
        let upcoming = {
            let org = app.get("/v1/whois?org=org:acme").await.ok().json();
            let customer = org["stripe_id"].as_str().expect("an id").to_owned();
            let path = format!("/v1/invoices/upcoming?customer={customer}");
            app.stripe_get(&path).await
        };
        assert_eq!(upcoming["total"], 5, "five at a cent");
    }
}

#[tokio::test]
async fn a_clients_clock_may_be_a_minute_off() {
    for app in servers().await {
        append(&app, "org:acme", "plan:free@1", None).await.ok();
        let start = now(&app);
        assert_eq!(take(&app, 1, start - 2).await, (1, 10));
        assert_eq!(take(&app, 1, start - 60).await, (2, 10));
        assert_eq!(take(&app, 1, start + 60).await, (3, 10));
        let early = json!({"p": 1, "op": "incr", "now": time(start - 61)});
        reserve(&app, early.clone())
            .await
            .fails(400, "invalid_request");
        app.advance(10 * 60 * SECOND);
        // The first time is shortly before the period, and the second some time ago by the server's clock.
        assert_eq!(take(&app, 1, start - 60).await, (4, 10));
        assert_eq!(take(&app, 1, start + 200).await, (5, 10));
        reserve(&app, early).await.fails(400, "invalid_request");
        let ahead = json!({"p": 1, "op": "incr", "now": time(start + 86_400)});
        reserve(&app, ahead).await.fails(400, "invalid_request");
        assert_eq!(used(&app).await, 5);
        app.advance(40 * DAY);
        assert_eq!(take(&app, 1, now(&app)).await, (1, 10), "in a new period");
    }
}

#[tokio::test]
async fn without_a_grant_a_read_shows_zero_and_usage_is_refused() {
    for app in subscribed("plan:free@1").await {
        let later = now(&app) + 86_400;
        append(&app, "org:later", "plan:free@1", Some(later))
            .await
            .ok();
        for (org, feature) in [
            ("org:nobody", "feature:convert"),
            ("org:later", "feature:convert"),
            ("org:acme", "feature:other"),
            ("org:acme", "feature:peak"),
        ] {
            assert_eq!(look(&app, org, feature).await, (0, 0), "{org} {feature}");
            let body = json!({"org": org, "feature": feature, "p": 1, "op": "incr"});
            reserve(&app, body).await.fails(404, "not_found");
        }
        assert_eq!(look(&app, "org:acme", "feature:none").await, (0, 0));
        let none = json!({"feature": "feature:none", "p": 2});
        assert_eq!(figures(reserve(&app, none).await), (2, 0));
        assert_eq!(look(&app, "org:acme", "feature:seat").await, (1, NO_LIMIT));
        let seat = json!({"feature": "feature:seat", "p": 1});
        let refused = reserve(&app, seat)
            .await
            .fails(400, "invalid_request")
            .json();
        assert_eq!(refused["message"], "feature not reportable");
    }
}

/// A report sets a level, but these clients send the change of the level.
#[tokio::test]
async fn units_taken_of_a_level_are_added_to_it() {
    for app in subscribed("plan:paid@24").await {
        for (feature, n, used) in [
            ("feature:peak", 3, 3),
            ("feature:peak", 2, 5),
            ("feature:peak", 7, 12),
            ("feature:level", 4, 4),
            ("feature:level", 2, 6),
        ] {
            app.advance(SECOND);
            let body = json!({"feature": feature, "p": n, "op": "incr"});
            assert_eq!(figures(reserve(&app, body).await).0, used, "{feature} {n}");
            assert_eq!(look(&app, "org:acme", feature).await.0, used);
        }
        let back = json!({"feature": "feature:level", "n": 5, "op": "decr"});
        let answer = reserve(&app, back.clone()).await;
        if !app.has_ledger {
            answer.fails(400, "invalid_request");
            continue;
        }
        assert_eq!(figures(answer).0, 1);
        reserve(&app, back).await.fails(400, "invalid_request");
        assert_eq!(look(&app, "org:acme", "feature:level").await.0, 1);
    }
}

#[tokio::test]
async fn units_are_added_to_a_level_that_another_server_has_changed() {
    let one = TestApp::with(Settings::remembering()).await;
    one.post_json("/api/v1/push", &super::model()).await.ok();
    append(&one, "org:acme", "plan:paid@24", None).await.ok();
    one.advance(60 * 60 * SECOND);
    let two = one.second_server_with(&Settings::remembering());
    let mut used = 0;
    for (app, n) in [(&one, 4), (&two, 3), (&one, 2), (&two, 1)] {
        // Both servers have cached the usage.
        look(&one, "org:acme", "feature:level").await;
        look(&two, "org:acme", "feature:level").await;
        one.advance(SECOND);
        used += n;
        let body = json!({"feature": "feature:level", "p": n, "op": "incr"});
        assert_eq!(figures(reserve(app, body).await).0, used);
    }
}

/// Usage on an earlier plan is billed at that plan's price, so it can be neither increased nor given back.
#[tokio::test]
async fn usage_of_an_earlier_plan_is_neither_added_nor_given_back() {
    for app in subscribed("plan:paid@24").await {
        let before = now(&app);
        take(&app, 9, before).await;
        app.advance(60 * 60 * SECOND);
        let bulk = append(&app, "org:acme", "plan:bulk@1", None).await;
        bulk.ok();
        app.advance(10 * 60 * SECOND);
        assert_eq!(take(&app, 2, now(&app)).await, (11, 500));
        let late = json!({"p": 1, "op": "incr", "now": time(before)});
        reserve(&app, late).await.fails(400, "invalid_request");
        let back = json!({"n": 3, "op": "decr", "now": time(before)});
        reserve(&app, back).await.fails(400, "invalid_request");
        assert_eq!(used(&app).await, 11);
        if app.has_ledger {
            let back = json!({"n": 2, "op": "decr", "now": time(now(&app))});
            assert_eq!(figures(reserve(&app, back).await), (9, 500));
        }
    }
}

#[tokio::test]
async fn requests_in_the_shapes_of_all_clients() {
    let app = server().await;
    append(
        &app,
        "org:acme",
        "plan:enterprise@custom-for-acme-signed-2022-05-13",
        None,
    )
    .await
    .ok();
    let zero = "0001-01-01T00:00:00Z";
    for (body, used) in [
        (json!({"N": 2, "now": time(now(&app))}), 2),
        (json!({"n": 3, "now": time(now(&app))}), 5),
        (json!({"p": 3, "op": "incr"}), 8),
        (
            json!({"P": 1, "N": 0, "Op": "incr", "CounterID": "", "Now": zero}),
            9,
        ),
        (json!({"n": 1, "op": "incr"}), 10),
        (json!({"p": 1.0, "n": null, "op": null, "now": null}), 11),
        (json!({"p": 0, "op": "incr"}), 11),
        (json!({"n": 0, "op": "decr"}), 11),
        (json!({}), 11),
        (
            json!({"p": 1, "now": "2023-01-01T01:00:00.123456+01:00"}),
            12,
        ),
    ] {
        assert_eq!(
            figures(reserve(&app, body.clone()).await),
            (used, NO_LIMIT),
            "{body}"
        );
    }
    for body in [
        json!({"p": -1, "op": "incr"}),
        json!({"n": -1, "op": "decr"}),
        json!({"p": 1, "op": "add"}),
        json!({"p": "1"}),
        json!({"p": 1.5}),
        json!({"p": 1e30}),
        json!({"p": true}),
        json!({"now": 1}),
        json!({"now": "yesterday"}),
        json!({"count": 1}),
        json!({"op": 1}),
        json!({"org": "acme"}),
        json!({"org": null}),
        json!({"feature": "feature:convert@plan:free@1"}),
        json!({"p": i64::MIN}),
    ] {
        let answer = reserve(&app, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
    assert_eq!(used(&app).await, 12);
    for body in ["", "[]", "\"x\"", "{", "org=org%3Aacme&p=1"] {
        let answer = app.post("/api/v1/reserve", body).await;
        answer.fails(400, "invalid_request");
    }
}

#[tokio::test]
async fn the_largest_amounts_are_counted_or_refused_and_never_wrap() {
    for app in subscribed("plan:bulk@1").await {
        for n in [i64::MAX, 1 << 53, 1_000_000_000_000] {
            let answer = reserve(&app, json!({"p": n, "op": "incr"})).await;
            let after = used(&app).await;
            if answer.status == 200 {
                assert_eq!(figures(answer).0, after);
            } else {
                answer.fails(400, "invalid_request");
            }
            assert!(after >= 0);
        }
        let lowest = reserve(&app, json!({"n": i64::MIN})).await;
        lowest.fails(400, "invalid_request");
    }
}
