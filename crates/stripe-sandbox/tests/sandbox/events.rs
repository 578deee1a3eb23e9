//! `/v1/events`: filters, retention, and the contents of events.

use super::billing::{DAY, World};
use super::{Api, START, with_manual_clock};

#[tokio::test]
async fn events_are_filtered() {
    let options = with_manual_clock();
    let clock = options.clock.clone();
    let api = Api::with(options).await;
    for seconds in 0..5 {
        clock.set(START + seconds);
        api.post("/v1/customers", "").await.ok();
    }
    api.post("/v1/products", "name=A").await.ok();
    let all = api.ids("/v1/events").await;
    assert_eq!(all.len(), 6);
    let at = |seconds: i64| START + seconds;
    for (query, found) in [
        ("type=customer.created".to_owned(), &all[1..]),
        ("type=product.*".to_owned(), &all[..1]),
        ("type=*".to_owned(), &all[..]),
        ("type=customer".to_owned(), &[]),
        (
            "types[]=product.created&types[]=customer.deleted".to_owned(),
            &all[..1],
        ),
        (
            "types[]=product.created&types[]=customer.created".to_owned(),
            &all[..],
        ),
        (format!("created={}", at(2)), &all[3..4]),
        (
            format!("created[gt]={}&created[lte]={}", at(1), at(3)),
            &all[2..4],
        ),
        (
            format!("created[gte]={}&created[lt]={}", at(1), at(3)),
            &all[3..5],
        ),
        (
            format!("type=customer.created&starting_after={}", all[2]),
            &all[3..],
        ),
        (
            format!("type=customer.created&ending_before={}", all[2]),
            &all[1..2],
        ),
        (format!("limit=2&ending_before={}", all[4]), &all[2..4]),
        ("delivery_success=true".to_owned(), &all[..]),
        ("delivery_success=false".to_owned(), &[]),
    ] {
        assert_eq!(
            api.ids(&format!("/v1/events?{query}")).await,
            found,
            "{query}"
        );
    }
    let many = |count: usize| format!("/v1/events?{}", "types[]=a&".repeat(count));
    api.get(&many(20)).await.ok();
    for (path, message, param) in [
        (
            many(21),
            "Array types exceeded maximum 20 allowed elements.",
            "types",
        ),
        (
            "/v1/events?type=a&types[]=b".to_owned(),
            "You may only specify one of these parameters: type, types.",
            "types",
        ),
        (
            "/v1/events?delivery_success=2".to_owned(),
            "Invalid boolean: 2",
            "delivery_success",
        ),
        (
            "/v1/events?starting_after=evt_1".to_owned(),
            "No such event: 'evt_1'",
            "starting_after",
        ),
        (
            "/v1/events?foo=1".to_owned(),
            "Received unknown parameter: foo",
            "foo",
        ),
    ] {
        let (text, _, name) = api.get(&path).await.refused(400);
        assert_eq!((&*text, &*name), (message, param));
    }
}

#[tokio::test]
async fn events_are_kept_for_thirty_days() {
    let options = with_manual_clock();
    let clock = options.clock.clone();
    let api = Api::with(options).await;
    api.post("/v1/customers", "").await.ok();
    let first = api.ids("/v1/events").await.remove(0);
    clock.set(START + 30 * DAY);
    api.post("/v1/customers", "").await.ok();
    assert_eq!(api.ids("/v1/events").await.len(), 2);
    clock.set(START + 30 * DAY + 1);
    assert_eq!(api.ids("/v1/events").await.len(), 1);
    let path = format!("/v1/events/{first}");
    assert_eq!(
        api.get(&path).await.refused(404).0,
        format!("No such event: '{first}'")
    );
    // A test clock's time does not count: the event happened now, so it is kept.
    let world = World::new().await;
    world.customer().await;
    assert!(
        !world
            .api
            .ids("/v1/events?type=customer.created")
            .await
            .is_empty()
    );
}

/// The request that caused an event, or null.
#[tokio::test]
async fn an_event_names_the_request_that_caused_it() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let once = world.api.once("key-1");
    let form = format!("customer={customer}&phases[0][items][0][price]={price}&start_date=now");
    let made = once.post("/v1/subscription_schedules", &form).await;
    let request = made.header("request-id").to_owned();
    made.ok();
    let list = world
        .api
        .get("/v1/events?type=customer.subscription.created")
        .await
        .ok();
    assert_eq!(
        list["data"][0]["request"],
        serde_json::json!({"id": request, "idempotency_key": "key-1"})
    );
    world.advance_to(START + 32 * DAY).await;
    let list = world
        .api
        .get("/v1/events?type=customer.subscription.updated")
        .await
        .ok();
    assert_eq!(
        list["data"][0]["request"],
        serde_json::json!({"id": null, "idempotency_key": null})
    );
    let list = world
        .api
        .get("/v1/events?type=test_helpers.test_clock.advancing")
        .await
        .ok();
    assert!(list["data"][0]["request"]["id"].is_string());
}

/// Without a test clock, a call first does everything that is due. It did not cause those events.
#[tokio::test]
async fn events_that_were_due_before_a_call_do_not_name_it() {
    let options = with_manual_clock();
    let clock = options.clock.clone();
    let api = Api::with(options).await;
    let customer = api
        .create(
            "/v1/customers",
            "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
        )
        .await;
    let price = "currency=usd&product_data[name]=A&unit_amount=1000&recurring[interval]=month";
    let price = api.create("/v1/prices", price).await;
    let form = format!("customer={customer}&items[0][price]={price}");
    api.post("/v1/subscriptions", &form).await.ok();
    clock.set(START + 32 * DAY);
    api.once("key-2").post("/v1/products", "name=B").await.ok();
    let list = api.get("/v1/events?limit=100").await.ok();
    for event in list["data"].as_array().expect("a list") {
        let time = event["created"].as_i64() == Some(START + 31 * DAY);
        assert_eq!(event["request"]["id"].is_null(), time, "{}", event["type"]);
    }
    let renewed = list["data"].as_array().expect("a list").iter();
    assert!(
        renewed
            .filter(|event| event["request"]["id"].is_null())
            .count()
            > 3
    );
}

/// The types of events after the first `from`, oldest first.
async fn types(world: &World, from: usize) -> Vec<String> {
    let list = world.api.get("/v1/events?limit=100").await.ok();
    let events = list["data"].as_array().expect("a list").iter().rev();
    let types = events.map(|event| event["type"].as_str().expect("a type").to_owned());
    types.skip(from).collect()
}

#[tokio::test]
async fn a_recurring_price_is_a_plan_too() {
    let api = Api::start().await;
    let form = "currency=usd&product_data[name]=A&unit_amount=1000";
    api.post("/v1/prices", form).await.ok();
    let form = format!("{form}&recurring[interval]=month");
    let price = api.create("/v1/prices", &form).await;
    let path = format!("/v1/prices/{price}");
    api.post(&path, "nickname=B").await.ok();
    api.post(&path, "lookup_key=b").await.ok();
    let list = api.get("/v1/events").await.ok();
    let types = list["data"].as_array().expect("a list").iter().rev();
    let types: Vec<_> = types.map(|event| event["type"].clone()).collect();
    assert_eq!(
        types,
        [
            "product.created",
            "price.created",
            "product.created",
            "plan.created",
            "price.created",
            "plan.updated",
            "price.updated",
            // A plan has no lookup key.
            "price.updated",
        ]
    );
    let plan = &list["data"][2]["data"];
    assert_eq!(plan["object"]["object"], "plan");
    assert_eq!(plan["object"]["id"], *price);
    assert_eq!(
        plan["previous_attributes"],
        serde_json::json!({"nickname": null})
    );
}

#[tokio::test]
async fn the_end_of_a_trial_is_announced_three_days_ahead() {
    let announced = "customer.subscription.trial_will_end";
    for (days, moved, expected) in [
        // Three days before the end, or at once.
        (14, None, vec![START + 11 * DAY]),
        (3, None, vec![START]),
        (1, None, vec![START]),
        // Moved on day 5, before the announcement; in the second case to a time less than three days ahead.
        (14, Some(20), vec![START + 17 * DAY]),
        (14, Some(6), vec![START + 5 * DAY]),
        // Moved after the announcement.
        (7, Some(10), vec![START + 4 * DAY, START + 7 * DAY]),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        let form = format!("items[0][price]={price}&trial_period_days={days}");
        let (subscription, _) = world.subscribe(&customer, &form).await;
        if let Some(end) = moved {
            world.advance_to(START + 5 * DAY).await;
            let form = format!("trial_end={}", START + end * DAY);
            world.update(&subscription, &form).await;
        }
        world.advance_to(START + 25 * DAY).await;
        let list = world
            .api
            .get(&format!("/v1/events?type={announced}"))
            .await
            .ok();
        let events = list["data"].as_array().expect("a list").iter().rev();
        let times: Vec<i64> = events
            .map(|event| {
                assert_eq!(event["data"]["object"]["status"], "trialing");
                event["created"].as_i64().expect("a time")
            })
            .collect();
        assert_eq!(times, expected, "{days} {moved:?}");
    }
}

#[tokio::test]
async fn a_trial_that_is_ended_at_once_is_announced_then() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}&trial_period_days=14");
    let (subscription, _) = world.subscribe(&customer, &form).await;
    let before = types(&world, 0).await.len();
    world.update(&subscription, "trial_end=now").await;
    let lines_by_time = types(&world, before).await;
    assert_eq!(lines_by_time[0], "customer.subscription.trial_will_end");
    assert_eq!(
        lines_by_time.last().map(String::as_str),
        Some("customer.subscription.updated")
    );
    world.advance_to(START + 20 * DAY).await;
    let path = "/v1/events?type=customer.subscription.trial_will_end";
    assert_eq!(world.api.ids(path).await.len(), 1);
}
