//! Cards whose bank requires authentication, which happens on a page.

use serde_json::Value;

use super::super::START;
use super::super::billing::{DAY, World};
use super::{customer, kinds};

/// Answers on the page of an intent's next action, and returns where the browser is sent.
pub(super) async fn answer(intent: &Value, outcome: &str) -> (u16, String) {
    let action = &intent["next_action"];
    let url = action["redirect_to_url"]["url"]
        .as_str()
        .or(action["use_stripe_sdk"]["stripe_js"].as_str())
        .expect("a page");
    let path = url
        .find("/c/")
        .map(|at| &url[at..])
        .expect("on the sandbox");
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    assert!(
        client
            .get(url)
            .send()
            .await
            .expect("a page")
            .status()
            .is_success(),
        "{path}"
    );
    let sent = client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("outcome={outcome}"));
    let reply = sent.send().await.expect("an answer");
    let target = reply.headers().get("location");
    let target = target.map_or("", |target| target.to_str().expect("ASCII"));
    (reply.status().as_u16(), target.to_owned())
}

#[tokio::test]
async fn an_incomplete_subscription_begins_once_the_customer_agrees() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_authenticationRequired").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&expand[]=latest_invoice.payment_intent"
    );
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    let intent = &made["latest_invoice"]["payment_intent"];
    assert_eq!(
        (
            &made["status"],
            &intent["status"],
            &intent["next_action"]["type"]
        ),
        (
            &"incomplete".into(),
            &"requires_action".into(),
            &"use_stripe_sdk".into()
        )
    );
    assert_eq!(answer(intent, "complete").await.0, 200);
    let id = made["id"].as_str().expect("an id");
    assert_eq!(world.subscription(id).await["status"], "active");
    assert_eq!(answer(intent, "complete").await.0, 409, "once");
    // The customer is absent at the renewal.
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(world.subscription(id).await["status"], "past_due");
    let lines_by_time = kinds(&world, "invoice.payment_action_required").await;
    assert_eq!(lines_by_time.len(), 2);
}

#[tokio::test]
async fn a_refused_authentication_is_no_payment() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_authenticationRequired").await;
    let card = world
        .api
        .ids(&format!("/v1/payment_methods?customer={customer}"))
        .await
        .remove(0);
    let form = format!(
        "amount=2900&currency=usd&customer={customer}&payment_method={card}&confirm=true&return_url=http://localhost/back"
    );
    let intent = world.api.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(
        (
            &intent["status"],
            &intent["latest_charge"],
            &intent["next_action"]["type"]
        ),
        (
            &"requires_action".into(),
            &Value::Null,
            &"redirect_to_url".into()
        )
    );
    let text = |field: &str| intent[field].as_str().expect("a text");
    let (id, secret) = (text("id"), text("client_secret"));
    let back = format!(
        "http://localhost/back?payment_intent={id}&payment_intent_client_secret={secret}&redirect_status=failed"
    );
    assert_eq!(answer(&intent, "fail").await, (303, back));
    let path = format!(
        "/v1/payment_intents/{}",
        intent["id"].as_str().expect("an id")
    );
    let now = world.api.get(&path).await.ok();
    assert_eq!(
        (&now["status"], &now["last_payment_error"]["code"]),
        (
            &"requires_payment_method".into(),
            &"payment_intent_authentication_failure".into()
        )
    );
    assert_eq!(
        kinds(&world, "payment_intent.").await,
        [
            "payment_intent.created",
            "payment_intent.requires_action",
            "payment_intent.payment_failed"
        ]
    );
    // Off-session, it fails at once.
    let away = format!("{form}&off_session=true");
    let error = world
        .api
        .post("/v1/payment_intents", &away)
        .await
        .error(402);
    assert_eq!(error["code"], "authentication_required");
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
}

#[tokio::test]
async fn a_set_up_intent_says_why_the_last_attempt_failed() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let form = format!("customer={customer}&payment_method_types[]=card");
    let intent = world.api.post("/v1/setup_intents", &form).await.ok();
    let path = format!(
        "/v1/setup_intents/{}",
        intent["id"].as_str().expect("an id")
    );
    let confirm = format!("{path}/confirm");
    let declined = "payment_method=pm_card_visa_chargeDeclined";
    let declined = world.api.post(&confirm, declined).await.error(402);
    assert_eq!(declined["code"], "card_declined");
    let failed = world.api.get(&path).await.ok();
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(failed["payment_method"], Value::Null);
    let error = &failed["last_setup_error"];
    assert_eq!(
        (&error["type"], &error["code"], &error["decline_code"]),
        (
            &declined["type"],
            &declined["code"],
            &declined["decline_code"]
        )
    );
    assert_eq!(error["payment_method"]["object"], "payment_method");
    let on_set_up = "payment_method=pm_card_authenticationRequiredOnSetup&return_url=http://a.test";
    let waits = world.api.post(&confirm, on_set_up).await.ok();
    assert_eq!(waits["status"], "requires_action");
    answer(&waits, "fail").await;
    let failed = world.api.get(&path).await.ok();
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(failed["next_action"], Value::Null);
    assert_eq!(
        failed["last_setup_error"]["code"],
        "setup_intent_authentication_failure"
    );
    let done = world
        .api
        .post(&confirm, "payment_method=pm_card_visa")
        .await
        .ok();
    assert_eq!(
        (&done["status"], &done["last_setup_error"]),
        (&"succeeded".into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_card_that_was_set_up_renews_without_the_customer() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&confirm=true&payment_method=pm_card_authenticationRequiredOnSetup"
    );
    let intent = world.api.post("/v1/setup_intents", &form).await.ok();
    assert_eq!(intent["status"], "requires_action");
    assert!(
        world
            .api
            .ids(&format!("/v1/payment_methods?customer={customer}"))
            .await
            .is_empty()
    );
    answer(&intent, "complete").await;
    let path = format!(
        "/v1/setup_intents/{}",
        intent["id"].as_str().expect("an id")
    );
    let done = world.api.get(&path).await.ok();
    assert_eq!(done["status"], "succeeded");
    let card = done["payment_method"].as_str().expect("an id");
    let form = format!(
        "customer={customer}&items[0][price]={price}&default_payment_method={card}&off_session=true"
    );
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(made["status"], "active");
}

#[tokio::test]
async fn a_first_payment_that_waits_for_its_customer_is_no_attempt_yet() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_authenticationRequired").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&expand[]=latest_invoice.payment_intent"
    );
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    let state = |invoice: &Value| {
        let keys = ["status", "attempted", "attempt_count", "auto_advance"];
        serde_json::json!(keys.map(|key| invoice[key].clone()))
    };
    let invoice = &made["latest_invoice"];
    assert_eq!(state(invoice), serde_json::json!(["open", true, 0, true]));
    assert_eq!(invoice["next_payment_attempt"], Value::Null);

    let intent = &invoice["payment_intent"];
    assert_eq!(answer(intent, "fail").await.0, 200);
    let path = format!("/v1/invoices/{}", invoice["id"].as_str().expect("an id"));
    let refused = world.api.get(&path).await.ok();
    assert_eq!(state(&refused), serde_json::json!(["open", true, 1, true]));
    // Authentication was required once, and the payment failed when the customer refused.
    let count = async |kind| kinds(&world, kind).await.len();
    assert_eq!(count("invoice.payment_action_required").await, 1);
    assert_eq!(count("payment_intent.requires_action").await, 1);
    assert_eq!(count("payment_intent.payment_failed").await, 1);

    let card = format!(
        "/v1/payment_intents/{}/confirm",
        intent["id"].as_str().expect("an id")
    );
    let form = "payment_method=pm_card_visa";
    world.api.post(&card, form).await.ok();
    let paid = world.api.get(&path).await.ok();
    assert_eq!(state(&paid), serde_json::json!(["paid", true, 2, false]));
}
