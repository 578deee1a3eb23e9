//! Items of different intervals on one subscription, which flexible billing allows: each has its own period, counted
//! from the one anchor.

use serde_json::Value;

use super::super::super::billing::{DAY, lines, number};
use super::super::{APRIL, MAY, Metered};
use super::{CLASSIC, FLEXIBLE, MIDDLE};

/// 2020-06-01T00:00Z
pub(super) const JUNE: i64 = MAY + 31 * DAY;

/// 2020-07-01T00:00Z: a quarter after [`APRIL`].
pub(super) const JULY: i64 = JUNE + 30 * DAY;

/// 2021-04-01T00:00Z: a year of 365 days after [`APRIL`].
pub(super) const NEXT_APRIL: i64 = APRIL + 365 * DAY;

impl Metered {
    /// A price in dollars that recurs every `months` months.
    pub(super) async fn every(&self, months: u32, form: &str) -> String {
        let form = format!(
            "currency=usd&product_data[name]=Name&recurring[interval]=month\
             &recurring[interval_count]={months}&{form}"
        );
        self.world.api.create("/v1/prices", &form).await
    }

    /// A yearly price of 25 cents a day.
    pub(super) async fn yearly(&self) -> String {
        let form = "currency=usd&product_data[name]=Year&recurring[interval]=year&unit_amount=9125";
        self.world.api.create("/v1/prices", form).await
    }

    /// Advances the clock by as many steps as it needs.
    pub(super) async fn advance_far(&self, from: i64, to: i64) {
        let mut at = from;
        while at < to {
            at = to.min(at + 55 * DAY);
            self.world.advance_to(at).await;
        }
    }
}

/// The periods of the items.
pub(super) async fn periods(metered: &Metered, subscription: &str) -> Vec<(i64, i64)> {
    let shown = metered.world.subscription(subscription).await;
    let items = shown["items"]["data"].as_array().expect("items");
    let period = |item: &Value| {
        (
            number(item, "current_period_start"),
            number(item, "current_period_end"),
        )
    };
    items.iter().map(period).collect()
}

#[tokio::test]
async fn each_item_is_billed_when_its_own_period_ends() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let quarterly = metered.every(3, "unit_amount=9100").await;
    let (subscription, _) = metered.subscribe(&[&monthly, &quarterly], FLEXIBLE).await;
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, MAY), (APRIL, JULY)]
    );
    metered.advance_far(APRIL, JULY).await;
    let both = vec![(1, 1000), (1, 9100)];
    let month = vec![(1, 1000)];
    assert_eq!(
        metered.billed().await,
        [both.clone(), month.clone(), month, both]
    );
    let invoices = metered.world.invoices(&metered.customer).await;
    let closed = |invoice: &Value| {
        (
            number(invoice, "period_start"),
            number(invoice, "period_end"),
        )
    };
    // An invoice that closes several periods shows the shortest one.
    assert_eq!(closed(&invoices[0]), (JUNE, JULY));
    assert_eq!(closed(&invoices[1]), (MAY, JUNE));
    assert_eq!(
        periods(&metered, &subscription).await,
        [(JULY, JULY + 31 * DAY), (JULY, JULY + 92 * DAY)]
    );
}

#[tokio::test]
async fn older_versions_show_the_period_that_ends_first() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, items) = metered.subscribe(&[&yearly, &monthly], FLEXIBLE).await;
    metered.world.advance_to(MAY).await;
    let older = metered.world.api.header("stripe-version", "2022-11-15");
    let path = format!("/v1/subscriptions/{subscription}");
    let shown = older.get(&path).await.ok();
    assert_eq!(number(&shown, "current_period_start"), MAY);
    assert_eq!(number(&shown, "current_period_end"), JUNE);
    let alone = metered
        .world
        .api
        .get(&format!("/v1/subscription_items/{}", items[0]))
        .await
        .ok();
    assert_eq!(number(&alone, "current_period_start"), APRIL);
    assert_eq!(number(&alone, "current_period_end"), NEXT_APRIL);
    let listed = |ends: i64| {
        let path = format!(
            "/v1/subscriptions?customer={}&current_period_end={ends}",
            metered.customer
        );
        let older = &older;
        async move { older.get(&path).await.ok()["data"].as_array().map(Vec::len) }
    };
    assert_eq!(listed(JUNE).await, Some(1));
    assert_eq!(listed(NEXT_APRIL).await, Some(0));
}

#[tokio::test]
async fn usage_is_billed_for_the_period_of_its_item() {
    let metered = Metered::new().await;
    let yearly = metered.yearly().await;
    let monthly = metered.price("unit_amount=5").await;
    let quarterly = metered
        .every(
            3,
            &format!(
                "recurring[usage_type]=metered&recurring[meter]={}&unit_amount=2",
                metered.meter
            ),
        )
        .await;
    let items = [&*yearly, &*monthly, &*quarterly];
    metered.subscribe(&items, FLEXIBLE).await;
    metered.report("10").await;
    metered.world.advance_to(MAY).await;
    metered.report("7").await;
    metered.advance_far(MAY, JULY).await;
    assert_eq!(
        metered.billed().await,
        [
            vec![(0, 0), (17, 34)],
            vec![(7, 35)],
            vec![(10, 50)],
            vec![(1, 9125)],
        ]
    );
}

#[tokio::test]
async fn classic_billing_has_one_interval() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let mixed = format!(
        "customer={}&items[0][price]={monthly}&items[1][price]={yearly}&{CLASSIC}",
        metered.customer
    );
    let expected = "Currency and interval fields must match across all plans on this subscription. Found mismatch in interval field.";
    let api = &metered.world.api;
    let refused = api.post("/v1/subscriptions", &mixed).await.refused(400);
    assert_eq!(refused.0, expected);
    let (subscription, _) = metered.subscribe(&[&monthly], CLASSIC).await;
    let path = format!("/v1/subscriptions/{subscription}");
    let added = format!("items[0][price]={yearly}");
    assert_eq!(api.post(&path, &added).await.refused(400).0, expected);
    // After the migration it is allowed.
    let migrate = format!("{path}/migrate");
    api.post(&migrate, FLEXIBLE).await.ok();
    api.post(&path, &added).await.ok();
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, MAY), (APRIL, NEXT_APRIL)]
    );
}

#[tokio::test]
async fn a_trial_is_one_period_for_all() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let (subscription, _) = metered.subscribe(&[&monthly], "trial_period_days=15").await;
    let added = format!("items[0][price]={yearly}");
    metered.world.update(&subscription, &added).await;
    assert_eq!(periods(&metered, &subscription).await, [(APRIL, MIDDLE); 2]);
    let moved = format!("trial_end={}", MIDDLE + DAY);
    metered.world.update(&subscription, &moved).await;
    assert_eq!(
        periods(&metered, &subscription).await,
        [(APRIL, MIDDLE + DAY); 2]
    );
    metered.world.advance_to(MIDDLE + DAY).await;
    assert_eq!(metered.billed().await[0], [(1, 0), (1, 1000), (1, 9125)]);
    assert_eq!(
        periods(&metered, &subscription).await,
        [
            (MIDDLE + DAY, MIDDLE + 31 * DAY),
            (MIDDLE + DAY, MIDDLE + 366 * DAY)
        ]
    );
}

#[tokio::test]
async fn a_first_period_can_be_cut_short_for_all() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    // The year that ends with the anchor has 366 days.
    let form = format!("billing_cycle_anchor={MIDDLE}");
    let (subscription, _) = metered.subscribe(&[&monthly, &yearly], &form).await;
    assert_eq!(periods(&metered, &subscription).await, [(APRIL, MIDDLE); 2]);
    metered.world.advance_to(MIDDLE).await;
    let first = vec![(1, 483), (1, 9125 * 15 / 366)];
    assert_eq!(metered.billed().await, [vec![(1, 1000), (1, 9125)], first]);
    let late = format!(
        "customer={}&items[0][price]={yearly}&items[1][price]={monthly}&billing_cycle_anchor={}",
        metered.customer,
        MIDDLE + 31 * DAY
    );
    let api = &metered.world.api;
    let refused = api.post("/v1/subscriptions", &late).await.refused(400);
    assert!(refused.0.contains("next natural billing date"));
}

#[tokio::test]
async fn a_clock_advances_by_two_of_the_shortest_intervals() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    metered.subscribe(&[&yearly, &monthly], FLEXIBLE).await;
    let path = format!(
        "/v1/test_helpers/test_clocks/{}/advance",
        metered.world.clock
    );
    let api = &metered.world.api;
    let beyond = format!("frozen_time={}", JUNE + 1);
    api.post(&path, &beyond).await.error(400);
    metered.world.advance_to(JUNE).await;
}

#[tokio::test]
async fn the_next_invoice_is_that_of_the_period_that_ends_first() {
    let metered = Metered::new().await;
    let monthly = metered.price("unit_amount=5").await;
    let yearly = metered.yearly().await;
    let (subscription, _) = metered.subscribe(&[&yearly, &monthly], FLEXIBLE).await;
    metered.report("3").await;
    metered.process();
    let api = &metered.world.api;
    let preview =
        |form: String| async move { api.post("/v1/invoices/create_preview", &form).await.ok() };
    let form = format!("subscription={subscription}");
    let next = preview(form.clone()).await;
    assert_eq!(lines(&next), [(3, 15)]);
    assert_eq!(number(&next, "created"), MAY);
    // The last one has the credit for the rest of the year.
    let ending = format!("{form}&subscription_details[cancel_at_period_end]=true");
    let last = preview(ending).await;
    assert_eq!(lines(&last), [(1, -8375), (3, 15)]);
    metered.advance_far(APRIL, NEXT_APRIL - DAY).await;
    let next = preview(form).await;
    assert_eq!(lines(&next), [(1, 9125), (0, 0)]);
    assert_eq!(number(&next, "created"), NEXT_APRIL);
}

#[tokio::test]
async fn a_checkout_sells_items_of_different_intervals() {
    let metered = Metered::new().await;
    let monthly = metered.world.price("unit_amount=1000").await;
    let yearly = metered.yearly().await;
    let form = format!(
        "mode=subscription&customer={}&success_url=https://example.com/\
         &line_items[0][price]={monthly}&line_items[0][quantity]=1\
         &line_items[1][price]={yearly}&line_items[1][quantity]=1",
        metered.customer
    );
    let api = &metered.world.api;
    let session = api.post("/v1/checkout/sessions", &form).await.ok();
    assert_eq!(number(&session, "amount_total"), 10_125);
    let classic = format!(
        "{form}&subscription_data[{}",
        CLASSIC.replacen('[', "][", 1)
    );
    api.post("/v1/checkout/sessions", &classic).await.error(400);
}
