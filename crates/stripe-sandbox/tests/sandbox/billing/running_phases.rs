//! Updates of running schedules.

use super::schedules::{created, path, prices};
use super::{DAY, START, World, number};

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
    let path = world.schedule_of(&id).await;
    world.advance_to(START + 10 * DAY).await;
    let form = format!("phases[0][items][0][price]={large}&phases[0][start_date]={START}");
    let updated = world.api.post(&path, &form).await.ok();
    assert_eq!(updated["current_phase"]["start_date"], START);
    let now = world.subscription(&id).await;
    assert_eq!(prices(&now), [large]);
    assert_eq!(world.billed(&customer).await.len(), 1);
    world.advance_to(START + 31 * DAY).await;
    // The credit and the charge for 21 of 31 days, newest first. The usage of the removed item is lost.
    assert_eq!(
        world.billed(&customer).await[0],
        [(1, -2100), (1, 4200), (1, 6200)]
    );
}

#[tokio::test]
async fn prorations_can_be_invoiced_at_once_or_left_out() {
    for (behavior, expected) in [
        (
            "always_invoice",
            vec![
                vec![(1, 6200)],
                vec![(1, -2100), (1, 4200)],
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
        let path = world.schedule_of(&id).await;
        world.advance_to(START + 10 * DAY).await;
        let form = format!(
            "phases[0][items][0][price]={large}&phases[0][start_date]={START}&proration_behavior={behavior}"
        );
        world.api.post(&path, &form).await.ok();
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
    // The update is sent with and without the past phase.
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
    // 19 of 29 days are credited.
    assert_eq!(world.billed(&customer).await[0], [(1, -66)]);
}

#[tokio::test]
async fn trials_begin_and_end_with_the_request() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let id = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    let path = world.schedule_of(&id).await;
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
    // The rest of January is credited.
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
