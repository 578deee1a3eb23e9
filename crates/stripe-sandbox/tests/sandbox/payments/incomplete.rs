//! `default_incomplete`: subscriptions whose first payment the customer confirms.

use serde_json::Value;

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::{customer, kinds};

const SUBSCRIPTIONS: &str = "/v1/subscriptions";

#[tokio::test]
async fn confirming_the_intent_completes_it() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete&payment_settings[save_default_payment_method]=on_subscription&payment_settings[payment_method_types][]=card&expand[]=latest_invoice.payment_intent"
    );
    let made = world.api.post(SUBSCRIPTIONS, &form).await.ok();
    let (invoice, id) = (&made["latest_invoice"], made["id"].as_str().expect("an id"));
    let intent = &invoice["payment_intent"];
    assert_eq!(
        (&made["status"], &invoice["status"], &intent["status"]),
        (
            &"incomplete".into(),
            &"open".into(),
            &"requires_payment_method".into()
        )
    );
    assert_eq!(
        (&invoice["attempted"], number(invoice, "attempt_count")),
        (&false.into(), 0)
    );
    assert_eq!(
        made["payment_settings"]["payment_method_types"],
        serde_json::json!(["card"])
    );
    let path = format!(
        "/v1/payment_intents/{}",
        intent["id"].as_str().expect("an id")
    );
    world
        .api
        .post(&format!("{path}/cancel"), "")
        .await
        .error(400);
    world.api.post(&path, "amount=5000").await.error(400);
    let error = world
        .api
        .post(
            &format!("{path}/confirm"),
            "payment_method=pm_card_chargeDeclined",
        )
        .await
        .error(402);
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(world.subscription(id).await["status"], "incomplete");
    let done = world
        .api
        .post(&format!("{path}/confirm"), "payment_method=pm_card_visa")
        .await
        .ok();
    assert_eq!(done["status"], "succeeded");
    let held = world.subscription(id).await;
    assert_eq!(
        (&held["status"], &held["default_payment_method"]),
        (&"active".into(), &done["payment_method"])
    );
    let cards = world
        .api
        .ids(&format!("/v1/payment_methods?customer={customer}"))
        .await;
    assert_eq!(
        cards,
        [done["payment_method"].as_str().expect("an id")],
        "it is kept"
    );
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (&invoice["status"], number(&invoice, "attempt_count")),
        (&"paid".into(), 2)
    );
    // The saved card pays the renewal.
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(world.invoices(&customer).await[0]["status"], "paid");
    assert_eq!(world.subscription(id).await["status"], "active");
}

#[tokio::test]
async fn paying_the_invoice_completes_it_and_a_card_waits_for_confirmation() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete&expand[]=latest_invoice.payment_intent"
    );
    let made = world.api.post(SUBSCRIPTIONS, &form).await.ok();
    let invoice = &made["latest_invoice"];
    assert_eq!(invoice["payment_intent"]["status"], "requires_confirmation");
    assert_eq!(made["status"], "incomplete");
    let path = format!(
        "/v1/invoices/{}/pay",
        invoice["id"].as_str().expect("an id")
    );
    world.api.post(&path, "").await.ok();
    let id = made["id"].as_str().expect("an id");
    assert_eq!(world.subscription(id).await["status"], "active");
    assert!(kinds(&world, "invoice.payment_failed").await.is_empty());
    // A change with a charge waits, too.
    let dearer = world.price("unit_amount=3000").await;
    let item = &made["items"]["data"][0]["id"];
    let form = format!(
        "items[0][id]={}&items[0][price]={dearer}&proration_behavior=always_invoice&payment_behavior=default_incomplete",
        item.as_str().expect("an id")
    );
    world.advance_to(START + DAY).await;
    let changed = world
        .api
        .post(&format!("{SUBSCRIPTIONS}/{id}"), &form)
        .await
        .ok();
    assert_eq!(changed["status"], "past_due");
}

#[tokio::test]
async fn one_that_nobody_completes_expires() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let form =
        format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete");
    let id = world.api.create(SUBSCRIPTIONS, &form).await;
    world.advance_to(START + 23 * 3600).await;
    assert_eq!(
        world.subscription(&id).await["status"],
        "incomplete_expired"
    );
    let path = format!("/v1/invoices?customer={customer}&expand[]=data.payment_intent");
    let invoice = world.api.get(&path).await.ok()["data"][0].clone();
    assert_eq!(
        (
            &invoice["status"],
            &invoice["payment_intent"]["status"],
            &invoice["payment_intent"]["cancellation_reason"]
        ),
        (&"void".into(), &"canceled".into(), &"void_invoice".into())
    );
}

#[tokio::test]
async fn where_nothing_is_due_a_setup_intent_collects_the_card() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete&trial_period_days=7&expand[]=pending_setup_intent"
    );
    let made = world.api.post(SUBSCRIPTIONS, &form).await.ok();
    assert_eq!(made["status"], "trialing");
    let intent = made["pending_setup_intent"]["id"]
        .as_str()
        .expect("an intent");
    let path = format!("/v1/setup_intents/{intent}/confirm");
    let done = world
        .api
        .post(&path, "payment_method=pm_card_visa")
        .await
        .ok();
    let id = made["id"].as_str().expect("an id");
    let held = world.subscription(id).await;
    assert_eq!(
        (
            &held["pending_setup_intent"],
            &held["default_payment_method"]
        ),
        (&Value::Null, &done["payment_method"])
    );
    world.advance_to(START + 7 * DAY).await;
    assert_eq!(world.subscription(id).await["status"], "active");
}

#[tokio::test]
async fn behaviors_that_are_not_modelled_are_named() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    for more in [
        "payment_behavior=pending_if_incomplete",
        "payment_settings[payment_method_options][card][request_three_d_secure]=any",
        "payment_settings[payment_method_types][]=sepa_debit",
    ] {
        let (message, ..) = world
            .api
            .post(SUBSCRIPTIONS, &format!("{form}&{more}"))
            .await
            .refused(400);
        assert!(message.contains("does not model"), "{message}");
    }
    let (message, ..) = world
        .api
        .post(SUBSCRIPTIONS, &format!("{form}&payment_behavior=never"))
        .await
        .refused(400);
    assert!(
        message.starts_with("Invalid payment_behavior: must be one of"),
        "{message}"
    );
}

/// A paid subscription whose customer's card can no longer pay.
async fn with_card_now(world: &World, card: &str) -> (String, String, String) {
    let customer = customer(world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let made = world.api.post(SUBSCRIPTIONS, &form).await.ok();
    let path = format!("/v1/payment_methods/{card}/attach");
    let card = world
        .api
        .create(&path, &format!("customer={customer}"))
        .await;
    let form = format!("invoice_settings[default_payment_method]={card}");
    let path = format!("/v1/customers/{customer}");
    world.api.post(&path, &form).await.ok();
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    (
        customer,
        text(&made["id"]),
        text(&made["items"]["data"][0]["id"]),
    )
}

#[tokio::test]
async fn a_change_that_would_not_be_paid_is_refused_and_leaves_no_trace() {
    let world = World::new().await;
    world
        .coupon("id=twice&percent_off=1&max_redemptions=2")
        .await;
    for (card, code) in [
        ("pm_card_chargeCustomerFail", "card_declined"),
        (
            "pm_card_authenticationRequired",
            "subscription_payment_intent_requires_action",
        ),
    ] {
        let (customer, id, item) = with_card_now(&world, card).await;
        let path = format!("{SUBSCRIPTIONS}/{id}");
        let before = world.subscription(&id).await;
        let events = kinds(&world, "").await.len();
        let strict = "payment_behavior=error_if_incomplete&proration_behavior=always_invoice";
        let update = format!("items[0][id]={item}&items[0][quantity]=3&coupon=twice&{strict}");
        let own = format!("/v1/subscription_items/{item}");
        for (path, form) in [(&path, update), (&own, format!("quantity=3&{strict}"))] {
            let error = world.api.post(path, &form).await.error(402);
            assert_eq!(
                (&error["type"], &error["code"]),
                (&"card_error".into(), &code.into())
            );
        }
        assert_eq!(world.subscription(&id).await, before);
        assert_eq!(world.invoices(&customer).await.len(), 1);
        assert_eq!(kinds(&world, "").await.len(), events);
        let pending = format!("/v1/invoiceitems?customer={customer}&pending=true");
        assert!(world.api.ids(&pending).await.is_empty());
        let coupon = world.api.get("/v1/coupons/twice").await.ok();
        assert_eq!(number(&coupon, "times_redeemed"), 0);
        // Changes without an immediate payment are allowed.
        let later = format!(
            "items[0][id]={item}&items[0][quantity]=3&payment_behavior=error_if_incomplete"
        );
        let changed = world.api.post(&path, &later).await.ok();
        assert_eq!(number(&changed, "quantity"), 3);
        let owed =
            format!("items[0][id]={item}&items[0][quantity]=4&proration_behavior=always_invoice");
        let owing = world.api.post(&path, &owed).await.ok();
        assert_eq!(owing["status"], "past_due");
    }
}

#[tokio::test]
async fn a_change_that_is_paid_is_carried_out_once() {
    let world = World::new().await;
    let (customer, id, item) = with_card_now(&world, "pm_card_visa").await;
    let form = format!(
        "items[0][id]={item}&items[0][quantity]=3&payment_behavior=error_if_incomplete&proration_behavior=always_invoice"
    );
    let path = format!("{SUBSCRIPTIONS}/{id}");
    let changed = world.api.post(&path, &form).await.ok();
    assert_eq!(
        (&changed["status"], number(&changed, "quantity")),
        (&"active".into(), 3)
    );
    let invoices = world.invoices(&customer).await;
    assert_eq!(invoices.len(), 2);
    assert_eq!(number(&invoices[0], "amount_paid"), 2000);
    // Without a card, the invoice is not collected.
    let cards = format!("/v1/payment_methods?customer={customer}");
    for card in world.api.ids(&cards).await {
        let path = format!("/v1/payment_methods/{card}/detach");
        world.api.post(&path, "").await.ok();
    }
    let form = form.replace("[quantity]=3", "[quantity]=5");
    let (_, code, _) = world.api.post(&path, &form).await.refused(400);
    assert_eq!(code, "resource_missing");
    assert_eq!(number(&world.subscription(&id).await, "quantity"), 3);
}

/// Without this, the prorations of a subscription that never began would be billed with the customer's next
/// subscription.
#[tokio::test]
async fn an_incomplete_subscription_cannot_be_changed_before_it_is_paid() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let other = world.price("unit_amount=2000").await;
    let form =
        format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete");
    let made = world.api.post(SUBSCRIPTIONS, &form).await.ok();
    let id = made["id"].as_str().expect("an id");
    let item = made["items"]["data"][0]["id"].as_str().expect("an id");
    let path = format!("{SUBSCRIPTIONS}/{id}");
    for change in [
        format!("items[0][id]={item}&items[0][quantity]=4"),
        format!("items[0][price]={other}"),
        "trial_end=now".to_owned(),
        "cancel_at_period_end=true".to_owned(),
        format!("metadata[a]=b&cancel_at={}", START + 40 * DAY),
    ] {
        let (message, ..) = world.api.post(&path, &change).await.refused(400);
        assert!(message.contains("is incomplete"), "{change}: {message}");
    }
    let items = "/v1/subscription_items";
    for (path, change) in [
        (items.to_owned(), format!("subscription={id}&price={other}")),
        (format!("{items}/{item}"), "quantity=4".to_owned()),
    ] {
        let (message, ..) = world.api.post(&path, &change).await.refused(400);
        assert!(message.contains("is incomplete"), "{change}: {message}");
    }
    let pending = world
        .api
        .get(&format!("/v1/invoiceitems?customer={customer}"))
        .await
        .ok();
    assert_eq!(pending["data"], serde_json::json!([]));
    let changed = world.api.post(&path, "metadata[a]=b").await.ok();
    assert_eq!(changed["metadata"]["a"], "b");
}
