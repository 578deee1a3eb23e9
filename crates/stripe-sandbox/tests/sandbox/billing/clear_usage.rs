//! Usage is dropped only if the request says so, and `clear_usage` is refused if there is nothing to clear.

use super::{World, number};

/// A subscription with a licensed item and a metered item with a usage of 5.
async fn used(world: &World) -> (String, [String; 2]) {
    let customer = world.customer().await;
    let licensed = world.price("unit_amount=1000").await;
    let metered = world.metered("unit_amount=10").await;
    let form = format!("items[0][price]={licensed}&items[1][price]={metered}");
    let (subscription, first) = world.subscribe(&customer, &form).await;
    world.report(&subscription, 5).await;
    let held = world.subscription(&subscription).await;
    let second = held["items"]["data"][1]["id"].as_str().expect("an id");
    let items = [first, second.to_owned()];
    (subscription, items)
}

async fn usage(world: &World, item: &str) -> i64 {
    let path = format!("/v1/subscription_items/{item}/usage_record_summaries");
    let list = world.api.get(&path).await.ok();
    number(&list["data"][0], "total_usage")
}

#[tokio::test]
async fn clearing_where_there_is_nothing_to_clear_is_refused() {
    let world = World::new().await;
    let (subscription, [licensed, metered]) = used(&world).await;
    let other = world.metered("unit_amount=20").await;
    let path = format!("/v1/subscriptions/{subscription}");
    for item in [
        format!("items[0][id]={licensed}"),
        format!("items[0][id]={licensed}&items[0][deleted]=true"),
        format!("items[0][id]={metered}"),
        format!("items[0][price]={other}"),
    ] {
        let form = format!("{item}&items[0][clear_usage]=true");
        let (_, _, param) = world.api.post(&path, &form).await.refused(400);
        assert_eq!(param, "items[0][clear_usage]", "{item}");
        let preview = format!("/v1/invoices/upcoming?subscription={subscription}&{form}");
        let preview = preview.replace("items[0]", "subscription_items[0]");
        let (_, _, param) = world.api.get(&preview).await.refused(400);
        assert_eq!(param, "subscription_items[0][clear_usage]", "{item}");
    }
    let item = format!("/v1/subscription_items/{licensed}?clear_usage=true");
    let (_, _, param) = world.api.delete(&item).await.refused(400);
    assert_eq!(param, "clear_usage");
    assert_eq!(usage(&world, &metered).await, 5);
    // A value that changes nothing is accepted.
    let form = format!(
        "items[0][id]={licensed}&items[0][clear_usage]=false&items[1][id]={metered}&items[1][clear_usage]=false"
    );
    world.update(&subscription, &form).await;
    assert_eq!(usage(&world, &metered).await, 5);
}

#[tokio::test]
async fn usage_goes_with_a_metered_price_only_where_the_request_says_so() {
    let world = World::new().await;
    let licensed = world.price("unit_amount=700").await;
    let (subscription, [_, item]) = used(&world).await;
    let path = format!("/v1/subscriptions/{subscription}");
    let form = format!("items[0][id]={item}&items[0][price]={licensed}");
    let (message, _, _) = world.api.post(&path, &form).await.refused(400);
    assert!(message.contains("clear_usage=true"), "{message}");
    let one = format!("price={licensed}");
    let of_item = format!("/v1/subscription_items/{item}");
    world.api.post(&of_item, &one).await.error(400);
    assert_eq!(usage(&world, &item).await, 5);
    world
        .update(&subscription, &format!("{form}&items[0][clear_usage]=true"))
        .await;
    // Without usage, `clear_usage` is not required.
    let customer = world.customer().await;
    let metered = world.metered("unit_amount=10").await;
    let (subscription, item) = world
        .subscribe(&customer, &format!("items[0][price]={metered}"))
        .await;
    let form = format!("items[0][id]={item}&items[0][price]={licensed}");
    world.update(&subscription, &form).await;
    // The older name of the only price does not drop usage either.
    let (subscription, _) = world
        .subscribe(
            &world.customer().await,
            &format!("items[0][price]={metered}"),
        )
        .await;
    world.report(&subscription, 5).await;
    let path = format!("/v1/subscriptions/{subscription}");
    let form = format!("plan={licensed}");
    world.api.post(&path, &form).await.error(400);
}
