//! A credit never exceeds what was paid.

use serde_json::{Value, json};

use super::{schedule, subscriptions};
use crate::harness::{DAY, TestApp};

const BAD_CARD: &str = "pm_card_chargeCustomerFail";

/// An org whose card is declined, or which has none, on a plan of 3100 a month that also counts calls.
async fn start(card: &str) -> TestApp {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {
        "plan:big@1": {"features": {"feature:k": {"base": 3100}, "feature:calls": {"tiers": [{"price": 10}]}}},
        "plan:small@1": {"features": {"feature:k": {"base": 310}, "feature:calls": {"tiers": [{"price": 10}]}}},
        "plan:yearly@1": {"interval": "@yearly", "features": {"feature:k": {"base": 31000}}},
    }}))
    .await;
    let mut body = json!({"org": "org:a", "phases": [{"features": ["plan:big@1"]}]});
    if !card.is_empty() {
        body["info"] =
            json!({"payment_method": card, "invoice_settings": {"default_payment_method": card}});
    }
    app.post_json("/v1/subscribe", &body).await.ok();
    app
}

async fn customer(app: &TestApp) -> Value {
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let id = org["stripe_id"].as_str().expect("an id");
    app.stripe_get(&format!("/v1/customers/{id}")).await
}

/// Of each invoice, oldest first: its status and what remains due.
async fn invoices(app: &TestApp) -> Vec<(String, i64)> {
    let list = app.stripe_get("/v1/invoices?limit=100").await;
    let list = list["data"].as_array().expect("a list").iter().rev();
    let row = |invoice: &Value| {
        let status = invoice["status"].as_str().expect("a status").to_owned();
        (status, invoice["amount_remaining"].as_i64().expect("cents"))
    };
    list.map(row).collect()
}

fn row(status: &str, due: i64) -> (String, i64) {
    (status.to_owned(), due)
}

#[tokio::test]
async fn an_invoice_for_nothing_but_unused_time_is_voided() {
    for card in [BAD_CARD, ""] {
        let app = start(card).await;
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(customer(&app).await["balance"], 0);
        assert_eq!(invoices(&app).await[0], row("void", 3100), "{card:?}");
    }
}

#[tokio::test]
async fn what_was_used_stays_due() {
    for card in [BAD_CARD, ""] {
        let app = start(card).await;
        app.report("org:a", "feature:calls", 5).await;
        app.advance(10 * DAY);
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(customer(&app).await["balance"], 0);
        // Ten days of 31, and the calls.
        assert_eq!(
            invoices(&app).await,
            [row("open", 1000), row("open", 50)],
            "{card:?}"
        );
    }
}

#[tokio::test]
async fn what_was_paid_is_given_back_as_before() {
    let app = start("pm_card_visa").await;
    app.advance(10 * DAY);
    schedule(&app, json!([{}])).await.ok();
    assert_eq!(customer(&app).await["balance"], -2100);
}

#[tokio::test]
async fn the_same_plan_again_is_paid_for() {
    let app = start(BAD_CARD).await;
    schedule(&app, json!([{}])).await.ok();
    let info = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    let body = json!({"org": "org:a", "info": info, "phases": [{"features": ["plan:big@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    let list = app.stripe_get("/v1/invoices?limit=100").await;
    let paid = list["data"].as_array().expect("a list").iter();
    let paid: i64 = paid
        .filter_map(|invoice| invoice["amount_paid"].as_i64())
        .sum();
    assert_eq!(paid, 3100);
}

#[tokio::test]
async fn a_period_that_restarts_brings_no_credit() {
    let app = start("").await;
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:yearly@1"]).await;
    assert_eq!(customer(&app).await["balance"], 0);
    assert_eq!(
        invoices(&app).await.first(),
        Some(&row("open", 1000)),
        "the days that were used"
    );
    assert_eq!(invoices(&app).await.last(), Some(&row("open", 31000)));
    assert_eq!(subscriptions(&app).await.len(), 1);
}
