//! The billing of meters that is the same in both billing modes.

use std::time::Duration;

use serde_json::json;
use stripe_sandbox::Options;

use super::super::billing::{DAY, World, number};
use super::super::versions::later;
use super::super::{Api, with_manual_clock};
use super::{APRIL, MAY, Metered, meter};

const CLASSIC: &str = "billing_mode[type]=classic";

const FLEXIBLE: &str = "billing_mode[type]=flexible";

#[tokio::test]
async fn usage_is_billed_at_the_end_of_its_period() {
    for (mode, first) in [(CLASSIC, vec![vec![(0, 0)]]), (FLEXIBLE, vec![])] {
        let metered = Metered::new().await;
        let price = metered.price("unit_amount=5").await;
        metered.subscribe(&[&price], mode).await;
        assert_eq!(metered.billed().await, first, "{mode}");
        metered.report("3").await;
        metered.world.advance_to(APRIL + 10 * DAY).await;
        metered.report("4").await;
        // The time of the period's end belongs to the next one.
        metered.world.advance_to(MAY).await;
        metered.report("8").await;
        let billed = metered.billed().await;
        assert_eq!(billed[0], [(7, 35)], "{mode}");
        metered.world.advance_to(MAY + 31 * DAY).await;
        let billed = metered.billed().await;
        assert_eq!(billed[0], [(8, 40)], "{mode}");
        // Without usage, there is still an invoice with a line of 0.
        metered.world.advance_to(MAY + 61 * DAY).await;
        let billed = metered.billed().await;
        assert_eq!(billed[0], [(0, 0)], "{mode}");
        assert_eq!(billed.len(), 3 + first.len(), "{mode}");
    }
}

#[tokio::test]
async fn an_item_counts_from_when_it_was_added() {
    for mode in [CLASSIC, FLEXIBLE] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        let (subscription, _) = metered.subscribe(&[&base], mode).await;
        metered.report("3").await;
        metered.world.advance_to(APRIL + 15 * DAY).await;
        let added = format!("items[0][price]={price}");
        metered.world.update(&subscription, &added).await;
        metered.report("4").await;
        metered.world.advance_to(MAY).await;
        let billed = metered.billed().await;
        assert_eq!(billed[0], [(1, 1000), (4, 20)], "{mode}");
        let invoice = &metered.world.invoices(&metered.customer).await[0];
        let period = &invoice["lines"]["data"][1]["period"];
        assert_eq!(number(period, "start"), APRIL + 15 * DAY);
        assert_eq!(number(period, "end"), MAY);
    }
}

#[tokio::test]
async fn no_usage_is_billed_twice_when_an_item_goes_and_comes_back_at_once() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let price = metered.price("unit_amount=5").await;
    let (subscription, items) = metered.subscribe(&[&base, &price], FLEXIBLE).await;
    metered.world.advance_to(APRIL + DAY).await;
    metered.report("3").await;
    metered.report_at("4", APRIL + DAY + 60).await;
    let deleted = format!("items[0][id]={}&items[0][deleted]=true", items[1]);
    metered.world.update(&subscription, &deleted).await;
    let added = format!("items[0][price]={price}");
    metered.world.update(&subscription, &added).await;
    metered.report_at("5", APRIL + DAY + 120).await;
    metered.world.advance_to(MAY).await;
    let billed = metered.billed().await;
    assert_eq!(billed[0], [(7, 35), (1, 1000), (5, 25)]);
}

#[tokio::test]
async fn the_last_invoice_has_the_usage() {
    for mode in [CLASSIC, FLEXIBLE] {
        let metered = Metered::new().await;
        let price = metered.price("unit_amount=5").await;
        let (subscription, _) = metered.subscribe(&[&price], mode).await;
        metered.report("3").await;
        metered
            .world
            .update(&subscription, "cancel_at_period_end=true")
            .await;
        metered.world.advance_to(MAY).await;
        assert_eq!(metered.billed().await[0], [(3, 15)], "{mode}");
        let metered = Metered::new().await;
        let price = metered.price("unit_amount=5").await;
        let (subscription, _) = metered.subscribe(&[&price], mode).await;
        metered.world.advance_to(APRIL + DAY).await;
        metered.report("6").await;
        let path = format!("/v1/subscriptions/{subscription}");
        let api = &metered.world.api;
        api.send("DELETE", &path, "invoice_now=true").await.ok();
        assert_eq!(metered.billed().await[0], [(6, 30)], "{mode}");
    }
}

#[tokio::test]
async fn each_formula_bills_its_total() {
    for (formula, expected) in [("sum", 9), ("count", 3), ("last", 1)] {
        let metered = Metered::with(formula).await;
        let price = metered.price("unit_amount=1").await;
        metered.subscribe(&[&price], "").await;
        for value in ["3", "5", "1"] {
            metered.report(value).await;
        }
        metered.world.advance_to(MAY).await;
        assert_eq!(
            metered.billed().await,
            [[(expected, expected)]],
            "{formula}"
        );
        // The last value does not go on counting in the next period.
        metered.world.advance_to(MAY + 31 * DAY).await;
        assert_eq!(metered.billed().await[0], [(0, 0)], "{formula}");
    }
}

#[tokio::test]
async fn less_than_nothing_is_billed_as_nothing() {
    let metered = Metered::new().await;
    let price = metered.price("unit_amount=5").await;
    metered.subscribe(&[&price], "").await;
    metered.report("3").await;
    metered.report("-10").await;
    metered.world.advance_to(MAY).await;
    assert_eq!(metered.billed().await, [[(0, 0)]]);
}

#[tokio::test]
async fn fractions_are_billed_exactly() {
    let metered = Metered::new().await;
    let flat = metered.price("unit_amount=10").await;
    let tiers = "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=2&tiers[0][unit_amount]=100\
        &tiers[1][up_to]=inf&tiers[1][unit_amount]=10";
    let other = meter(&metered.world, "other", "sum").await;
    let tiered = metered.price_of(&other, tiers).await;
    metered.subscribe(&[&flat, &tiered], "").await;
    metered.report("0.1").await;
    metered.report("0.25").await;
    metered.send_event("other", "2.75", "").await;
    metered.world.advance_to(MAY).await;
    let invoice = &metered.world.invoices(&metered.customer).await[0];
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["quantity"].as_i64(),
                line["quantity_decimal"].as_str(),
                number(line, "amount"),
            )
        })
        .collect();
    // 0.35 × 10 is 3.5, which is rounded up once.
    assert_eq!(
        lines,
        [
            (None, Some("0.35"), 4),
            (Some(2), Some("2"), 200),
            (None, Some("0.75"), 8),
        ]
    );
    let first = invoice["lines"]["data"][0]["description"].as_str();
    assert_eq!(first, Some("0.35 × Name (at $0.10 / month)"));
}

#[tokio::test]
async fn every_subscription_by_a_meter_bills_its_usage() {
    let metered = Metered::new().await;
    let price = metered.price("unit_amount=5").await;
    metered.subscribe(&[&price], "").await;
    metered.subscribe(&[&price], "").await;
    metered.report("2").await;
    metered.world.advance_to(MAY).await;
    assert_eq!(metered.billed().await, [[(2, 10)], [(2, 10)]]);
}

/// A world whose invoices are drafts for an hour.
async fn with_drafts() -> Metered {
    let api = Api::with(Options {
        search_lag: Duration::ZERO,
        invoice_draft: Duration::from_secs(3600),
        ..with_manual_clock()
    })
    .await;
    let api = later(&api);
    let form = format!("frozen_time={APRIL}");
    let clock = api.create("/v1/test_helpers/test_clocks", &form).await;
    let world = World { api, clock };
    let meter = meter(&world, "calls", "sum").await;
    let customer = world.customer().await;
    Metered {
        world,
        meter,
        customer,
    }
}

#[tokio::test]
async fn late_usage_counts_while_the_invoice_is_a_draft() {
    for mode in [CLASSIC, FLEXIBLE] {
        let metered = with_drafts().await;
        let price = metered.price("unit_amount=5").await;
        metered.subscribe(&[&price], mode).await;
        metered.report("3").await;
        metered.world.advance_to(MAY + 600).await;
        let draft = &metered.world.invoices(&metered.customer).await[0];
        assert_eq!(
            (&draft["status"], number(draft, "total")),
            (&json!("draft"), 15)
        );
        assert_eq!(number(draft, "automatically_finalizes_at"), MAY + 3600);
        metered.report_at("4", MAY - 60).await;
        let event = format!("identifier=wrong&timestamp={}", MAY - 60);
        metered.send_event("calls", "100", &event).await;
        let api = &metered.world.api;
        assert_eq!(metered.billed().await[0], [(107, 535)], "{mode}");
        let cancel = "event_name=calls&type=cancel&cancel[identifier]=wrong";
        api.post("/v1/billing/meter_event_adjustments", cancel)
            .await
            .ok();
        assert_eq!(metered.billed().await[0], [(7, 35)], "{mode}");
        metered.world.advance_to(MAY + 3600).await;
        let paid = &metered.world.invoices(&metered.customer).await[0];
        assert_eq!(
            (&paid["status"], number(paid, "amount_paid")),
            (&json!("paid"), 0),
            "{mode}: below the smallest charge"
        );
        // Later usage is never billed.
        metered.report_at("9", MAY - 60).await;
        assert_eq!(metered.billed().await[0], [(7, 35)], "{mode}");
        metered.world.advance_to(MAY + 31 * DAY).await;
        assert_eq!(metered.billed().await[0], [(0, 0)], "{mode}");
    }
}

/// The number of steps in which time passes does not matter.
#[tokio::test]
async fn one_step_or_many_give_the_same_invoices() {
    let mut seen = Vec::new();
    for days in [1, 7, 31] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        metered.subscribe(&[&base, &price], "").await;
        for (value, day) in [("3", -2), ("5", -1)] {
            metered.report_at(value, APRIL + day * DAY).await;
        }
        metered.report("7").await;
        let mut at = APRIL;
        while at < MAY + 40 * DAY {
            at = (at + days * DAY).min(MAY + 40 * DAY);
            metered.world.advance_to(at).await;
        }
        let invoices = metered.world.invoices(&metered.customer).await;
        let shown = invoices.iter().map(|invoice| {
            (
                super::lines(invoice),
                number(invoice, "created"),
                number(invoice, "total"),
            )
        });
        seen.push(shown.collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    assert_eq!(seen[0].len(), 3);
}
