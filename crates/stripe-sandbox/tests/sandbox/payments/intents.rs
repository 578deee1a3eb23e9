//! Payment intents without invoices: create, confirm, capture, cancel.

use serde_json::Value;

use super::super::billing::{World, number};
use super::{customer, kinds};

const INTENTS: &str = "/v1/payment_intents";

#[tokio::test]
async fn one_that_is_confirmed_at_once_makes_a_charge() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let card = world
        .api
        .ids(&format!("/v1/payment_methods?customer={customer}"))
        .await
        .remove(0);
    let form = format!(
        "amount=2900&currency=usd&customer={customer}&payment_method={card}&confirm=true&return_url=http://localhost/&expand[]=latest_charge.refunds&shipping[name]=Jo&shipping[address][line1]=1 Way&automatic_payment_methods[enabled]=true"
    );
    let intent = world.api.post(INTENTS, &form).await.ok();
    assert_eq!(
        (
            &intent["status"],
            number(&intent, "amount_received"),
            number(&intent, "amount_capturable")
        ),
        (&"succeeded".into(), 2900, 0)
    );
    assert_eq!(intent["shipping"]["address"]["line1"], "1 Way");
    let charge = &intent["latest_charge"];
    assert_eq!(
        (
            &charge["status"],
            &charge["captured"],
            &charge["paid"],
            &charge["refunds"]["total_count"]
        ),
        (&"succeeded".into(), &true.into(), &true.into(), &0.into())
    );
    assert_eq!(charge["payment_method_details"]["card"]["last4"], "4242");
    let secret = intent["client_secret"].as_str().expect("a secret");
    let path = format!("{INTENTS}/{}", intent["id"].as_str().expect("an id"));
    let again = world
        .api
        .get(&format!("{path}?client_secret={secret}"))
        .await
        .ok();
    assert_eq!(again["latest_charge"], charge["id"]);
    world
        .api
        .get(&format!("{path}?client_secret=other"))
        .await
        .error(400);
    let (_, code, _) = world
        .api
        .post(&format!("{path}/confirm"), "")
        .await
        .refused(400);
    assert_eq!(code, "payment_intent_unexpected_state");
    world
        .api
        .post(&format!("{path}/cancel"), "")
        .await
        .error(400);
    world
        .api
        .post(&format!("{path}/capture"), "")
        .await
        .error(400);
    assert_eq!(
        world
            .api
            .ids(&format!("/v1/charges?customer={customer}"))
            .await
            .len(),
        1
    );
    assert_eq!(
        kinds(&world, "payment_intent.").await,
        ["payment_intent.created", "payment_intent.succeeded"]
    );
}

#[tokio::test]
async fn amounts_and_methods_are_checked() {
    let world = World::new().await;
    let api = &world.api;
    let (message, code, param) = api
        .post(INTENTS, "amount=0&currency=usd")
        .await
        .refused(400);
    assert_eq!(message, "This value must be greater than or equal to 1.");
    assert_eq!((&*code, &*param), ("parameter_invalid_integer", "amount"));
    let (message, code, _) = api
        .post(INTENTS, "amount=49&currency=usd")
        .await
        .refused(400);
    assert_eq!(
        (&*message, &*code),
        ("Amount must be at least $0.50 usd", "amount_too_small")
    );
    for missing in ["amount=100", "currency=usd"] {
        let (_, code, _) = api.post(INTENTS, missing).await.refused(400);
        assert_eq!(code, "parameter_missing");
    }
    api.post(INTENTS, "amount=100&currency=usd&confirm=true")
        .await
        .error(400);
    for unmodelled in [
        "transfer_data[destination]=acct_1",
        "payment_method_types[]=sepa_debit",
        "capture_method=automatic_async",
        "mandate_data[customer_acceptance][type]=online",
        "use_stripe_sdk=true",
    ] {
        let form = format!("amount=100&currency=usd&{unmodelled}");
        let (message, ..) = api.post(INTENTS, &form).await.refused(400);
        assert!(message.contains("does not model"), "{message}");
    }
    let holder = customer(&world, "pm_card_visa").await;
    let card = api
        .ids(&format!("/v1/payment_methods?customer={holder}"))
        .await
        .remove(0);
    let others = format!("amount=100&currency=usd&payment_method={card}");
    api.post(INTENTS, &others).await.error(400);
    assert!(api.ids(INTENTS).await.is_empty());
}

#[tokio::test]
async fn a_declined_one_waits_for_another_card() {
    let world = World::new().await;
    let api = &world.api;
    let form = "amount=500&currency=usd&confirm=true&payment_method=pm_card_visa_chargeDeclinedInsufficientFunds";
    let error = api.post(INTENTS, form).await.error(402);
    assert_eq!(
        (&error["code"], &error["decline_code"], &error["message"]),
        (
            &"card_declined".into(),
            &"insufficient_funds".into(),
            &"Your card has insufficient funds.".into()
        )
    );
    let intent = &error["payment_intent"];
    assert_eq!(
        (
            &intent["status"],
            &intent["payment_method"],
            &intent["last_payment_error"]["code"]
        ),
        (
            &"requires_payment_method".into(),
            &Value::Null,
            &"card_declined".into()
        )
    );
    let failed = error["charge"].as_str().expect("a charge");
    let charge = api.get(&format!("/v1/charges/{failed}")).await.ok();
    assert_eq!(
        (
            &charge["status"],
            &charge["failure_code"],
            &charge["outcome"]["reason"]
        ),
        (
            &"failed".into(),
            &"card_declined".into(),
            &"insufficient_funds".into()
        )
    );
    api.post("/v1/refunds", &format!("charge={failed}"))
        .await
        .error(400);
    let path = format!("{INTENTS}/{}", intent["id"].as_str().expect("an id"));
    api.post(&format!("{path}/confirm"), "").await.error(400);
    let changed = api
        .post(
            &path,
            "payment_method=pm_card_visa&description=later&metadata[a]=b",
        )
        .await
        .ok();
    assert_eq!(changed["status"], "requires_confirmation");
    let done = api.post(&format!("{path}/confirm"), "").await.ok();
    assert_eq!(
        (&done["status"], &done["last_payment_error"]),
        (&"succeeded".into(), &Value::Null)
    );
    assert_eq!(
        kinds(&world, "charge.").await,
        ["charge.failed", "charge.succeeded"]
    );
    // The card was not attached, so it could be used only once.
    let card = done["payment_method"].as_str().expect("an id");
    let again = format!("amount=500&currency=usd&confirm=true&payment_method={card}");
    api.post(INTENTS, &again).await.error(400);
}

#[tokio::test]
async fn what_is_reserved_is_captured_or_released() {
    let world = World::new().await;
    let api = &world.api;
    let form =
        "amount=1000&currency=usd&capture_method=manual&confirm=true&payment_method=pm_card_visa";
    let reserved = api.post(INTENTS, form).await.ok();
    assert_eq!(
        (
            &reserved["status"],
            number(&reserved, "amount_capturable"),
            number(&reserved, "amount_received")
        ),
        (&"requires_capture".into(), 1000, 0)
    );
    let path = format!("{INTENTS}/{}", reserved["id"].as_str().expect("an id"));
    api.post(&format!("{path}/capture"), "amount_to_capture=1001")
        .await
        .error(400);
    let form = "amount_to_capture=700&expand[]=latest_charge";
    let captured = api.post(&format!("{path}/capture"), form).await.ok();
    assert_eq!(
        (&captured["status"], number(&captured, "amount_received")),
        (&"succeeded".into(), 700)
    );
    let charge = &captured["latest_charge"];
    assert_eq!(
        (
            number(charge, "amount_captured"),
            number(charge, "amount_refunded"),
            &charge["refunded"]
        ),
        (700, 300, &false.into())
    );
    let form =
        "amount=1000&currency=usd&capture_method=manual&confirm=true&payment_method=pm_card_visa";
    let other = api.create(INTENTS, form).await;
    let canceled = api
        .post(
            &format!("{INTENTS}/{other}/cancel"),
            "cancellation_reason=abandoned&expand[]=latest_charge",
        )
        .await
        .ok();
    assert_eq!(
        (
            &canceled["status"],
            &canceled["cancellation_reason"],
            &canceled["latest_charge"]["refunded"]
        ),
        (&"canceled".into(), &"abandoned".into(), &true.into())
    );
    api.post(&format!("{INTENTS}/{other}/capture"), "")
        .await
        .error(400);
}
