//! Settlement: when a period has ended, its usage is compared with what Stripe has billed.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::billing::WITH_METERS;
use tier::domain::Generation::{self, Classic, Meters};

use super::{MINUTE, billed, counted, ledger_metric, parked};
use crate::harness::{Answer, DAY, TestApp};

const CALLS: &str = "feature:calls";
const DISK: &str = "feature:disk";

async fn start(generation: Generation) -> TestApp {
    let settings = match generation {
        Classic => super::classic(),
        Meters => super::meters(),
    };
    let app = TestApp::with(settings).await.with_own_ledger().await;
    app.push(&json!({"plans": {
        "plan:pro@1": {"features": {CALLS: {"tiers": [{"price": 2}]}}},
        "plan:other@1": {"features": {CALLS: {"tiers": [{"price": 3}]}}},
        "plan:disk@1": {"features": {DISK: {"aggregate": "perpetual", "tiers": [{"price": 1000}]}}},
    }}))
    .await;
    app
}

/// Subscribes the org to a trial, which ends in January 2023.
async fn try_until(app: &TestApp, plan: &str, day: u32) {
    let plan = [plan];
    let phases = json!([
        {"features": plan, "trial": true},
        {"features": plan, "effective": format!("2023-01-{day:02}T00:00:00Z")},
    ]);
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "phases": phases}))
        .await
        .ok();
}

/// A trial that is extended keeps its beginning. Usage after the first end was refused, or accepted and never billed.
#[tokio::test]
async fn a_trial_that_is_extended_is_settled_at_its_new_end() {
    for generation in [Classic, Meters] {
        let app = start(generation).await;
        try_until(&app, "plan:pro@1", 8).await;
        app.report("org:a", CALLS, 10).await;
        app.pass(6 * DAY).await;
        try_until(&app, "plan:pro@1", 15).await;
        app.pass(DAY + 180 * MINUTE).await;
        assert_eq!(ledger_metric(&app, "differences_total").await, 0);
        app.report("org:a", CALLS, 5).await;
        assert_eq!(app.limits("org:a").await[0].1, 15, "{generation:?}");
        app.pass(10 * DAY).await;
        assert_eq!(app.limits("org:a").await[0].1, 0, "{generation:?}");
        assert_settled(&app).await;
    }
}

/// A trial is shorter than a billing cycle. Late usage went to a period that never was, and both periods differed from
/// what Stripe billed.
#[tokio::test]
async fn late_reports_after_a_trial_count_in_it() {
    for generation in [Classic, Meters] {
        for is_extended in [false, true] {
            let app = start(generation).await;
            try_until(&app, "plan:pro@1", 8).await;
            app.report("org:a", CALLS, 100).await;
            if is_extended {
                app.pass(6 * DAY).await;
                try_until(&app, "plan:pro@1", 15).await;
                app.pass(DAY).await;
            }
            late_report(&app, async || ()).await.ok();
            assert_eq!(app.limits("org:a").await[0].1, 1, "{generation:?}");
            app.pass(60 * DAY).await;
            assert_settled(&app).await;
        }
    }
}

/// Stripe has invoiced the period by then, and would not bill the usage.
#[tokio::test]
async fn late_reports_before_a_trial_that_ended_their_period_are_refused() {
    for generation in [Classic, Meters] {
        let app = start(generation).await;
        app.subscribe("org:a", &["plan:pro@1"]).await;
        app.pass(40 * DAY).await;
        app.report("org:a", CALLS, 100).await;
        let late = late_report(&app, async || {
            let phases = json!([{"features": ["plan:pro@1"], "trial": true}]);
            let body = json!({"org": "org:a", "phases": phases});
            app.post_json("/v1/subscribe", &body).await.ok();
        });
        late.await.fails(400, "invalid_request");
        app.pass(60 * DAY).await;
        assert_settled(&app).await;
    }
}

/// Seven days later, runs `change`, and reports usage for the time afterwards, and then for the minute before.
async fn late_report(app: &TestApp, change: impl AsyncFnOnce()) -> Answer {
    app.pass(6 * DAY + 1_439 * MINUTE).await;
    let before = app.sandbox().clock().now().to_rfc3339();
    app.pass(MINUTE).await;
    change().await;
    app.report("org:a", CALLS, 1).await;
    let late = json!({"org": "org:a", "feature": CALLS, "n": 5, "at": before});
    app.post_json("/v1/report", &late).await
}

async fn assert_settled(app: &TestApp) {
    for name in ["differences_total", "parked", "undelivered"] {
        assert_eq!(ledger_metric(app, name).await, 0, "{name}");
    }
}

/// Whether the server still asks for an invoice, which it does at least every eight hours.
async fn is_waiting(app: &TestApp) -> bool {
    let before = asked(app);
    app.advance(480 * MINUTE);
    assert_settled(app).await;
    asked(app) > before
}

fn asked(app: &TestApp) -> usize {
    let calls = app.sandbox().requests(None);
    let asked = calls
        .iter()
        .filter(|call| call.endpoint == "GET /v1/invoices");
    asked.count()
}

/// An invoice can come late. Usage that was parked and sent again meanwhile would be billed twice.
#[tokio::test]
async fn a_missing_invoice_is_waited_for() {
    let app = start(Meters).await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", CALLS, 10).await;
    app.pass(2 * DAY).await;
    end_subscription(&app).await;
    app.pass(30 * DAY).await;
    assert_settled(&app).await;
    let first = asked(&app);
    assert_settled(&app).await;
    assert_eq!(
        asked(&app),
        first,
        "it is asked for again after an hour at the earliest"
    );
    assert!(is_waiting(&app).await);
    app.pass(3 * DAY).await;
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
    assert_eq!(ledger_metric(&app, "parked").await, 1);
}

#[tokio::test]
async fn a_total_that_cannot_be_settled_does_not_hold_up_others() {
    let app = start(Classic).await;
    for org in ["org:a", "org:b"] {
        app.subscribe(org, &["plan:pro@1"]).await;
        app.report(org, CALLS, 10).await;
    }
    app.pass(2 * DAY).await;
    let subscriptions = app.stripe_get("/v1/subscriptions").await;
    let ids = |path: &str| {
        let all = subscriptions["data"].as_array().expect("a list").iter();
        let ids = all.map(|one| one.pointer(path).and_then(|id| id.as_str()).expect("an id"));
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    // The newest comes first.
    let of_b = format!("/v1/subscriptions/{}", ids("/id")[0]);
    app.stripe_delete(&of_b).await;
    let summaries = format!(
        "/v1/subscription_items/{}/usage_record_summaries",
        ids("/items/data/0/id")[1]
    );
    app.pass(40 * DAY).await;
    app.sandbox()
        .add_fault(Rule::new("GET", &summaries, Action::Status(500, None)));
    assert!(app.domain().maintain_ledger().await.is_err());
    assert_eq!(counted(&app, "differences_total"), 1);
    app.sandbox().clear_faults();
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
}

/// The customer that was billed is the one that the events named. Usage that was parked and sent again would be billed
/// twice.
#[tokio::test]
async fn a_period_is_compared_with_the_invoices_of_its_own_customer() {
    let app = start(Meters).await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", CALLS, 10).await;
    app.pass(30 * DAY + 1_439 * MINUTE).await;
    let customers = app.stripe_get("/v1/customers").await;
    let path = format!("/v1/customers/{}", id_of(&customers["data"][0]));
    app.stripe_post(&path, &[("metadata[tier.org]", "")]).await;
    app.stripe_post("/v1/customers", &[("metadata[tier.org]", "org:a")])
        .await;
    app.pass(5 * DAY).await;
    assert_settled(&app).await;
    assert!(!is_waiting(&app).await);
}

/// What a draft bills can still change, and some merchants keep drafts for days.
#[tokio::test]
async fn a_draft_that_bills_something_else_is_waited_for() {
    let app = start(Meters).await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", CALLS, 10).await;
    app.pass(31 * DAY + MINUTE).await;
    let drafts = app.stripe_get("/v1/invoices?status=draft").await;
    let path = format!("/v1/invoices/{}", id_of(&drafts["data"][0]));
    app.stripe_post(&path, &[("auto_advance", "false")]).await;
    // Another program records usage.
    let sent = app.sent("POST /v1/billing/meter_events").pop();
    let sent = sent.expect("an event");
    let text = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str).expect("text");
    let event = app
        .domain()
        .stripe()
        .post(WITH_METERS, "/v1/billing/meter_events");
    let event = event
        .param("event_name", text("/event_name"))
        .param(
            "payload[stripe_customer_id]",
            text("/payload/stripe_customer_id"),
        )
        .param("payload[value]", 5)
        .param("timestamp", text("/timestamp"));
    event.send::<Value>().await.expect("Stripe takes it");
    app.pass(2 * DAY).await;
    assert_settled(&app).await;
    assert!(is_waiting(&app).await);
    // Nobody may finalize it.
    app.pass(3 * DAY).await;
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
    assert_eq!(parked(&app).await, []);
}

/// Usage that was parked and sent again would be billed twice once the draft is final.
#[tokio::test]
async fn what_a_draft_lacks_is_not_parked() {
    let app = start(Meters).await;
    use_leave_and_return(&app, async || {
        let draft = invoice_now(&app).await;
        app.stripe_post(&draft, &[("auto_advance", "false")]).await;
    })
    .await;
    app.pass(23 * DAY).await;
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
    assert_eq!(parked(&app).await, []);
}

/// An invoice within a period does not stand in for that of its end. Usage that was parked and sent again meanwhile would
/// be billed twice.
#[tokio::test]
async fn an_invoice_of_a_part_of_the_period_is_not_the_last_one() {
    let app = start(Meters).await;
    use_leave_and_return(&app, async || {
        let invoice = invoice_now(&app).await;
        app.stripe_post(&format!("{invoice}/finalize"), &[]).await;
    })
    .await;
    app.pass(18 * DAY + 180 * MINUTE).await;
    assert_settled(&app).await;
    app.pass(4 * DAY).await;
    assert_eq!(ledger_metric(&app, "undelivered").await, 0);
    assert_eq!(
        (parked_units(&app).await, billed(&app).await),
        (vec![50], 2 * 100)
    );
}

#[tokio::test]
async fn all_that_is_missing_is_parked() {
    let app = start(Meters).await;
    use_leave_and_return(&app, async || ()).await;
    app.pass(23 * DAY).await;
    assert_eq!(ledger_metric(&app, "differences_total").await, 2);
    assert_eq!(
        (parked_units(&app).await, billed(&app).await),
        (vec![100, 50], 0)
    );
}

/// Uses 100 units of a plan, leaves it, runs `after`, returns to the plan, and uses 50 units. Then the subscription ends
/// without an invoice, 13 days after the beginning of its period.
async fn use_leave_and_return(app: &TestApp, after: impl AsyncFnOnce()) {
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", CALLS, 100).await;
    app.pass(10 * DAY).await;
    app.subscribe("org:a", &["plan:other@1"]).await;
    after().await;
    app.pass(DAY).await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", CALLS, 50).await;
    app.pass(2 * DAY).await;
    end_subscription(app).await;
}

async fn parked_units(app: &TestApp) -> Vec<i64> {
    parked(app).await.iter().map(|usage| usage.n).collect()
}

/// A level on a meter is lost at the end of a period. While nobody pays, there is no next period to send it in.
#[tokio::test]
async fn a_level_continues_once_a_paused_subscription_is_resumed() {
    let app = start(Meters).await;
    try_until(&app, "plan:disk@1", 8).await;
    let subscription = pause_after_trial(&app).await;
    app.report("org:a", DISK, 5).await;
    app.pass(7 * DAY).await;
    app.advance(13 * DAY);
    assert_settled(&app).await;
    let path = format!("/v1/subscriptions/{}", id_of(&subscription));
    let customer = subscription["customer"].as_str().expect("an id");
    let attach = "/v1/payment_methods/pm_card_visa/attach";
    let card = app.stripe_post(attach, &[("customer", customer)]).await;
    let default = [("default_payment_method", id_of(&card))];
    app.stripe_post(&path, &default).await;
    app.stripe_post(&format!("{path}/resume"), &[]).await;
    app.pass(DAY).await;
    assert_eq!(app.limits("org:a").await[0].1, 5);
    app.pass(40 * DAY).await;
    assert_eq!(billed(&app).await, 5 * 1000);
    assert_settled(&app).await;
}

/// No invoice has it, and usage that was parked and sent again would be billed.
#[tokio::test]
async fn usage_of_a_trial_that_nobody_pays_after_is_free() {
    let app = start(Meters).await;
    try_until(&app, "plan:pro@1", 8).await;
    pause_after_trial(&app).await;
    app.report("org:a", CALLS, 10).await;
    app.pass(7 * DAY).await;
    app.advance(5 * DAY);
    assert_settled(&app).await;
    assert!(!is_waiting(&app).await);
}

/// Makes the trial end with a pause, as nobody pays. Returns the subscription.
async fn pause_after_trial(app: &TestApp) -> Value {
    let subscriptions = app.stripe_get("/v1/subscriptions").await;
    let path = format!("/v1/subscriptions/{}", id_of(&subscriptions["data"][0]));
    let pause = "trial_settings[end_behavior][missing_payment_method]";
    app.stripe_post(&path, &[(pause, "pause")]).await
}

/// Without usage records Stripe has no line for an item, so a missing line can mean that the invoice is late.
#[tokio::test]
async fn the_last_invoice_of_a_removed_item_is_waited_for() {
    let app = start(Classic).await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.report("org:a", CALLS, 10).await;
    app.pass(2 * DAY).await;
    end_subscription(&app).await;
    app.pass(30 * DAY).await;
    assert_settled(&app).await;
    assert!(is_waiting(&app).await);
    app.pass(4 * DAY).await;
    assert_eq!(ledger_metric(&app, "differences_total").await, 1);
}

fn id_of(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

/// Makes a draft of what is pending. Returns its path.
async fn invoice_now(app: &TestApp) -> String {
    let subscriptions = app.stripe_get("/v1/subscriptions").await;
    let subscription = &subscriptions["data"][0];
    let customer = subscription["customer"].as_str().expect("an id");
    let pending = [
        ("customer", customer),
        ("subscription", id_of(subscription)),
        ("pending_invoice_items_behavior", "include"),
    ];
    let invoice = app.stripe_post("/v1/invoices", &pending).await;
    format!("/v1/invoices/{}", id_of(&invoice))
}

/// Ends the subscription in Stripe, without an invoice.
async fn end_subscription(app: &TestApp) {
    let subscriptions = app.stripe_get("/v1/subscriptions").await;
    let id = id_of(&subscriptions["data"][0]);
    app.stripe_delete(&format!("/v1/subscriptions/{id}")).await;
}
