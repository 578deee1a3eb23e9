//! Updates that end the running phase now, so that the next one begins: invoiced and pending items.

use serde_json::Value;

use super::schedules::{created, path, prices};
use super::{DAY, START, World, lines, number};

const NOW: i64 = START + 10 * DAY;

/// The items of a phase.
fn items(phase: usize, prices: &[&str]) -> String {
    let each = prices.iter().enumerate();
    let each = each.map(|(index, price)| format!("phases[{phase}][items][{index}][price]={price}"));
    each.collect::<Vec<_>>().join("&")
}

/// Ends the running phase, which began at [`START`], and starts one with these prices.
async fn move_on(world: &World, path: &str, from: &[&str], to: &[&str], more: &str) -> Value {
    let form = format!(
        "phases[0][start_date]={START}&phases[0][end_date]=now&{}&phases[1][start_date]=now&{}&{more}",
        items(0, from),
        items(1, to)
    );
    world.api.post(path, &form).await.ok()
}

#[tokio::test]
async fn usage_is_invoiced_at_the_old_price_and_licensed_items_are_prorated() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [small, large] = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=6200").await,
    ];
    let [goes, stays, comes] = [
        world.metered("unit_amount=10").await,
        world.metered("unit_amount=7").await,
        world.metered("unit_amount=20").await,
    ];
    let id = world
        .schedule(&customer, &items(0, &[&goes, &small, &stays]))
        .await;
    let path = world.schedule_of(&id).await;
    world.report(&id, 50).await;
    world.advance_to(NOW).await;
    let updated = move_on(
        &world,
        &path,
        &[&goes, &small, &stays],
        &[&comes, &large, &stays],
        "",
    )
    .await;
    let phases = updated["phases"].as_array().expect("phases");
    let times = |phase: &Value| (number(phase, "start_date"), number(phase, "end_date"));
    assert_eq!(times(&phases[0]), (START, NOW));
    assert_eq!(times(&updated["current_phase"]), times(&phases[1]));
    assert_eq!(number(&phases[1], "start_date"), NOW);
    let subscription = world.subscription(&id).await;
    assert_eq!(prices(&subscription), [&*comes, &large, &stays]);

    let invoices = world.invoices(&customer).await;
    assert_eq!(lines(&invoices[0]), [(50, 500)]);
    assert_eq!(
        (&invoices[0]["billing_reason"], &invoices[0]["status"]),
        (&"subscription_update".into(), &"paid".into())
    );
    assert_eq!(invoices.len(), 2);

    world.report(&id, 3).await;
    world.advance_to(START + 31 * DAY).await;
    let mut renewal = world.billed(&customer).await[0].clone();
    // The two prorations for 21 of 31 days, the new items, and the usage since the change.
    renewal[..2].sort_unstable();
    assert_eq!(renewal, [(1, -2100), (1, 4200), (3, 60), (1, 6200), (0, 0)]);
}

#[tokio::test]
async fn the_next_phase_decides_about_prorations() {
    for (behavior, expected) in [
        ("none", vec![vec![(1, 3100)]]),
        (
            "always_invoice",
            vec![vec![(1, -2100), (1, 4200)], vec![(1, 3100)]],
        ),
        ("create_prorations", vec![vec![(1, 3100)]]),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let small = world.price("unit_amount=3100").await;
        let large = world.price("unit_amount=6200").await;
        let id = world.schedule(&customer, &items(0, &[&small])).await;
        let path = world.schedule_of(&id).await;
        world.advance_to(NOW).await;
        // The request's proration behavior only concerns changes of the running phase, and there are none.
        let more =
            format!("proration_behavior=always_invoice&phases[1][proration_behavior]={behavior}");
        move_on(&world, &path, &[&small], &[&large], &more).await;
        let mut billed = world.billed(&customer).await;
        billed[0].sort_unstable();
        assert_eq!(billed, expected, "{behavior}");
    }
}

#[tokio::test]
async fn a_trial_that_ends_with_its_phase_is_never_charged() {
    let world = World::new().await;
    let customer = world.customer().await;
    let tried = world.price("unit_amount=3100").await;
    let bought = world.price("unit_amount=6200").await;
    let end = START + 20 * DAY;
    let form = format!(
        "{}&phases[0][trial]=true&phases[0][end_date]={end}",
        items(0, &[&tried])
    );
    let id = world.schedule(&customer, &form).await;
    let path = world.schedule_of(&id).await;
    world.advance_to(NOW).await;
    move_on(
        &world,
        &path,
        &[&tried],
        &[&bought],
        "phases[0][trial]=true",
    )
    .await;
    assert_eq!(
        world.billed(&customer).await,
        [vec![(1, 6200)], vec![(1, 0)]]
    );
    let now = world.subscription(&id).await;
    assert_eq!(
        (&now["status"], number(&now, "trial_end")),
        (&"active".into(), NOW)
    );
    assert_eq!(number(&now, "current_period_start"), NOW);
}

#[tokio::test]
async fn the_last_phase_may_end_now() {
    for (behavior, status, expected) in [
        ("release", "released", vec![vec![(1, 3100), (0, 0)]]),
        (
            "cancel",
            "completed",
            vec![vec![(1, -2100), (5, 50)], vec![(1, 3100), (0, 0)]],
        ),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let licensed = world.price("unit_amount=3100").await;
        let metered = world.metered("unit_amount=10").await;
        let both = items(0, &[&licensed, &metered]);
        let id = world.schedule(&customer, &both).await;
        world.report(&id, 5).await;
        let path = world.schedule_of(&id).await;
        world.advance_to(NOW).await;
        let form = format!(
            "{both}&phases[0][start_date]={START}&phases[0][end_date]=now&end_behavior={behavior}"
        );
        let over = world.api.post(&path, &form).await.ok();
        assert_eq!(over["status"], status);
        assert_eq!(world.billed(&customer).await, expected);
        let now = world.subscription(&id).await;
        let canceled = behavior == "cancel";
        assert_eq!(now["status"] == "canceled", canceled);
        assert_eq!(now["ended_at"] == NOW, canceled);
    }
}

#[tokio::test]
async fn a_schedule_that_waits_can_begin_now() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let form = format!("start_date={NOW}&{}", items(0, &[&price]));
    let made = created(&world, &customer, &form).await;
    let form = format!("{}&phases[0][start_date]=now", items(0, &[&price]));
    let begun = world.api.post(&path(&made), &form).await.ok();
    assert_eq!(begun["status"], "active");
    assert_eq!(number(&begun["current_phase"], "start_date"), START);
    assert_eq!(world.billed(&customer).await, [vec![(1, 3100)]]);
    world.advance_to(NOW).await;
    assert_eq!(world.billed(&customer).await.len(), 1);
}

#[tokio::test]
async fn no_phase_is_empty() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let id = world.schedule(&customer, &items(0, &[&price])).await;
    let path = world.schedule_of(&id).await;
    // The running phase began in this second.
    let now = format!(
        "{}&phases[0][start_date]={START}&phases[0][end_date]=now",
        items(0, &[&price])
    );
    let (_, _, param) = world.api.post(&path, &now).await.refused(400);
    assert_eq!(param, "phases[0][end_date]");
    world.advance_to(NOW).await;
    let twice = format!("{now}&{}&phases[1][end_date]=now", items(1, &[&price]));
    let (_, _, param) = world.api.post(&path, &twice).await.refused(400);
    assert_eq!(param, "phases[1][end_date]");
    let fresh = format!(
        "customer={customer}&start_date=now&{}&phases[0][end_date]=now",
        items(0, &[&price])
    );
    let (_, _, param) = world
        .api
        .post("/v1/subscription_schedules", &fresh)
        .await
        .refused(400);
    assert_eq!(param, "phases[0][end_date]");
}
