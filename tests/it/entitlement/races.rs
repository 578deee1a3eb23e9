//! Races between reads, writes, events and the clock. No answer is outdated, and no check waits for a call that hangs.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use super::{SECOND, calls, freshness, memory, stale, start, stripe, take_stripe_away, used};
use crate::harness::{START, TestApp};
use testing::time::until;

const FOREVER: Duration = Duration::from_secs(600);

async fn cancel(app: &TestApp) -> crate::harness::Answer {
    let cancel = json!({"org": "org:a", "phases": [{"features": []}]});
    app.post_json("/v1/subscribe", &cancel).await
}

/// Schedules a change to another plan, from 5 January on.
async fn plan_change(app: &TestApp, features: Value) {
    let phases = json!([
        {"features": ["plan:free@1"]}, {"effective": "2023-01-05T00:00:00Z", "features": features},
    ]);
    let body = json!({"org": "org:a", "phases": phases});
    app.post_json("/v1/subscribe", &body).await.ok();
}

#[tokio::test]
async fn the_state_after_a_scheduled_change_is_not_guessed_during_an_outage() {
    let app = start().await;
    plan_change(&app, json!(["plan:pro@1"])).await;
    app.set_clock(START + 4 * 86_400 - 5);
    calls(&app).await;
    app.get("/v1/phase?org=org:a").await.ok();
    take_stripe_away(&app);
    app.advance(2 * SECOND);
    app.get_with("/v1/limits?org=org:a", &[("cache-control", "no-cache")])
        .await
        .fails(502, "stripe_unavailable");
    assert_eq!(calls(&app).await, memory(0, 2));
    app.advance(8 * SECOND);
    for path in ["/v1/limits?org=org:a", "/v1/phase?org=org:a"] {
        app.get(path).await.fails(502, "stripe_unavailable");
    }
}

#[tokio::test]
async fn a_change_that_comes_due_during_a_read_shows_in_the_next() {
    for (features, granted) in [(json!(["plan:pro@1"]), Some(0)), (json!([]), None)] {
        let app = start().await;
        plan_change(&app, features).await;
        app.set_clock(START + 4 * 86_400 - 5);
        // The slow read returns the state before the change, although by the server's clock the change is due.
        app.slow_down("GET", "/v1/invoices/upcoming/lines", FOREVER);
        let pass = async {
            app.until_slow().await;
            app.advance(6 * SECOND);
            app.sandbox().clear_faults();
        };
        futures::join!(app.get("/v1/limits?org=org:a"), pass).0.ok();
        let limits = app.get("/v1/limits?org=org:a").await.ok();
        let base = used(&limits, "feature:base");
        assert_eq!(base, granted.map(|_| 1), "{}", limits.body);
        assert_eq!(used(&limits, "feature:seats"), None, "{}", limits.body);
    }
}

#[tokio::test]
async fn stripe_is_asked_while_an_abandoned_report_hangs() {
    let app = start().await;
    calls(&app).await;
    let hangs = Rule::new("POST", "/v1/subscription_items/*", Action::Delay(FOREVER));
    app.sandbox().add_fault(hangs.times(1));
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 3}).to_string();
    let report = app.request(Method::POST, "/v1/report").body(report);
    app.hang_up(report).await;
    until("the server has seen that nobody waits", async || {
        (calls(&app).await.1 == "stripe").then_some(())
    })
    .await;
    assert_eq!(calls(&app).await.1, "stripe", "the report may still count");
    // The hanging report does not delay other reports.
    app.report("org:a", "feature:calls", 2).await;
    app.sandbox().clear_faults();
    app.settled().await;
    assert_eq!(calls(&app).await.0, 5);
}

#[tokio::test]
async fn stripe_is_asked_during_a_change() {
    let app = start().await;
    calls(&app).await;
    app.slow_down("POST", "/v1/subscription_schedules*", FOREVER);
    let body = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]}).to_string();
    let change = app.request(Method::POST, "/v1/subscribe").body(body);
    app.hang_up(change).await;
    assert_eq!(calls(&app).await, stripe(0));
    app.sandbox().clear_faults();
    app.settled().await;
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:base"), Some(1));
}

#[tokio::test]
async fn a_change_without_effect_keeps_the_cached_answer() {
    let app = start().await;
    calls(&app).await;
    app.get("/v1/phase?org=org:a").await.ok();
    take_stripe_away(&app);
    cancel(&app).await.fails(502, "stripe_unavailable");
    assert_eq!(calls(&app).await, memory(0, 0));
    app.advance(20 * SECOND);
    assert_eq!(calls(&app).await, stale(0, 20, "stripe-unavailable"));
    app.get("/v1/phase?org=org:a").await.ok();
}

#[tokio::test]
async fn one_request_probes_stripe_for_all_during_an_outage() {
    let app = start().await;
    app.subscribe("org:b", &["plan:free@1"]).await;
    calls(&app).await;
    app.limits("org:b").await;
    take_stripe_away(&app);
    app.advance(20 * SECOND);
    assert_eq!(calls(&app).await, stale(0, 20, "stripe-unavailable"));
    app.settled().await;
    app.forget_calls();
    for _ in 0..5 {
        assert_eq!(calls(&app).await, stale(0, 20, "stripe-unavailable"));
        app.limits("org:b").await;
    }
    assert_eq!(app.stripe_calls(), 0);
    app.sandbox().clear_faults();
    app.advance(SECOND);
    assert_eq!(calls(&app).await, stripe(0));
}

#[tokio::test]
async fn an_org_that_is_gone_is_not_cached() {
    let app = start().await;
    calls(&app).await;
    app.get("/v1/phase?org=org:a").await.ok();
    let whois = app.get("/v1/whois?org=org:a").await.ok().json();
    let customer = whois["stripe_id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/customers/{customer}"))
        .await;
    let fresh = [("cache-control", "no-cache")];
    let gone = app.get_with("/v1/limits?org=org:a", &fresh).await;
    gone.fails(400, "org_not_found");
    for path in ["/v1/limits?org=org:a", "/v1/phase?org=org:a"] {
        app.get(path).await.fails(400, "org_not_found");
    }
}

#[tokio::test]
async fn no_cache_does_not_join_an_earlier_read() {
    let app = start().await;
    let other = app.second_server_with(&crate::harness::Settings::default());
    app.slow_down("GET", "/v1/invoices/upcoming/lines", FOREVER);
    let fresh = [("cache-control", "no-cache")];
    let ask = async {
        app.until_slow().await;
        other.subscribe("org:a", &["plan:pro@1"]).await;
        let limits = app.get_with("/v1/limits?org=org:a", &fresh).await.ok();
        assert_eq!(used(&limits, "feature:base"), Some(1), "{}", limits.body);
        app.sandbox().clear_faults();
    };
    futures::join!(app.get("/v1/limits?org=org:a"), ask).0.ok();
}

#[tokio::test]
async fn a_slow_answer_has_its_real_age() {
    let app = start().await;
    app.slow_down("GET", "/v1/invoices/upcoming/lines", FOREVER);
    let pass = async {
        app.until_slow().await;
        app.advance(5 * SECOND);
        app.sandbox().clear_faults();
    };
    let (answer, ()) = futures::join!(app.get("/v1/limits?org=org:a"), pass);
    assert_eq!(freshness(&answer.ok()), ("stripe".to_owned(), 5, None));
}

#[tokio::test]
async fn clobbering_to_the_current_total_shows_in_the_next_answer() {
    let app = start().await;
    calls(&app).await;
    app.second_server()
        .report("org:a", "feature:calls", 9)
        .await;
    let total = json!({"org": "org:a", "feature": "feature:calls", "n": 9, "clobber": true});
    app.post_json("/v1/report", &total).await.ok();
    assert_eq!(calls(&app).await.0, 9);
}

#[tokio::test]
async fn limits_and_phase_agree_about_the_plan() {
    let app = start().await;
    calls(&app).await;
    let other = app.second_server_with(&crate::harness::Settings::default());
    other.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(SECOND);
    let phase = app.get("/v1/phase?org=org:a").await.ok().json();
    assert_eq!(phase["plans"], json!(["plan:pro@1"]));
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:base"), Some(1), "{}", limits.body);
}

#[tokio::test]
async fn a_keyed_report_is_cached_and_its_repetition_changes_nothing() {
    let app = start().await;
    calls(&app).await;
    for _ in 0..2 {
        let report = json!({"org": "org:a", "feature": "feature:calls", "n": 2}).to_string();
        let report = app.request(Method::POST, "/v1/report").body(report);
        report.header("idempotency-key", "one").send().await.ok();
        assert_eq!(calls(&app).await, memory(2, 0));
    }
}

#[tokio::test]
async fn a_busy_org_does_not_affect_another() {
    let app = start().await;
    app.subscribe("org:b", &["plan:free@1"]).await;
    calls(&app).await;
    app.limits("org:b").await;
    app.advance(20 * SECOND);
    let busy = Action::Status(409, None);
    app.sandbox()
        .add_fault(Rule::new("GET", "/v1/subscriptions", busy).times(1));
    assert_eq!(calls(&app).await, stale(0, 20, "stripe-unavailable"));
    let other = app.get("/v1/limits?org=org:b").await.ok();
    assert_eq!(freshness(&other), ("stripe".to_owned(), 0, None));
}

#[tokio::test]
async fn a_read_that_overlaps_a_report_is_repeated() {
    let app = start().await;
    app.slow_down(
        "GET",
        "/v1/invoices/upcoming/lines",
        Duration::from_secs(600),
    );
    let check = calls(&app);
    let report = async {
        app.until_slow().await;
        app.report("org:a", "feature:calls", 3).await;
        app.sandbox().clear_faults();
    };
    let ((used, source, ..), ()) = futures::join!(check, report);
    assert_eq!((used, source.as_str()), (3, "stripe"));
    assert_eq!(calls(&app).await, memory(3, 0));
}

#[tokio::test]
async fn a_read_during_a_change_is_not_cached() {
    let app = start().await;
    app.slow_down(
        "POST",
        "/v1/subscription_schedules*",
        Duration::from_secs(600),
    );
    let pro = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    let change = app.post_json("/v1/subscribe", &pro);
    let check = async {
        app.until_slow().await;
        assert_eq!(calls(&app).await, stripe(0));
        app.sandbox().clear_faults();
    };
    let (changed, ()) = futures::join!(change, check);
    changed.ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:base"), Some(1));
}

#[tokio::test]
async fn after_a_report_with_unknown_outcome_stripe_is_read() {
    let app = start().await;
    calls(&app).await;
    let lost = Action::Drop;
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_items/*", lost).after());
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 3});
    let told = app.post_json("/v1/report", &report).await;
    assert!(told.status.is_server_error(), "{}", told.body);
    assert_eq!(calls(&app).await, stripe(3));
}

#[tokio::test]
async fn concurrent_checks_share_a_read() {
    let app = start().await;
    app.get("/v1/whois?org=org:a").await.ok();
    app.forget_calls();
    let all = futures::future::join_all((0..20).map(|_| calls(&app))).await;
    assert!(all.iter().all(|one| *one == stripe(0)), "{all:?}");
    assert_eq!(app.stripe_calls(), 2);
}
