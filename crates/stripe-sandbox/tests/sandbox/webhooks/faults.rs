//! Fault rules for webhooks.

use std::time::Duration;

use stripe_sandbox::{Action, Rule};
use testing::receiver::Receiver;

use super::super::{Api, START};
use super::{endpoint, sandbox};

/// A sandbox, and a receiver of all its events.
async fn wired() -> (Api, clock::Clock, Receiver) {
    let (api, clock) = sandbox().await;
    let receiver = Receiver::start().await;
    endpoint(&api, receiver.url(), &["*"]).await;
    (api, clock, receiver)
}

#[tokio::test]
async fn webhooks_are_dropped() {
    let (api, _, receiver) = wired().await;
    api.sandbox()
        .add_fault(Rule::webhook("customer.*", Action::Drop).times(1));
    api.post("/v1/customers", "").await.ok();
    api.post("/v1/products", "name=A").await.ok();
    api.post("/v1/customers", "").await.ok();
    api.sandbox().deliveries_settled().await;
    assert_eq!(receiver.types(), ["product.created", "customer.created"]);
    assert_eq!(api.sandbox().deliveries().dropped, 1);
    // The event exists and shows that it was not received.
    let pending = api.ids("/v1/events?delivery_success=false").await;
    assert_eq!(pending.len(), 1);
}

#[tokio::test]
async fn webhooks_come_twice() {
    let (api, _, receiver) = wired().await;
    api.sandbox()
        .add_fault(Rule::webhook("*.created", Action::Double));
    let product = api.create("/v1/products", "name=A").await;
    api.post(&format!("/v1/products/{product}"), "name=B")
        .await
        .ok();
    api.sandbox().deliveries_settled().await;
    assert_eq!(
        receiver.types(),
        ["product.created", "product.created", "product.updated"]
    );
    let [first, second] = [0, 1].map(|index| receiver.webhooks()[index].event());
    assert_eq!(first["id"], second["id"]);
    let list = api.get("/v1/events").await.ok();
    assert_eq!(list["data"][1]["pending_webhooks"], 0);
}

#[tokio::test]
async fn webhooks_come_late() {
    let (api, clock, receiver) = wired().await;
    api.post(
        "/_sandbox/faults",
        "webhook=customer.created&action=delay&delay_ms=90000",
    )
    .await
    .ok();
    api.post("/v1/customers", "").await.ok();
    let product = api.create("/v1/products", "name=A").await;
    clock.set(START + 60);
    api.post(&format!("/v1/products/{product}"), "name=B")
        .await
        .ok();
    clock.set(START + 90);
    api.sandbox().deliveries_settled().await;
    assert_eq!(
        receiver.types(),
        ["product.created", "product.updated", "customer.created"]
    );
}

#[tokio::test]
async fn webhooks_come_in_another_order() {
    let mut orders = Vec::new();
    for _ in 0..2 {
        let (api, clock, receiver) = wired().await;
        api.sandbox().add_fault(Rule::webhook(
            "*",
            Action::Shuffle(Duration::from_secs(300)),
        ));
        for name in 0..20 {
            api.post("/v1/products", &format!("name={name}")).await.ok();
        }
        clock.set(START + 300);
        api.sandbox().deliveries_settled().await;
        let webhooks = receiver.webhooks();
        let name = |index: usize| webhooks[index].event()["data"]["object"]["name"].clone();
        let order: Vec<usize> = (0..webhooks.len())
            .map(|index| name(index).as_str().and_then(|name| name.parse().ok()))
            .map(|name| name.expect("a number"))
            .collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        assert_ne!(order, sorted);
        orders.push(order);
    }
    // The order depends only on the seed.
    assert_eq!(orders[0], orders[1]);
}

#[tokio::test]
async fn deleting_a_rule_sends_the_held_webhooks() {
    let (api, _, receiver) = wired().await;
    let other = api.key("sk_test_two");
    let late = "webhook=product.created&action=delay&delay_ms=3600000";
    api.post("/_sandbox/faults", late).await.ok();
    api.post("/v1/products", "name=A").await.ok();
    api.post("/v1/products", "name=B").await.ok();
    other.delete("/_sandbox/faults").await.ok();
    api.post("/v1/customers", "").await.ok();
    let rules = api.get("/_sandbox/faults").await.ok();
    assert_eq!(
        rules["faults"],
        serde_json::json!([{
            "webhook": "product.created", "action": "delay 3600000 ms", "skip": 0, "count": null, "probability": null,
            "seed": null, "account": api.sandbox().account_id("sk_test_one"), "hits": 2,
        }])
    );
    api.delete("/_sandbox/faults").await.ok();
    api.sandbox().deliveries_settled().await;
    let mut types = receiver.types();
    types.sort_unstable();
    assert_eq!(
        types,
        ["customer.created", "product.created", "product.created"]
    );
    let names = receiver.webhooks();
    let names = names
        .iter()
        .map(|webhook| webhook.event()["data"]["object"]["name"].clone());
    let names: Vec<_> = names.filter(|name| !name.is_null()).collect();
    assert_eq!(names, ["A", "B"]);
    let counts = api.get("/_sandbox/webhooks").await.ok();
    assert_eq!(counts["webhooks"]["delivered"], 3);
}

#[tokio::test]
async fn bad_rules_are_refused() {
    let api = Api::start().await;
    for bad in [
        "webhook=*",
        "webhook=*&action=500",
        "webhook=*&action=cut_body",
        "webhook=*&action=delay",
        "webhook=*&action=shuffle",
        "webhook=*&action=shuffle&window_ms=-1",
        "webhook=*&action=drop&when=after",
        "webhook=*&action=drop&path=/v1/*",
        "webhook=&action=drop",
        "action=double",
        "action=shuffle&window_ms=1",
    ] {
        api.post("/_sandbox/faults", bad).await.error(400);
    }
}
