//! Ends of subscriptions whose items have periods of their own.

use super::super::super::billing::{DAY, number};
use super::super::{APRIL, MAY, Metered, pending};
use super::intervals::{NEXT_APRIL, periods};
use super::{CLASSIC, FLEXIBLE, MIDDLE};

#[tokio::test]
async fn cancel_at_period_end_is_the_earliest_period_end() {
    let metered = Metered::new().await;
    let monthly = metered.price("unit_amount=5").await;
    let yearly = metered.yearly().await;
    let (subscription, _) = metered.subscribe(&[&yearly, &monthly], FLEXIBLE).await;
    metered.report("3").await;
    let form = "cancel_at_period_end=true";
    let updated = metered.world.update(&subscription, form).await;
    assert_eq!(number(&updated, "cancel_at"), MAY);
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, NEXT_APRIL), (APRIL, MAY)]
    );
    metered.world.advance_to(MAY).await;
    let ended = metered.world.subscription(&subscription).await;
    assert_eq!(ended["status"], "canceled");
    // The rest of the year is credited.
    assert_eq!(metered.billed().await[0], [(1, -8375), (3, 15)]);
}

#[tokio::test]
async fn the_first_end_of_a_period_cuts_the_others_short() {
    for (behavior, waiting) in [("create_prorations", vec![-8375]), ("none", vec![])] {
        let metered = Metered::new().await;
        let monthly = metered.price("unit_amount=5").await;
        let yearly = metered.yearly().await;
        let (subscription, _) = metered.subscribe(&[&yearly, &monthly], FLEXIBLE).await;
        let form = format!("cancel_at=min_period_end&proration_behavior={behavior}");
        let updated = metered.world.update(&subscription, &form).await;
        assert_eq!(number(&updated, "cancel_at"), MAY);
        assert_eq!(updated["cancel_at_period_end"], false);
        assert_eq!(periods(&metered, &subscription).await, [(APRIL, MAY); 2]);
        let amounts: Vec<i64> = pending(&metered).await.iter().map(|item| item.1).collect();
        assert_eq!(amounts, waiting, "{behavior}");
        metered.world.advance_to(MAY).await;
        let ended = metered.world.subscription(&subscription).await;
        assert_eq!(ended["status"], "canceled");
    }
}

#[tokio::test]
async fn the_last_end_of_a_period_is_resolved_after_the_change() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, items) = metered.subscribe(&[&monthly], FLEXIBLE).await;
    metered.world.advance_to(MIDDLE).await;
    let form = format!("items[0][price]={yearly}&cancel_at=max_period_end");
    let updated = metered.world.update(&subscription, &form).await;
    assert_eq!(number(&updated, "cancel_at"), NEXT_APRIL);
    // Later changes do not move it.
    let removed = format!("items[0][id]={}&items[0][deleted]=true", items[0]);
    let updated = metered.world.update(&subscription, &removed).await;
    assert_eq!(number(&updated, "cancel_at"), NEXT_APRIL);
    metered.advance_far(MIDDLE, NEXT_APRIL).await;
    let ended = metered.world.subscription(&subscription).await;
    assert_eq!(number(&ended, "ended_at"), NEXT_APRIL);
    assert_eq!(
        metered.billed().await,
        [vec![(1, -500), (1, 8750)], vec![(1, 1000)]]
    );
}

#[tokio::test]
async fn a_new_subscription_can_end_with_a_period() {
    for (end, at, lines) in [
        ("min_period_end", MAY, [(1, 1000), (1, 750)]),
        ("max_period_end", NEXT_APRIL, [(1, 1000), (1, 9125)]),
    ] {
        let metered = Metered::new().await;
        let monthly = metered.world.price("unit_amount=1000").await;
        let yearly = metered.yearly().await;
        let form = format!("cancel_at={end}");
        let (subscription, _) = metered.subscribe(&[&monthly, &yearly], &form).await;
        let shown = metered.world.subscription(&subscription).await;
        assert_eq!(number(&shown, "cancel_at"), at);
        assert_eq!(metered.billed().await, [lines], "{end}");
    }
}

#[tokio::test]
async fn an_end_in_a_later_period_cuts_that_one_short() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, _) = metered.subscribe(&[&monthly, &yearly], FLEXIBLE).await;
    let end = MIDDLE + 30 * DAY;
    let form = format!("cancel_at={end}");
    metered.world.update(&subscription, &form).await;
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, MAY), (APRIL, end)]
    );
    metered.world.advance_to(end).await;
    // 320 days of the year are credited, and 15 of the 31 days of May are charged.
    assert_eq!(
        metered.billed().await,
        [vec![(1, -8000), (1, 483)], vec![(1, 1000), (1, 9125)]]
    );
    let ended = metered.world.subscription(&subscription).await;
    assert_eq!(number(&ended, "ended_at"), end);
}

#[tokio::test]
async fn only_flexible_billing_names_the_ends_of_periods() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let (subscription, _) = metered.subscribe(&[&monthly], CLASSIC).await;
    let path = format!("/v1/subscriptions/{subscription}");
    let api = &metered.world.api;
    let end = "cancel_at=min_period_end";
    let refused = api.post(&path, end).await.refused(400);
    assert!(refused.0.contains("billing_mode=flexible"), "{}", refused.0);
    let refused = api.post(&path, "cancel_at=max_billed_until").await;
    let refused = refused.refused(400);
    assert!(refused.0.starts_with("The sandbox does not model"));
    let older = api.header("stripe-version", "2022-11-15");
    let refused = older.post(&path, end).await.refused(400);
    assert!(refused.0.starts_with("Invalid timestamp"), "{}", refused.0);
}
