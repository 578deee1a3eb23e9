//! Usage on meters that Stripe accepts and drops later. A thin event from Stripe reports the dropped usage.

use serde_json::Value;
use testing::time::until;
use tier::api::{WEBHOOK_PATH, WebhookSecrets};
use tier::billing::WITH_METERS;
use tier::domain::{METER_ERROR_EVENTS, ParkedDecision};
use tokio::task::JoinSet;

use super::*;
use crate::harness::STRIPE_KEY;

/// How long after a meter drops events its report has certainly arrived.
const REPORTED: Duration = Duration::from_secs(12);

/// Makes the sandbox send its thin events to the server.
async fn receiving(app: TestApp) -> (TestApp, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = format!("http://{address}{WEBHOOK_PATH}");
    let secret = app
        .sandbox()
        .event_destination(STRIPE_KEY, &url, &METER_ERROR_EVENTS);
    let secrets = vec![
        "whsec_other".to_owned().into(),
        secret.expect("a URL").into(),
    ];
    let clock = app.sandbox().clock().clone();
    let app = app.adjusted(|app| app.webhook = WebhookSecrets::new(secrets, clock));
    let router = app.router();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    (app, server)
}

fn settings() -> Settings {
    Settings {
        meter_lag: SECOND,
        ..meters()
    }
}

async fn start() -> (WithLedger, JoinSet<()>) {
    let WithLedger { app, folder } = WithLedger::with(settings()).await;
    let (app, server) = receiving(app).await;
    (WithLedger { app, folder }, server)
}

/// The meter of the latest events.
async fn meter(app: &TestApp) -> String {
    let sent = app.sent("POST /v1/billing/meter_events").pop();
    let name = sent.expect("an event")["event_name"].clone();
    let client = app.domain().stripe().clone();
    let meters = client.get(WITH_METERS, "/v1/billing/meters");
    let meters: Value = meters.param("limit", 100).send().await.expect("meters");
    let mut meters = meters["data"].as_array().expect("a list").iter();
    let meter = meters.find(|meter| meter["event_name"] == name);
    meter.expect("it is there")["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

async fn switch(app: &TestApp, path: &'static str, meter: &str) {
    let client = app.domain().stripe().clone();
    let request = client.post(WITH_METERS, (path, meter));
    let _: Value = request.send().await.expect("a meter");
}

/// Makes the meter drop the events that it has not processed.
async fn deactivate(app: &TestApp, meter: &str) {
    switch(app, "/v1/billing/meters/*/deactivate", meter).await;
}

async fn deliver(app: &TestApp, after: Duration) {
    app.advance(after);
    app.domain().deliver().await.expect("a ledger");
}

/// Lets the server read the meter's count twice.
async fn compare(app: &TestApp) {
    for _ in 0..2 {
        deliver(app, 5 * MINUTE).await;
    }
}

fn reported_errors(app: &TestApp) -> u64 {
    let text = app.metrics().encode(tier::metrics::Format::Classic, []);
    let text = text.expect("text");
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("tier_meter_errors_total "));
    count.expect("it is counted").parse().expect("a number")
}

/// Reports 17 units, of which the meter drops 7 and reports them as dropped. Returns the meter.
async fn seven_dropped(app: &WithLedger) -> String {
    app.report_n("calls", 10).await;
    app.deliver_all().await;
    app.report_n("calls", 7).await;
    deliver(app, MINUTE).await;
    let meter = meter(app).await;
    deactivate(app, &meter).await;
    app.advance(REPORTED);
    app.sandbox().deliveries_settled().await;
    meter
}

#[tokio::test]
async fn what_stripe_reports_as_dropped_is_parked_in_its_period() {
    let (app, _server) = start().await;
    // Stripe may send the report of the dropped events twice.
    let twice = Rule::webhook("v1.billing.meter.*", Action::Double);
    app.sandbox().add_fault(twice);
    let meter = seven_dropped(&app).await;
    assert_eq!(app.sandbox().deliveries().delivered, 2);
    assert_eq!(reported_errors(&app), 1);
    deliver(&app, MINUTE).await;
    deliver(&app, 5 * MINUTE).await;
    assert_eq!(
        parked(&app).await,
        [],
        "Stripe may not have processed the rest"
    );
    deliver(&app, 5 * MINUTE).await;
    let parked = parked(&app).await;
    assert_eq!((parked[0].n, parked[0].total), (7, 17));
    assert_eq!(parked.len(), 1);
    assert_eq!(ledger_metric(&app, "parked").await, 1);
    assert_eq!(app.used("feature:calls").await, 17);

    switch(&app, "/v1/billing/meters/*/reactivate", &meter).await;
    let retry = app
        .domain()
        .decide_parked(parked[0].id, ParkedDecision::Retry);
    retry.await.expect("it is parked");
    app.deliver_all().await;
    app.advance(32 * DAY);
    assert_eq!(billed(&app).await, 17 * 2);
    for name in ["parked", "differences_total"] {
        assert_eq!(ledger_metric(&app, name).await, 0, "{name}");
    }
}

/// The server goes on comparing its usage with the meter after the change.
#[tokio::test]
async fn a_change_of_plan_does_not_wait_for_an_error_report() {
    let (app, _server) = start().await;
    let meter = seven_dropped(&app).await;
    switch(&app, "/v1/billing/meters/*/reactivate", &meter).await;
    // A change waits for the usage that was sent within the last five minutes.
    app.advance(5 * MINUTE);
    app.subscribe("org:a", &["plan:pro@2"]).await;
    compare(&app).await;
    let parked = parked(&app).await;
    assert_eq!((parked.len(), parked[0].n), (1, 7));
}

#[tokio::test]
async fn an_error_report_that_cannot_be_fetched_is_sent_again() {
    let (app, _server) = start().await;
    let gone = Action::Status(500, None);
    app.sandbox()
        .add_fault(Rule::new("GET", "/v2/core/events/*", gone));
    app.report_n("calls", 10).await;
    for _ in 0..2 {
        deliver(&app, MINUTE).await;
    }
    let meter = meter(&app).await;
    deactivate(&app, &meter).await;
    app.advance(REPORTED);
    let refused = async || (app.sandbox().deliveries().failed_tries == 1).then_some(());
    until("the report is refused", refused).await;
    deliver(&app, 10 * MINUTE).await;
    assert_eq!(parked(&app).await, []);
    app.sandbox().clear_faults();
    app.advance(30 * MINUTE);
    app.sandbox().deliveries_settled().await;
    compare(&app).await;
    let parked = parked(&app).await;
    assert_eq!((parked.len(), parked[0].n), (1, 10));
}

#[tokio::test]
async fn an_error_report_that_names_only_some_errors_concerns_all_sent_events() {
    let (app, _server) = start().await;
    let orgs = [
        "org:b", "org:c", "org:d", "org:e", "org:f", "org:g", "org:h",
    ];
    for org in orgs {
        app.subscribe(org, &["plan:pro@1"]).await;
    }
    app.advance(MINUTE);
    app.report_n("calls", 10).await;
    app.deliver_all().await;
    app.advance(2 * 60 * MINUTE);
    for org in orgs {
        app.report(org, "feature:calls", 3).await;
    }
    for _ in 0..2 {
        deliver(&app, MINUTE).await;
    }
    let meter = meter(&app).await;
    deactivate(&app, &meter).await;
    app.advance(REPORTED);
    app.sandbox().deliveries_settled().await;
    assert_eq!(reported_errors(&app), 7);
    compare(&app).await;
    let mut parked: Vec<_> = parked(&app)
        .await
        .into_iter()
        .map(|one| (one.org, one.n))
        .collect();
    parked.sort();
    assert_eq!(parked, orgs.map(|org| (org.to_owned(), 3)));
}

/// Stripe accepts the customer's events, and counts none of them.
#[tokio::test]
async fn usage_of_a_deleted_customer_is_parked() {
    let (app, _server) = start().await;
    app.report_n("calls", 10).await;
    app.deliver_all().await;
    app.report_n("calls", 7).await;
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let customer = org["stripe_id"].as_str().expect("an id");
    app.stripe_delete(&format!("/v1/customers/{customer}"))
        .await;
    deliver(&app, MINUTE).await;
    app.advance(REPORTED);
    app.sandbox().deliveries_settled().await;
    assert_eq!(reported_errors(&app), 1);
    compare(&app).await;
    let parked = parked(&app).await;
    assert_eq!((parked[0].n, parked[0].total), (17, 17));
}

#[tokio::test]
async fn forged_error_reports_and_those_of_other_meters_change_nothing() {
    let (app, _server) = start().await;
    app.report_n("calls", 10).await;
    app.deliver_all().await;
    let client = app.domain().stripe().clone();
    let create = client.post(WITH_METERS, "/v1/billing/meters");
    let create = create
        .param("display_name", "Other")
        .param("event_name", "other")
        .param("default_aggregation[formula]", "sum");
    let _: Value = create.send().await.expect("a meter");
    let event = client.post(WITH_METERS, "/v1/billing/meter_events");
    let event = event
        .param("event_name", "other")
        .param("payload[value]", 1)
        .param("payload[stripe_customer_id]", "cus_none");
    let _: Value = event.send().await.expect("an event that is dropped");
    app.advance(REPORTED);
    app.sandbox().deliveries_settled().await;
    assert_eq!(app.sandbox().deliveries().delivered, 1);
    let forged = json!({"id": "evt_1", "object": "v2.core.event", "type": METER_ERROR_EVENTS[0]});
    let at = app.sandbox().clock().unix();
    let signature = format!("t={at},v1={}", "0".repeat(64));
    app.forget_calls();
    let forged = app
        .request(axum::http::Method::POST, WEBHOOK_PATH)
        .body(forged.to_string())
        .header("stripe-signature", &signature);
    forged.send().await.fails(400, "invalid_request");
    assert_eq!(app.stripe_calls(), 0);
    deliver(&app, 10 * MINUTE).await;
    assert_eq!(parked(&app).await, []);
    assert_eq!(reported_errors(&app), 0);
}

#[tokio::test]
async fn without_a_ledger_dropped_usage_is_counted() {
    let app = TestApp::with(settings()).await;
    let (app, _server) = receiving(app).await;
    let calls = json!({"feature:calls": {"tiers": [{"price": 2}]}});
    app.push(&json!({"plans": {"plan:pro@1": {"features": calls}}}))
        .await;
    app.subscribe("org:a", &["plan:pro@1"]).await;
    app.advance(MINUTE);
    app.report("org:a", "feature:calls", 3).await;
    let meter = meter(&app).await;
    deactivate(&app, &meter).await;
    app.advance(REPORTED);
    app.sandbox().deliveries_settled().await;
    assert_eq!(app.sandbox().deliveries().delivered, 1);
    assert_eq!(reported_errors(&app), 1);
}
