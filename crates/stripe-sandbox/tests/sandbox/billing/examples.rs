//! Worked examples: bills that were computed by hand.

use super::{DAY, START, World, lines, number};

fn unix(date: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(&format!("{date}T00:00:00Z"))
        .expect("a date")
        .timestamp()
}

#[tokio::test]
async fn paid_trial_and_free_are_billed_by_period() {
    let world = World::new().await;
    let price = world.metered("unit_amount=1").await;
    let [paid, trial, free] = [
        world.customer().await,
        world.customer().await,
        world.customer().await,
    ];
    let item = format!("phases[0][items][0][price]={price}");
    let trial_end = START + 14 * DAY;
    let forms = [
        item.clone(),
        format!(
            "{item}&phases[0][trial]=true&phases[0][end_date]={trial_end}&phases[1][items][0][price]={price}"
        ),
        format!("{item}&phases[0][trial]=true"),
    ];
    let mut subscriptions = Vec::new();
    for (customer, form) in [&paid, &trial, &free].into_iter().zip(&forms) {
        subscriptions.push(world.schedule(customer, form).await);
    }
    for subscription in &subscriptions {
        world.report(subscription, 1).await;
    }
    world.advance_to(START + 15 * DAY).await;
    for subscription in &subscriptions {
        world.report(subscription, 1).await;
    }
    world.advance_to(START + 46 * DAY).await;
    assert_eq!(world.billed(&paid).await, [vec![(2, 2)], vec![(0, 0)]]);
    assert_eq!(
        world.billed(&trial).await,
        [vec![(1, 1)], vec![(1, 0)], vec![(0, 0)]]
    );
    assert_eq!(world.billed(&free).await, [vec![(2, 0)], vec![(0, 0)]]);
}

#[tokio::test]
async fn cancelling_credits_the_rest_and_bills_the_usage() {
    let world = World::new().await;
    let customer = world.customer().await;
    let licensed = world.price("unit_amount=31000").await;
    let metered = world
        .metered("billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=inf&tiers[0][unit_amount]=0&tiers[0][flat_amount]=1000")
        .await;
    let form =
        format!("phases[0][items][0][price]={licensed}&phases[0][items][1][price]={metered}");
    let subscription = world.schedule(&customer, &form).await;
    world.report(&subscription, 99).await;
    world.advance_to(START + 10 * DAY).await;
    let path = format!("/v1/subscriptions/{subscription}?invoice_now=true&prorate=true");
    let gone = world.api.delete(&path).await.ok();
    assert_eq!(gone["status"], "canceled");
    assert_eq!(number(&gone, "ended_at"), START + 10 * DAY);

    let invoices = world.invoices(&customer).await;
    assert_eq!(lines(&invoices[0]), [(1, -21_000), (99, 0), (0, 1000)]);
    assert_eq!(number(&invoices[0], "total"), -20_000);
    let credit = &invoices[0]["lines"]["data"][0];
    assert_eq!(credit["proration"], true);
    assert_eq!(credit["discountable"], false);
    assert_eq!(
        credit["description"],
        "Unused time on Name after 10 Jan 2020"
    );
    assert_eq!(lines(&invoices[1]), [(1, 31_000), (0, 0)]);
    let owner = world
        .api
        .get(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    assert_eq!(number(&owner, "balance"), -20_000);

    let list = format!("/v1/subscriptions?customer={customer}");
    assert!(world.api.ids(&list).await.is_empty());
    assert_eq!(
        world.api.ids(&format!("{list}&status=canceled")).await,
        [subscription]
    );
    let upcoming = format!("/v1/invoices/upcoming/lines?customer={customer}");
    let (message, code, _) = world.api.get(&upcoming).await.refused(404);
    assert_eq!(
        message,
        format!("No upcoming invoices for customer: {customer}")
    );
    assert_eq!(code, "invoice_upcoming_none");
}

#[tokio::test]
async fn packs_round_up_and_lines_show_what_was_used() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world
        .metered("unit_amount=2&transform_quantity[divide_by]=3&transform_quantity[round]=up")
        .await;
    let subscription = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    world.report(&subscription, 100).await;
    world.advance_to(unix("2020-02-29")).await;
    assert_eq!(
        world.billed(&customer).await,
        [vec![(0, 0)], vec![(100, 68)], vec![(0, 0)]]
    );
}

#[tokio::test]
async fn graduated_and_volume_tiers_bill_as_stripe_does() {
    let tiers = "billing_scheme=tiered&tiers[0][up_to]=1000&tiers[0][unit_amount]=0&tiers[0][flat_amount]=900&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=3.6&tiers[1][flat_amount]=0";
    for (mode, expected) in [
        ("graduated", vec![(1000, 0), (0, 900), (31, 112), (0, 0)]),
        ("volume", vec![(1031, 3712), (0, 0)]),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.metered(&format!("{tiers}&tiers_mode={mode}")).await;
        let subscription = world
            .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
            .await;
        world.report(&subscription, 1031).await;
        let path = format!("/v1/invoices/upcoming?customer={customer}");
        let upcoming = world.api.get(&path).await.ok();
        assert!(upcoming.get("id").is_none());
        assert_eq!(lines(&upcoming), expected);
        world.advance_to(unix("2020-01-31")).await;
        let invoices = world.invoices(&customer).await;
        assert_eq!(lines(&invoices[0]), expected);
        let sum: i64 = expected.iter().map(|(_, amount)| amount).sum();
        assert_eq!(number(&invoices[0], "total"), sum);
        assert_eq!(lines(&invoices[1]), [(0, 0)]);
    }
}

#[tokio::test]
async fn the_31st_is_clamped_to_short_months() {
    let world = World::at(unix("2020-01-31")).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let subscription = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    for end in ["2020-02-29", "2020-03-31", "2020-04-30"] {
        let now = world.subscription(&subscription).await;
        assert_eq!(number(&now, "current_period_end"), unix(end));
        world.advance_to(unix(end)).await;
    }
}

#[tokio::test]
async fn a_phase_without_an_end_is_released_after_one_interval() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let subscription = world
        .schedule(
            &customer,
            &format!("phases[0][items][0][price]={price}&phases[0][metadata][k]=v"),
        )
        .await;
    let list = format!("/v1/subscription_schedules?customer={customer}");
    let first = world.api.ids(&list).await.remove(0);
    world.advance_to(unix("2020-01-31")).await;
    let schedule = world
        .api
        .get(&format!("/v1/subscription_schedules/{first}"))
        .await
        .ok();
    assert_eq!(schedule["status"], "released");
    assert_eq!(schedule["released_subscription"], subscription.as_str());
    assert!(schedule["subscription"].is_null() && schedule["current_phase"].is_null());
    let now = world.subscription(&subscription).await;
    assert_eq!(
        (&now["status"], &now["schedule"]),
        (&"active".into(), &serde_json::Value::Null)
    );

    let form = format!("from_subscription={subscription}");
    let made = world
        .api
        .post("/v1/subscription_schedules", &form)
        .await
        .ok();
    assert_eq!(made["status"], "active");
    assert_eq!(made["phases"][0]["metadata"]["k"], "v");
    assert_eq!(
        made["current_phase"]["start_date"],
        now["current_period_start"]
    );
    assert_eq!(made["current_phase"]["end_date"], now["current_period_end"]);
    let path = format!(
        "/v1/subscription_schedules/{}",
        made["id"].as_str().expect("an id")
    );
    let start = number(&made["current_phase"], "start_date");
    for turn in 0..7 {
        let (trial, status) = if turn % 2 == 0 {
            ("true", "trialing")
        } else {
            ("false", "active")
        };
        let form = format!(
            "phases[0][items][0][price]={price}&phases[0][start_date]={start}&phases[0][trial]={trial}"
        );
        world.api.post(&path, &form).await.ok();
        let now = world.subscription(&subscription).await;
        assert_eq!(now["status"], status, "turn {turn}");
    }
}
