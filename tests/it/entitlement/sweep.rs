//! The sweep, which finds changes that no event reported.

use stripe_sandbox::{Action, Rule};
use tier::domain::{Domain, Lane, SweepCounts};

use super::{SECOND, calls, memory, start_with, stripe};
use crate::harness::{Settings, TestApp};

/// A server that keeps answers in memory for a day.
async fn start() -> TestApp {
    let mut settings = Settings::remembering();
    settings.max_age.usual = 86_400 * SECOND;
    start_with(settings).await
}

async fn sweep(app: &TestApp) -> SweepCounts {
    // The sweep compares only orgs that were read before it.
    app.advance(SECOND);
    let domain: Domain = app.domain().in_background(Lane::Bulk);
    let swept = domain.sweep().await.expect("Stripe answers");
    app.settled().await;
    swept
}

#[tokio::test]
async fn outdated_cache_entries_are_found() {
    let app = start().await;
    calls(&app).await;
    app.subscribe("org:other", &["plan:free@1"]).await;
    app.limits("org:other").await;
    let nothing = SweepCounts {
        subscriptions: 2,
        drifted: 0,
        unsettled: 0,
        calls: 2,
    };
    assert_eq!(sweep(&app).await, nothing);
    assert_eq!(sweep(&app).await, nothing);
    assert_eq!(calls(&app).await, memory(0, 2));

    let other = app.second_server_with(&Settings::default());
    other.subscribe("org:a", &["plan:pro@1"]).await;
    // The events since the last sweep also report the change.
    assert_eq!(sweep(&app).await.subscriptions, 2);
    assert_eq!(calls(&app).await, stripe(0));
    let limits = app.limits("org:a").await;
    assert!(limits.iter().any(|(feature, ..)| feature == "feature:base"));
}

#[tokio::test]
async fn drift_is_counted_if_the_events_are_lost_too() {
    let app = start().await;
    calls(&app).await;
    let other = app.second_server_with(&Settings::default());
    for features in [&["plan:pro@1"][..], &[]] {
        other.subscribe("org:a", features).await;
        // A server's first sweep does not know yet which events are new.
        let swept = sweep(&app).await;
        assert_eq!(swept.drifted, usize::from(features.len() == 1), "{swept:?}");
        app.limits("org:a").await;
    }
    let text = app.metrics().encode(tier::metrics::Format::Classic, []);
    assert!(text.expect("text").contains("tier_drifted_total 1\n"));
    assert_eq!(app.limits("org:a").await, []);
}

#[tokio::test]
async fn a_superseded_subscription_is_ended_without_a_read_of_the_org() {
    for (is_known, remembers) in [(true, true), (false, true), (false, false)] {
        let app = if remembers {
            start().await
        } else {
            start_with(Settings::default()).await
        };
        let old = app.stripe_get("/v1/subscriptions").await["data"][0].clone();
        let price = old["items"]["data"][0]["price"]["id"]
            .as_str()
            .expect("an id");
        let customer = old["customer"].as_str().expect("an id");
        if is_known {
            calls(&app).await;
        }
        app.advance(60 * SECOND);
        let new = [
            ("customer", customer),
            ("items[0][price]", price),
            ("metadata[tier.subscription]", "default"),
        ];
        let new = app.stripe_post("/v1/subscriptions", &new).await;
        let swept = sweep(&app).await;
        assert_eq!((swept.subscriptions, swept.unsettled), (2, 1), "{is_known}");
        let live = app.stripe_get("/v1/subscriptions").await;
        let live = live["data"].as_array().expect("a list");
        assert_eq!(live.len(), 1, "{is_known}");
        assert_eq!(live[0]["id"], new["id"]);
        assert_eq!(sweep(&app).await.unsettled, 0);
    }
}

#[tokio::test]
async fn a_sweep_lists_a_hundred_per_call_and_resumes_after_a_failure() {
    let app = start().await;
    for n in 0..101 {
        let org = format!("org:many-{n}");
        app.subscribe(&org, &["plan:free@1"]).await;
    }
    let swept = sweep(&app).await;
    assert_eq!((swept.subscriptions, swept.calls), (102, 3));
    let swept = sweep(&app).await;
    assert_eq!(swept.calls, 3, "nothing has happened since");
    let fault = Rule::new("GET", "/v1/subscriptions", Action::Status(503, None));
    app.sandbox().add_fault(fault);
    app.domain().sweep().await.unwrap_err();
    app.sandbox().clear_faults();
    assert_eq!(sweep(&app).await.subscriptions, 102);
}
