//! Reports that are repeated with their `Idempotency-Key`.

use std::time::Duration;

use serde_json::json;

use super::super::{patient, subscribe, two};
use super::{RECORDS, body, clobber, fails, report, used};

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

/// The item of the first attempt no longer exists, but the retry is still the same report.
#[tokio::test]
async fn a_retry_after_a_change_of_plan_gets_the_first_answer() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
    report(&one, &body(3), Some("added")).await.ok();
    report(&one, &clobber(5), Some("set")).await.ok();
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    let before = used(&one).await;
    for server in [&one, &two, &one.second_server_with(&patient())] {
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
async fn an_unkeyed_report_with_a_stored_failure_has_an_unknown_outcome() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    fails(&one, "POST", RECORDS, 500);
    let bare = report(&one, &body(5), None).await;
    let bare = bare.fails(503, "outcome_unknown");
    assert_eq!(bare.header("retry-after"), "");
    assert_eq!(
        used(&two).await,
        5,
        "the report was counted, but nothing shows that"
    );
}

/// The item no longer exists, and neither does the total that would show whether the report was counted.
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
