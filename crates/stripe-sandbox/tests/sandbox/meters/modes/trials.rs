//! Trials in both modes.

use super::super::super::billing::{DAY, descriptions, number};
use super::super::{APRIL, Metered, pending};
use super::{CLASSIC, FLEXIBLE, MIDDLE};

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
