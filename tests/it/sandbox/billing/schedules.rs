//! Schedules: phases, updates, releases and ends.

use serde_json::Value;

use super::{DAY, START, World, lines, number};

const URL: &str = "/v1/subscription_schedules";

async fn created(world: &World, customer: &str, form: &str) -> Value {
    world
        .api
        .post(URL, &format!("customer={customer}&{form}"))
        .await
        .ok()
}

fn path(schedule: &Value) -> String {
    format!("{URL}/{}", schedule["id"].as_str().expect("an id"))
}

fn prices(subscription: &Value) -> Vec<&str> {
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
            // The clock stands at the end of January by now.
            let id = world.schedule(&customer, &form).await;
            world.report(&id, 7).await;
            world.advance_to(end).await;
        }
        assert_eq!(world.billed(&customer).await, expected);
    }
}

#[tokio::test]
async fn the_running_phase_is_replaced_in_place() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [small, large, metered] = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=6200").await,
        world.metered("unit_amount=1").await,
    ];
    let id = world
        .schedule(
            &customer,
            &format!("phases[0][items][0][price]={small}&phases[0][items][1][price]={metered}"),
        )
        .await;
    world.report(&id, 50).await;
    let schedule = world.subscription(&id).await["schedule"]
        .as_str()
        .expect("a schedule")
        .to_owned();
    let path = format!("{URL}/{schedule}");
    world.advance_to(START + 10 * DAY).await;
    let form = format!("phases[0][items][0][price]={large}&phases[0][start_date]={START}");
    let updated = world.api.post(&path, &form).await.ok();
    assert_eq!(updated["current_phase"]["start_date"], START);
    let now = world.subscription(&id).await;
    assert_eq!(prices(&now), [large]);
    assert_eq!(world.billed(&customer).await.len(), 1);
    world.advance_to(START + 31 * DAY).await;
    // The credit and the charge for 21 of 31 days, newest first; the usage of the item that went is lost.
    assert_eq!(
        world.billed(&customer).await[0],
        [(1, 4200), (1, -2100), (1, 6200)]
    );
}

#[tokio::test]
async fn prorations_can_be_invoiced_at_once_or_left_out() {
    for (behavior, expected) in [
        (
            "always_invoice",
            vec![
                vec![(1, 6200)],
                vec![(1, 4200), (1, -2100)],
                vec![(1, 3100)],
            ],
        ),
        ("none", vec![vec![(1, 6200)], vec![(1, 3100)]]),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let [small, large] = [
            world.price("unit_amount=3100").await,
            world.price("unit_amount=6200").await,
        ];
        let id = world
            .schedule(&customer, &format!("phases[0][items][0][price]={small}"))
            .await;
        let schedule = world.subscription(&id).await["schedule"]
            .as_str()
            .expect("a schedule")
            .to_owned();
        world.advance_to(START + 10 * DAY).await;
        let form = format!(
            "phases[0][items][0][price]={large}&phases[0][start_date]={START}&proration_behavior={behavior}"
        );
        world
            .api
            .post(&format!("{URL}/{schedule}"), &form)
            .await
            .ok();
        world.advance_to(START + 31 * DAY).await;
        assert_eq!(world.billed(&customer).await, expected, "{behavior}");
    }
}

#[tokio::test]
async fn later_phases_are_replaced_and_past_ones_stay() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let item = |index: usize| format!("phases[{index}][items][0][price]={price}");
    let form = format!(
        "start_date=now&{}&phases[0][iterations]=1&{}&phases[1][iterations]=1&{}",
        item(0),
        item(1),
        item(2)
    );
    let made = created(&world, &customer, &form).await;
    let path = path(&made);
    world.advance_to(START + 31 * DAY).await;
    let second = START + 31 * DAY;
    // With the past phase, and without it.
    for form in [
        format!(
            "{}&phases[0][start_date]={START}&phases[0][end_date]={second}&{}&phases[1][end_date]={}",
            item(0),
            item(1),
            second + 10 * DAY
        ),
        format!(
            "{}&phases[0][start_date]={second}&phases[0][end_date]={}&end_behavior=cancel",
            item(0),
            second + 10 * DAY
        ),
    ] {
        let updated = world.api.post(&path, &form).await.ok();
        let phases = updated["phases"].as_array().expect("phases");
        assert_eq!(phases.len(), 2);
        assert_eq!(
            (
                number(&phases[0], "start_date"),
                number(&phases[1], "start_date")
            ),
            (START, second)
        );
        assert_eq!(
            number(&updated["current_phase"], "end_date"),
            second + 10 * DAY
        );
    }
    let (message, ..) = world
        .api
        .post(
            &path,
            &format!("{}&phases[0][start_date]={}", item(0), second + 1),
        )
        .await
        .refused(400);
    assert_eq!(
        message,
        "You can not modify the start date of the current phase."
    );
    let (_, code, param) = world.api.post(&path, &item(0)).await.refused(400);
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("parameter_missing", "phases[0][start_date]")
    );

    world.advance_to(second + 10 * DAY).await;
    let over = world.api.get(&path).await.ok();
    assert_eq!(over["status"], "completed");
    // 19 of 29 days are given back.
    assert_eq!(world.billed(&customer).await[0], [(1, -66)]);
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
    let schedule = world.subscription(&id).await["schedule"]
        .as_str()
        .expect("a schedule")
        .to_owned();
    let path = format!("{URL}/{schedule}");
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
    let schedule = world.subscription(&id).await["schedule"].clone();
    world
        .api
        .delete(&format!("/v1/subscriptions/{id}"))
        .await
        .ok();
    let with_it = world
        .api
        .get(&format!("{URL}/{}", schedule.as_str().expect("an id")))
        .await
        .ok();
    assert_eq!(with_it["status"], "canceled");
}

#[tokio::test]
async fn trials_begin_and_end_with_the_request() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let id = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    let schedule = world.subscription(&id).await["schedule"]
        .as_str()
        .expect("a schedule")
        .to_owned();
    let path = format!("{URL}/{schedule}");
    world.advance_to(START + 10 * DAY).await;
    let end = START + 740 * DAY;
    let form = |rest: &str| {
        format!("phases[0][items][0][price]={price}&phases[0][start_date]={START}&{rest}")
    };
    let updated = world
        .api
        .post(
            &path,
            &form(&format!("phases[0][trial]=true&phases[0][end_date]={end}")),
        )
        .await
        .ok();
    assert_eq!(updated["phases"][0]["trial_end"], end);
    let now = world.subscription(&id).await;
    assert_eq!(
        (&now["status"], number(&now, "trial_end")),
        (&"trialing".into(), end)
    );
    assert_eq!(number(&now, "current_period_end"), end);
    // What was paid for the rest of January comes back.
    assert_eq!(world.billed(&customer).await[0], [(1, -2100), (1, 0)]);

    world.advance_to(START + 40 * DAY).await;
    world.api.post(&path, &form("")).await.ok();
    let now = world.subscription(&id).await;
    assert_eq!(
        (&now["status"], number(&now, "trial_end")),
        (&"active".into(), START + 40 * DAY)
    );
    assert_eq!(number(&now, "billing_cycle_anchor"), START + 40 * DAY);
    assert_eq!(world.billed(&customer).await[0], [(1, 3100)]);
}

#[tokio::test]
async fn bad_schedules_are_refused_and_change_nothing() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let yearly = world
        .api
        .create(
            "/v1/prices",
            "currency=usd&recurring[interval]=year&unit_amount=1&product_data[name]=Year",
        )
        .await;
    let item = format!("phases[0][items][0][price]={price}");
    let subscription = world.schedule(&customer, &item).await;
    let mut many = String::new();
    for index in 0..21 {
        let other = world.price(&format!("unit_amount={index}")).await;
        many.push_str(&format!("&phases[0][items][{index}][price]={other}"));
    }
    let now = format!("customer={customer}&start_date=now&");
    for (form, message, param) in [
        (
            format!("from_subscription={subscription}&{item}"),
            "You cannot set `phases` if `from_subscription` is set",
            "phases",
        ),
        (
            format!("from_subscription={subscription}"),
            "You cannot migrate a subscription that is already attached to a schedule",
            "from_subscription",
        ),
        (
            "from_subscription=sub_x".to_owned(),
            "No such subscription: 'sub_x'",
            "from_subscription",
        ),
        (
            format!("start_date=now&{item}"),
            "Missing required param: customer.",
            "customer",
        ),
        (now.clone(), "Missing required param: phases.", "phases"),
        (
            format!("{now}phases[0][trial]=true"),
            "Missing required param: phases[0][items].",
            "phases[0][items]",
        ),
        (
            format!("{now}phases[0][items][0][price]=price_x"),
            "No such price: 'price_x'",
            "phases[0][items][0][price]",
        ),
        (
            format!("{now}{item}&phases[0][items][1][price]={yearly}"),
            "Currency and interval fields must match",
            "phases[0][items]",
        ),
        (
            format!("{now}{item}&phases[0][items][0][quantity]=1"),
            "Quantity should not be specified",
            "phases[0][items][0][quantity]",
        ),
        (
            format!("{now}{item}&phases[0][items][1][price]={price}"),
            "Cannot add multiple subscription items with the same price",
            "phases[0][items]",
        ),
        (
            format!("{now}{many}"),
            "You have exceeded the maximum number of items",
            "phases[0][items]",
        ),
        (
            format!("{now}{item}&phases[0][end_date]={START}"),
            "A phase must end after it starts",
            "phases[0][end_date]",
        ),
        (
            format!(
                "{now}{item}&phases[0][end_date]={}&phases[0][iterations]=1",
                START + DAY
            ),
            "You may only specify one of these parameters: end_date, iterations.",
            "phases[0][end_date]",
        ),
        (
            format!("{now}{item}&phases[0][coupon]=none"),
            "No such coupon: 'none'",
            "phases[0][coupon]",
        ),
        (
            format!("{now}{item}&default_settings[default_payment_method]=pm_card_us"),
            "No such PaymentMethod: 'pm_card_us'",
            "default_settings[default_payment_method]",
        ),
        (
            format!("{now}{item}&phases[0][colour]=red"),
            "Received unknown parameter: phases[0][colour]",
            "phases[0][colour]",
        ),
        (
            format!("{now}{item}&phases[0][trial]=perhaps"),
            "Invalid boolean: perhaps",
            "phases[0][trial]",
        ),
        (
            format!("{now}{item}&phases[0][transfer_data][x]=1"),
            "The sandbox does not model",
            "phases[0][transfer_data]",
        ),
    ] {
        let (text, _, name) = world.api.post(URL, &form).await.refused(400);
        assert!(text.starts_with(message), "{text} for {form}");
        assert_eq!(name, param, "{form}");
    }
    assert_eq!(
        world
            .api
            .ids(&format!("{URL}?customer={customer}"))
            .await
            .len(),
        1
    );
    world
        .api
        .get(&format!("{URL}/sub_sched_x"))
        .await
        .refused(404);
}
