//! Test clocks, and the time of the customers on them.

use serde_json::json;

use super::billing::World;
use super::{Api, START};

const CLOCKS: &str = "/v1/test_helpers/test_clocks";
const DAY: i64 = 86_400;

#[tokio::test]
async fn a_clock_stands_until_it_is_advanced() {
    let api = Api::start().await;
    let made = api
        .post(CLOCKS, &format!("frozen_time={}&name=C", START + DAY))
        .await
        .ok();
    assert_eq!(
        (&made["status"], &made["frozen_time"]),
        (&json!("ready"), &json!(START + DAY))
    );
    assert_eq!(made["deletes_after"], START + 30 * DAY);
    let id = made["id"].as_str().expect("an id");
    let advance = format!("{CLOCKS}/{id}/advance");
    let going = api
        .post(&advance, &format!("frozen_time={}", START + 3 * DAY))
        .await
        .ok();
    assert_eq!(
        (&going["status"], &going["frozen_time"]),
        (&json!("advancing"), &json!(START + 3 * DAY))
    );
    let ready = api.get(&format!("{CLOCKS}/{id}")).await.ok();
    assert_eq!(
        (&ready["status"], &ready["frozen_time"]),
        (&json!("ready"), &json!(START + 3 * DAY))
    );
    for bad in [
        "",
        "frozen_time=1",
        &format!("frozen_time={}", START + 3 * DAY),
        &format!("frozen_time={}", START + 3000 * DAY),
    ] {
        api.post(&advance, bad).await.error(400);
    }
    assert_eq!(api.ids(CLOCKS).await, [id]);
    api.get(&format!("{CLOCKS}/clock_x")).await.error(404);
}

#[tokio::test]
async fn customers_have_the_time_of_their_clock() {
    let api = Api::start().await;
    let clock = api
        .create(CLOCKS, &format!("frozen_time={}", START + 5 * DAY))
        .await;
    let on_clock = api
        .post(
            "/v1/customers",
            &format!("test_clock={clock}&payment_method=pm_card_visa"),
        )
        .await
        .ok();
    assert_eq!(
        (&on_clock["created"], &on_clock["test_clock"]),
        (&json!(START + 5 * DAY), &json!(clock))
    );
    let id = on_clock["id"].as_str().expect("an id");
    let cards = api
        .get(&format!("/v1/customers/{id}/payment_methods"))
        .await
        .ok();
    assert_eq!(cards["data"][0]["created"], START + 5 * DAY);
    let free = api.create("/v1/customers", "").await;
    assert_eq!(api.ids("/v1/customers").await, [free]);
    assert_eq!(
        api.ids(&format!("/v1/customers?test_clock={clock}")).await,
        [id]
    );
    for _ in 0..2 {
        api.create("/v1/customers", &format!("test_clock={clock}"))
            .await;
    }
    let (_, _, param) = api
        .post("/v1/customers", &format!("test_clock={clock}"))
        .await
        .refused(400);
    assert_eq!(param, "test_clock");
    let (_, code, _) = api
        .post("/v1/customers", "test_clock=clock_x")
        .await
        .refused(400);
    assert_eq!(code, "resource_missing");
    api.post(
        &format!("/v1/customers/{id}"),
        &format!("test_clock={clock}"),
    )
    .await
    .error(400);
}

#[tokio::test]
async fn a_deleted_clock_deletes_its_customers() {
    let api = Api::start().await;
    let clock = api.create(CLOCKS, &format!("frozen_time={START}")).await;
    let customer = api
        .create(
            "/v1/customers",
            &format!("test_clock={clock}&metadata[k]=v"),
        )
        .await;
    let search = "/v1/customers/search?query=metadata['k']:'v'";
    assert_eq!(api.ids(search).await.len(), 1);
    let gone = api.delete(&format!("{CLOCKS}/{clock}")).await.ok();
    assert_eq!(
        gone,
        json!({"id": clock, "object": "test_helpers.test_clock", "deleted": true})
    );
    api.get(&format!("/v1/customers/{customer}"))
        .await
        .error(404);
    api.get(&format!("{CLOCKS}/{clock}")).await.error(404);
    assert!(api.ids(search).await.is_empty());
    assert!(api.ids(CLOCKS).await.is_empty());
}

#[tokio::test]
async fn a_clock_advances_by_up_to_two_of_the_shortest_intervals() {
    // Two months after 1 January 2023 is 1 March, 59 days later.
    let january = 1_672_531_200;
    let world = World::at(january).await;
    let customer = world.customer().await;
    let yearly = "currency=usd&unit_amount=1&recurring[interval]=year&product_data[name]=N";
    let yearly = world.api.create("/v1/prices", yearly).await;
    let monthly = world.price("unit_amount=1000").await;
    for price in [yearly, monthly] {
        let form = format!("customer={customer}&items[0][price]={price}");
        world.api.create("/v1/subscriptions", &form).await;
    }
    let advance = format!("{CLOCKS}/{}/advance", world.clock);
    let to = |time: i64| format!("frozen_time={time}");
    let march = january + 59 * DAY;
    let (message, _, param) = world.api.post(&advance, &to(march + 1)).await.refused(400);
    assert!(message.contains("two intervals"), "{message}");
    assert_eq!(param, "frozen_time");
    world.api.post(&advance, &to(march)).await.ok();
    // Two months after that is 1 May.
    world
        .api
        .post(&advance, &to(march + 61 * DAY + 1))
        .await
        .refused(400);
    world.api.post(&advance, &to(march + 61 * DAY)).await.ok();
}

#[tokio::test]
async fn a_customer_on_a_clock_has_three_subscriptions_at_most() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let direct = format!("customer={customer}&items[0][price]={price}");
    let item = format!("phases[0][items][0][price]={price}");
    let first = world.api.create("/v1/subscriptions", &direct).await;
    world.api.create("/v1/subscriptions", &direct).await;
    world.schedule(&customer, &item).await;
    let session = format!(
        "customer={customer}&mode=subscription&success_url=http://x.test/&line_items[0][price]={price}&line_items[0][quantity]=1"
    );
    for (path, form) in [
        ("/v1/subscriptions", &direct),
        (
            "/v1/subscription_schedules",
            &format!("customer={customer}&start_date=now&{item}"),
        ),
        ("/v1/checkout/sessions", &session),
    ] {
        let (message, _, param) = world.api.post(path, form).await.refused(400);
        assert_eq!(
            (&*message, &*param),
            (
                "A customer on a test clock can have at most 3 subscriptions.",
                "customer"
            )
        );
    }
    let path = format!("/v1/subscriptions/{first}");
    world.api.delete(&path).await.ok();
    world.api.create("/v1/subscriptions", &direct).await;
    // Without a clock there is no limit.
    let free = "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";
    let free = world.api.create("/v1/customers", free).await;
    for _ in 0..5 {
        let form = format!("customer={free}&items[0][price]={price}");
        world.api.create("/v1/subscriptions", &form).await;
    }
}
