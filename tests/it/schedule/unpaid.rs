//! A credit never exceeds what was paid.

mod drafts;
mod last_credit;
mod owner;
mod settled_later;

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use tier::domain::{Generation, GenerationSetting};

use super::{schedule, subscriptions};
use crate::harness::{DAY, GENERATIONS, Settings, TestApp};

const BAD_CARD: &str = "pm_card_chargeCustomerFail";

/// An org without a working card, on a plan of 3100 cents a month that also bills calls.
async fn start(generation: Generation, card: &str) -> TestApp {
    start_with(generation, Settings::default(), card, 0).await
}

/// Starts the same org with other settings and a customer `balance`.
async fn start_with(
    generation: Generation,
    settings: Settings,
    card: &str,
    balance: i64,
) -> TestApp {
    let generation = GenerationSetting::Fixed(generation);
    let app = TestApp::with(Settings {
        generation,
        ..settings
    })
    .await;
    app.push(&json!({"plans": {
        "plan:big@1": {"features": {"feature:k": {"base": 3100}, "feature:calls": {"tiers": [{"price": 10}]}}},
        "plan:small@1": {"features": {"feature:k": {"base": 310}, "feature:calls": {"tiers": [{"price": 10}]}}},
        "plan:tiny@1": {"features": {"feature:k": {"base": 31}}},
        "plan:yearly@1": {"interval": "@yearly", "features": {"feature:k": {"base": 31000}}},
    }}))
    .await;
    if balance != 0 {
        let body = json!({"org": "org:a", "info": {"name": "A"}});
        app.post_json("/v1/subscribe", &body).await.ok();
        let path = format!("/v1/customers/{}", id(&customer(&app).await));
        let balance = balance.to_string();
        app.stripe_post(&path, &[("balance", &balance)]).await;
    }
    let mut body = json!({"org": "org:a", "phases": [{"features": ["plan:big@1"]}]});
    if !card.is_empty() {
        body["info"] =
            json!({"payment_method": card, "invoice_settings": {"default_payment_method": card}});
    }
    app.post_json("/v1/subscribe", &body).await.ok();
    app
}

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

async fn customer(app: &TestApp) -> Value {
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let id = org["stripe_id"].as_str().expect("an id");
    app.stripe_get(&format!("/v1/customers/{id}")).await
}

/// The status and remaining amount of each invoice, oldest first.
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
    for generation in GENERATIONS {
        for card in [BAD_CARD, ""] {
            let app = start(generation, card).await;
            schedule(&app, json!([{}])).await.ok();
            assert_eq!(customer(&app).await["balance"], 0);
            assert_eq!(invoices(&app).await[0], row("void", 3100), "{card:?}");
        }
    }
}

#[tokio::test]
async fn used_time_stays_due() {
    for generation in GENERATIONS {
        for card in [BAD_CARD, ""] {
            let app = start(generation, card).await;
            app.report("org:a", "feature:calls", 5).await;
            app.advance(10 * DAY);
            schedule(&app, json!([{}])).await.ok();
            assert_eq!(customer(&app).await["balance"], 0);
            // The org owes ten days of 31, and the calls.
            assert_eq!(
                invoices(&app).await,
                [row("open", 1000), row("open", 50)],
                "{card:?}"
            );
        }
    }
}

#[tokio::test]
async fn paid_time_is_credited_by_stripe() {
    for generation in GENERATIONS {
        let app = start(generation, "pm_card_visa").await;
        app.advance(10 * DAY);
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(customer(&app).await["balance"], -2100);
    }
}

#[tokio::test]
async fn the_same_plan_again_is_paid_for() {
    for generation in GENERATIONS {
        let app = start(generation, BAD_CARD).await;
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
}

#[tokio::test]
async fn a_new_period_does_not_credit_unpaid_time() {
    for generation in GENERATIONS {
        let app = start(generation, "").await;
        app.advance(10 * DAY);
        app.subscribe("org:a", &["plan:yearly@1"]).await;
        assert_eq!(customer(&app).await["balance"], 0);
        assert_eq!(
            invoices(&app).await.first(),
            Some(&row("open", 1000)),
            "the days that were used"
        );
        // With meters, the new invoice has Stripe's credit, and the next invoice charges the credit back.
        let (status, due) = invoices(&app).await.pop().expect("an invoice");
        let pending: i64 = pending(&app).await.iter().sum();
        assert_eq!((status, due + pending), row("open", 31000));
        assert!(pending == 0 || generation == Generation::Meters);
        assert_eq!(subscriptions(&app).await.len(), 1);
    }
}

/// The pending invoice items, smallest first, in cents.
async fn pending(app: &TestApp) -> Vec<i64> {
    let list = app
        .stripe_get("/v1/invoiceitems?pending=true&limit=100")
        .await;
    let list = list["data"].as_array().expect("a list").iter();
    let mut amounts: Vec<i64> = list.filter_map(|item| item["amount"].as_i64()).collect();
    amounts.sort_unstable();
    amounts
}

/// Performs an action of the account's owner on the first invoice.
async fn treat(app: &TestApp, action: &str) {
    let first = &app.stripe_get("/v1/invoices").await["data"][0];
    let path = format!("/v1/invoices/{}/{action}", id(first));
    app.stripe_post(&path, &[]).await;
}

#[tokio::test]
async fn a_downgrade_takes_unused_time_off_the_unpaid_invoice() {
    for generation in GENERATIONS {
        for (card, action, first) in [
            (BAD_CARD, "", row("open", 1000)),
            ("", "", row("open", 1000)),
            ("", "mark_uncollectible", row("uncollectible", 1000)),
            ("", "void", row("void", 3100)),
        ] {
            let app = start(generation, card).await;
            app.advance(10 * DAY);
            if !action.is_empty() {
                treat(&app, action).await;
            }
            app.subscribe("org:a", &["plan:small@1"]).await;
            let case = format!("{card:?} {action:?}");
            assert_eq!(invoices(&app).await[0], first, "{case}");
            assert_eq!(pending(&app).await, [210], "{case}");
            // After the change back, the next invoice credits as much as it charges.
            app.advance(5 * DAY);
            app.subscribe("org:a", &["plan:big@1"]).await;
            app.advance(5 * DAY);
            app.subscribe("org:a", &["plan:small@1"]).await;
            assert_eq!(invoices(&app).await[0], first, "{case}");
            assert_eq!(pending(&app).await, [-1100, -160, 110, 210, 1600], "{case}");
            assert_eq!(customer(&app).await["balance"], 0, "{case}");
            assert_eq!(subscriptions(&app).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_downgrade_of_a_paid_plan_is_credited_by_stripe() {
    for generation in GENERATIONS {
        let app = start(generation, "pm_card_visa").await;
        app.advance(10 * DAY);
        app.subscribe("org:a", &["plan:small@1"]).await;
        assert_eq!(invoices(&app).await[0], row("paid", 0));
        assert_eq!(pending(&app).await, [-2100, 210]);
    }
}
