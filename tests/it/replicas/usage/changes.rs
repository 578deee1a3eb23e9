//! Reports to one server while another server changes the plan.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use testing::time::until;

use super::super::{subscribe, two};
use super::{RECORDS, body, report, used};
use crate::harness::TestApp;

/// The report is recorded on the item that replaced the old one.
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
    // The key still belongs to the refused report.
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    for server in [&one, &two, &one] {
        report(server, &body(1), Some("k")).await.ok();
    }
    assert_eq!(used(&one).await, 1);
}

/// Stripe bills the report with the phase that ends, so it counts as usage.
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

/// Stripe does not bill the usage of items that are removed within the second in which their phase began.
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

/// Reports 4 calls to one server while the other server changes the plan and has already read the usage. The change
/// continues once the report has ended or waits.
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
