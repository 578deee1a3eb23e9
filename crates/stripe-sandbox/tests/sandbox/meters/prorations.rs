//! The credits of flexible billing: each debit is credited once.

use super::super::billing::DAY;
use super::{APRIL, MAY, Metered, pending};

const CLASSIC: &str = "billing_mode[type]=classic";

const FLEXIBLE: &str = "billing_mode[type]=flexible";

const MIDDLE: i64 = APRIL + 15 * DAY;

/// The amounts of the customer's pending items, oldest first.
async fn amounts(metered: &Metered) -> Vec<i64> {
    pending(metered).await.iter().map(|item| item.1).collect()
}

#[tokio::test]
async fn a_price_that_was_never_debited_is_not_credited() {
    for (mode, expected) in [
        (CLASSIC, vec![(1, -1000), (1, 500)]),
        (FLEXIBLE, vec![(1, -500), (1, 500)]),
    ] {
        let metered = Metered::new().await;
        let ten = metered.world.price("unit_amount=1000").await;
        let twenty = metered.world.price("unit_amount=2000").await;
        let (subscription, items) = metered.subscribe(&[&ten], mode).await;
        metered.world.advance_to(APRIL + 5 * DAY).await;
        let change = |price: &str, behavior: &str| {
            format!(
                "items[0][id]={}&items[0][price]={price}&proration_behavior={behavior}",
                items[0]
            )
        };
        metered
            .world
            .update(&subscription, &change(&twenty, "none"))
            .await;
        metered.world.advance_to(MIDDLE).await;
        metered
            .world
            .update(&subscription, &change(&ten, "always_invoice"))
            .await;
        assert_eq!(metered.billed().await[0], expected, "{mode}");
    }
}

#[tokio::test]
async fn each_debit_is_credited_once() {
    let metered = Metered::new().await;
    let price = metered.world.price("unit_amount=1000").await;
    let (subscription, items) = metered.subscribe(&[&price], FLEXIBLE).await;
    let quantity =
        |quantity: i64| format!("items[0][id]={}&items[0][quantity]={quantity}", items[0]);
    metered.world.advance_to(MIDDLE).await;
    metered.world.update(&subscription, &quantity(2)).await;
    // The charge is added first, because an invoice shows pending items newest first.
    assert_eq!(amounts(&metered).await, [1000, -500]);
    metered.world.advance_to(APRIL + 24 * DAY).await;
    metered.world.update(&subscription, &quantity(3)).await;
    // 6 of the 15 days of the second debit, and 6 of 30 days for three units.
    assert_eq!(amounts(&metered).await, [1000, -500, 600, -400]);
    metered.world.advance_to(APRIL + 27 * DAY).await;
    metered.cancel(&subscription).await;
    assert_eq!(amounts(&metered).await, [1000, -500, 600, -400, -300]);
}

#[tokio::test]
async fn a_credit_is_of_what_was_paid_after_discounts() {
    for (mode, credit) in [(CLASSIC, -500), (FLEXIBLE, -250)] {
        let metered = Metered::new().await;
        let price = metered.world.price("unit_amount=1000").await;
        let coupon = metered.world.coupon("percent_off=50").await;
        let form = format!("{mode}&discounts[0][coupon]={coupon}");
        let (subscription, items) = metered.subscribe(&[&price], &form).await;
        metered.world.update(&subscription, "discounts=").await;
        metered.world.advance_to(MIDDLE).await;
        let form = format!("items[0][id]={}&items[0][quantity]=2", items[0]);
        metered.world.update(&subscription, &form).await;
        assert_eq!(amounts(&metered).await, [1000, credit], "{mode}");
    }
}

#[tokio::test]
async fn an_amount_off_is_distributed_over_the_items_in_flexible() {
    // The amount of 1500 is spread over 10 and 20 before, and over 20 and 20 after: a third, and a half.
    for (mode, credit, charge) in [(CLASSIC, 0, 250), (FLEXIBLE, -250, 625)] {
        let metered = Metered::new().await;
        let ten = metered.world.price("unit_amount=1000").await;
        let twenty = metered.world.price("unit_amount=2000").await;
        let coupon = metered.world.coupon("amount_off=1500&currency=usd").await;
        let form = format!("{mode}&discounts[0][coupon]={coupon}");
        let (subscription, items) = metered.subscribe(&[&ten, &twenty], &form).await;
        metered.world.advance_to(MIDDLE).await;
        let form = format!("items[0][id]={}&items[0][quantity]=2", items[0]);
        metered.world.update(&subscription, &form).await;
        assert_eq!(amounts(&metered).await, [charge, credit], "{mode}");
    }
}

#[tokio::test]
async fn a_new_period_is_a_new_debit() {
    let metered = Metered::new().await;
    let price = metered.world.price("unit_amount=3100").await;
    let (subscription, items) = metered.subscribe(&[&price], FLEXIBLE).await;
    metered.world.advance_to(MIDDLE).await;
    let quantity = format!("items[0][id]={}&items[0][quantity]=2", items[0]);
    metered.world.update(&subscription, &quantity).await;
    metered.world.advance_to(MAY + 10 * DAY).await;
    metered.cancel(&subscription).await;
    // 21 of 31 days of two.
    assert_eq!(amounts(&metered).await, [-4200]);
}
