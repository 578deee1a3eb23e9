//! Subscriptions that began before they were created: flexible billing charges every period since, classic billing one
//! line for the elapsed time.

use serde_json::Value;

use super::super::super::billing::{DAY, descriptions, lines, number};
use super::super::{APRIL, MAY, Metered};
use super::intervals::{NEXT_APRIL, periods};
use super::{CLASSIC, FLEXIBLE, MIDDLE};

/// 2020-02-15T00:00Z, 2020-03-01T00:00Z and 2020-03-15T00:00Z: before a month of 29 days and one of 31.
const FEBRUARY_15: i64 = MARCH - 15 * DAY;
const MARCH: i64 = APRIL - 31 * DAY;
const MARCH_15: i64 = MARCH + 14 * DAY;

/// 2020-04-15T00:00Z
const APRIL_15: i64 = APRIL + 14 * DAY;

/// The lines of an invoice as period and amount.
fn charges(invoice: &Value) -> Vec<(i64, i64, i64)> {
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    let charge = |line: &Value| {
        let period = &line["period"];
        (
            number(period, "start"),
            number(period, "end"),
            number(line, "amount"),
        )
    };
    lines.iter().map(charge).collect()
}

#[tokio::test]
async fn every_period_since_has_a_line_in_flexible() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let form = format!("{FLEXIBLE}&backdate_start_date={FEBRUARY_15}");
    let (subscription, _) = metered.subscribe(&[&base], &form).await;
    let shown = metered.world.subscription(&subscription).await;
    assert_eq!(number(&shown, "start_date"), FEBRUARY_15);
    assert_eq!(number(&shown, "created"), APRIL);
    assert_eq!(number(&shown, "billing_cycle_anchor"), FEBRUARY_15);
    assert_eq!(
        periods(&metered, &subscription).await,
        [(MARCH_15, APRIL_15)]
    );
    let first = &metered.world.invoices(&metered.customer).await[0];
    assert_eq!(
        charges(first),
        [(FEBRUARY_15, MARCH_15, 1000), (MARCH_15, APRIL_15, 1000)]
    );
    assert_eq!(descriptions(first), ["1 × Name (at $10.00 / month)"; 2]);
    metered.world.advance_to(APRIL_15).await;
    assert_eq!(metered.billed().await[0], [(1, 1000)]);
    // Only what was charged for the running period is credited.
    metered.world.advance_to(MAY).await;
    let path = format!("/v1/subscriptions/{subscription}");
    let api = &metered.world.api;
    api.send("DELETE", &path, "prorate=true&invoice_now=true")
        .await
        .ok();
    assert_eq!(metered.billed().await[0], [(1, -467)]);
}

#[tokio::test]
async fn one_line_is_for_the_elapsed_time_in_classic() {
    // A date, and the charge until the first of February or March 2021.
    for (start, now, amount) in [
        (NEXT_APRIL - 45 * DAY, NEXT_APRIL - 31 * DAY, 1550),
        (NEXT_APRIL - 76 * DAY, NEXT_APRIL - 59 * DAY, 1700),
        (NEXT_APRIL - 76 * DAY, NEXT_APRIL - 31 * DAY, 4650),
    ] {
        let metered = Metered::new().await;
        metered.advance_far(APRIL, now).await;
        let base = metered.world.price("unit_amount=3100").await;
        let form = format!("{CLASSIC}&backdate_start_date={start}");
        let (subscription, _) = metered.subscribe(&[&base], &form).await;
        let shown = metered.world.subscription(&subscription).await;
        assert_eq!(number(&shown, "start_date"), start);
        assert_eq!(number(&shown, "billing_cycle_anchor"), now);
        let (begin, end) = periods(&metered, &subscription).await[0];
        assert_eq!(begin, now);
        let first = &metered.world.invoices(&metered.customer).await[0];
        assert_eq!(charges(first), [(start, now, amount), (begin, end, 3100)]);
    }
}

#[tokio::test]
async fn the_older_version_has_the_line_too() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let older = metered.world.api.header("stripe-version", "2022-11-15");
    let form = format!(
        "customer={}&items[0][price]={base}&items[0][quantity]=3&backdate_start_date={MARCH_15}",
        metered.customer
    );
    let made = older.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(number(&made, "start_date"), MARCH_15);
    assert_eq!(number(&made, "current_period_start"), APRIL);
    // 17 of the 31 days until the 15th of April.
    assert_eq!(metered.billed().await, [[(3, 1645), (3, 3000)]]);
    let line = &metered.world.invoices(&metered.customer).await[0]["lines"]["data"][0];
    assert_eq!(
        line["parent"]["subscription_item_details"]["proration"],
        true
    );
}

#[tokio::test]
async fn the_elapsed_time_ends_with_the_anchor() {
    for (mode, expected) in [
        // A month, and 14 of the 30 days after it.
        (CLASSIC, vec![(MARCH, APRIL_15, 1466)]),
        // 14 of the 29 days before the middle of March, and a month.
        (
            FLEXIBLE,
            vec![(MARCH, MARCH_15, 482), (MARCH_15, APRIL_15, 1000)],
        ),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let form = format!("{mode}&backdate_start_date={MARCH}&billing_cycle_anchor={APRIL_15}");
        let (subscription, _) = metered.subscribe(&[&base], &form).await;
        let shown = metered.world.subscription(&subscription).await;
        assert_eq!(number(&shown, "billing_cycle_anchor"), APRIL_15);
        let first = &metered.world.invoices(&metered.customer).await[0];
        assert_eq!(charges(first), expected, "{mode}");
        metered.world.advance_to(APRIL_15).await;
        assert_eq!(metered.billed().await[0], [(1, 1000)], "{mode}");
    }
}

#[tokio::test]
async fn elapsed_time_is_free_if_nothing_is_prorated() {
    let anchored = format!("billing_cycle_anchor={APRIL_15}");
    for (mode, more, anchor, at_first, then) in [
        (CLASSIC, "", APRIL, vec![vec![(1, 1000)]], MAY),
        (CLASSIC, &*anchored, APRIL_15, vec![], APRIL_15),
        (FLEXIBLE, "", FEBRUARY_15, vec![], APRIL_15),
        (FLEXIBLE, &anchored, APRIL_15, vec![], APRIL_15),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let form =
            format!("{mode}&backdate_start_date={FEBRUARY_15}&proration_behavior=none&{more}");
        let (subscription, _) = metered.subscribe(&[&base], &form).await;
        let shown = metered.world.subscription(&subscription).await;
        assert_eq!(number(&shown, "start_date"), FEBRUARY_15, "{mode} {more}");
        assert_eq!(
            number(&shown, "billing_cycle_anchor"),
            anchor,
            "{mode} {more}"
        );
        assert_eq!(metered.billed().await, at_first, "{mode} {more}");
        metered.world.advance_to(then).await;
        assert_eq!(metered.billed().await[0], [(1, 1000)], "{mode} {more}");
    }
    // A period that begins now has not elapsed.
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let form = format!("backdate_start_date={MARCH}&proration_behavior=none");
    metered.subscribe(&[&base], &form).await;
    assert_eq!(metered.billed().await, [[(1, 1000)]]);
}

#[tokio::test]
async fn usage_of_the_elapsed_time_is_billed_in_flexible() {
    for (mode, at_first, at_end, end) in [
        (CLASSIC, vec![(0, 0)], vec![(2, 10)], MAY),
        (FLEXIBLE, vec![(5, 25)], vec![(9, 45)], APRIL_15),
    ] {
        let metered = Metered::new().await;
        let price = metered.price("unit_amount=5").await;
        metered.report_at("5", MARCH + DAY).await;
        metered.report_at("7", MARCH_15).await;
        let form = format!("{mode}&backdate_start_date={FEBRUARY_15}");
        metered.subscribe(&[&price], &form).await;
        assert_eq!(metered.billed().await, [at_first], "{mode}");
        metered.report("2").await;
        metered.world.advance_to(end).await;
        assert_eq!(metered.billed().await[0], at_end, "{mode}");
    }
}

#[tokio::test]
async fn items_of_different_intervals_have_their_own_elapsed_periods() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let quarterly = metered.every(3, "unit_amount=9000").await;
    let form = format!("backdate_start_date={FEBRUARY_15}");
    let (subscription, _) = metered.subscribe(&[&quarterly, &base], &form).await;
    let may_15 = APRIL_15 + 30 * DAY;
    assert_eq!(
        periods(&metered, &subscription).await,
        [(FEBRUARY_15, may_15), (MARCH_15, APRIL_15)]
    );
    let first = &metered.world.invoices(&metered.customer).await[0];
    assert_eq!(
        charges(first),
        [
            (FEBRUARY_15, may_15, 9000),
            (FEBRUARY_15, MARCH_15, 1000),
            (MARCH_15, APRIL_15, 1000)
        ]
    );
}

#[tokio::test]
async fn a_backdated_subscription_can_end_within_its_running_period() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=3100").await;
    let end = APRIL + 2 * DAY;
    let form = format!("backdate_start_date={FEBRUARY_15}&cancel_at={end}");
    metered.subscribe(&[&base], &form).await;
    let first = &metered.world.invoices(&metered.customer).await[0];
    assert_eq!(
        charges(first),
        [(FEBRUARY_15, MARCH_15, 3100), (MARCH_15, end, 1900)]
    );
    let by_period = format!("backdate_start_date={FEBRUARY_15}&cancel_at=min_period_end");
    let (subscription, _) = metered.subscribe(&[&base], &by_period).await;
    let shown = metered.world.subscription(&subscription).await;
    assert_eq!(number(&shown, "cancel_at"), APRIL_15);
}

#[tokio::test]
async fn a_migration_knows_the_line_of_the_elapsed_time() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=3100").await;
    let form = format!("{CLASSIC}&backdate_start_date={MARCH_15}&billing_cycle_anchor={APRIL_15}");
    let (subscription, _) = metered.subscribe(&[&base], &form).await;
    assert_eq!(metered.billed().await, [[(1, 3100)]]);
    let api = &metered.world.api;
    let path = format!("/v1/subscriptions/{subscription}");
    api.post(&format!("{path}/migrate"), FLEXIBLE).await.ok();
    api.send("DELETE", &path, "prorate=true&invoice_now=true")
        .await
        .ok();
    assert_eq!(metered.billed().await[0], [(1, -1400)]);
}

#[tokio::test]
async fn a_preview_shows_the_elapsed_time() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let details = format!("subscription_details[items][0][price]={base}");
    let form = format!(
        "customer={}&{details}&subscription_details[start_date]={FEBRUARY_15}",
        metered.customer
    );
    let api = &metered.world.api;
    let path = "/v1/invoices/create_preview";
    let shown = api.post(path, &form).await.ok();
    assert_eq!(lines(&shown), [(1, 1000), (1, 1000)]);
    assert!(metered.billed().await.is_empty());
    let older = api.header("stripe-version", "2022-11-15");
    let upcoming = format!(
        "/v1/invoices/upcoming?customer={}&subscription_items[0][price]={base}\
         &subscription_start_date={MARCH_15}",
        metered.customer
    );
    let shown = older.get(&upcoming).await.ok();
    assert_eq!(lines(&shown), [(1, 548), (1, 1000)]);
    // An existing subscription keeps its start.
    let (subscription, _) = metered.subscribe(&[&base], "").await;
    let form = format!("subscription={subscription}&subscription_details[start_date]={MARCH}");
    let refused = api.post(path, &form).await.refused(400);
    assert!(refused.0.starts_with("The sandbox does not model"));
    assert_eq!(refused.2, "subscription_details[start_date]");
}

#[tokio::test]
async fn some_starts_in_the_past_are_refused() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let daily = "currency=usd&product_data[name]=Day&unit_amount=2&recurring[interval]=day";
    let daily = metered.world.api.create("/v1/prices", daily).await;
    let path = "/v1/subscriptions";
    let api = &metered.world.api;
    for (price, more, part) in [
        (&base, format!("{}", APRIL + 1), "must be in the past"),
        (&base, format!("{MARCH}&trial_end={MIDDLE}"), "with a trial"),
        (
            &daily,
            format!("{}", APRIL - 250 * DAY),
            "more than 250 lines",
        ),
        (&daily, "0".to_owned(), "more than 250 lines"),
    ] {
        let customer = &metered.customer;
        let form =
            format!("customer={customer}&items[0][price]={price}&backdate_start_date={more}");
        let refused = api.post(path, &form).await.refused(400);
        assert!(refused.0.contains(part), "{}", refused.0);
        assert_eq!(refused.2, "backdate_start_date");
    }
    let longest = format!("backdate_start_date={}", APRIL - 249 * DAY);
    metered.subscribe(&[&daily], &longest).await;
    let first = &metered.world.invoices(&metered.customer).await[0];
    assert_eq!(number(&first["lines"], "total_count"), 250);
    // In a trial, only the start date is in the past.
    let trial = format!("backdate_start_date={MARCH}&trial_end={MIDDLE}&proration_behavior=none");
    let (subscription, _) = metered.subscribe(&[&base], &trial).await;
    let shown = metered.world.subscription(&subscription).await;
    assert_eq!(number(&shown, "start_date"), MARCH);
    assert_eq!(number(&shown, "trial_start"), APRIL);
    assert_eq!(periods(&metered, &subscription).await, [(APRIL, MIDDLE)]);
}
