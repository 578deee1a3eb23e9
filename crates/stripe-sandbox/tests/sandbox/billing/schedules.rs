//! Schedules: phases, updates, releases and ends.

use serde_json::Value;

use super::{DAY, START, World, lines, number};

pub(super) const URL: &str = "/v1/subscription_schedules";

pub(super) async fn created(world: &World, customer: &str, form: &str) -> Value {
    world
        .api
        .post(URL, &format!("customer={customer}&{form}"))
        .await
        .ok()
}

pub(super) fn path(schedule: &Value) -> String {
    format!("{URL}/{}", schedule["id"].as_str().expect("an id"))
}

pub(super) fn prices(subscription: &Value) -> Vec<&str> {
    let items = subscription["items"]["data"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["price"]["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn a_schedule_waits_for_its_start() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let form = format!(
        "start_date={}&phases[0][items][0][price]={price}&phases[0][iterations]=2&end_behavior=cancel&metadata[a]=b",
        START + 5 * DAY
    );
    let made = created(&world, &customer, &form).await;
    assert_eq!(made["status"], "not_started");
    assert!(made["subscription"].is_null() && made["current_phase"].is_null());
    assert!(world.invoices(&customer).await.is_empty());
    let waiting = format!("{URL}?customer={customer}&scheduled=true");
    assert_eq!(world.api.ids(&waiting).await.len(), 1);

    world.advance_to(START + 5 * DAY).await;
    let now = world
        .api
        .get(&format!("{}?expand[]=subscription", path(&made)))
        .await
        .ok();
    assert_eq!(
        (&now["status"], &now["subscription"]["status"]),
        (&"active".into(), &"active".into())
    );
    assert_eq!(now["current_phase"]["start_date"], START + 5 * DAY);
    assert!(world.api.ids(&waiting).await.is_empty());
    // 5 January to 5 March.
    assert_eq!(number(&now["current_phase"], "end_date"), START + 65 * DAY);
    world.advance_to(START + 65 * DAY).await;
    let over = world.api.get(&path(&made)).await.ok();
    assert_eq!(
        (&over["status"], number(&over, "completed_at")),
        (&"completed".into(), START + 65 * DAY)
    );
    let subscription = world
        .subscription(over["subscription"].as_str().expect("an id"))
        .await;
    assert_eq!(
        (&subscription["status"], number(&subscription, "ended_at")),
        (&"canceled".into(), START + 65 * DAY)
    );
    assert_eq!(
        world.billed(&customer).await,
        [vec![(1, 100)], vec![(1, 100)]]
    );
}

#[tokio::test]
async fn phases_follow_one_another_and_carry_their_settings() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [first, second] = [
        world.price("unit_amount=100").await,
        world.price("unit_amount=700").await,
    ];
    world
        .api
        .post("/v1/coupons", "id=half&percent_off=50&duration=forever")
        .await
        .ok();
    let form = format!(
        "start_date=now&default_settings[automatic_tax][enabled]=true&phases[0][items][0][price]={first}&phases[0][metadata[a]]=1&phases[0][metadata][b]=2&phases[0][end_date]={}&phases[1][items][0][price]={second}&phases[1][items][0][quantity]=3&phases[1][metadata][b]=3&phases[1][coupon]=half&phases[1][iterations]=1",
        START + 31 * DAY
    );
    let made = created(&world, &customer, &form).await;
    assert_eq!(made["phases"][1]["start_date"], START + 31 * DAY);
    assert_eq!(number(&made["phases"][1], "end_date"), START + 60 * DAY);
    let id = made["subscription"].as_str().expect("started");
    let before = world.subscription(id).await;
    assert_eq!(before["automatic_tax"]["enabled"], true);
    assert_eq!(prices(&before), [first]);
    world.advance_to(START + 31 * DAY).await;
    let after = world
        .api
        .get(&format!(
            "/v1/subscriptions/{id}?expand[]=schedule.phases.coupon&expand[]=discount.coupon"
        ))
        .await
        .ok();
    assert_eq!(prices(&after), [second]);
    assert_eq!(after["metadata"], serde_json::json!({"a": "1", "b": "3"}));
    assert_eq!(after["discount"]["coupon"]["id"], "half");
    assert_eq!(after["schedule"]["phases"][1]["coupon"]["percent_off"], 50);
    let invoices = world.invoices(&customer).await;
    assert_eq!(lines(&invoices[0]), [(3, 2100)]);
    assert_eq!(
        (
            number(&invoices[0], "subtotal"),
            number(&invoices[0], "total")
        ),
        (2100, 1050)
    );
}

#[tokio::test]
async fn a_phase_that_drops_a_metered_item_bills_it_apart() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [first, second] = [
        world.metered("unit_amount=10").await,
        world.metered("unit_amount=20").await,
    ];
    for (end, expected) in [
        (
            START + 31 * DAY,
            vec![vec![(0, 0)], vec![(7, 70)], vec![(0, 0)]],
        ),
        (START + 45 * DAY, vec![vec![(7, 70)], vec![(0, 0)]]),
    ] {
        let customer = if end == START + 31 * DAY {
            customer.clone()
        } else {
            world.customer().await
        };
        let form = format!(
            "phases[0][items][0][price]={first}&phases[0][end_date]={end}&phases[1][items][0][price]={second}"
        );
        if end == START + 31 * DAY {
            let id = world.schedule(&customer, &form).await;
            world.report(&id, 7).await;
            world.advance_to(end).await;
        } else {
            // The clock stands at the end of January.
            let id = world.schedule(&customer, &form).await;
            world.report(&id, 7).await;
            world.advance_to(end).await;
        }
        assert_eq!(world.billed(&customer).await, expected);
    }
}

#[tokio::test]
async fn a_release_leaves_the_subscription() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let id = world
        .schedule(
            &customer,
            &format!(
                "phases[0][items][0][price]={price}&phases[0][iterations]=12&end_behavior=cancel"
            ),
        )
        .await;
    let path = world.schedule_of(&id).await;
    let released = world.api.post(&format!("{path}/release"), "").await.ok();
    assert_eq!(
        (&released["status"], &released["released_subscription"]),
        (&"released".into(), &id.as_str().into())
    );
    assert!(world.subscription(&id).await["schedule"].is_null());
    for (end, verb) in [
        ("/release", "release"),
        ("/cancel", "cancel"),
        ("", "update"),
    ] {
        let (message, ..) = world
            .api
            .post(&format!("{path}{end}"), "")
            .await
            .refused(400);
        assert_eq!(
            message,
            format!(
                "You cannot {verb} a subscription schedule that is currently in the `released` status. It must be in one of the following statuses: `not_started`, `active`."
            )
        );
    }
}

#[tokio::test]
async fn cancelling_a_schedule_ends_the_subscription() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let made = created(
        &world,
        &customer,
        &format!("start_date=now&phases[0][items][0][price]={price}"),
    )
    .await;
    world.advance_to(START + 10 * DAY).await;
    let canceled = world
        .api
        .post(&format!("{}/cancel", path(&made)), "")
        .await
        .ok();
    assert_eq!(
        (&canceled["status"], number(&canceled, "canceled_at")),
        (&"canceled".into(), START + 10 * DAY)
    );
    assert_eq!(
        world.billed(&customer).await,
        [vec![(1, -2100)], vec![(1, 3100)]]
    );

    let waiting = created(
        &world,
        &customer,
        &format!(
            "start_date={}&phases[0][items][0][price]={price}",
            START + 20 * DAY
        ),
    )
    .await;
    world
        .api
        .post(&format!("{}/cancel", path(&waiting)), "")
        .await
        .ok();
    world.advance_to(START + 25 * DAY).await;
    assert_eq!(world.billed(&customer).await.len(), 2);

    let id = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    let path = world.schedule_of(&id).await;
    world
        .api
        .delete(&format!("/v1/subscriptions/{id}"))
        .await
        .ok();
    let with_it = world.api.get(&path).await.ok();
    assert_eq!(with_it["status"], "canceled");
}

#[tokio::test]
async fn phases_follow_the_schedules_billing_cycle_anchor() {
    let end = START + 10 * DAY;
    // The default setting, that of the second phase, and whether a period begins with that phase.
    for (schedule, own, anchored) in [
        ("phase_start", None, true),
        ("phase_start", Some("automatic"), false),
        ("automatic", Some("phase_start"), true),
        ("automatic", None, false),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3100").await;
        let own = own.map_or_else(String::new, |own| {
            format!("&phases[1][billing_cycle_anchor]={own}")
        });
        let form = format!(
            "start_date=now&default_settings[billing_cycle_anchor]={schedule}&phases[0][items][0][price]={price}&phases[0][end_date]={end}&phases[1][items][0][price]={price}{own}"
        );
        let made = created(&world, &customer, &form).await;
        world.advance_to(end).await;
        let id = made["subscription"].as_str().expect("started");
        let start = number(&world.subscription(id).await, "current_period_start");
        assert_eq!(start, if anchored { end } else { START }, "{schedule}{own}");
    }
}

#[tokio::test]
async fn metadata_without_a_value_is_removed_from_the_subscription() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let item = |index: usize| {
        format!("phases[{index}][items][0][price]={price}&phases[{index}][iterations]=1")
    };
    let form = format!(
        "start_date=now&{}&phases[0][metadata][up]=a&phases[0][metadata][stays]=b&phases[0][metadata][none]=&{}&phases[1][metadata][up]=&phases[1][metadata][new]=c",
        item(0),
        item(1)
    );
    let made = created(&world, &customer, &form).await;
    assert_eq!(
        made["phases"][1]["metadata"],
        serde_json::json!({"up": "", "new": "c"})
    );
    let id = made["subscription"].as_str().expect("started");
    assert_eq!(
        world.subscription(id).await["metadata"],
        serde_json::json!({"up": "a", "stays": "b"})
    );
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(
        world.subscription(id).await["metadata"],
        serde_json::json!({"stays": "b", "new": "c"})
    );
}

#[tokio::test]
async fn a_start_in_the_past_is_not_modelled() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let item = format!("phases[0][items][0][price]={price}&phases[0][iterations]=3");
    let past = format!("customer={customer}&start_date={}&{item}", START - DAY);
    let (message, _, param) = world.api.post(URL, &past).await.refused(400);
    assert!(message.contains("does not model"), "{message}");
    assert_eq!(param, "start_date");
    let later = format!("start_date={}&{item}", START + DAY);
    let waiting = created(&world, &customer, &later).await;
    let earlier = format!("phases[0][start_date]={}&{item}", START - DAY);
    let refused = world.api.post(&path(&waiting), &earlier).await;
    assert_eq!(refused.refused(400).2, "phases[0][start_date]");
    assert!(world.invoices(&customer).await.is_empty());
}

#[tokio::test]
async fn the_end_of_a_schedule_is_the_subscriptions_from_its_last_phase_on() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let item = |index: usize| {
        format!("phases[{index}][items][0][price]={price}&phases[{index}][iterations]=1")
    };
    let form = format!("start_date=now&end_behavior=cancel&{}&{}", item(0), item(1));
    let made = created(&world, &customer, &form).await;
    let id = made["subscription"].as_str().expect("started");
    let ends = async || {
        let subscription = world.subscription(id).await;
        (
            subscription["cancel_at"].as_i64(),
            subscription["canceled_at"].as_i64(),
        )
    };
    assert_eq!(ends().await, (None, None));
    let (second, end) = (START + 31 * DAY, START + 60 * DAY);
    world.advance_to(second).await;
    assert_eq!(ends().await, (Some(end), Some(second)));
    world
        .api
        .post(&path(&made), "end_behavior=release")
        .await
        .ok();
    assert_eq!(ends().await, (None, None));
    world
        .api
        .post(&path(&made), "end_behavior=cancel")
        .await
        .ok();
    assert_eq!(ends().await, (Some(end), Some(second)));
    world.advance_to(end).await;
    assert_eq!(world.subscription(id).await["status"], "canceled");
}

#[tokio::test]
async fn a_phase_shows_its_collection_method_if_given() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let form = format!(
        "start_date=now&phases[0][items][0][price]={price}&phases[0][collection_method]=charge_automatically&phases[1][items][0][price]={price}"
    );
    let made = created(&world, &customer, &form).await;
    let phases = made["phases"].as_array().expect("phases");
    let lines_by_time = phases.iter().map(|phase| &phase["collection_method"]);
    assert_eq!(
        lines_by_time.collect::<Vec<_>>(),
        [&"charge_automatically".into(), &Value::Null]
    );
}
