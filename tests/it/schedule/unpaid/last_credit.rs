//! Stripe may lose the credit on a subscription's last invoice if that invoice charges nothing.

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

/// Reads the org at each server, which makes the servers find unfinished work.
async fn read(servers: &[&TestApp]) {
    for server in servers {
        server.get("/v1/limits?org=org:a").await;
        server.settled().await;
    }
}

#[tokio::test]
async fn paid_time_is_credited_once_whatever_stripe_does() {
    for loses in [false, true] {
        let app = paid(loses).await;
        schedule(&app, json!([{}])).await.ok();
        // A last invoice that loses its credit is a draft for seconds.
        read(&[&app, &app.second_server()]).await;
        app.advance(Duration::from_secs(10));
        read(&[&app]).await;
        assert_eq!(balance(&app).await, -2100, "{loses}");
        let last = invoices(&app).await.pop().expect("the last invoice");
        let status = if loses { "uncollectible" } else { "paid" };
        assert_eq!(last.0, status);
        read(&[&app, &app.second_server()]).await;
        assert_eq!(balance(&app).await, -2100, "{loses}");
        // The credit pays for the next plan.
        app.subscribe("org:a", &["plan:big@1"]).await;
        assert_eq!(balance(&app).await, 0, "{loses}");
    }
}

#[tokio::test]
async fn two_servers_credit_it_once() {
    let app = paid(true).await;
    schedule(&app, json!([{}])).await.ok();
    app.advance(Duration::from_secs(10));
    let other = app.second_server();
    let get = async |server: &TestApp| read(&[server]).await;
    futures::join!(get(&app), get(&other));
    assert_eq!(balance(&app).await, -2100);
}

#[tokio::test]
async fn a_credit_that_fails_is_made_by_a_later_reader() {
    const CHANGES: &str = "/v1/customers/*/balance_transactions";
    for (rule, what) in [
        (Rule::new("POST", CHANGES, Action::Status(500, None)), "500"),
        (Rule::new("POST", CHANGES, Action::Drop), "drop"),
        (
            Rule::new("POST", CHANGES, Action::Drop).after(),
            "drop after",
        ),
        (Rule::new("GET", CHANGES, Action::Drop), "list"),
        (
            Rule::new("GET", "/v1/invoices/*", Action::Status(403, None)),
            "invoice",
        ),
    ] {
        let app = paid(true).await;
        schedule(&app, json!([{}])).await.ok();
        app.advance(Duration::from_secs(10));
        let hits = app.sandbox().fault_hits();
        app.sandbox().add_fault(rule.times(1));
        read(&[&app, &app.second_server(), &app.second_server()]).await;
        assert_eq!(balance(&app).await, -2100, "{what}");
        assert_eq!(app.sandbox().fault_hits(), hits + 1, "{what}");
    }
}

/// Stripe refuses the credit, for example if the key may not change balances.
#[tokio::test]
async fn a_refused_credit_blocks_nothing_else() {
    let app = paid(true).await;
    schedule(&app, json!([{}])).await.ok();
    app.advance(Duration::from_secs(10));
    let path = "/v1/customers/*/balance_transactions";
    let refuse = Rule::new("POST", path, Action::Status(403, None));
    app.sandbox().add_fault(refuse);
    app.subscribe("org:a", &["plan:big@1"]).await;
    schedule(&app, json!([{}])).await.ok();
    assert_eq!(balance(&app).await, 0);
}

/// The answer to a cancellation is lost. The repeated call finds that the subscription has already ended.
#[tokio::test]
async fn a_lost_answer_does_not_lose_the_credit() {
    let app = paid(true).await;
    let cut = Rule::new("DELETE", "/v1/subscriptions/*", Action::Drop).after();
    app.sandbox().add_fault(cut.times(1));
    schedule(&app, json!([{}])).await;
    app.advance(Duration::from_secs(10));
    read(&[&app]).await;
    assert_eq!(balance(&app).await, -2100);
}
