//! Usage that is reported to several servers, or repeatedly, is counted once.

mod changes;
mod keys;

use std::time::Duration;

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Request, Rule};

use super::{meeting, subscribe, two};
use crate::harness::{Answer, STRIPE_KEY, TestApp};

const RECORDS: &str = "/v1/subscription_items/*/usage_records";

fn body(n: i64) -> Value {
    json!({"org": "org:a", "feature": "feature:calls", "n": n})
}

fn clobber(n: i64) -> Value {
    json!({"org": "org:a", "feature": "feature:calls", "n": n, "clobber": true})
}

async fn report(app: &TestApp, body: &Value, key: Option<&str>) -> Answer {
    let request = app
        .request(Method::POST, "/v1/report")
        .body(body.to_string());
    match key {
        Some(key) => request.header("idempotency-key", key).send().await,
        None => request.send().await,
    }
}

async fn used(app: &TestApp) -> i64 {
    app.limits("org:a").await[0].1
}

fn fails(app: &TestApp, method: &str, path: &str, status: u16) {
    let rule = Rule::new(method, path, Action::Status(status, None));
    app.sandbox().add_fault(rule.after().times(1));
}

/// Sends a recorded call to Stripe again.
async fn repeat(app: &TestApp, call: &Request) -> u16 {
    // Fails if another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build();
    let url = format!("{}{}", app.stripe_url(), call.path);
    let key = call.idempotency_key.as_deref().expect("writes have keys");
    let request = http.expect("a client").post(url).bearer_auth(STRIPE_KEY);
    let params = call.params.as_object().expect("parameters").iter();
    let params =
        params.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    let request = request
        .header("idempotency-key", key)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(params.collect::<Vec<_>>().join("&"));
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_clobber_on_two_servers_at_once_counts_once() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    two.limits("org:a").await;
    for (n, keys) in [
        (10, [None, None]),
        (20, [Some("k"), Some("k")]),
        (30, [Some("l"), Some("m")]),
        (40, [None, Some("n")]),
    ] {
        let [first, second] = keys;
        let set = clobber(n);
        let both = (report(&one, &set, first), report(&two, &set, second));
        let (first, second) = meeting([&one, &two], ("POST", RECORDS), both).await;
        first.ok();
        second.ok();
        assert_eq!(used(&one).await, n, "{keys:?}");
        report(&two, &set, None).await.ok();
        assert_eq!(used(&one).await, n);
    }
}

/// A server that waits for the other server's addition does not add afterwards, however long it waits.
#[tokio::test]
async fn totals_on_two_servers_are_not_both_added_when_stripe_is_slow() {
    let cases = [
        ([10, 10], [Some("k"), Some("l")]),
        ([10, 10], [Some("k"), None]),
        ([10, 10], [None, Some("l")]),
        ([10, 10], [None, None]),
        ([10, 10], [Some("k"), Some("k")]),
        ([10, 30], [Some("k"), Some("l")]),
        ([10, 30], [None, Some("l")]),
        ([10, 30], [None, None]),
        ([30, 10], [Some("k"), Some("l")]),
        ([30, 10], [None, None]),
    ];
    join_all(cases.map(async |(totals, keys)| {
        let (one, two) = two().await;
        subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
        two.limits("org:a").await;
        let [first, second] = totals.map(clobber);
        one.slow_down("POST", RECORDS, Duration::from_secs(600));
        let meanwhile = async {
            one.until_slow().await;
            let answer = report(&two, &second, keys[1]).await;
            one.sandbox().clear_faults();
            answer
        };
        let (held_up, other) = tokio::join!(report(&one, &first, keys[0]), meanwhile);
        held_up.ok();
        assert_ne!(
            other.status, 200,
            "{totals:?} {keys:?}: the total is not known"
        );
        assert_eq!(used(&one).await, totals[0], "{totals:?} {keys:?}");
        let again = report(&two, &second, keys[1]).await;
        if totals[1] < totals[0] {
            again.fails(400, "invalid_request");
        } else {
            again.ok();
        }
        for server in [&one, &two] {
            let highest = totals[0].max(totals[1]);
            assert_eq!(used(server).await, highest, "{totals:?} {keys:?}");
        }
    }))
    .await;
}

/// The total on which an addition was based has changed, and the addition is still in progress.
#[tokio::test]
async fn a_server_that_reads_another_total_sees_an_addition_in_progress() {
    let keys = [[None, None], [Some("k"), Some("l")], [None, Some("l")]];
    let cases = keys.map(|keys| [false, true].map(|again_at_third| (keys, again_at_third)));
    join_all(
        cases
            .as_flattened()
            .iter()
            .map(async |&(keys, again_at_third)| {
                let (one, two) = two().await;
                let three = one.second_server_with(&super::patient());
                subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
                one.slow_down("POST", RECORDS, Duration::from_secs(600));
                let meanwhile = async {
                    one.until_slow().await;
                    report(&three, &body(5), None).await.ok();
                    let answer = report(&two, &clobber(20), keys[1]).await;
                    one.sandbox().clear_faults();
                    answer
                };
                let ten = clobber(10);
                let first = report(&one, &ten, keys[0]);
                let (held_up, other) = tokio::join!(first, meanwhile);
                held_up.ok();
                assert_ne!(other.status, 200, "{keys:?}: the total is not known");
                assert_eq!(used(&one).await, 15, "{keys:?}");
                let again = if again_at_third { &three } else { &two };
                report(again, &clobber(20), keys[1]).await.ok();
                for server in [&one, &two, &three] {
                    assert_eq!(used(server).await, 20, "{keys:?}");
                    report(server, &clobber(20), keys[1]).await.ok();
                }
            }),
    )
    .await;
}

/// The other server adds after this server has read the total, and before this server publishes its own addition.
#[tokio::test]
async fn an_addition_that_was_made_since_the_total_was_read_is_seen() {
    for n in [10, 30] {
        let (one, two) = two().await;
        subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
        one.slow_down("POST", "/v1/customers/*", Duration::from_secs(600));
        let meanwhile = async {
            one.until_slow().await;
            report(&two, &body(5), None).await.ok();
            report(&two, &clobber(20), None).await.ok();
            one.sandbox().clear_faults();
        };
        let set = clobber(n);
        let (late, ()) = tokio::join!(report(&one, &set, None), meanwhile);
        if n < 20 {
            late.fails(400, "invalid_request");
        } else {
            late.ok();
        }
        assert_eq!(used(&two).await, n.max(20));
    }
}

/// The server has given up on the call, but the network still delivers it.
#[tokio::test]
async fn an_addition_that_reaches_stripe_after_another_total_was_set_is_refused() {
    join_all([None, Some("k")].map(async |key| {
        let (one, two) = two().await;
        subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
        one.forget_calls();
        let lost = Rule::new("POST", RECORDS, Action::Drop);
        one.sandbox().add_fault(lost);
        let answer = report(&one, &clobber(10), key).await;
        assert!(answer.status.is_server_error(), "{}", answer.status);
        one.sandbox().clear_faults();
        let calls = one.sandbox().requests(None);
        let late = calls
            .iter()
            .rfind(|call| call.endpoint == "POST /v1/subscription_items/:id/usage_records");
        report(&two, &body(5), None).await.ok();
        report(&two, &clobber(20), None).await.ok();
        assert_eq!(repeat(&one, late.expect("it was sent")).await, 400);
        assert_eq!(used(&two).await, 20);
        report(&two, &clobber(25), None).await.ok();
        assert_eq!(used(&two).await, 25);
    }))
    .await;
}

/// No server carries out a report later that was not acknowledged.
#[tokio::test]
async fn an_addition_that_was_only_announced_is_never_made() {
    join_all([None, Some("k")].map(async |key| {
        let (one, two) = two().await;
        subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
        let rule = Rule::new("POST", RECORDS, Action::Status(500, None));
        one.sandbox().add_fault(rule);
        let lost = report(&one, &clobber(50), key).await;
        assert!(lost.status.is_server_error(), "{}", lost.status);
        one.sandbox().clear_faults();
        report(&two, &clobber(10), Some("l")).await.ok();
        assert_eq!(used(&two).await, 10);
        report(&two, &clobber(20), None).await.ok();
        assert_eq!(used(&two).await, 20);
    }))
    .await;
}

/// Stripe has the addition, but the server died before it noted the key.
#[tokio::test]
async fn an_addition_whose_key_was_not_noted_is_recognised() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    let lost = Rule::new("POST", RECORDS, Action::Drop);
    one.sandbox().add_fault(lost.after());
    let answer = report(&one, &clobber(10), Some("k")).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    one.sandbox().clear_faults();
    report(&two, &body(5), None).await.ok();
    for server in [&two, &one, &one.second_server_with(&super::patient())] {
        report(server, &clobber(10), Some("k")).await.ok();
    }
    assert_eq!(used(&two).await, 15);
}

/// The first report had nothing to add, but its repetition would have to add usage.
#[tokio::test]
async fn repeating_a_clobber_to_the_current_total_gets_the_first_answer() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    report(&one, &body(10), None).await.ok();
    report(&one, &clobber(10), Some("k")).await.ok();
    report(&one, &body(5), None).await.ok();
    report(&two, &clobber(10), Some("k")).await.ok();
    assert_eq!(used(&two).await, 15);
}

#[tokio::test]
async fn different_clobbers_at_once_are_serialised() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    two.limits("org:a").await;
    let (low, high) = (clobber(10), clobber(30));
    let both = (report(&one, &low, None), report(&two, &high, None));
    let (low, high) = meeting([&one, &two], ("POST", RECORDS), both).await;
    high.ok();
    if low.status != 200 {
        low.fails(400, "invalid_request");
    }
    assert_eq!(used(&one).await, 30);
}
