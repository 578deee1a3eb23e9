//! Usage that is reported to several servers, or repeatedly, is counted once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Request, Rule};

use super::{meeting, subscribe, two};
use crate::harness::{Answer, STRIPE_KEY, TestApp};
use testing::time::until;

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

/// A server that waits for the other's addition does not add afterwards, however long the wait.
#[tokio::test]
async fn totals_on_two_servers_are_not_both_added_when_stripe_is_slow() {
    for (totals, keys) in [
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
    ] {
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
    }
}

/// The total that an addition was based on has changed, and the addition is still in progress.
#[tokio::test]
async fn a_server_that_reads_another_total_sees_an_addition_in_progress() {
    for keys in [[None, None], [Some("k"), Some("l")], [None, Some("l")]] {
        for again_at_third in [false, true] {
            let (one, two) = two().await;
            let three = one.beside(&super::patient());
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
        }
    }
}

/// The other server adds after this one has read the total, and before this one publishes its own addition.
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

/// The sender has given up on the call, but the network delivers it.
#[tokio::test]
async fn an_addition_that_reaches_stripe_after_another_total_was_set_is_refused() {
    for key in [None, Some("k")] {
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
    }
}

/// A report that was not acknowledged is not carried out later.
#[tokio::test]
async fn an_addition_that_was_only_announced_is_never_made() {
    for key in [None, Some("k")] {
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
    }
}

/// Stripe has the addition, and the server died before it noted the key.
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
    for server in [&two, &one, &one.beside(&super::patient())] {
        report(server, &clobber(10), Some("k")).await.ok();
    }
    assert_eq!(used(&two).await, 15);
}

/// Nothing had to be added at first, but a repetition would have to add.
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

#[tokio::test]
async fn a_key_belongs_to_one_report_on_every_server() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    subscribe(&one, "org:b", &["plan:pro@1"]).await.ok();
    for (i, first) in [body(10), clobber(20)].iter().enumerate() {
        let key = format!("k{i}");
        report(&one, first, Some(&key)).await.ok();
        let mut elsewhere = first.clone();
        elsewhere["org"] = json!("org:b");
        for other in [body(1), clobber(50), elsewhere] {
            let refused = report(&two, &other, Some(&key)).await;
            refused.fails(400, "invalid_request");
        }
        report(&two, first, Some(&key)).await.ok();
    }
    assert_eq!(used(&one).await, 20);
}

/// The item of the first attempt is gone, but the retry is still the same report.
#[tokio::test]
async fn a_retry_after_a_change_of_plan_gets_the_first_answer() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
    report(&one, &body(3), Some("added")).await.ok();
    report(&one, &clobber(5), Some("set")).await.ok();
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    let before = used(&one).await;
    for server in [&one, &two, &one.beside(&super::patient())] {
        report(server, &body(3), Some("added")).await.ok();
        report(server, &clobber(5), Some("set")).await.ok();
    }
    assert_eq!(used(&one).await, before);
    report(&two, &body(4), Some("added"))
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn a_retry_after_the_end_of_the_period_gets_the_first_answer() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    let end = 1_675_209_600;
    one.set_clock(end - 10);
    report(&one, &body(3), Some("added")).await.ok();
    report(&one, &clobber(20), Some("set")).await.ok();
    one.set_clock(end + 10);
    assert_eq!(used(&one).await, 0);
    for server in [&one, &two] {
        report(server, &body(3), Some("added")).await.ok();
        report(server, &clobber(20), Some("set")).await.ok();
    }
    assert_eq!(used(&one).await, 0);
}

/// Stripe stores the failure as the answer. The change of the total shows whether the report was counted.
#[tokio::test]
async fn a_report_that_was_counted_despite_a_stored_failure_succeeds() {
    let (one, _) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    fails(&one, "POST", RECORDS, 500);
    for _ in 0..3 {
        report(&one, &body(5), Some("k")).await.ok();
    }
    assert_eq!(used(&one).await, 5);
}

#[tokio::test]
async fn a_report_with_a_stored_failure_is_not_guessed_at() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    fails(&one, "POST", RECORDS, 500);
    let bare = report(&one, &body(5), None).await;
    let bare = bare.fails(503, "outcome_unknown");
    assert_eq!(bare.header("retry-after"), "");
    assert_eq!(
        used(&two).await,
        5,
        "it was counted, but nothing shows that"
    );
}

/// The item is gone, and with it the total that would show whether the report was counted.
#[tokio::test]
async fn a_report_with_a_stored_failure_is_not_repeated_after_a_change_of_plan() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    fails(&one, "POST", RECORDS, 500);
    report(&one, &body(5), Some("k")).await.ok();
    one.advance(Duration::from_secs(60));
    subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
    assert_eq!(used(&two).await, 5);
    let again = report(&two, &body(5), Some("k")).await;
    again.fails(503, "outcome_unknown");
    report(&one, &body(5), Some("k")).await.ok();
    assert_eq!(used(&two).await, 5);
}

/// It is recorded on the item that replaced its own.
#[tokio::test]
async fn a_report_during_a_change_of_plan_finds_the_new_item() {
    for key in [None, Some("k")] {
        let (one, two) = two().await;
        subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
        two.limits("org:a").await;
        one.slow_down("POST", RECORDS, Duration::from_secs(600));
        let late = body(5);
        let change = async {
            one.until_slow().await;
            subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
            one.sandbox().clear_faults();
        };
        let (reported, ()) = tokio::join!(report(&two, &late, key), change);
        reported.ok();
        assert_eq!(used(&one).await, 5);
    }
}

#[tokio::test]
async fn usage_of_a_feature_that_is_not_granted_is_refused() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    report(&two, &body(1), None).await.ok();
    subscribe(&one, "org:a", &[]).await.ok();
    for key in [None, Some("k")] {
        let refused = report(&two, &body(1), key).await;
        refused.fails(400, "feature_not_found");
    }
    // The key still belongs to that report.
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    for server in [&one, &two, &one] {
        report(server, &body(1), Some("k")).await.ok();
    }
    assert_eq!(used(&one).await, 1);
}

/// Stripe bills it with the phase that ends, so it counts as used.
#[tokio::test]
async fn a_report_between_the_read_and_the_write_of_a_change_is_counted() {
    let (one, two) = two().await;
    for keyed in [false, true] {
        let org = format!("org:{keyed}");
        subscribe(&one, &org, &["plan:pro@1"]).await.ok();
        one.report(&org, "feature:calls", 3).await;
        one.advance(Duration::from_secs(60));
        report_during_a_change(&one, &two, &org, keyed).await;
        for server in [&one, &two] {
            let calls = ("feature:calls".to_owned(), 7, 10);
            assert_eq!(server.limits(&org).await, [calls]);
        }
    }
}

/// In the second in which a phase began, Stripe bills none of the usage of removed items.
#[tokio::test]
async fn a_report_during_a_change_in_place_waits_for_it() {
    let (one, _) = two().await;
    for keyed in [false, true] {
        let org = format!("org:{keyed}");
        subscribe(&one, &org, &["plan:pro@1"]).await.ok();
        one.report(&org, "feature:calls", 3).await;
        report_during_a_change(&one, &one, &org, keyed).await;
        let calls = ("feature:calls".to_owned(), 7, 10);
        assert_eq!(one.limits(&org).await, [calls]);
    }
}

/// Reports 4 calls to one server while the other changes the plan and has read the usage already. The change continues
/// once the report is done or waits.
async fn report_during_a_change(changing: &TestApp, reporting: &TestApp, org: &str, keyed: bool) {
    let update = "/v1/subscription_schedules/*";
    changing.slow_down("POST", update, Duration::from_secs(600));
    let change = subscribe(changing, org, &["plan:free@1"]);
    let meanwhile = async {
        changing.until_slow().await;
        let key = keyed.then_some("meanwhile");
        let more = json!({"org": org, "feature": "feature:calls", "n": 4});
        let report = report(reporting, &more, key);
        let done = AtomicBool::new(false);
        let report = async {
            let answer = report.await;
            done.store(true, Ordering::Relaxed);
            answer
        };
        let go_on = async {
            until("the report is done or waits", async || {
                let metrics = reporting.get("/metrics").await.ok().body;
                let waits = metrics.contains("tier_http_requests_waiting 1\n");
                (waits || done.load(Ordering::Relaxed)).then_some(())
            })
            .await;
            changing.sandbox().clear_faults();
        };
        let (reported, ()) = tokio::join!(report, go_on);
        reported.ok();
    };
    let (changed, ()) = tokio::join!(change, meanwhile);
    changed.ok();
}
