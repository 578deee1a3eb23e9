//! An org buys a second subscription. Its perpetual levels move there, also in the ledger.

use stripe_sandbox::When;

use super::*;
use crate::checkout::pay;
use crate::schedule::buy;

/// An org with a level on its subscription, which buys the feature again after this time.
async fn bought_again(after: Duration) -> WithLedger {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:disk", "n": 7}))
        .await
        .ok();
    app.deliver_all().await;
    app.advance(after);
    app.used("feature:disk").await;
    buy(&app, "feature-disk-plan-pro-2", &[]).await;
    app.advance(MINUTE);
    app
}

/// Lets the server find the second subscription and end the first one.
async fn supersede(app: &WithLedger) {
    app.get_with("/v1/limits?org=org:a", &[("cache-control", "no-cache")])
        .await
        .ok();
    app.settled().await;
    let live = app.stripe_get("/v1/subscriptions").await;
    assert_eq!(live["data"].as_array().map(Vec::len), Some(1), "{live}");
    app.advance(11 * SECOND);
}

/// The quantities on a feature's invoice lines, oldest invoice first, without zeros.
async fn quantities(app: &TestApp, feature: &str) -> Vec<i64> {
    let invoices = app.stripe_get("/v1/invoices?limit=100").await;
    let invoices = invoices["data"].as_array().expect("a list").iter().rev();
    let lines = invoices.flat_map(|one| one["lines"]["data"].as_array().expect("a list"));
    let own = lines.filter(|line| line["price"]["metadata"]["tier.feature"] == feature);
    let quantities = own.map(|line| line["quantity"].as_i64().expect("units"));
    quantities.filter(|n| *n != 0).collect()
}

/// Checks that everything is delivered and billed as the ledger says after the end of a month.
async fn is_settled(app: &TestApp) {
    app.advance(32 * DAY);
    for name in ["undelivered", "parked", "differences_total"] {
        assert_eq!(ledger_metric(app, name).await, 0, "{name}");
    }
}

#[tokio::test]
async fn a_level_moves_and_can_be_lowered() {
    for after in [DAY, 32 * DAY] {
        let app = bought_again(after).await;
        supersede(&app).await;
        assert_eq!(app.used("feature:disk").await, 7);
        app.add(json!({"feature": "feature:disk", "n": -2}))
            .await
            .ok();
        assert_eq!(app.used("feature:disk").await, 5);
        let refused = app.deliver_all().await;
        assert_eq!(refused, 0, "nothing is sent for the old item");
        assert_eq!(app.used("feature:disk").await, 5);
        assert_eq!(app.upcoming().await, 5 * 2000);
        is_settled(&app).await;
        let first = if after > 31 * DAY { vec![7] } else { vec![] };
        let old = quantities(&app, "feature:disk@plan:pro@1").await;
        assert_eq!(old, first, "the old item bills its own period alone");
        assert_eq!(quantities(&app, "feature:disk@plan:pro@2").await, [5]);
        let usage = app
            .get("/v1/usage?org=org:a&feature=feature:disk&by=period")
            .await
            .ok()
            .json();
        let totals = usage["usage"].as_array().expect("a list").iter();
        let totals: Vec<_> = totals.map(|span| span["total"].as_i64()).collect();
        let kept = if after > 31 * DAY { 7 } else { 0 };
        assert_eq!(totals.first(), Some(&Some(kept)), "{usage}");
        assert_eq!(totals.last(), Some(&Some(5)), "{usage}");
    }
}

#[tokio::test]
async fn a_level_that_was_reported_since_is_newer_even_if_it_is_zero() {
    for n in [3, 0] {
        let app = bought_again(DAY).await;
        // The report finds the new subscription, and the old subscription has not been ended.
        let failing = Rule::new("DELETE", "/v1/subscriptions/*", Action::Status(500, None));
        app.sandbox().add_fault(failing);
        let failing = Rule::new("POST", "/v1/subscriptions/*", Action::Status(500, None));
        app.sandbox().add_fault(failing);
        app.advance(11 * SECOND);
        app.add(json!({"feature": "feature:disk", "n": n, "clobber": true}))
            .await
            .ok();
        app.settled().await;
        app.sandbox().clear_faults();
        supersede(&app).await;
        app.deliver_all().await;
        assert_eq!(app.used("feature:disk").await, n);
        assert_eq!(app.upcoming().await, n * 2000);
        is_settled(&app).await;
        assert_eq!(billed(&app).await, n * 2000);
    }
}

/// The move is interrupted before the level's item is cleared, or before the old subscription ends.
#[tokio::test]
async fn an_interrupted_move_is_completed_by_the_next_read() {
    for (method, when) in [("POST", "before"), ("POST", "after"), ("DELETE", "before")] {
        let app = bought_again(DAY).await;
        let failing = Rule::new(method, "/v1/subscriptions/*", Action::Drop);
        let failing = if when == "after" {
            failing.after()
        } else {
            failing
        };
        app.sandbox().add_fault(failing);
        app.get_with("/v1/limits?org=org:a", &[("cache-control", "no-cache")])
            .await
            .ok();
        app.settled().await;
        app.sandbox().clear_faults();
        let app = app.restarted().await;
        app.advance(MINUTE);
        supersede(&app).await;
        assert_eq!(app.used("feature:disk").await, 7, "{method} {when}");
        app.add(json!({"feature": "feature:disk", "n": -2}))
            .await
            .ok();
        app.deliver_all().await;
        assert_eq!(app.upcoming().await, 5 * 2000, "{method} {when}");
        is_settled(&app).await;
        assert_eq!(billed(&app).await, 5 * 2000, "{method} {when}");
    }
}

/// An org on meters with a level, which buys the same plan again. One meter counts the level for both subscriptions.
async fn same_bought_again() -> WithLedger {
    let app = WithLedger::on_meters().await;
    let level = json!({"feature": "feature:disk", "n": 7});
    app.add(level).await.ok();
    app.deliver_all().await;
    app.advance(DAY);
    app.used("feature:disk").await;
    let purchase = json!({"org": "org:a", "features": ["plan:pro@1"],
        "success_url": "https://app.example/ok"});
    let opened = app.post_json("/v1/checkout", &purchase).await.ok();
    pay(&app, &opened).await;
    app.advance(MINUTE);
    app
}

#[tokio::test]
async fn a_level_of_the_same_plan_is_billed_by_the_new_subscription_alone() {
    for newer in [None, Some(3)] {
        let app = same_bought_again().await;
        supersede(&app).await;
        if let Some(n) = newer {
            let level = json!({"feature": "feature:disk", "n": n, "clobber": true});
            app.add(level).await.ok();
        }
        app.deliver_all().await;
        let n = newer.unwrap_or(7);
        assert_eq!(app.used("feature:disk").await, n);
        is_settled(&app).await;
        assert_eq!(billed(&app).await, n * 1000);
        app.subscribe("org:a", &["plan:pro@2"]).await;
    }
}

/// The server notes the level, sets it to 0, and sets it again once the old subscription has ended.
#[tokio::test]
async fn an_interrupted_move_on_one_meter_is_completed_by_the_next_read() {
    const SUBSCRIPTIONS: &str = "/v1/subscriptions/*";
    for (method, path, when, skipped) in [
        ("POST", SUBSCRIPTIONS, When::Before, 0),
        ("POST", SUBSCRIPTIONS, When::After, 0),
        ("POST", "/v1/billing/meter_events", When::Before, 0),
        ("POST", "/v1/billing/meter_events", When::After, 0),
        ("DELETE", SUBSCRIPTIONS, When::Before, 0),
        ("DELETE", SUBSCRIPTIONS, When::After, 0),
        ("POST", "/v1/billing/meter_events", When::Before, 1),
        ("POST", "/v1/billing/meter_events", When::After, 1),
    ] {
        let app = same_bought_again().await;
        let failing = Rule::new(method, path, Action::Drop).skipping(skipped);
        app.sandbox().add_fault(Rule { when, ..failing });
        app.get_with("/v1/limits?org=org:a", &[("cache-control", "no-cache")])
            .await
            .ok();
        app.settled().await;
        app.sandbox().clear_faults();
        app.advance(11 * SECOND);
        supersede(&app).await;
        supersede(&app).await;
        app.deliver_all().await;
        assert_eq!(
            app.used("feature:disk").await,
            7,
            "{method} {path} {when:?}"
        );
        app.advance(32 * DAY);
        app.deliver_all().await;
        assert_eq!(
            billed(&app).await,
            7000,
            "{method} {path} {when:?} {skipped}"
        );
    }
}
