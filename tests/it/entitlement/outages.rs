//! Checks while Stripe is unavailable, hangs, or allows no more calls.

use std::time::Duration;

use serde_json::json;
use stripe_sandbox::{Action, Rule};

use super::{SECOND, calls, freshness, memory, stale, start, stripe, take_stripe_away, used};
use crate::harness::START;

#[tokio::test]
async fn the_last_answer_is_served_for_a_while_during_an_outage() {
    let app = start().await;
    app.report("org:a", "feature:calls", 3).await;
    let disk = json!({"org": "org:a", "feature": "feature:disk", "n": 4, "clobber": true});
    app.post_json("/v1/report", &disk).await.ok();
    app.set_clock(START + 31 * 86_400 - 1_000);
    calls(&app).await;
    app.get("/v1/phase?org=org:a").await.ok();
    take_stripe_away(&app);
    app.advance(100 * SECOND);
    assert_eq!(calls(&app).await, stale(3, 100, "stripe-unavailable"));
    let phase = app.get("/v1/phase?org=org:a").await.ok();
    assert_eq!(freshness(&phase).2.as_deref(), Some("stripe-unavailable"));

    app.advance(900 * SECOND);
    assert_eq!(calls(&app).await, stale(0, 1_000, "period-predicted"));
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(used(&limits, "feature:disk"), Some(4), "it is perpetual");
    let phase = app.get("/v1/phase?org=org:a").await.ok();
    assert_eq!(freshness(&phase).2.as_deref(), Some("period-predicted"));
    let next = json!({"effective": "2023-02-01T00:00:00Z", "end": "2023-03-01T00:00:00Z"});
    assert_eq!(phase.json()["current"], next);

    app.advance(2_601 * SECOND);
    for path in ["/v1/limits?org=org:a", "/v1/phase?org=org:a"] {
        app.get(path).await.fails(502, "stripe_unavailable");
    }
    app.sandbox().clear_faults();
    assert_eq!(calls(&app).await, stripe(0));
}

#[tokio::test]
async fn nothing_is_granted_after_a_scheduled_end_even_during_an_outage() {
    let app = start().await;
    let leave = json!({"org": "org:a", "phases": [
        {"features": ["plan:free@1"]}, {"effective": "2023-01-05T00:00:00Z", "features": []},
    ]});
    app.post_json("/v1/subscribe", &leave).await.ok();
    app.set_clock(START + 4 * 86_400 - 5);
    calls(&app).await;
    take_stripe_away(&app);
    app.advance(10 * SECOND);
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.json()["usage"], json!([]));
    assert_eq!(freshness(&limits).2.as_deref(), Some("period-predicted"));
}

#[tokio::test]
async fn a_warm_org_is_answered_from_memory_when_the_rate_limit_is_used_up() {
    let app = start().await;
    calls(&app).await;
    let limited = Action::Status(429, Some("global-rate".to_owned()));
    app.sandbox().add_fault(Rule::new("GET", "/v1/*", limited));
    app.advance(20 * SECOND);
    assert_eq!(calls(&app).await, stale(0, 20, "stripe-rate-limited"));
}

#[tokio::test]
async fn checks_do_not_wait_for_a_stripe_that_hangs() {
    let app = start().await;
    calls(&app).await;
    app.advance(20 * SECOND);
    let hangs = Action::Delay(Duration::from_secs(600));
    app.sandbox()
        .add_fault(Rule::new("GET", "/v1/subscriptions", hangs));
    assert_eq!(calls(&app).await, stale(0, 20, "stripe-unavailable"));
    app.sandbox().clear_faults();
    app.settled().await;
    assert_eq!(
        calls(&app).await,
        memory(0, 0),
        "the read went on in the background"
    );
}
