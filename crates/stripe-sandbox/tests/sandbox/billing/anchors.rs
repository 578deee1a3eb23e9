//! `billing_cycle_anchor`: when full periods begin.

use super::{DAY, World, lines, number};

/// 2023-04-01, the first day of a month of 30.
const APRIL: i64 = 1_680_307_200;

#[tokio::test]
async fn the_time_before_the_anchor_is_prorated_or_free() {
    let anchor = APRIL + 10 * DAY;
    for (behavior, first) in [
        ("", vec![(1, 1000), (0, 0)]),
        (
            "&proration_behavior=create_prorations",
            vec![(1, 1000), (0, 0)],
        ),
        ("&proration_behavior=none", vec![]),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        // March has 31 days.
        let [licensed, metered] = [
            world.price("unit_amount=3100").await,
            world.metered("unit_amount=10").await,
        ];
        let form = format!(
            "items[0][price]={licensed}&items[1][price]={metered}&billing_cycle_anchor={anchor}{behavior}"
        );
        let (id, _) = world.subscribe(&customer, &form).await;
        let made = world.subscription(&id).await;
        assert_eq!(
            (
                number(&made, "billing_cycle_anchor"),
                number(&made, "current_period_end")
            ),
            (anchor, anchor)
        );
        assert_eq!(made["latest_invoice"].is_null(), first.is_empty());
        let expected: Vec<_> = Some(first)
            .filter(|first| !first.is_empty())
            .into_iter()
            .collect();
        assert_eq!(world.billed(&customer).await, expected, "{behavior}");
        world.report(&id, 3).await;
        world.advance_to(anchor).await;
        assert_eq!(
            world.billed(&customer).await[0],
            [(1, 3100), (3, 30)],
            "{behavior}"
        );
        world.advance_to(anchor + 30 * DAY).await;
        let renewal = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&renewal), [(1, 3100), (0, 0)]);
        assert_eq!(number(&renewal, "created"), anchor + 30 * DAY);
    }
}

#[tokio::test]
async fn a_trial_before_the_anchor_is_followed_by_a_part_of_a_period() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3000").await;
    // A month from the end of the trial would be 8 May; full months begin on the 20th.
    let (trial_end, anchor) = (APRIL + 7 * DAY, APRIL + 19 * DAY);
    let form =
        format!("items[0][price]={price}&trial_end={trial_end}&billing_cycle_anchor={anchor}");
    let (id, _) = world.subscribe(&customer, &form).await;
    assert_eq!(
        number(&world.subscription(&id).await, "trial_end"),
        trial_end
    );
    world.advance_to(trial_end).await;
    // 12 of the 31 days from 20 March.
    assert_eq!(world.billed(&customer).await[0], [(1, 1161)]);
    assert_eq!(
        number(&world.subscription(&id).await, "current_period_end"),
        anchor
    );
    world.advance_to(anchor).await;
    assert_eq!(world.billed(&customer).await[0], [(1, 3000)]);
}

#[tokio::test]
async fn an_update_can_begin_a_period_now() {
    for (behavior, expected) in [
        ("", vec![(1, -2000), (1, 3000)]),
        (
            "&proration_behavior=always_invoice",
            vec![(1, -2000), (1, 3000)],
        ),
        ("&proration_behavior=none", vec![(1, 3000)]),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3000").await;
        let (id, _) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        let now = APRIL + 10 * DAY;
        world.advance_to(now).await;
        world
            .update(&id, &format!("billing_cycle_anchor=unchanged{behavior}"))
            .await;
        assert_eq!(world.invoices(&customer).await.len(), 1);
        let updated = world
            .update(&id, &format!("billing_cycle_anchor=now{behavior}"))
            .await;
        assert_eq!(
            (
                number(&updated, "billing_cycle_anchor"),
                number(&updated, "current_period_start"),
                number(&updated, "current_period_end")
            ),
            (now, now, now + 30 * DAY)
        );
        assert_eq!(world.billed(&customer).await[0], expected, "{behavior}");
    }
}

#[tokio::test]
async fn invalid_anchors_are_refused() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3000").await;
    let item = format!("customer={customer}&items[0][price]={price}");
    let day = 86_400;
    for rest in [
        format!("billing_cycle_anchor={APRIL}"),
        format!("billing_cycle_anchor={}", APRIL + 30 * day + 1),
        format!(
            "trial_period_days=7&billing_cycle_anchor={}",
            APRIL + 37 * day + 1
        ),
    ] {
        let reply = world
            .api
            .post("/v1/subscriptions", &format!("{item}&{rest}"))
            .await;
        assert_eq!(reply.refused(400).2, "billing_cycle_anchor", "{rest}");
    }
    assert!(world.invoices(&customer).await.is_empty());
}

#[tokio::test]
async fn a_cycle_does_not_begin_within_a_trial() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3000").await;
    let (id, _) = world
        .subscribe(
            &customer,
            &format!("items[0][price]={price}&trial_period_days=10"),
        )
        .await;
    let path = format!("/v1/subscriptions/{id}");
    let later = APRIL + 20 * DAY;
    for form in [
        "billing_cycle_anchor=now".to_owned(),
        format!("billing_cycle_anchor=now&trial_end={later}"),
    ] {
        let (_, _, param) = world.api.post(&path, &form).await.refused(400);
        assert_eq!(param, "billing_cycle_anchor", "{form}");
    }
    let preview =
        format!("/v1/invoices/upcoming?subscription={id}&subscription_billing_cycle_anchor=now");
    let (_, _, param) = world.api.get(&preview).await.refused(400);
    assert_eq!(param, "subscription_billing_cycle_anchor");
    assert_eq!(world.invoices(&customer).await.len(), 1);
    let ended = world
        .update(&id, "billing_cycle_anchor=now&trial_end=now")
        .await;
    assert_eq!(ended["status"], "active");
    assert_eq!(world.billed(&customer).await[0], [(1, 3000)]);
}
