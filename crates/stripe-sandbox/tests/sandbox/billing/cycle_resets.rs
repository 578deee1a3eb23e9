//! What restarts a billing cycle or cuts a period short: paid prices after free ones, other intervals, trials, and an
//! end within the period.

use serde_json::Value;

use super::{DAY, START, World, descriptions, lines, number};

/// 2023-04-01, the first day of a month of 30.
const APRIL: i64 = 1_680_307_200;

fn cycle(subscription: &Value) -> (i64, i64, i64) {
    (
        number(subscription, "billing_cycle_anchor"),
        number(subscription, "current_period_start"),
        number(subscription, "current_period_end"),
    )
}

async fn yearly(world: &World, form: &str) -> String {
    let form = format!("currency=usd&recurring[interval]=year&product_data[name]=Name&{form}");
    world.api.create("/v1/prices", &form).await
}

#[tokio::test]
async fn the_first_price_that_is_not_free_begins_a_period() {
    let free_tiers = "recurring[usage_type]=metered&billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=inf&tiers[0][unit_amount]=0";
    for (before, behavior, credits) in [
        ("unit_amount=0", "create_prorations", true),
        ("unit_amount=0", "always_invoice", true),
        ("unit_amount=0", "none", false),
        (
            "recurring[usage_type]=metered&unit_amount=0",
            "create_prorations",
            false,
        ),
        (free_tiers, "create_prorations", false),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let [free, paid] = [
            world.price(before).await,
            world.price("unit_amount=2000").await,
        ];
        let (id, item) = world
            .subscribe(&customer, &format!("items[0][price]={free}"))
            .await;
        let now = APRIL + 10 * DAY;
        world.advance_to(now).await;
        let form =
            format!("items[0][id]={item}&items[0][price]={paid}&proration_behavior={behavior}");
        let updated = world.update(&id, &form).await;
        assert_eq!(cycle(&updated), (now, now, now + 30 * DAY), "{before}");
        let invoice = world.invoices(&customer).await.remove(0);
        let mut expected = vec![(1, 2000)];
        if credits {
            expected.insert(0, (1, 0));
        }
        assert_eq!(lines(&invoice), expected, "{before} {behavior}");
        assert_eq!(invoice["billing_reason"], "subscription_update");
        assert_eq!(number(&invoice, "total"), 2000);
        // The invoice's period is the time of the update.
        assert_eq!(
            (
                number(&invoice, "period_start"),
                number(&invoice, "period_end")
            ),
            (now, now)
        );
        world.advance_to(now + 30 * DAY).await;
        assert_eq!(number(&world.invoices(&customer).await[0], "total"), 2000);
    }
}

#[tokio::test]
async fn a_first_quantity_and_a_price_beside_a_paid_one_begin_no_period() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let [paid, more] = [
        world.price("unit_amount=3000").await,
        world.price("unit_amount=600").await,
    ];
    let form = format!("items[0][price]={paid}&items[0][quantity]=0");
    let (id, item) = world.subscribe(&customer, &form).await;
    world.advance_to(APRIL + 10 * DAY).await;
    let form = format!("items[0][id]={item}&items[0][quantity]=1&items[1][price]={more}");
    let updated = world.update(&id, &form).await;
    assert_eq!(cycle(&updated), (APRIL, APRIL, APRIL + 30 * DAY));
    assert_eq!(world.billed(&customer).await, [[(0, 0)]]);
    world.advance_to(APRIL + 30 * DAY).await;
    assert_eq!(
        world.billed(&customer).await[0],
        [(0, 0), (1, 2000), (1, 400), (1, 3000), (1, 600)]
    );
}

#[tokio::test]
async fn a_phase_that_is_not_free_begins_a_period_too() {
    let world = World::at(APRIL).await;
    let [free, paid] = [
        world.price("unit_amount=0").await,
        world.price("unit_amount=2000").await,
    ];
    let now = APRIL + 10 * DAY;
    // By itself, and by a change of the running phase.
    let first = format!("phases[0][items][0][price]={free}&phases[0][end_date]={now}");
    let customer = world.customer().await;
    let form = format!("{first}&phases[1][items][0][price]={paid}&phases[1][iterations]=2");
    let id = world.schedule(&customer, &form).await;
    let other = world.customer().await;
    let changed = world
        .schedule(&other, &format!("phases[0][items][0][price]={free}"))
        .await;
    world.advance_to(now).await;
    let path = world.schedule_of(&changed).await;
    let form = format!(
        "phases[0][start_date]={APRIL}&phases[0][items][0][price]={paid}&phases[0][iterations]=3"
    );
    world.api.post(&path, &form).await.ok();
    for (id, customer) in [(&id, &customer), (&changed, &other)] {
        let subscription = world.subscription(id).await;
        assert_eq!(cycle(&subscription), (now, now, now + 30 * DAY));
        assert_eq!(
            world.billed(customer).await,
            [vec![(1, 0), (1, 2000)], vec![(1, 0)]]
        );
    }
}

#[tokio::test]
async fn another_interval_begins_a_period_both_ways() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let month = world.price("unit_amount=3000").await;
    let year = yearly(&world, "unit_amount=36600").await;
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={month}"))
        .await;
    let now = APRIL + 10 * DAY;
    world.advance_to(now).await;
    let to = |price: &str| format!("items[0][id]={item}&items[0][price]={price}");
    let updated = world.update(&id, &to(&year)).await;
    // Until April 2024, which is 366 days later.
    assert_eq!(cycle(&updated), (now, now, now + 366 * DAY));
    assert_eq!(world.billed(&customer).await[0], [(1, -2000), (1, 36_600)]);
    world.advance_to(now + 6 * DAY).await;
    world.update(&id, &to(&month)).await;
    assert_eq!(world.billed(&customer).await[0], [(1, -36_000), (1, 3000)]);
    let owner = world
        .api
        .get(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    assert_eq!(number(&owner, "balance"), -33_000);
}

#[tokio::test]
async fn an_invoice_for_prorations_leaves_other_pending_items() {
    for (behavior, now, later) in [
        (
            "always_invoice",
            vec![(3, -6000), (1, 36_600)],
            vec![(1, -2000), (3, 6000), (1, 36_600)],
        ),
        (
            "create_prorations",
            vec![(3, -6000), (1, -2000), (3, 6000), (1, 36_600)],
            vec![(1, 36_600)],
        ),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let month = world.price("unit_amount=3000").await;
        let year = yearly(&world, "unit_amount=36600").await;
        let (id, item) = world
            .subscribe(&customer, &format!("items[0][price]={month}"))
            .await;
        let at = APRIL + 10 * DAY;
        world.advance_to(at).await;
        world
            .update(&id, &format!("items[0][id]={item}&items[0][quantity]=3"))
            .await;
        let form =
            format!("items[0][id]={item}&items[0][price]={year}&proration_behavior={behavior}");
        world.update(&id, &form).await;
        assert_eq!(world.billed(&customer).await[0], now, "{behavior}");
        world.advance_to(at + 366 * DAY).await;
        assert_eq!(world.billed(&customer).await[0], later, "{behavior}");
    }
}

#[tokio::test]
async fn an_end_within_the_first_period_is_charged_up_to_it() {
    for behavior in ["create_prorations", "none"] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let [licensed, metered] = [
            world.price("unit_amount=1000").await,
            world.metered("unit_amount=5").await,
        ];
        let end = APRIL + 15 * DAY;
        let form = format!(
            "items[0][price]={licensed}&items[1][price]={metered}&cancel_at={end}&proration_behavior={behavior}"
        );
        let (id, _) = world.subscribe(&customer, &form).await;
        let made = world.subscription(&id).await;
        assert_eq!(cycle(&made), (end, APRIL, end));
        assert_eq!(number(&made, "cancel_at"), end);
        assert_eq!(world.billed(&customer).await, [[(1, 500), (0, 0)]]);
        world.report(&id, 7).await;
        world.advance_to(end).await;
        assert_eq!(world.subscription(&id).await["status"], "canceled");
        assert_eq!(
            world.billed(&customer).await,
            [vec![(7, 35)], vec![(1, 500), (0, 0)]]
        );
    }
}

#[tokio::test]
async fn an_end_within_the_running_period_is_credited_at_once() {
    // The proration behavior, the immediate invoice, and the last invoice.
    for (behavior, at_once, last) in [
        ("create_prorations", vec![], vec![(1, -1000)]),
        ("always_invoice", vec![(1, -1000)], vec![]),
        ("none", vec![], vec![]),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3000").await;
        let (id, _) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        world.advance_to(APRIL + 5 * DAY).await;
        let end = APRIL + 20 * DAY;
        let form = format!("cancel_at={end}&proration_behavior={behavior}");
        let updated = world.update(&id, &form).await;
        assert_eq!(cycle(&updated), (end, APRIL, end));
        let mut expected = vec![vec![(1, 3000)]];
        if !at_once.is_empty() {
            expected.insert(0, at_once);
        }
        assert_eq!(world.billed(&customer).await, expected, "{behavior}");
        world.advance_to(end).await;
        if !last.is_empty() {
            expected.insert(0, last);
        }
        assert_eq!(world.billed(&customer).await, expected, "{behavior}");
        assert_eq!(number(&world.subscription(&id).await, "ended_at"), end);
    }
}

#[tokio::test]
async fn an_end_that_moves_or_goes_leaves_the_cycle_where_it_was_cut() {
    let end = APRIL + 20 * DAY;
    for (form, billed) in [
        ("cancel_at=".to_owned(), vec![(1, -1000), (1, 3000)]),
        (
            "cancel_at_period_end=false&cancel_at=".to_owned(),
            vec![(1, -1000), (1, 3000)],
        ),
        // Five of the thirty days of the period that begins there.
        (
            format!("cancel_at={}", end + 5 * DAY),
            vec![(1, -1000), (1, 500)],
        ),
        // Another five days earlier.
        (
            format!("cancel_at={}", end - 5 * DAY),
            vec![(1, -500), (1, -1000)],
        ),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3000").await;
        let (id, _) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        world.update(&id, &format!("cancel_at={end}")).await;
        world.update(&id, &form).await;
        world.advance_to(end).await;
        assert_eq!(
            world.billed(&customer).await,
            [billed, vec![(1, 3000)]],
            "{form}"
        );
    }
}

#[tokio::test]
async fn a_change_in_a_period_that_was_cut_short_is_prorated_by_the_whole_one() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3000").await;
    let end = APRIL + 20 * DAY;
    let (id, item) = world
        .subscribe(
            &customer,
            &format!("items[0][price]={price}&cancel_at={end}"),
        )
        .await;
    world.advance_to(APRIL + 10 * DAY).await;
    let form =
        format!("items[0][id]={item}&items[0][quantity]=2&proration_behavior=always_invoice");
    world.update(&id, &form).await;
    assert_eq!(
        world.billed(&customer).await,
        [vec![(1, -1000), (2, 2000)], vec![(1, 2000)]]
    );
    let path = format!("/v1/subscriptions/{id}?invoice_now=true&prorate=true");
    world.advance_to(APRIL + 15 * DAY).await;
    world.api.delete(&path).await.ok();
    assert_eq!(world.billed(&customer).await[0], [(2, -1000)]);
}

#[tokio::test]
async fn a_trial_ends_with_the_subscription_and_keeps_its_first_start() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let item = format!("items[0][price]={price}");
    let end = START + 7 * DAY;
    // An end before the trial's end, set on creation and later.
    let (one, _) = world
        .subscribe(
            &customer,
            &format!("{item}&trial_period_days=14&cancel_at={end}"),
        )
        .await;
    let (other, _) = world
        .subscribe(&customer, &format!("{item}&trial_period_days=14"))
        .await;
    world.update(&other, &format!("cancel_at={end}")).await;
    for id in [&one, &other] {
        let subscription = world.subscription(id).await;
        assert_eq!(number(&subscription, "trial_end"), end);
        assert_eq!(cycle(&subscription), (end, START, end));
    }
    // Removing the end does not restore the trial's end.
    let kept = world.update(&other, "cancel_at=").await;
    assert_eq!(number(&kept, "trial_end"), end);
    world.advance_to(end).await;
    assert_eq!(world.subscription(&one).await["status"], "canceled");
    assert_eq!(world.subscription(&other).await["status"], "active");
    // A second trial.
    world.advance_to(end + 10 * DAY).await;
    let again = world
        .update(&other, &format!("trial_end={}", end + 40 * DAY))
        .await;
    assert_eq!(
        (number(&again, "trial_start"), number(&again, "trial_end")),
        (START, end + 40 * DAY)
    );
    assert_eq!(number(&again, "current_period_start"), end + 10 * DAY);
}

#[tokio::test]
async fn a_trial_says_what_was_used_and_per_what() {
    let world = World::new().await;
    let customer = world.customer().await;
    let metered = world.metered("unit_amount=10").await;
    let form = "currency=usd&recurring[interval]=month&unit_amount=100&product_data[name]=Seat&product_data[unit_label]=user";
    let licensed = world.api.create("/v1/prices", form).await;
    let form = format!("items[0][price]={metered}&items[1][price]={licensed}&trial_period_days=14");
    let (id, _) = world.subscribe(&customer, &form).await;
    world.report(&id, 10).await;
    let first = world.invoices(&customer).await.remove(0);
    assert_eq!(descriptions(&first)[1], "Trial period for Seat (per user)");
    world.advance_to(START + 14 * DAY).await;
    let over = world.invoices(&customer).await.remove(0);
    assert_eq!(
        descriptions(&over),
        ["10 × Name (Free trial)", "1 user × Seat (at $1.00 / month)"]
    );
}
