//! A ledger while an org with meters goes to another plan, or to the other generation.

use serde_json::{Value, json};
use tier::domain::{Generation, GenerationSetting};

use super::{DAY, MINUTE, SECOND, WithLedger, billed, ledger_metric, meters};
use crate::checkout::pay;
use crate::harness::{START, Settings};

#[tokio::test]
async fn a_change_of_plan_waits_until_stripe_has_processed_everything() {
    let settings = Settings {
        meter_lag: 2 * MINUTE,
        ..meters()
    };
    let app = WithLedger::with(settings).await;
    app.report_n("calls", 10).await;
    app.report_n("level", 2).await;
    let change = json!({"org": "org:a", "phases": [{"features": ["plan:pro@2"]}]});
    let refused = app.post_json("/v1/subscribe", &change).await;
    refused.fails(503, "stripe_unavailable");
    assert_eq!(app.used("feature:calls").await, 10);
    app.advance(3 * MINUTE);
    app.post_json("/v1/subscribe", &change).await.ok();
    app.advance(MINUTE);
    assert_eq!(app.used("feature:calls").await, 10);
    assert_eq!(app.used("feature:level").await, 2);
    app.report_n("calls", 5).await;
    app.report_n("level", -1).await;
    app.deliver_all().await;
    app.advance(32 * DAY);
    app.settled().await;
    assert_eq!(billed(&app).await, 10 * 2 + 5 * 3 + 200);
    assert_eq!(ledger_metric(&app, "parked").await, 0);
}

#[tokio::test]
async fn an_org_moves_from_usage_records_to_meters() {
    let app = WithLedger::start().await;
    app.report_n("calls", 10).await;
    app.report_n("disk", 3).await;
    follow(&app, Generation::Meters).await;
    app.subscribe("org:a", &["plan:pro@3"]).await;
    app.settled().await;
    app.advance(MINUTE);
    assert_eq!(app.used("feature:disk").await, 3);
    app.report_n("calls", 5).await;
    app.deliver_all().await;
    app.advance(35 * DAY);
    assert_eq!(billed(&app).await, 10 * 2 + 5 * 3 + 3 * 2000);
    assert_eq!(ledger_metric(&app, "parked").await, 0);
}

/// Pushes a plan like the org's in the other generation. Returns the request that changes to this plan at the end of
/// the first billing period.
async fn follow(app: &WithLedger, generation: Generation) -> Value {
    let other = app.app.second_server_with(&Settings {
        generation: GenerationSetting::Fixed(generation),
        ..Settings::remembering()
    });
    let plan = json!({"plans": {"plan:pro@3": {"features": {
        "feature:calls": {"tiers": [{"price": 3}]},
        "feature:disk": {"aggregate": "perpetual", "tiers": [{"price": 2000}]},
    }}}});
    other.push(&plan).await;
    json!({"org": "org:a", "phases": [
        {"features": ["plan:pro@3"], "effective": "2023-02-01T00:00:00Z"}]})
}

#[tokio::test]
async fn a_level_goes_on_in_the_plan_that_follows() {
    for (app, generation) in [
        (WithLedger::start().await, Generation::Meters),
        (WithLedger::on_meters().await, Generation::Classic),
    ] {
        let change = follow(&app, generation).await;
        app.report_n("calls", 10).await;
        app.report_n("disk", 3).await;
        app.deliver_all().await;
        app.post_json("/v1/subscribe", &change).await.ok();
        app.report_n("calls", 2).await;
        app.deliver_all().await;
        app.set_clock(START + 31 * 86_400 - 1);
        // This usage is delivered too late for the ended period, so the next period bills it.
        app.report_n("calls", 1).await;
        app.set_clock(START + 31 * 86_400 + 1);
        app.deliver_all().await;
        app.report_n("calls", 5).await;
        assert_eq!(app.used("feature:disk").await, 3, "{generation:?}");
        app.deliver_all().await;
        app.advance(30 * DAY);
        app.settled().await;
        app.deliver_all().await;
        let expected = 12 * 2 + 3 * 1000 + (1 + 5) * 3 + 3 * 2000;
        assert_eq!(billed(&app).await, expected, "{generation:?}");
        for metric in ["parked", "differences_total", "undelivered"] {
            assert_eq!(
                ledger_metric(&app, metric).await,
                0,
                "{metric}: {generation:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_level_from_before_there_was_a_ledger_goes_on() {
    for is_read in [true, false] {
        let app = WithLedger::start().await;
        let change = follow(&app, Generation::Meters).await;
        let without = app.app.second_server_with(&Settings::remembering());
        without.report("org:a", "feature:disk", 3).await;
        app.post_json("/v1/subscribe", &change).await.ok();
        app.set_clock(START + 31 * 86_400 + 1);
        if is_read {
            assert_eq!(app.used("feature:disk").await, 3);
        }
        app.report_n("calls", 2).await;
        app.settled().await;
        app.deliver_all().await;
        assert_eq!(app.used("feature:disk").await, 3, "{is_read}");
        app.advance(30 * DAY);
        app.settled().await;
        assert_eq!(billed(&app).await, 2 * 3 + 3 * 1000 + 3 * 2000, "{is_read}");
    }
}

#[tokio::test]
async fn a_refund_is_processed_before_the_plan_changes() {
    let settings = Settings {
        meter_lag: 2 * MINUTE,
        ..meters()
    };
    let app = WithLedger::with(settings).await;
    app.report_n("calls", 34).await;
    app.deliver_all().await;
    app.advance(10 * MINUTE);
    app.report_n("calls", -4).await;
    let change = json!({"org": "org:a", "phases": [{"features": ["plan:pro@2"]}]});
    let refused = app.post_json("/v1/subscribe", &change).await;
    refused.fails(503, "stripe_unavailable");
    app.advance(3 * MINUTE);
    app.post_json("/v1/subscribe", &change).await.ok();
    app.advance(32 * DAY);
    assert_eq!(billed(&app).await, 30 * 2);
}

#[tokio::test]
async fn usage_before_a_purchase_is_billed_at_its_own_price() {
    let app = WithLedger::on_meters().await;
    app.report_n("calls", 10).await;
    app.report_n("disk", 5).await;
    let body = json!({"org": "org:a", "success_url": "https://app.example/ok",
        "features": ["plan:pro@2"]});
    let opened = app.post_json("/v1/checkout", &body).await.ok();
    pay(&app, &opened).await;
    for _ in 0..2 {
        let fresh = [("cache-control", "no-cache")];
        app.get_with("/v1/limits?org=org:a", &fresh).await.ok();
        app.settled().await;
    }
    app.advance(MINUTE);
    assert_eq!(app.used("feature:disk").await, 5);
    app.deliver_all().await;
    app.advance(32 * DAY);
    assert_eq!(billed(&app).await, 10 * 2 + 5 * 2000);
    assert_eq!(ledger_metric(&app, "parked").await, 0);
}

/// The subscription has ended, so no item can take the level.
#[tokio::test]
async fn a_level_of_an_ended_subscription_holds_up_no_new_one() {
    let app = WithLedger::on_meters().await;
    app.report_n("disk", 5).await;
    app.deliver_all().await;
    let end = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]},
        {"features": [], "effective": "2023-02-01T00:00:00Z"}]});
    app.post_json("/v1/subscribe", &end).await.ok();
    app.advance(31 * DAY);
    app.deliver_all().await;
    app.subscribe("org:a", &["plan:pro@2"]).await;
    assert_eq!(app.used("feature:disk").await, 0);
}

#[tokio::test]
async fn a_level_moves_with_a_scheduled_change() {
    let app = WithLedger::on_meters().await;
    for feature in ["peak", "level", "disk"] {
        app.report_n(feature, 5).await;
    }
    let later = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]},
        {"features": ["plan:pro@2"], "effective": "2023-01-15T00:00:00Z"}]});
    app.post_json("/v1/subscribe", &later).await.ok();
    app.deliver_all().await;
    // This usage is reported shortly before the change, and has not been delivered by then.
    app.set_clock(START + 14 * 24 * 3_600 - 5);
    app.report_n("peak", 7).await;
    app.advance(10 * SECOND);
    for _ in 0..2 {
        let fresh = [("cache-control", "no-cache")];
        app.get_with("/v1/limits?org=org:a", &fresh).await.ok();
        app.settled().await;
    }
    app.deliver_all().await;
    let used = [("peak", 7), ("level", 5), ("disk", 5)];
    for (feature, n) in used {
        assert_eq!(
            app.used(&format!("feature:{feature}")).await,
            n,
            "{feature}"
        );
    }
    app.advance(20 * DAY);
    assert_eq!(billed(&app).await, 7 * 20 + 5 * 200 + 5 * 2000);
    assert_eq!(ledger_metric(&app, "parked").await, 0);
}

#[tokio::test]
async fn a_level_that_has_moved_is_not_compared_with_its_last_event() {
    let app = WithLedger::on_meters().await;
    app.report_n("level", 5).await;
    app.deliver_all().await;
    app.subscribe("org:a", &["plan:pro@2"]).await;
    app.advance(MINUTE);
    let reader = tier::ledger::store::sqlite::read(&app.file()).expect("a file");
    let told = reader.delivered().expect("a file");
    // No usage of the new item has been delivered, since the plan change has set its level.
    let [left] = told.as_slice() else {
        panic!("one item: {told:?}");
    };
    assert_eq!((left.n, left.delivery.delivered), (0, 0));
    let counted = app.domain().counted_by_meter(left).await;
    assert_eq!(left.mismatch(counted.expect("a meter")), None);
}
