//! A ledger with plans on meters.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule, When};
use tier::billing::WITH_METERS;

use super::{DAY, MINUTE, SECOND, WithLedger, billed, ledger_metric};
use crate::harness::START;

const EVENTS: &str = "/v1/billing/meter_events";

impl WithLedger {
    pub(super) async fn report_n(&self, feature: &str, n: i64) {
        let body = json!({"feature": format!("feature:{feature}"), "n": n});
        self.add(body).await.ok();
    }

    /// The values of the events that were sent to Stripe, oldest first.
    fn events(&self) -> Vec<String> {
        let sent = self.sent(&format!("POST {EVENTS}"));
        let values = sent.iter().map(|event| &event["payload"]["value"]);
        values
            .map(|value| value.as_str().expect("text").to_owned())
            .collect()
    }

    fn fail(&self, path: &str, status: u16, when: When) {
        let mut rule = Rule::new("POST", path, Action::Status(status, None));
        rule.when = when;
        self.sandbox().add_fault(rule);
    }
}

#[tokio::test]
async fn many_reports_are_one_event_and_every_aggregate_is_billed() {
    let app = WithLedger::on_meters().await;
    for n in [50, -20, 4] {
        app.report_n("calls", n).await;
    }
    for n in [9, 7] {
        app.report_n("peak", n).await;
        app.report_n("level", n).await;
    }
    app.report_n("disk", 3).await;
    assert_eq!(app.used("feature:calls").await, 34);
    assert_eq!(app.events(), Vec::<String>::new());
    app.deliver_all().await;
    let mut events = app.events();
    events.sort();
    assert_eq!(events, ["3", "34", "7", "9"]);
    // A refund is a separate event, and a set total is sent as the difference.
    app.report_n("calls", -4).await;
    app.deliver_all().await;
    let body = json!({"feature": "feature:calls", "n": 12, "clobber": true});
    app.add(body).await.ok();
    app.deliver_all().await;
    assert_eq!(app.events()[4..], ["-4", "-18"]);
    let least = json!({"feature": "feature:calls", "n": -13});
    app.add(least).await.fails(400, "invalid_request");
    assert_eq!(app.used("feature:calls").await, 12);
    app.advance(32 * DAY);
    assert_eq!(billed(&app).await, 12 * 2 + 9 * 10 + 7 * 100 + 3 * 1000);
    for name in ["undelivered", "parked", "differences_total"] {
        assert_eq!(ledger_metric(&app, name).await, 0, "{name}");
    }
}

#[tokio::test]
async fn a_level_that_outlasts_its_period_is_billed_in_each() {
    let app = WithLedger::on_meters().await;
    app.report_n("disk", 3).await;
    for _ in 0..3 {
        app.deliver_all().await;
        assert_eq!(app.used("feature:disk").await, 3);
        app.advance(31 * DAY);
    }
    app.deliver_all().await;
    assert_eq!(app.events(), ["3"; 4]);
    assert_eq!(billed(&app).await, 3 * 3000);
}

#[tokio::test]
async fn a_lost_answer_counts_once_however_long_the_outage_is() {
    for (outage, when) in [
        (MINUTE, When::After),
        (DAY + 2 * 60 * MINUTE, When::After),
        (DAY + 2 * 60 * MINUTE, When::Before),
    ] {
        let app = WithLedger::on_meters().await;
        app.report_n("calls", 10).await;
        app.advance(31 * SECOND);
        app.domain().deliver().await.expect("a ledger");
        app.fail(EVENTS, 503, when);
        app.advance(31 * SECOND);
        app.domain().deliver().await.expect("a ledger");
        app.advance(outage);
        app.sandbox().clear_faults();
        app.deliver_all().await;
        app.report_n("calls", 1).await;
        app.deliver_all().await;
        app.advance(32 * DAY);
        assert_eq!(billed(&app).await, 22, "{outage:?}, {when:?}");
        assert_eq!(ledger_metric(&app, "parked").await, 0);
    }
}

#[tokio::test]
async fn usage_that_is_too_late_is_billed_in_the_next_period() {
    let app = WithLedger::on_meters().await;
    app.report_n("calls", 10).await;
    app.fail(EVENTS, 503, When::Before);
    app.advance(31 * DAY + 2 * 60 * MINUTE);
    assert_eq!(app.used("feature:calls").await, 0);
    app.sandbox().clear_faults();
    app.deliver_all().await;
    assert_eq!(app.used("feature:calls").await, 10);
    app.advance(31 * DAY);
    assert_eq!(billed(&app).await, 20);
}

#[tokio::test]
async fn usage_of_the_previous_period_counts_while_its_invoice_is_a_draft() {
    let app = WithLedger::on_meters().await;
    app.report_n("calls", 1).await;
    app.deliver_all().await;
    // The period ends at midnight, in six minutes.
    app.advance(30 * DAY + 23 * 60 * MINUTE + 54 * MINUTE);
    let at = |at: &str, n: i64| json!({"feature": "feature:calls", "n": n, "at": at});
    app.add(at("2023-01-31T23:00:00Z", 5)).await.ok();
    app.advance(MINUTE);
    app.deliver_all().await;
    app.advance(58 * MINUTE);
    app.add(at("2023-01-31T23:00:00Z", 5))
        .await
        .fails(400, "invalid_request");
    app.advance(DAY);
    assert_eq!(billed(&app).await, 12);
}

#[tokio::test]
async fn what_stripe_has_accepted_and_dropped_is_parked() {
    let app = WithLedger::on_meters().await;
    app.report_n("calls", 10).await;
    app.deliver_all().await;
    app.report_n("calls", 7).await;
    app.deliver_all().await;
    let sent = app.sent(&format!("POST {EVENTS}"));
    let client = app.domain().stripe().clone();
    let cancel = client
        .post(WITH_METERS, "/v1/billing/meter_event_adjustments")
        .param("event_name", sent[1]["event_name"].as_str().expect("text"))
        .param("type", "cancel")
        .param(
            "cancel[identifier]",
            sent[1]["identifier"].as_str().expect("text"),
        );
    let _: Value = cancel.send().await.expect("a dropped event");
    app.advance(32 * DAY);
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
    assert_eq!(ledger_metric(&app, "parked").await, 1);
    let parked = app.domain().parked().await.expect("a ledger");
    assert_eq!((parked[0].n, parked[0].total), (7, 17));
    // Usage that is sent again is billed in the current period.
    let retry = tier::domain::ParkedDecision::Retry;
    app.domain()
        .decide_parked(parked[0].id, retry)
        .await
        .expect("it is parked");
    app.deliver_all().await;
    assert_eq!(app.used("feature:calls").await, 7);
    app.advance(31 * DAY);
    assert_eq!(billed(&app).await, 17 * 2);
}

#[tokio::test]
async fn reports_from_before_the_ledger_existed_are_counted() {
    let app = WithLedger::on_meters().await;
    let before = app.second_server();
    before.report("org:a", "feature:calls", 7).await;
    before.report("org:a", "feature:level", 4).await;
    app.advance(11 * SECOND);
    assert_eq!(app.used("feature:calls").await, 7);
    app.report_n("calls", 5).await;
    app.report_n("level", -1).await;
    assert_eq!(app.used("feature:calls").await, 12);
    let refund = json!({"feature": "feature:calls", "n": -6});
    app.add(refund).await.fails(400, "invalid_request");
    app.deliver_all().await;
    assert_eq!(app.used("feature:calls").await, 12);
    assert_eq!(app.used("feature:level").await, 3);
    app.advance(32 * DAY);
    assert_eq!(billed(&app).await, 12 * 2 + 300);
    assert_eq!(ledger_metric(&app, "differences_total").await, 0);
}

#[tokio::test]
async fn others_usage_is_of_its_own_period() {
    let app = WithLedger::on_meters().await;
    app.report_n("calls", 4).await;
    app.deliver_all().await;
    app.advance(31 * DAY);
    app.second_server()
        .report("org:a", "feature:calls", 50)
        .await;
    app.advance(10 * MINUTE);
    assert_eq!(app.used("feature:calls").await, 50);
    app.advance(DAY);
    assert_eq!(ledger_metric(&app, "differences_total").await, 0);
    assert_eq!(ledger_metric(&app, "parked").await, 0);
}

/// The last invoice no longer accepts usage, and no other invoice follows.
#[tokio::test]
async fn usage_that_no_plan_bills_any_more_is_parked() {
    let app = WithLedger::on_meters().await;
    app.report_n("calls", 4).await;
    app.deliver_all().await;
    let end = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]},
        {"features": [], "effective": "2023-02-01T00:00:00Z"}]});
    app.post_json("/v1/subscribe", &end).await.ok();
    app.set_clock(START + 31 * 86_400 - 1);
    app.report_n("calls", 3).await;
    app.set_clock(START + 31 * 86_400 + 1);
    app.deliver_all().await;
    let parked = app.domain().parked().await.expect("a ledger");
    assert_eq!((parked.len(), parked[0].n, parked[0].total), (1, 3, 7));
    app.advance(DAY);
    assert_eq!(billed(&app).await, 4 * 2);
}

/// The invoice of the ended period accepts the usage while it is a draft.
#[tokio::test]
async fn late_reports_before_a_change_of_plan_are_billed_in_their_period() {
    let app = WithLedger::on_meters().await;
    app.set_clock(START + 31 * 86_400 - 1);
    app.report_n("calls", 3).await;
    app.set_clock(START + 31 * 86_400 + 1);
    app.deliver_all().await;
    app.subscribe("org:a", &["plan:pro@2"]).await;
    app.advance(DAY);
    assert_eq!(billed(&app).await, 3 * 2);
    assert_eq!(ledger_metric(&app, "parked").await, 0);
}
