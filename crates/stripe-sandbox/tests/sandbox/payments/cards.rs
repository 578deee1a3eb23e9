//! Test cards, their banks' answers, and detached cards.

use super::super::billing::{DAY, World, number};
use super::super::{Api, START};

/// Token, number, `code`, `decline_code` and message of the declined cards.
const DECLINED: &[(&str, &str, &str, &str, &str)] = &[
    (
        "pm_card_visa_chargeDeclined",
        "4000000000000002",
        "card_declined",
        "generic_decline",
        "Your card was declined.",
    ),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "4000000000009995",
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    (
        "pm_card_visa_chargeDeclinedLostCard",
        "4000000000009987",
        "card_declined",
        "lost_card",
        "Your card was declined.",
    ),
    (
        "pm_card_visa_chargeDeclinedStolenCard",
        "4000000000009979",
        "card_declined",
        "stolen_card",
        "Your card was declined.",
    ),
    (
        "pm_card_chargeDeclinedExpiredCard",
        "4000000000000069",
        "expired_card",
        "",
        "Your card has expired.",
    ),
    (
        "pm_card_chargeDeclinedIncorrectCvc",
        "4000000000000127",
        "incorrect_cvc",
        "",
        "Your card's security code is incorrect.",
    ),
    (
        "pm_card_chargeDeclinedProcessingError",
        "4000000000000119",
        "processing_error",
        "",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    (
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "4000000000006975",
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
];

fn numbered(number: &str) -> String {
    format!("type=card&card[number]={number}&card[exp_month]=4&card[exp_year]=2042&card[cvc]=123")
}

#[tokio::test]
async fn a_declined_card_is_never_attached() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    let attach = format!("customer={customer}");
    for (token, number, code, decline_code, message) in DECLINED {
        let made = api.create("/v1/payment_methods", &numbered(number)).await;
        let older = token.replace("pm_card_visa_", "pm_card_");
        let attempts = [
            (
                format!("/v1/payment_methods/{token}/attach"),
                attach.clone(),
            ),
            (
                format!("/v1/payment_methods/{older}/attach"),
                attach.clone(),
            ),
            (format!("/v1/payment_methods/{made}/attach"), attach.clone()),
            (
                "/v1/customers".to_owned(),
                format!("payment_method={token}"),
            ),
            (
                "/v1/setup_intents".to_owned(),
                format!("customer={customer}&confirm=true&payment_method={token}"),
            ),
        ];
        for (path, form) in attempts {
            let error = api.post(&path, &form).await.error(402);
            assert_eq!(
                (
                    &error["type"],
                    &error["code"],
                    error["decline_code"].as_str().unwrap_or_default(),
                    &error["message"],
                ),
                (
                    &"card_error".into(),
                    &(*code).into(),
                    *decline_code,
                    &(*message).into()
                ),
                "{path} {form}"
            );
        }
    }
    assert!(
        api.ids(&format!("/v1/payment_methods?customer={customer}"))
            .await
            .is_empty()
    );
    assert_eq!(api.ids("/v1/customers").await, [customer]);
}

#[tokio::test]
async fn cards_are_known_by_token_and_by_number() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    for (token, number, brand, country, funding) in [
        ("visa", "4242424242424242", "visa", "US", "credit"),
        ("visa_debit", "4000056655665556", "visa", "US", "debit"),
        (
            "mastercard",
            "5555555555554444",
            "mastercard",
            "US",
            "credit",
        ),
        ("amex", "371449635398431", "amex", "US", "credit"),
        ("discover", "6011000990139424", "discover", "US", "credit"),
        ("br", "4000000760000002", "visa", "BR", "credit"),
        ("de", "4000002760000016", "visa", "DE", "credit"),
        (
            "authenticationRequired",
            "4000002760003184",
            "visa",
            "DE",
            "credit",
        ),
        (
            "chargeCustomerFail",
            "4000000000000341",
            "visa",
            "US",
            "credit",
        ),
    ] {
        let path = format!("/v1/payment_methods/pm_card_{token}/attach");
        let attached = api.post(&path, &format!("customer={customer}")).await.ok();
        let by_number = api
            .post("/v1/payment_methods", &numbered(number))
            .await
            .ok();
        for method in [attached, by_number] {
            let card = &method["card"];
            assert_eq!(card["last4"], number[number.len() - 4..], "{token}");
            assert_eq!(
                (&card["brand"], &card["country"], &card["funding"]),
                (&brand.into(), &country.into(), &funding.into())
            );
        }
    }
    for (number, code) in [
        ("4242424242424241", "incorrect_number"),
        ("1234", "incorrect_number"),
        ("4111111111111111", "card_declined"),
    ] {
        let error = api
            .post("/v1/payment_methods", &numbered(number))
            .await
            .error(402);
        assert_eq!(error["code"], code, "{number}");
    }
    for late in [
        "4&card[exp_year]=2019",
        "13&card[exp_year]=2042",
        "4&card[exp_year]=2099",
    ] {
        let form = format!("type=card&card[number]=4242424242424242&card[exp_month]={late}");
        api.post("/v1/payment_methods", &form).await.error(402);
    }
}

#[tokio::test]
async fn other_payment_methods_are_not_modelled() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    for form in [
        "type=sepa_debit&sepa_debit[iban]=DE1",
        "type=us_bank_account",
        "type=card&card[token]=tok_visa&ideal[bank]=ing",
        "type=card&card[number]=4000000000000259&card[exp_month]=4&card[exp_year]=2042",
    ] {
        let (message, code, _) = api.post("/v1/payment_methods", form).await.refused(400);
        assert!(message.contains("does not model"), "{form}: {message}");
        assert_eq!(code, "");
    }
    let (message, ..) = api
        .post("/v1/payment_methods", "type=iou")
        .await
        .refused(400);
    assert!(
        message.starts_with("Invalid type: must be one of"),
        "{message}"
    );
    let types = "payment_method_types[]=card&payment_method_types[]=link";
    let (message, ..) = api.post("/v1/setup_intents", types).await.refused(400);
    assert!(message.contains("does not model"), "{message}");
    let dispute = "/v1/payment_methods/pm_card_createDispute/attach";
    let (message, ..) = api
        .post(dispute, &format!("customer={customer}"))
        .await
        .refused(400);
    assert!(message.contains("does not model"), "{message}");
    let others = format!("/v1/payment_methods?customer={customer}&type=sepa_debit");
    assert!(api.ids(&others).await.is_empty());
}

#[tokio::test]
async fn an_attached_card_is_updated() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    let loose = api
        .create("/v1/payment_methods", &numbered("4242424242424242"))
        .await;
    api.post(&format!("/v1/payment_methods/{loose}"), "metadata[a]=b")
        .await
        .error(400);
    let attach = format!("customer={customer}");
    api.post(&format!("/v1/payment_methods/{loose}/attach"), &attach)
        .await
        .ok();
    let form = "metadata[a]=b&card[exp_month]=5&billing_details[name]=Jo&billing_details[address][city]=Rome";
    let changed = api
        .post(&format!("/v1/payment_methods/{loose}"), form)
        .await
        .ok();
    assert_eq!(changed["card"]["exp_month"], 5);
    assert_eq!(changed["billing_details"]["address"]["city"], "Rome");
    let path = format!("/v1/customers/{customer}/payment_methods/{loose}");
    assert_eq!(api.get(&path).await.ok(), changed);
    let other = api.create("/v1/customers", "").await;
    let path = format!("/v1/customers/{other}/payment_methods/{loose}");
    api.get(&path).await.error(404);
    assert_eq!(
        api.ids("/v1/events?type=payment_method.updated")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_detached_card_cannot_be_used_again() {
    let world = World::new().await;
    let api = &world.api;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let path = format!("/v1/payment_methods?customer={customer}");
    let card = api.ids(&path).await.remove(0);
    let subscription = api
        .create(
            "/v1/subscriptions",
            &format!("customer={customer}&items[0][price]={price}&default_payment_method={card}"),
        )
        .await;
    let phases = format!(
        "customer={customer}&start_date={}&default_settings[default_payment_method]={card}&phases[0][items][0][price]={price}&phases[0][default_payment_method]={card}",
        START + 5 * DAY
    );
    let schedule = api.create("/v1/subscription_schedules", &phases).await;
    api.post(&format!("/v1/payment_methods/{card}/detach"), "")
        .await
        .ok();
    let held = world.subscription(&subscription).await;
    assert!(held["default_payment_method"].is_null());
    let schedule = api
        .get(&format!("/v1/subscription_schedules/{schedule}"))
        .await
        .ok();
    assert!(schedule["default_settings"]["default_payment_method"].is_null());
    assert!(schedule["phases"][0]["default_payment_method"].is_null());
    for other in [world.customer().await, customer.clone()] {
        let attach = format!("/v1/payment_methods/{card}/attach");
        let (message, ..) = api
            .post(&attach, &format!("customer={other}"))
            .await
            .refused(400);
        assert_eq!(
            message,
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again."
        );
        let intent = format!("customer={other}&confirm=true&payment_method={card}");
        api.post("/v1/setup_intents", &intent).await.error(400);
    }
    world.advance_to(START + 31 * DAY).await;
    let paid: i64 = world
        .invoices(&customer)
        .await
        .iter()
        .map(|one| number(one, "amount_paid"))
        .sum();
    assert_eq!(paid, 1000, "the first month");
    assert_eq!(
        world.subscription(&subscription).await["status"],
        "past_due"
    );
}

#[tokio::test]
async fn the_cards_of_a_deleted_customer_cannot_be_used_again() {
    let api = Api::start().await;
    let customer = api
        .create("/v1/customers", "payment_method=pm_card_visa")
        .await;
    let card = api
        .ids(&format!("/v1/payment_methods?customer={customer}"))
        .await
        .remove(0);
    api.delete(&format!("/v1/customers/{customer}")).await.ok();
    let other = api.create("/v1/customers", "").await;
    let attach = format!("/v1/payment_methods/{card}/attach");
    api.post(&attach, &format!("customer={other}"))
        .await
        .error(400);
}
