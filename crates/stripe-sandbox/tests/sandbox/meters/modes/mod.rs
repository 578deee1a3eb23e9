//! What classic and flexible billing do differently, row by row of Stripe's comparison of both.

mod ends;
mod intervals;
mod mixed_changes;

use serde_json::json;

use super::super::billing::{DAY, descriptions, number};
use super::{APRIL, MAY, Metered, pending};

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
    // What was charged before counts as a debit.
    metered.world.advance_to(MIDDLE).await;
    metered.cancel(&subscription).await;
    assert_eq!(
        pending(&metered).await,
        [("Unused time on Name after 16 Apr 2020".to_owned(), -500)]
    );
}

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
        // Both list it at the end of the period.
        assert_eq!(metered.billed().await[0], [(1, 1000), (0, 0)], "{mode}");
    }
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
async fn lines_of_trials_have_their_own_words() {
    for (mode, first, usage) in [
        (CLASSIC, "Trial period for Name", "3 × Name (Free trial)"),
        (
            FLEXIBLE,
            "Free trial for 1 × Name",
            "Free trial for 3 × Name",
        ),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        metered
            .subscribe(&[&base, &price], &format!("{mode}&trial_period_days=10"))
            .await;
        metered.report("3").await;
        let invoices = metered.world.invoices(&metered.customer).await;
        assert_eq!(descriptions(&invoices[0])[0], first, "{mode}");
        metered.world.advance_to(APRIL + 10 * DAY).await;
        let invoices = metered.world.invoices(&metered.customer).await;
        assert_eq!(descriptions(&invoices[0])[1], usage, "{mode}");
        assert_eq!(number(&invoices[0], "total"), 1000, "{mode}");
    }
}

#[tokio::test]
async fn a_second_trial_has_its_own_start_in_flexible() {
    for (mode, start) in [(CLASSIC, APRIL), (FLEXIBLE, MIDDLE)] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let form = format!("{mode}&trial_period_days=5");
        let (subscription, _) = metered.subscribe(&[&base], &form).await;
        metered.world.advance_to(MIDDLE).await;
        let form = format!("trial_end={}", MIDDLE + 5 * DAY);
        let updated = metered.world.update(&subscription, &form).await;
        assert_eq!(number(&updated, "trial_start"), start, "{mode}");
        assert_eq!(number(&updated, "trial_end"), MIDDLE + 5 * DAY, "{mode}");
    }
}

#[tokio::test]
async fn an_end_moves_the_trials_end_in_classic_only() {
    let trial_end = APRIL + 20 * DAY;
    for (mode, expected) in [(CLASSIC, MIDDLE), (FLEXIBLE, trial_end)] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let form = format!("{mode}&trial_end={trial_end}&cancel_at={MIDDLE}");
        let (subscription, _) = metered.subscribe(&[&base], &form).await;
        let shown = metered.world.subscription(&subscription).await;
        assert_eq!(number(&shown, "trial_end"), expected, "{mode}");
        metered.world.advance_to(MIDDLE).await;
        let ended = metered.world.subscription(&subscription).await;
        assert_eq!(ended["status"], "canceled", "{mode}");
    }
}

#[tokio::test]
async fn a_change_in_a_trial_has_lines_in_flexible() {
    for (mode, expected) in [
        (CLASSIC, vec![]),
        (FLEXIBLE, vec![("Free trial for 3 × Name".to_owned(), 0)]),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let form = format!("{mode}&trial_period_days=20");
        let (subscription, items) = metered.subscribe(&[&base], &form).await;
        metered.world.advance_to(APRIL + DAY).await;
        let form = format!("items[0][id]={}&items[0][quantity]=3", items[0]);
        metered.world.update(&subscription, &form).await;
        assert_eq!(pending(&metered).await, expected, "{mode}");
    }
}

#[tokio::test]
async fn a_change_in_a_trial_is_invoiced_at_once_in_flexible() {
    for (mode, expected) in [
        (CLASSIC, vec![vec![(1, 0), (0, 0)]]),
        (FLEXIBLE, vec![vec![(3, 0)], vec![(1, 0)]]),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        let form = format!("{mode}&trial_period_days=20");
        let (subscription, items) = metered.subscribe(&[&base, &price], &form).await;
        metered.world.advance_to(APRIL + DAY).await;
        let form = format!(
            "items[0][id]={}&items[0][quantity]=3&proration_behavior=always_invoice",
            items[0]
        );
        metered.world.update(&subscription, &form).await;
        assert_eq!(metered.billed().await, expected, "{mode}");
    }
}

#[tokio::test]
async fn usage_of_a_price_that_ends_in_a_trial_has_a_free_line_in_flexible() {
    for (mode, expected) in [
        (CLASSIC, vec![]),
        (FLEXIBLE, vec![("Free trial for 7 × Name".to_owned(), 0)]),
    ] {
        let metered = Metered::new().await;
        let before = metered.price("unit_amount=5").await;
        let after = metered.price("unit_amount=9").await;
        let form = format!("{mode}&trial_period_days=20");
        let (subscription, items) = metered.subscribe(&[&before], &form).await;
        metered.report("7").await;
        metered.world.advance_to(APRIL + DAY).await;
        let form = format!("items[0][id]={}&items[0][price]={after}", items[0]);
        metered.world.update(&subscription, &form).await;
        assert_eq!(pending(&metered).await, expected, "{mode}");
    }
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
