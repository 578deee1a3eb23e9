//! Payment methods of an org.

use serde_json::{Value, json};

use super::{buy, schedule, start, subscriptions};
use crate::harness::{DAY, TestApp};

async fn customer(app: &TestApp) -> String {
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    org["stripe_id"].as_str().expect("an id").to_owned()
}

/// Attaches another card to the org's customer, and returns its id.
async fn card(app: &TestApp) -> String {
    let path = "/v1/payment_methods/pm_card_mastercard/attach";
    let card = app
        .stripe_post(path, &[("customer", &customer(app).await)])
        .await;
    card["id"].as_str().expect("an id").to_owned()
}

/// The default payment methods of the customer and of its subscriptions.
async fn paid_with(app: &TestApp) -> (Value, Vec<Value>) {
    let path = format!("/v1/customers/{}", customer(app).await);
    let default = app.stripe_get(&path).await["invoice_settings"]["default_payment_method"].clone();
    let each = subscriptions(app).await;
    let each = each.iter().map(|s| s["default_payment_method"].clone());
    (default, each.collect())
}

async fn write(app: &TestApp, mut body: Value) -> crate::harness::Answer {
    body["org"] = json!("org:a");
    app.post_json("/v1/subscribe", &body).await
}

/// An org that bought in Checkout, where Checkout set the card on the subscription.
async fn bought_with_its_own_card() -> TestApp {
    let app = start().await;
    write(&app, json!({"info": {}})).await.ok();
    let first = card(&app).await;
    let pin = [("default_payment_method", first.as_str())];
    buy(&app, "feature-calls-plan-free-1", &pin).await;
    app
}

#[tokio::test]
async fn a_payment_method_alone_becomes_the_default_everywhere() {
    for ahead in [false, true] {
        let app = bought_with_its_own_card().await;
        if ahead {
            let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:pro@1"]}]);
            schedule(&app, later).await.ok();
        }
        let new = card(&app).await;
        write(&app, json!({"payment_method_id": new})).await.ok();
        let new = json!(new);
        assert_eq!(paid_with(&app).await, (new.clone(), vec![new.clone()]));
        app.advance(25 * DAY);
        assert_eq!(paid_with(&app).await, (new.clone(), vec![new]));
    }
}

#[tokio::test]
async fn an_unattached_payment_method_is_attached() {
    let app = bought_with_its_own_card().await;
    write(&app, json!({"payment_method_id": "pm_card_visa"}))
        .await
        .ok();
    let (default, each) = paid_with(&app).await;
    assert_eq!(each, std::slice::from_ref(&default));
    let path = format!("/v1/payment_methods/{}", default.as_str().expect("an id"));
    let card = app.stripe_get(&path).await;
    assert_eq!(card["card"]["last4"], "4242");
    assert_eq!(card["customer"], json!(customer(&app).await));
}

#[tokio::test]
async fn a_payment_method_creates_the_org() {
    let app = start().await;
    write(&app, json!({"payment_method_id": "pm_card_visa"}))
        .await
        .ok();
    let (default, each) = paid_with(&app).await;
    assert!(default.is_string() && each.is_empty());
}

#[tokio::test]
async fn a_new_default_replaces_the_card_of_the_subscription() {
    let app = bought_with_its_own_card().await;
    let new = card(&app).await;
    let info = json!({"invoice_settings": {"default_payment_method": new}});
    write(&app, json!({"info": info})).await.ok();
    assert_eq!(paid_with(&app).await.1, [json!(new)]);

    // A request with phases can change the card, too.
    let newer = card(&app).await;
    app.advance(DAY);
    let info = json!({"invoice_settings": {"default_payment_method": newer}});
    let phases = json!([{"features": ["plan:pro@1"]}]);
    write(&app, json!({"info": info, "phases": phases}))
        .await
        .ok();
    assert_eq!(paid_with(&app).await.1, [json!(newer)]);
}

#[tokio::test]
async fn a_subscription_that_uses_the_customers_default_gets_no_card_of_its_own() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let new = card(&app).await;
    let info = json!({"invoice_settings": {"default_payment_method": new}});
    write(&app, json!({"info": info})).await.ok();
    assert_eq!(paid_with(&app).await, (json!(new), vec![Value::Null]));
}

#[tokio::test]
async fn the_card_of_a_subscription_stays_across_changes() {
    let app = bought_with_its_own_card().await;
    let before = paid_with(&app).await.1;
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(paid_with(&app).await.1, before);
    let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:free@1"]}]);
    schedule(&app, later).await.ok();
    app.advance(20 * DAY);
    assert_eq!(paid_with(&app).await.1, before);
}

#[tokio::test]
async fn unknown_payment_methods_change_nothing() {
    let app = bought_with_its_own_card().await;
    let before = paid_with(&app).await;
    let other = app.stripe_post("/v1/customers", &[]).await;
    let path = "/v1/payment_methods/pm_card_visa/attach";
    let held = [("customer", other["id"].as_str().unwrap())];
    let theirs = app.stripe_post(path, &held).await;
    for method in ["pm_nonsense", "pm_../x?y", theirs["id"].as_str().unwrap()] {
        for phases in [json!(null), json!([{"features": ["plan:pro@1"]}])] {
            let body =
                json!({"payment_method_id": method, "info": {"name": "N"}, "phases": phases});
            write(&app, body).await.fails(400, "invalid_payment_method");
        }
    }
    assert_eq!(paid_with(&app).await, before);
    let info = app.get("/v1/whois?org=org:a&include=info").await.ok();
    assert_eq!(info.json()["name"], "");
}
