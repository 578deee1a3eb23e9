//! Stripe may lose the credit of a last invoice that charges nothing.

use super::*;

async fn paid(loses_last_credit: bool) -> TestApp {
    let settings = Settings {
        loses_last_credit,
        retries: 0,
        ..Settings::default()
    };
    let app = start_with(Generation::Meters, settings, "pm_card_visa", 0).await;
    app.advance(10 * DAY);
    app
}

async fn balance(app: &TestApp) -> i64 {
    customer(app).await["balance"].as_i64().expect("cents")
}

/// Lets any server find what is left to do.
async fn read(app: &TestApp) {
    app.get("/v1/limits?org=org:a").await;
    app.settled().await;
}

#[tokio::test]
async fn paid_time_is_credited_once_whatever_stripe_does() {
    for loses in [false, true] {
        let app = paid(loses).await;
        schedule(&app, json!([{}])).await.ok();
        assert_eq!(balance(&app).await, -2100, "{loses}");
        let last = invoices(&app).await.pop().expect("the last one");
        let status = if loses { "uncollectible" } else { "paid" };
        assert_eq!(last.0, status);
        for server in [&app, &app.twin()] {
            read(server).await;
        }
        assert_eq!(balance(&app).await, -2100, "{loses}");
        // The next plan is paid with it.
        app.subscribe("org:a", &["plan:big@1"]).await;
        assert_eq!(balance(&app).await, 0, "{loses}");
    }
}

#[tokio::test]
async fn usage_on_the_last_invoice_is_charged() {
    let app = paid(true).await;
    app.report("org:a", "feature:calls", 5).await;
    schedule(&app, json!([{}])).await.ok();
    assert_eq!(balance(&app).await, -2100 + 50);
}

#[tokio::test]
async fn a_credit_that_fails_is_made_by_the_next_reader() {
    const CHANGES: &str = "/v1/customers/*/balance_transactions";
    for (rule, what) in [
        (Rule::new("POST", CHANGES, Action::Status(500, None)), "500"),
        (Rule::new("POST", CHANGES, Action::Drop), "drop"),
        (
            Rule::new("POST", CHANGES, Action::Drop).after(),
            "drop after",
        ),
        (Rule::new("GET", "/v1/invoices/*", Action::Drop), "invoice"),
    ] {
        let app = paid(true).await;
        app.sandbox().add_fault(rule.times(1));
        schedule(&app, json!([{}])).await;
        for server in [&app, &app.twin(), &app.twin()] {
            read(server).await;
        }
        assert_eq!(balance(&app).await, -2100, "{what}");
    }
}
