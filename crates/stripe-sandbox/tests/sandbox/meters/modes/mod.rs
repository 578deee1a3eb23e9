//! The differences between classic and flexible billing, row by row of Stripe's comparison.

mod backdating;
mod ends;
mod intervals;
mod mixed_changes;
mod trials;
mod usage;

use serde_json::json;

use super::super::billing::{DAY, number};
use super::{APRIL, Metered, pending};

const CLASSIC: &str = "billing_mode[type]=classic";

const FLEXIBLE: &str = "billing_mode[type]=flexible";

/// The middle of April.
const MIDDLE: i64 = APRIL + 15 * DAY;

#[tokio::test]
async fn flexible_is_the_default_and_a_subscription_says_which_it_is() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    for (form, mode) in [
        (
            "",
            json!({"flexible": {"proration_discounts": "included"}, "type": "flexible"}),
        ),
        (
            FLEXIBLE,
            json!({"flexible": {"proration_discounts": "included"}, "type": "flexible"}),
        ),
        (CLASSIC, json!({"flexible": null, "type": "classic"})),
    ] {
        let (subscription, _) = metered.subscribe(&[&base], form).await;
        let shown = metered.world.subscription(&subscription).await;
        assert_eq!(shown["billing_mode"], mode, "{form}");
    }
    let form = format!("customer={}&items[0][price]={base}", metered.customer);
    let itemized =
        format!("{form}&{FLEXIBLE}&billing_mode[flexible][proration_discounts]=itemized");
    metered
        .world
        .api
        .post("/v1/subscriptions", &itemized)
        .await
        .error(400);
}

#[tokio::test]
async fn a_subscription_is_migrated_for_good() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let (subscription, _) = metered.subscribe(&[&base], CLASSIC).await;
    let path = format!("/v1/subscriptions/{subscription}/migrate");
    let api = &metered.world.api;
    api.post(&path, "billing_mode[type]=classic")
        .await
        .error(400);
    let migrated = api.post(&path, FLEXIBLE).await.ok();
    assert_eq!(migrated["billing_mode"]["type"], "flexible");
    assert_eq!(number(&migrated["billing_mode"], "updated_at"), APRIL);
    api.post(&path, FLEXIBLE).await.error(400);
    // Charges from before the migration count as debits.
    metered.world.advance_to(MIDDLE).await;
    metered.cancel(&subscription).await;
    assert_eq!(
        pending(&metered).await,
        [("Unused time on Name after 16 Apr 2020".to_owned(), -500)]
    );
}

#[tokio::test]
async fn the_anchor_moves_by_itself_in_classic_only() {
    for (mode, anchor, invoices) in [(CLASSIC, MIDDLE, 2), (FLEXIBLE, APRIL, 1)] {
        let metered = Metered::new().await;
        let free = metered.world.price("unit_amount=0").await;
        let paid = metered.world.price("unit_amount=1000").await;
        let (subscription, items) = metered.subscribe(&[&free], mode).await;
        metered.world.advance_to(MIDDLE).await;
        let form = format!("items[0][id]={}&items[0][price]={paid}", items[0]);
        let updated = metered.world.update(&subscription, &form).await;
        assert_eq!(number(&updated, "billing_cycle_anchor"), anchor, "{mode}");
        assert_eq!(metered.billed().await.len(), invoices, "{mode}");
        if mode == FLEXIBLE {
            let amounts: Vec<i64> = pending(&metered).await.iter().map(|item| item.1).collect();
            assert_eq!(amounts, [500, 0]);
        }
    }
    for (mode, anchor) in [(CLASSIC, MIDDLE), (FLEXIBLE, APRIL)] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let (subscription, _) = metered.subscribe(&[&base], mode).await;
        let updated = metered
            .world
            .update(&subscription, &format!("cancel_at={MIDDLE}"))
            .await;
        assert_eq!(number(&updated, "billing_cycle_anchor"), anchor, "{mode}");
        assert_eq!(
            number(&updated["items"]["data"][0], "current_period_end"),
            MIDDLE,
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_request_moves_the_anchor_in_flexible() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let (subscription, _) = metered.subscribe(&[&base], FLEXIBLE).await;
    metered.world.advance_to(MIDDLE).await;
    let updated = metered
        .world
        .update(&subscription, "billing_cycle_anchor=now")
        .await;
    assert_eq!(number(&updated, "billing_cycle_anchor"), MIDDLE);
    assert_eq!(metered.billed().await[0], [(1, -500), (1, 1000)]);
}

#[tokio::test]
async fn pending_items_are_on_every_invoice_of_flexible() {
    for (mode, expected) in [
        (CLASSIC, vec![(1, -500), (1, 1000)]),
        (FLEXIBLE, vec![(1, -500), (1, 300), (1, 1000)]),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let (subscription, _) = metered.subscribe(&[&base], mode).await;
        metered.world.advance_to(MIDDLE).await;
        let item = format!("customer={}&currency=usd&amount=300", metered.customer);
        metered.world.api.post("/v1/invoiceitems", &item).await.ok();
        let form = "billing_cycle_anchor=now&proration_behavior=always_invoice";
        metered.world.update(&subscription, form).await;
        assert_eq!(metered.billed().await[0], expected, "{mode}");
    }
}

#[tokio::test]
async fn a_first_period_that_is_cut_short_can_be_charged_whole_in_flexible() {
    for (mode, behavior, total) in [
        (CLASSIC, "create_prorations", 500),
        (CLASSIC, "none", 500),
        (FLEXIBLE, "create_prorations", 500),
        (FLEXIBLE, "none", 1000),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let form = format!("{mode}&cancel_at={MIDDLE}&proration_behavior={behavior}");
        metered.subscribe(&[&base], &form).await;
        let invoice = &metered.world.invoices(&metered.customer).await[0];
        assert_eq!(number(invoice, "total"), total, "{mode} {behavior}");
    }
}
