//! Metered items that are added, changed and removed.

use super::super::{MAY, Metered};
use super::{CLASSIC, FLEXIBLE, MIDDLE};

#[tokio::test]
async fn a_metered_item_that_is_added_has_a_line_only_in_classic() {
    for (mode, invoices) in [(CLASSIC, 2), (FLEXIBLE, 1)] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        let (subscription, _) = metered.subscribe(&[&base], mode).await;
        let form = format!("items[0][price]={price}&proration_behavior=always_invoice");
        metered.world.update(&subscription, &form).await;
        let billed = metered.billed().await;
        assert_eq!(billed.len(), invoices, "{mode}");
        if mode == CLASSIC {
            assert_eq!(billed[0], [(0, 0)]);
        }
        metered.world.advance_to(MAY).await;
        // Both modes list it at the end of the period.
        assert_eq!(metered.billed().await[0], [(1, 1000), (0, 0)], "{mode}");
    }
}

#[tokio::test]
async fn without_lines_there_is_no_invoice_to_pay() {
    let metered = Metered::new().await;
    let price = metered.price("unit_amount=5").await;
    // The customer owes something, and has no card.
    let form = format!("test_clock={}&balance=500", metered.world.clock);
    let customer = metered.world.api.create("/v1/customers", &form).await;
    let form = format!("items[0][price]={price}&{FLEXIBLE}");
    let (subscription, _) = metered.world.subscribe(&customer, &form).await;
    let shown = metered.world.subscription(&subscription).await;
    assert_eq!(shown["status"], "active");
    assert!(shown["latest_invoice"].is_null());
}

#[tokio::test]
async fn usage_before_another_price_is_lost_in_classic_only() {
    let once = |behavior: &str| format!("&proration_behavior={behavior}");
    for (mode, behavior, at_once, at_end) in [
        (CLASSIC, "create_prorations", None, vec![(2, 14)]),
        (CLASSIC, "always_invoice", None, vec![(2, 14)]),
        (FLEXIBLE, "create_prorations", None, vec![(10, 50), (2, 14)]),
        (
            FLEXIBLE,
            "always_invoice",
            Some(vec![(10, 50)]),
            vec![(2, 14)],
        ),
        (FLEXIBLE, "none", None, vec![(2, 14)]),
    ] {
        let metered = Metered::new().await;
        let before = metered.price("unit_amount=5").await;
        let after = metered.price("unit_amount=7").await;
        let (subscription, items) = metered.subscribe(&[&before], mode).await;
        let first = metered.billed().await.len();
        metered.report("10").await;
        metered.world.advance_to(MIDDLE).await;
        let form = format!(
            "items[0][id]={}&items[0][price]={after}{}",
            items[0],
            once(behavior)
        );
        metered.world.update(&subscription, &form).await;
        let billed = metered.billed().await;
        assert_eq!(
            billed.len(),
            first + usize::from(at_once.is_some()),
            "{mode} {behavior}"
        );
        if let Some(lines) = at_once {
            assert_eq!(billed[0], lines, "{mode} {behavior}");
        }
        metered.report("2").await;
        metered.world.advance_to(MAY).await;
        assert_eq!(metered.billed().await[0], at_end, "{mode} {behavior}");
    }
}

#[tokio::test]
async fn usage_of_a_removed_item_is_lost_in_classic_only() {
    for (mode, behavior, at_end) in [
        (CLASSIC, "create_prorations", vec![(1, 1000)]),
        (FLEXIBLE, "create_prorations", vec![(10, 50), (1, 1000)]),
        (FLEXIBLE, "none", vec![(1, 1000)]),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        let (subscription, items) = metered.subscribe(&[&base, &price], mode).await;
        metered.report("10").await;
        metered.world.advance_to(MIDDLE).await;
        let deleted = format!(
            "items[0][id]={}&items[0][deleted]=true&proration_behavior={behavior}",
            items[1]
        );
        let clears = format!("{deleted}&items[0][clear_usage]=true");
        if mode == FLEXIBLE {
            let path = format!("/v1/subscriptions/{subscription}");
            metered.world.api.post(&path, &clears).await.error(400);
            metered.world.update(&subscription, &deleted).await;
        } else {
            metered.world.update(&subscription, &clears).await;
        }
        metered.world.advance_to(MAY).await;
        assert_eq!(metered.billed().await[0], at_end, "{mode} {behavior}");
    }
}
