//! The stand-in for Stripe.js, with which an app's page sets up a card.

use serde_json::Value;

use super::super::billing::World;
use super::{authentication, customer};

const BACK: &str = "http://app.test/account?tab=card";

/// A set-up intent, and the answer to the page's confirmation with a card number.
async fn confirm(world: &World, number: &str) -> (Value, u16, Value) {
    let customer = customer(world, "").await;
    let form = format!("customer={customer}&payment_method_types[]=card");
    let intent = world.api.post("/v1/setup_intents", &form).await.ok();
    let (status, answer) = send(world, intent["client_secret"].as_str(), number).await;
    (intent, status, answer)
}

async fn send(world: &World, secret: Option<&str>, number: &str) -> (u16, Value) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("client_secret", secret.unwrap_or_default());
    form.append_pair("number", number);
    form.append_pair("return_url", BACK);
    let page = world.api.without_key().header("origin", "http://app.test");
    let reply = page.post("/v3/confirm_setup", &form.finish()).await;
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    (reply.status.as_u16(), reply.body)
}

fn back(intent: &Value, outcome: &str) -> String {
    let text = |field: &str| intent[field].as_str().expect("a text");
    let (id, secret) = (text("id"), text("client_secret"));
    format!(
        "{BACK}&setup_intent={id}&setup_intent_client_secret={secret}&redirect_status={outcome}"
    )
}

async fn now(world: &World, intent: &Value) -> Value {
    let id = intent["id"].as_str().expect("an id");
    world.api.get(&format!("/v1/setup_intents/{id}")).await.ok()
}

#[tokio::test]
async fn a_card_is_set_up_and_the_browser_goes_back() {
    let world = World::new().await;
    let (intent, status, answer) = confirm(&world, "4242 4242 4242 4242").await;
    assert_eq!(
        (status, answer["next"].as_str()),
        (200, Some(&*back(&intent, "succeeded")))
    );
    let now = now(&world, &intent).await;
    assert_eq!(now["status"], "succeeded");
    let path = format!(
        "/v1/payment_methods?customer={}",
        now["customer"].as_str().expect("an id")
    );
    assert_eq!(
        world.api.ids(&path).await,
        [now["payment_method"].as_str().expect("an id")]
    );
    let (status, again) = send(&world, intent["client_secret"].as_str(), "4242424242424242").await;
    assert_eq!(
        (status, &again["error"]["code"]),
        (400, &"setup_intent_unexpected_state".into())
    );
}

#[tokio::test]
async fn a_bank_may_ask_first() {
    for (outcome, status, redirect) in [
        ("complete", "succeeded", "succeeded"),
        ("fail", "requires_payment_method", "failed"),
    ] {
        let world = World::new().await;
        let (intent, code, answer) = confirm(&world, "4000002500003155").await;
        assert_eq!(code, 200, "{answer}");
        let waits = now(&world, &intent).await;
        let page = &waits["next_action"]["redirect_to_url"]["url"];
        assert_eq!(
            (&waits["status"], &answer["next"]),
            (&"requires_action".into(), page)
        );
        let (_, target) = authentication::answer(&waits, outcome).await;
        assert_eq!(target, back(&intent, redirect));
        assert_eq!(now(&world, &intent).await["status"], status);
    }
}

#[tokio::test]
async fn a_card_that_is_declined_stays_on_the_page() {
    let world = World::new().await;
    for (number, code) in [
        ("4000000000000002", "card_declined"),
        ("1234", "incorrect_number"),
    ] {
        let (intent, status, answer) = confirm(&world, number).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (402, &code.into()),
            "{answer}"
        );
        assert_eq!(
            now(&world, &intent).await["status"],
            "requires_payment_method"
        );
    }
}

#[tokio::test]
async fn whoever_does_not_have_the_secret_can_do_nothing() {
    let world = World::new().await;
    let (intent, ..) = confirm(&world, "1234").await;
    let id = intent["id"].as_str().expect("an id");
    let wrong = format!("{id}_secret_x");
    for secret in [wrong.as_str(), id, "seti_x_secret_y", "x"] {
        let (status, answer) = send(&world, Some(secret), "4242424242424242").await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &"resource_missing".into()),
            "{secret}"
        );
    }
    assert_eq!(
        now(&world, &intent).await["status"],
        "requires_payment_method"
    );
}

#[tokio::test]
async fn the_script_is_there_without_a_key() {
    let world = World::new().await;
    let request = world.api.without_key().request("GET", "/v3/");
    let reply = request.send().await.expect("an answer");
    let kind = reply.headers()["content-type"].to_str().expect("ASCII");
    assert_eq!(kind, "text/javascript; charset=utf-8");
    let script = reply.text().await.expect("text");
    assert!(script.contains("confirmSetup") && !script.contains("stripe.com"));
}
