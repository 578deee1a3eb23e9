//! Orgs whose plans are billed by meters.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule, When};
use tier::billing::WITH_METERS;
use tier::domain::{Generation, GenerationSetting};

use crate::harness::{Answer, DAY, Settings, TestApp};

pub(super) const MINUTE: Duration = Duration::from_secs(60);

const METERS: GenerationSetting = GenerationSetting::Fixed(Generation::Meters);

fn model() -> Value {
    let metered = |price: i64| json!({ "tiers": [{ "price": price }] });
    let level = |aggregate: &str| json!({ "tiers": [{ "price": 1 }], "aggregate": aggregate });
    json!({ "plans": {
        "plan:a@1": { "features": {
            "feature:base": { "base": 1000 },
            "feature:x": { "tiers": [{ "upto": 10 }, { "upto": 100, "price": 5 }] },
            "feature:seats": level("last"),
            "feature:peak": level("max"),
            "feature:stored": level("perpetual"),
        } },
        "plan:b@1": { "features": {
            "feature:base": { "base": 3000 }, "feature:x": metered(2), "feature:seats": level("last"),
        } },
        "plan:free@1": { "features": { "feature:base": {} } },
    } })
}

/// An account with plans on meters. The sandbox processes events at once.
pub(super) async fn app() -> TestApp {
    with(Settings::default()).await
}

async fn with(settings: Settings) -> TestApp {
    let app = TestApp::with(Settings {
        generation: METERS,
        ..settings
    });
    let app = app.await;
    app.push(&model()).await;
    app
}

impl TestApp {
    /// The quantities that an org's invoices bill, by feature, oldest invoice first, and each invoice's total in cents.
    pub(super) async fn bills(&self, org: &str) -> Vec<(Vec<(String, i64)>, i64)> {
        let whois = self.get(&format!("/v1/whois?org={org}")).await.ok().json();
        let customer = whois["stripe_id"]
            .as_str()
            .expect("it is well formed")
            .to_owned();
        let client = self.domain().stripe().clone();
        let invoices = client.get(WITH_METERS, "/v1/invoices");
        let invoices = invoices.param("customer", customer).list();
        let mut invoices: Vec<Value> = invoices.await.expect("it is well formed");
        invoices.reverse();
        let prices: Vec<Value> = client
            .get(WITH_METERS, "/v1/prices")
            .list()
            .await
            .expect("it is well formed");
        // A line for an amount that Tier gives back has no price.
        let feature = |line: &Value| {
            let id = line["pricing"]["price_details"]["price"].as_str()?;
            let mut prices = prices.iter();
            let price = prices
                .find(|price| price["id"] == id)
                .expect("it is well formed");
            let name = price["metadata"]["tier.feature"]
                .as_str()
                .expect("it is well formed");
            Some(name.to_owned())
        };
        let mut bills = Vec::new();
        for invoice in &invoices {
            let path = (
                "/v1/invoices/*/lines",
                invoice["id"].as_str().expect("it is well formed"),
            );
            let lines: Vec<Value> = client
                .get(WITH_METERS, path)
                .list()
                .await
                .expect("it is well formed");
            let lines = lines.iter().filter_map(|line| {
                let quantity = line["quantity"].as_i64().expect("it is well formed");
                Some((feature(line)?, quantity))
            });
            let mut lines: Vec<_> = lines.filter(|(_, quantity)| *quantity != 0).collect();
            lines.sort();
            bills.push((lines, invoice["total"].as_i64().expect("it is well formed")));
        }
        bills
    }
}

pub(super) fn used(limits: &[(String, i64, i64)]) -> Vec<(&str, i64)> {
    let rows = limits.iter();
    rows.map(|(feature, used, _)| (feature.as_str(), *used))
        .collect()
}

#[tokio::test]
async fn usage_is_counted_and_billed() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    assert_eq!(
        app.limits("org:a").await,
        [
            ("feature:base".to_owned(), 1, i64::MAX),
            ("feature:peak".to_owned(), 0, i64::MAX),
            ("feature:seats".to_owned(), 0, i64::MAX),
            ("feature:stored".to_owned(), 0, i64::MAX),
            ("feature:x".to_owned(), 0, 100),
        ]
    );
    app.report("org:a", "feature:x", 7).await;
    app.report("org:a", "feature:x", 5).await;
    app.report("org:a", "feature:seats", 9).await;
    app.report("org:a", "feature:seats", 4).await;
    let limits = app.limits("org:a").await;
    assert_eq!(
        used(&limits)[2..],
        [
            ("feature:seats", 4),
            ("feature:stored", 0),
            ("feature:x", 12)
        ]
    );
    app.advance(32 * DAY);
    assert_eq!(used(&app.limits("org:a").await)[2].1, 0);
    let bills = app.bills("org:a").await;
    assert_eq!(bills[0].0, [("feature:base@plan:a@1".to_owned(), 1)]);
    // The eleventh and the twelfth unit cost 5 cents each, and a seat costs one cent.
    let last = &bills[1];
    assert!(
        last.0.contains(&("feature:seats@plan:a@1".to_owned(), 4)),
        "{last:?}"
    );
    assert_eq!(last.1, 1000 + 2 * 5 + 4);
    assert_eq!(bills.len(), 2);
}

/// A report under the key `k`.
async fn send(app: &TestApp, n: i64) -> Answer {
    let body = json!({ "org": "org:a", "feature": "feature:x", "n": n });
    let call = app.request(axum::http::Method::POST, "/v1/report");
    let call = call.header("idempotency-key", "k").body(body.to_string());
    call.send().await
}

#[tokio::test]
async fn a_key_counts_once_also_after_a_change_of_plan() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    send(&app, 3).await.ok();
    send(&app, 3).await.ok();
    // Another process has no memory of the key.
    send(&app.second_server(), 3).await.ok();
    send(&app.second_server(), 4)
        .await
        .fails(400, "invalid_request");
    app.subscribe("org:a", &["plan:b@1"]).await;
    send(&app.second_server(), 3).await.ok();
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 3));
    app.report("org:a", "feature:x", 1).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 4));
    // Counted usage stays counted after the org has lost the feature.
    app.subscribe("org:a", &["plan:free@1"]).await;
    send(&app.second_server(), 3).await.ok();
    send(&app.second_server(), 4)
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn a_key_whose_event_was_not_sent_counts_nothing_without_the_feature() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    let away = Rule::new("POST", "/v1/billing/meter_events", Action::Drop);
    app.sandbox().add_fault(away);
    assert_ne!(send(&app, 3).await.status, 200);
    app.sandbox().clear_faults();
    app.subscribe("org:a", &["plan:free@1"]).await;
    for server in [app.second_server(), app.second_server()] {
        send(&server, 3).await.fails(400, "feature_not_found");
    }
    app.advance(MINUTE);
    app.subscribe("org:a", &["plan:a@1"]).await;
    let limits = app.limits("org:a").await;
    assert_eq!(used(&limits)[4], ("feature:x", 0));
}

#[tokio::test]
async fn reports_that_meters_cannot_bill_ask_for_a_ledger() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    for (feature, clobber, what) in [
        ("peak", false, "a maximum"),
        ("stored", true, "a level that outlasts its period"),
        ("x", true, "a total"),
    ] {
        let feature = format!("feature:{feature}");
        let report = json!({ "org": "org:a", "feature": feature, "n": 1, "clobber": clobber });
        let refused = app.post_json("/v1/report", &report).await;
        let refused = refused.fails(400, "invalid_request").json();
        let message = format!(
            "{feature} is billed by a meter: {what} needs a ledger; start the server with --ledger FILE"
        );
        assert_eq!(refused["message"], message);
    }
    let report = json!({ "org": "org:a", "feature": "feature:seats", "n": 6, "clobber": true });
    app.post_json("/v1/report", &report).await.ok();
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:seats", 6));
}

#[tokio::test]
async fn a_report_time_outside_the_current_period_is_refused() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    app.advance(31 * DAY + 10 * MINUTE);
    let at = async |at: &str, n: i64| {
        let report = json!({ "org": "org:a", "feature": "feature:x", "n": n, "at": at });
        app.post_json("/v1/report", &report).await
    };
    at("2022-12-31T23:59:00Z", 1)
        .await
        .fails(400, "invalid_request");
    at("2023-02-01T00:20:00Z", 1)
        .await
        .fails(400, "invalid_request");
    at("2023-02-01T00:12:00Z", 1).await.ok();
    at("2023-02-01T00:00:01Z", 2).await.ok();
    assert_eq!(used(&app.limits("org:a").await)[4], ("feature:x", 3));
    app.advance(DAY);
    at("2023-01-31T23:00:00Z", 1)
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn late_usage_is_on_the_draft_of_its_period() {
    let app = with(Settings {
        invoice_draft: 60 * MINUTE,
        ..Settings::default()
    })
    .await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    app.advance(31 * DAY + 10 * MINUTE);
    let report =
        json!({ "org": "org:a", "feature": "feature:x", "n": 9, "at": "2023-01-31T23:00:00Z" });
    app.post_json("/v1/report", &report).await.ok();
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 0));
    app.advance(DAY);
    let bills = app.bills("org:a").await;
    assert!(
        bills[1].0.contains(&("feature:x@plan:b@1".to_owned(), 9)),
        "{bills:?}"
    );
}

#[tokio::test]
async fn events_count_before_stripe_has_processed_them() {
    let app = with(Settings {
        meter_lag: 5 * MINUTE,
        ..Settings::default()
    })
    .await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    app.report("org:a", "feature:x", 7).await;
    app.report("org:a", "feature:x", 1).await;
    app.report("org:a", "feature:seats", 3).await;
    app.report("org:a", "feature:seats", 2).await;
    let shown = |limits: &[(String, i64, i64)]| [used(limits)[2].1, used(limits)[4].1];
    assert_eq!(shown(&app.limits("org:a").await), [2, 8]);
    let source = async || {
        let fresh = [("cache-control", "no-cache")];
        let limits = app.get_with("/v1/limits?org=org:a", &fresh).await.ok();
        limits.header("tier-source").to_owned()
    };
    assert_eq!(source().await, "sent");
    // The plan does not change before Stripe can bill all usage with the old plan.
    let body = json!({ "org": "org:a", "phases": [{ "features": ["plan:b@1"] }] });
    let refused = app.post_json("/v1/subscribe", &body).await;
    refused.fails(503, "stripe_unavailable");
    assert_eq!(shown(&app.limits("org:a").await), [2, 8]);
    app.advance(6 * MINUTE);
    assert_eq!(source().await, "stripe");
    app.subscribe("org:a", &["plan:b@1"]).await;
    assert_eq!(shown_of_b(&app.limits("org:a").await), [2, 8]);
}

fn shown_of_b(limits: &[(String, i64, i64)]) -> [i64; 2] {
    [used(limits)[1].1, used(limits)[2].1]
}

#[tokio::test]
async fn a_lost_answer_counts_once() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    for (status, when) in [(500, When::After), (500, When::Before), (503, When::Before)] {
        let action = Action::Status(status, None);
        let mut rule = Rule::new("POST", "/v1/billing/meter_events", action).times(1);
        rule.when = when;
        app.sandbox().add_fault(rule);
        app.report("org:a", "feature:x", 2).await;
    }
    assert_eq!(used(&app.limits("org:a").await)[4], ("feature:x", 6));
}

#[tokio::test]
async fn a_value_that_stripe_would_drop_is_refused() {
    let app = app().await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    let most = 999_999_999_999_999_i64;
    let report = |n: i64| json!({ "org": "org:a", "feature": "feature:x", "n": n });
    let refused = app.post_json("/v1/report", &report(most + 1)).await;
    let refused = refused.fails(400, "invalid_request").json();
    let message = "n can be 999999999999999 at most where a meter bills it";
    assert_eq!(refused["message"], message);
    app.post_json("/v1/report", &report(most)).await.ok();
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", most));
}

#[tokio::test]
async fn usage_of_an_earlier_time_counts_before_it_is_processed() {
    let app = with(Settings {
        meter_lag: 5 * MINUTE,
        ..Settings::default()
    })
    .await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    app.advance(DAY);
    let report =
        json!({ "org": "org:a", "feature": "feature:x", "n": 4, "at": "2023-01-01T12:00:00Z" });
    app.post_json("/v1/report", &report).await.ok();
    app.report("org:a", "feature:x", 1).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 5));
}

/// An org on meters has no usage records, so the server does not read the upcoming invoice.
#[tokio::test]
async fn a_remembered_org_is_read_again_without_its_upcoming_invoice() {
    let app = with(Settings::remembering()).await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    let upcoming = async || {
        app.sandbox().clear_requests();
        app.limits("org:a").await;
        let calls = app.sandbox().requests(None);
        assert!(!calls.is_empty(), "Stripe was called");
        let lines = calls
            .iter()
            .filter(|call| call.endpoint.contains("/upcoming"));
        lines.count()
    };
    assert_eq!(upcoming().await, 1, "the org is not in memory yet");
    app.advance(2 * MINUTE);
    assert_eq!(upcoming().await, 0);
    let other = ["plan:free@1"];
    app.subscribe("org:a", &other).await;
    app.advance(2 * MINUTE);
    assert_eq!(app.limits("org:a").await.len(), 1);
}
