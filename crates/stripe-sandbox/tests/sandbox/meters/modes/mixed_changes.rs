//! Changes between intervals in flexible billing: credits and charges are for the period of each item.

use super::super::super::billing::{DAY, number};
use super::super::{APRIL, MAY, Metered, pending};
use super::intervals::{JULY, JUNE, NEXT_APRIL, periods};
use super::{FLEXIBLE, MIDDLE};

/// The amounts of the pending invoice items, oldest first.
async fn amounts(metered: &Metered) -> Vec<i64> {
    pending(metered).await.iter().map(|item| item.1).collect()
}

#[tokio::test]
async fn another_interval_is_charged_for_the_rest_of_its_own_period() {
    for (behavior, at_once, waiting) in [
        ("create_prorations", None, vec![8750, -500]),
        ("always_invoice", Some([(1, -500), (1, 8750)]), vec![]),
        ("none", None, vec![]),
    ] {
        let metered = Metered::new().await;
        let monthly = metered.world.price("unit_amount=1000").await;
        let yearly = metered.yearly().await;
        let (subscription, items) = metered.subscribe(&[&monthly], FLEXIBLE).await;
        metered.world.advance_to(MIDDLE).await;
        let form = format!(
            "items[0][id]={}&items[0][price]={yearly}&proration_behavior={behavior}",
            items[0]
        );
        let updated = metered.world.update(&subscription, &form).await;
        assert_eq!(number(&updated, "billing_cycle_anchor"), APRIL);
        assert_eq!(
            periods(&metered, &subscription).await,
            [(APRIL, NEXT_APRIL)]
        );
        let billed = metered.billed().await;
        assert_eq!(billed.len(), 1 + usize::from(at_once.is_some()));
        if let Some(lines) = at_once {
            assert_eq!(billed[0], lines);
        }
        assert_eq!(amounts(&metered).await, waiting, "{behavior}");
        metered.advance_far(MIDDLE, NEXT_APRIL).await;
        let billed = metered.billed().await;
        assert_eq!(billed[0].last(), Some(&(1, 9125)));
        // There is no invoice in between.
        let invoices = metered.world.invoices(&metered.customer).await;
        assert_eq!(number(&invoices[0], "created"), NEXT_APRIL);
        assert!(number(&invoices[1], "created") <= MIDDLE);
    }
}

#[tokio::test]
async fn a_shorter_interval_is_charged_for_the_rest_of_its_own_period() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, items) = metered.subscribe(&[&yearly], FLEXIBLE).await;
    metered.world.advance_to(MAY).await;
    metered.world.advance_to(MIDDLE + 30 * DAY).await;
    let form = format!("items[0][id]={}&items[0][price]={monthly}", items[0]);
    metered.world.update(&subscription, &form).await;
    // 320 days of the year, and 16 of the 31 of May.
    assert_eq!(amounts(&metered).await, [516, -8000]);
    assert_eq!(periods(&metered, &subscription).await, [(MAY, JUNE)]);
    metered.world.advance_to(JUNE).await;
    assert_eq!(metered.billed().await[0], [(1, -8000), (1, 516), (1, 1000)]);
}

#[tokio::test]
async fn an_item_of_a_new_interval_joins_its_running_period() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let quarterly = metered.every(3, "unit_amount=9100").await;
    let (subscription, _) = metered.subscribe(&[&monthly], FLEXIBLE).await;
    metered.advance_far(APRIL, MAY + 10 * DAY).await;
    let form = format!("items[0][price]={quarterly}&items[0][quantity]=2");
    metered.world.update(&subscription, &form).await;
    // 51 of the 91 days.
    assert_eq!(amounts(&metered).await, [10_200]);
    assert_eq!(
        periods(&metered, &subscription).await,
        [(MAY, JUNE), (APRIL, JULY)]
    );
    metered.advance_far(MAY + 10 * DAY, JULY).await;
    assert_eq!(
        metered.billed().await[..2],
        [vec![(1, 1000), (2, 18_200)], vec![(2, 10_200), (1, 1000)]]
    );
}

#[tokio::test]
async fn a_change_credits_what_was_debited_for_the_items_own_period() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, items) = metered.subscribe(&[&monthly, &yearly], FLEXIBLE).await;
    metered.world.advance_to(MAY).await;
    let more = format!("items[0][id]={}&items[0][quantity]=3", items[1]);
    metered.world.update(&subscription, &more).await;
    // 335 days are left.
    assert_eq!(amounts(&metered).await, [25_125, -8375]);
    metered.world.advance_to(JUNE).await;
    let removed = format!(
        "items[0][id]={}&items[0][deleted]=true&proration_behavior=always_invoice",
        items[1]
    );
    metered.world.update(&subscription, &removed).await;
    assert_eq!(metered.billed().await[0], [(3, -22_800)]);
    assert_eq!(periods(&metered, &subscription).await, [(JUNE, JULY)]);
}

#[tokio::test]
async fn a_new_anchor_restarts_all_periods() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let metered_price = metered.price("unit_amount=5").await;
    let prices = [&*monthly, &*yearly, &*metered_price];
    let (subscription, _) = metered.subscribe(&prices, FLEXIBLE).await;
    metered.report("4").await;
    metered.world.advance_to(MIDDLE).await;
    let form = "billing_cycle_anchor=now";
    metered.world.update(&subscription, form).await;
    assert_eq!(
        metered.billed().await[0],
        [(1, -500), (1, -8750), (1, 1000), (1, 9125), (4, 20)]
    );
    assert_eq!(
        periods(&metered, &subscription).await,
        [
            (MIDDLE, MIDDLE + 30 * DAY),
            (MIDDLE, MIDDLE + 365 * DAY),
            (MIDDLE, MIDDLE + 30 * DAY)
        ]
    );
}

#[tokio::test]
async fn usage_of_a_removed_item_is_that_of_its_own_period() {
    let metered = Metered::new().await;
    let yearly = metered.yearly().await;
    let monthly = metered.price("unit_amount=5").await;
    let (subscription, items) = metered.subscribe(&[&yearly, &monthly], FLEXIBLE).await;
    metered.report("10").await;
    metered.world.advance_to(MAY).await;
    metered.report("3").await;
    let removed = format!("items[0][id]={}&items[0][deleted]=true", items[1]);
    metered.world.update(&subscription, &removed).await;
    assert_eq!(amounts(&metered).await, [15]);
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, NEXT_APRIL)]
    );
    metered.advance_far(MAY, NEXT_APRIL).await;
    assert_eq!(
        metered.billed().await[..2],
        [vec![(3, 15), (1, 9125)], vec![(10, 50)]]
    );
}

#[tokio::test]
async fn prorations_are_computed_from_a_date_in_any_running_period() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, items) = metered.subscribe(&[&monthly, &yearly], FLEXIBLE).await;
    metered.world.advance_to(MAY).await;
    let path = format!("/v1/subscriptions/{subscription}");
    let early = format!(
        "items[0][id]={}&items[0][quantity]=2&proration_date={}",
        items[1],
        APRIL - 1
    );
    let api = &metered.world.api;
    api.post(&path, &early).await.error(400);
    let form = format!(
        "items[0][id]={}&items[0][quantity]=2&proration_date={}",
        items[1], MIDDLE
    );
    metered.world.update(&subscription, &form).await;
    assert_eq!(amounts(&metered).await, [17_500, -8750]);
}

#[tokio::test]
async fn a_phase_can_add_and_change_intervals() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let form = format!(
        "phases[0][items][0][price]={monthly}&phases[0][end_date]={MIDDLE}\
         &phases[1][items][0][price]={monthly}&phases[1][items][1][price]={yearly}\
         &phases[2][items][0][price]={yearly}&phases[1][end_date]={JUNE}"
    );
    let subscription = metered.world.schedule(&metered.customer, &form).await;
    let path = metered.world.schedule_of(&subscription).await;
    let schedule = metered.world.api.get(&path).await.ok();
    // The last phase lasts for one of its shortest intervals.
    let ends: Vec<i64> = (0..3)
        .map(|index| number(&schedule["phases"][index], "end_date"))
        .collect();
    assert_eq!(ends, [MIDDLE, JUNE, JUNE + 365 * DAY]);
    metered.world.advance_to(MIDDLE).await;
    assert_eq!(amounts(&metered).await, [8750]);
    metered.world.advance_to(JUNE).await;
    assert_eq!(metered.billed().await[0], [(1, 8750), (1, 1000)]);
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, NEXT_APRIL)]
    );
}

#[tokio::test]
async fn at_a_periods_end_another_interval_begins_with_the_renewal() {
    for behavior in ["create_prorations", "always_invoice", "none"] {
        let metered = Metered::new().await;
        let monthly = metered.world.price("unit_amount=1000").await;
        let yearly = metered.yearly().await;
        let form = format!(
            "phases[0][items][0][price]={monthly}&phases[0][end_date]={MAY}\
             &phases[1][items][0][price]={yearly}&phases[1][proration_behavior]={behavior}"
        );
        let subscription = metered.world.schedule(&metered.customer, &form).await;
        metered.world.advance_to(MAY).await;
        assert_eq!(metered.billed().await, [vec![(1, 8375)], vec![(1, 1000)]]);
        assert_eq!(periods(&metered, &subscription).await, [(MAY, NEXT_APRIL)]);
        metered.advance_far(MAY, NEXT_APRIL).await;
        assert_eq!(metered.billed().await[0], [(1, 9125)], "{behavior}");
    }
}

#[tokio::test]
async fn what_was_debited_for_another_interval_is_not_credited_later() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, items) = metered.subscribe(&[&yearly], FLEXIBLE).await;
    metered.world.advance_to(MIDDLE).await;
    let item = format!("items[0][id]={}", items[0]);
    let form = format!("{item}&items[0][price]={monthly}&proration_behavior=none");
    metered.world.update(&subscription, &form).await;
    let more = format!("{item}&items[0][quantity]=2");
    metered.world.update(&subscription, &more).await;
    assert_eq!(amounts(&metered).await, [1000]);
}
