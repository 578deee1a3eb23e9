//! Usage records: the period in which they count, and refusals.

use super::{DAY, START, World, number};

async fn item(world: &World, customer: &str, price: &str) -> String {
    let subscription = world
        .schedule(customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    let now = world.subscription(&subscription).await;
    now["items"]["data"][0]["id"]
        .as_str()
        .expect("an item")
        .to_owned()
}

async fn upcoming_usage(world: &World, customer: &str) -> i64 {
    let path = format!(
        "/v1/invoices/upcoming/lines?customer={customer}&limit=100&expand[]=data.price.tiers"
    );
    let list = world.api.get(&path).await.ok();
    number(&list["data"][0], "quantity")
}

#[tokio::test]
async fn records_add_up_or_replace_at_their_time() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let path = format!(
        "/v1/subscription_items/{}/usage_records",
        item(&world, &customer, &price).await
    );
    let record = world.api.post(&path, "quantity=10").await.ok();
    assert_eq!(record["object"], "usage_record");
    assert_eq!(number(&record, "timestamp"), START);
    assert!(record["id"].as_str().expect("an id").starts_with("mbur_"));
    // A minute ahead of the clock counts at once.
    world
        .api
        .post(&path, &format!("quantity=10&timestamp={}", START + 60))
        .await
        .ok();
    assert_eq!(upcoming_usage(&world, &customer).await, 20);
    world
        .api
        .post(&path, "quantity=5&timestamp=now&action=increment")
        .await
        .ok();
    assert_eq!(upcoming_usage(&world, &customer).await, 25);
    world
        .api
        .post(&path, "quantity=1&timestamp=now&action=set")
        .await
        .ok();
    assert_eq!(upcoming_usage(&world, &customer).await, 11);
}

#[tokio::test]
async fn each_aggregate_bills_its_own_way() {
    for (aggregate, first, second) in [
        ("sum", 9, 0),
        ("max", 5, 0),
        ("last_during_period", 1, 0),
        ("last_ever", 1, 1),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world
            .metered(&format!(
                "unit_amount=1&recurring[aggregate_usage]={aggregate}"
            ))
            .await;
        let path = format!(
            "/v1/subscription_items/{}/usage_records",
            item(&world, &customer, &price).await
        );
        for (day, quantity) in [(1, 3), (2, 5), (3, 1)] {
            world.advance_to(START + day * DAY).await;
            world
                .api
                .post(&path, &format!("quantity={quantity}"))
                .await
                .ok();
        }
        world.advance_to(START + 61 * DAY).await;
        let billed = world.billed(&customer).await;
        assert_eq!(
            billed,
            [vec![(second, second)], vec![(first, first)], vec![(0, 0)]],
            "{aggregate}"
        );
        let summaries = world
            .api
            .get(&format!("{}_summaries", path.trim_end_matches('s')))
            .await
            .ok();
        let totals: Vec<i64> = summaries["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| number(one, "total_usage"))
            .collect();
        assert_eq!(totals, [second, second, first], "{aggregate}");
    }
}

#[tokio::test]
async fn invalid_usage_is_refused() {
    let world = World::new().await;
    let customer = world.customer().await;
    let metered = world.metered("unit_amount=1").await;
    let id = item(&world, &customer, &metered).await;
    let path = format!("/v1/subscription_items/{id}/usage_records");
    world.advance_to(START + 40 * DAY).await;
    let now = START + 40 * DAY;
    let late = "Cannot create the usage record with this timestamp because timestamps must be after the subscription's last invoice period (or current period start time).";
    for (form, message, param) in [
        (
            "timestamp=now".to_owned(),
            "Missing required param: quantity.",
            "quantity",
        ),
        (
            "quantity=-1".to_owned(),
            "This value must be greater than or equal to 0.",
            "quantity",
        ),
        (
            "quantity=1.5".to_owned(),
            "Invalid integer: 1.5",
            "quantity",
        ),
        (
            "quantity=9223372036854775807".to_owned(),
            "This value must be less than",
            "quantity",
        ),
        (
            format!("quantity=1&timestamp={}", START + 30 * DAY),
            late,
            "timestamp",
        ),
        (
            format!("quantity=1&timestamp={}", now + 3600),
            "Cannot create the usage record with this timestamp because timestamps must not be in the future.",
            "timestamp",
        ),
        (
            "quantity=1&action=add".to_owned(),
            "Invalid action",
            "action",
        ),
        (
            "quantity=1&quality=2".to_owned(),
            "Received unknown parameter: quality",
            "quality",
        ),
    ] {
        let (text, _, name) = world.api.post(&path, &form).await.refused(400);
        assert!(text.starts_with(message), "{text} for {form}");
        assert_eq!(name, param);
    }
    world
        .api
        .post("/v1/subscription_items/si_none/usage_records", "quantity=1")
        .await
        .refused(404);
    let licensed = world.price("unit_amount=1").await;
    let other = item(&world, &customer, &licensed).await;
    let (text, ..) = world
        .api
        .post(
            &format!("/v1/subscription_items/{other}/usage_records"),
            "quantity=1",
        )
        .await
        .refused(400);
    assert!(text.contains("is not metered"), "{text}");
    assert_eq!(world.billed(&customer).await.len(), 3);

    let subscription = world
        .api
        .get(&format!("/v1/subscription_items/{id}"))
        .await
        .ok()["subscription"]
        .clone();
    world
        .api
        .delete(&format!(
            "/v1/subscriptions/{}",
            subscription.as_str().expect("an id")
        ))
        .await
        .ok();
    let (text, ..) = world.api.post(&path, "quantity=1").await.refused(400);
    assert_eq!(
        text,
        "Cannot create the usage record because the subscription has been canceled."
    );
}

#[tokio::test]
async fn usage_for_the_last_minutes_of_a_period_is_accepted_for_a_few_minutes() {
    let end = START + 31 * DAY;
    for (aggregate, now, timestamp, taken) in [
        ("sum", end + 60, end - 60, true),
        ("sum", end + 299, end - 300, true),
        ("sum", end + 60, end - 301, false),
        ("sum", end + 300, end - 1, false),
        ("max", end + 60, end - 60, false),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let form = format!("unit_amount=1&recurring[aggregate_usage]={aggregate}");
        let price = world.metered(&form).await;
        let (_, item) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        let path = format!("/v1/subscription_items/{item}/usage_records");
        world.advance_to(now).await;
        let form = format!("quantity=7&timestamp={timestamp}");
        let reply = world.api.post(&path, &form).await;
        if !taken {
            assert_eq!(reply.refused(400).2, "timestamp");
            continue;
        }
        assert_eq!(number(&reply.ok(), "timestamp"), timestamp);
        // The invoice of the period is final, so the usage counts in the next period.
        world.api.post(&path, &form).await.ok();
        world.api.post(&path, "quantity=1").await.ok();
        assert_eq!(upcoming_usage(&world, &customer).await, 15);
    }
    // Usage cannot be older than the subscription.
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let (_, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let path = format!("/v1/subscription_items/{item}/usage_records");
    let form = format!("quantity=1&timestamp={}", START - 60);
    world.api.post(&path, &form).await.refused(400);
}

#[tokio::test]
async fn the_running_period_has_no_end_yet() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let (_, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.advance_to(START + 31 * DAY).await;
    let path = format!("/v1/subscription_items/{item}/usage_record_summaries");
    let list = world.api.get(&path).await.ok();
    let [running, over] = [&list["data"][0]["period"], &list["data"][1]["period"]];
    assert!(running["end"].is_null());
    assert_eq!(number(running, "start"), START + 31 * DAY);
    assert_eq!(
        (number(over, "start"), number(over, "end")),
        (START, START + 31 * DAY)
    );
}
