//! Previews of invoices, which replaced upcoming invoices.

use serde_json::{Value, json};

use super::super::billing::{DAY, lines, number};
use super::{APRIL, MAY, Metered};

const PATH: &str = "/v1/invoices/create_preview";

async fn preview(metered: &Metered, form: &str) -> Value {
    metered.world.api.post(PATH, form).await.ok()
}

#[tokio::test]
async fn a_preview_shows_the_next_invoice_with_the_usage_that_is_known() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let price = metered.price("unit_amount=5").await;
    let (subscription, _) = metered.subscribe(&[&base, &price], "").await;
    metered.report("3").await;
    let form = format!("subscription={subscription}");
    let shown = preview(&metered, &form).await;
    assert_eq!(lines(&shown), [(1, 1000), (0, 0)]);
    metered.process();
    let shown = preview(&metered, &form).await;
    assert_eq!(lines(&shown), [(1, 1000), (3, 15)]);
    assert_eq!(shown["billing_reason"], "upcoming");
    assert_eq!(shown["status"], "draft");
    assert_eq!(number(&shown, "period_end"), MAY);
    let id = shown["id"].as_str().expect("an id");
    assert!(id.starts_with("upcoming_in_"), "{id}");
    // The preview is kept unchanged for a while.
    let path = format!("/v1/invoices/{id}");
    assert_eq!(metered.world.api.get(&path).await.ok(), shown);
    let kept = metered.world.api.get(&format!("{path}/lines")).await.ok();
    assert_eq!(kept["data"], shown["lines"]["data"]);
    let clock = metered.world.api.sandbox().clock();
    clock.set(clock.unix() + 3 * DAY);
    metered.world.api.get(&path).await.error(404);
    // The preview has changed nothing.
    metered.world.advance_to(MAY).await;
    assert_eq!(metered.billed().await[0], [(1, 1000), (3, 15)]);
    assert_eq!(metered.billed().await.len(), 2);
}

#[tokio::test]
async fn all_lines_of_a_preview_can_be_read() {
    let metered = Metered::new().await;
    let mut prices = Vec::new();
    for amount in 1..=12 {
        prices.push(metered.world.price(&format!("unit_amount={amount}")).await);
    }
    let prices: Vec<&str> = prices.iter().map(String::as_str).collect();
    let (subscription, _) = metered.subscribe(&prices, "").await;
    let shown = preview(&metered, &format!("subscription={subscription}")).await;
    assert_eq!(shown["lines"]["data"].as_array().map(Vec::len), Some(10));
    assert_eq!(shown["lines"]["has_more"], true);
    let url = shown["lines"]["url"].as_str().expect("a URL");
    let all = metered
        .world
        .api
        .get(&format!("{url}?limit=100"))
        .await
        .ok();
    assert_eq!(all["data"].as_array().map(Vec::len), Some(12));
    assert_eq!(all["data"][11]["invoice"], shown["id"]);
    let last = all["data"][9]["id"].as_str().expect("an id");
    let rest = format!("{url}?starting_after={last}");
    assert_eq!(metered.world.api.ids(&rest).await.len(), 2);
}

#[tokio::test]
async fn a_preview_shows_what_a_change_would_bill() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let (subscription, items) = metered.subscribe(&[&base], "").await;
    metered.world.advance_to(APRIL + 15 * DAY).await;
    let details = |form: &str| format!("subscription={subscription}&{form}");
    let form = details(&format!(
        "subscription_details[items][0][id]={}&subscription_details[items][0][quantity]=2",
        items[0]
    ));
    let shown = preview(&metered, &form).await;
    assert_eq!(lines(&shown), [(1, -500), (2, 1000), (2, 2000)]);
    let prorations = shown["lines"]["data"].as_array().expect("lines");
    let prorations = prorations
        .iter()
        .map(|line| &line["parent"]["subscription_item_details"]["proration"]);
    assert_eq!(
        prorations.collect::<Vec<_>>(),
        [&json!(true), &json!(true), &json!(false)]
    );
    let form = details("subscription_details[cancel_now]=true");
    assert_eq!(lines(&preview(&metered, &form).await), [(1, -500)]);
    let coupon = metered.world.coupon("percent_off=50").await;
    let form = details(&format!("discounts[0][coupon]={coupon}"));
    assert_eq!(number(&preview(&metered, &form).await, "total"), 500);
    let form = details("invoice_items[0][amount]=70&invoice_items[0][currency]=usd");
    assert_eq!(lines(&preview(&metered, &form).await), [(1, 70), (1, 1000)]);
    let unchanged = metered.world.subscription(&subscription).await;
    assert_eq!(number(&unchanged["items"]["data"][0], "quantity"), 1);
}

#[tokio::test]
async fn a_preview_shows_a_new_subscription() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let price = metered.price("unit_amount=5").await;
    let customer = &metered.customer;
    let form = format!(
        "customer={customer}&subscription_details[items][0][price]={base}&subscription_details[items][1][price]={price}"
    );
    assert_eq!(lines(&preview(&metered, &form).await), [(1, 1000)]);
    let classic = format!("{form}&subscription_details[billing_mode][type]=classic");
    assert_eq!(
        lines(&preview(&metered, &classic).await),
        [(1, 1000), (0, 0)]
    );
    let form =
        format!("customer={customer}&invoice_items[0][amount]=70&invoice_items[0][currency]=usd");
    assert_eq!(lines(&preview(&metered, &form).await), [(1, 70)]);
    assert!(metered.billed().await.is_empty());
}

#[tokio::test]
async fn bad_previews_are_refused() {
    let metered = Metered::new().await;
    let customer = &metered.customer;
    let base = metered.world.price("unit_amount=1000").await;
    let (subscription, _) = metered.subscribe(&[&base], "").await;
    for (form, status) in [
        (String::new(), 400),
        (format!("customer={customer}"), 400),
        ("subscription=sub_none".to_owned(), 400),
        (
            format!("subscription={subscription}&subscription_details[items][0][price]=price_none"),
            400,
        ),
        (format!("subscription={subscription}&coupon=half"), 400),
        (
            format!("subscription={subscription}&preview_mode=recurring"),
            400,
        ),
    ] {
        metered.world.api.post(PATH, &form).await.error(status);
    }
    let form =
        format!("subscription={subscription}&subscription_details[items][0][price]=price_none");
    let refused = metered.world.api.post(PATH, &form).await.refused(400);
    assert_eq!(refused.2, "subscription_details[items][0][price]");
    let path = format!("/v1/subscriptions/{subscription}");
    metered.world.api.delete(&path).await.ok();
    let form = format!("subscription={subscription}");
    let refused = metered.world.api.post(PATH, &form).await.refused(404);
    assert_eq!(refused.1, "invoice_upcoming_none");
}

#[tokio::test]
async fn a_preview_takes_promotion_codes_as_the_change_does() {
    let metered = Metered::new().await;
    let api = &metered.world.api;
    let base = metered.world.price("unit_amount=1000").await;
    let code = async |form: &str| {
        let coupon = metered.world.coupon("percent_off=50").await;
        let form = format!("promotion[type]=coupon&promotion[coupon]={coupon}&{form}");
        api.create("/v1/promotion_codes", &form).await
    };
    let open = code("max_redemptions=1").await;
    let newcomers = code("restrictions[first_time_transaction]=true").await;
    let buying = |code: &str| {
        format!(
            "customer={}&subscription_details[items][0][price]={base}&discounts[0][promotion_code]={code}",
            metered.customer
        )
    };
    for code in [&open, &newcomers] {
        let shown = preview(&metered, &buying(code)).await;
        assert_eq!(number(&shown, "total"), 500, "{code}");
    }
    let (subscription, _) = metered.subscribe(&[&base], "").await;
    let change = |code: &str| format!("discounts[0][promotion_code]={code}");
    let form = format!("subscription={subscription}&{}", change(&open));
    assert_eq!(number(&preview(&metered, &form).await, "total"), 500);
    // The preview has not redeemed it.
    let unused = api.get(&format!("/v1/promotion_codes/{open}")).await.ok();
    assert_eq!(number(&unused, "times_redeemed"), 0);
    assert_eq!(unused["active"], true);

    let form = format!("subscription={subscription}&{}", change(&newcomers));
    let refused = api.post(PATH, &form).await.refused(400);
    assert!(refused.0.contains("prior transactions"), "{}", refused.0);
    let path = format!("/v1/subscriptions/{subscription}");
    let really = api.post(&path, &change(&newcomers)).await.refused(400);
    assert_eq!(refused, really);
}

#[tokio::test]
async fn a_preview_in_another_currency_is_refused_while_an_invoice_is_open() {
    let metered = Metered::new().await;
    let api = &metered.world.api;
    let dollars = metered.world.price("unit_amount=1000").await;
    let euros = "currency=eur&unit_amount=900&recurring[interval]=month&product_data[name]=Name";
    let euros = api.create("/v1/prices", euros).await;
    let (ended, _) = metered.subscribe(&[&dollars], "").await;
    let path = format!("/v1/subscriptions/{ended}");
    api.delete(&path).await.ok();
    let of = format!("customer={}", metered.customer);
    let preview = format!("{of}&subscription_details[items][0][price]={euros}");
    api.post(PATH, &preview).await.ok();
    api.create("/v1/invoices", &of).await;
    let form = format!("{of}&items[0][price]={euros}");
    let really = api.post("/v1/subscriptions", &form).await.refused(400);
    assert_eq!(api.post(PATH, &preview).await.refused(400).0, really.0);
}
