//! Prorations of classic billing: credits are for the current price, quantity and last discount.

use serde_json::Value;

use super::schedules::created;
use super::{DAY, START, World, lines, number};

/// The id of a subscription whose schedule of `price`, with a discount, began ten days ago in a month of 31 days.
async fn ten_days_in(world: &World, customer: &str, price: &str, coupon: &str) -> String {
    let form = format!("phases[0][items][0][price]={price}&phases[0][coupon]={coupon}");
    let id = world.schedule(customer, &form).await;
    world.advance_to(START + 10 * DAY).await;
    id
}

/// The next invoice of a subscription that changes to `price`, with the coupon `c`.
async fn renewal_after_upgrade(world: &World, customer: &str, id: &str, price: &str) -> Value {
    let path = world.schedule_of(id).await;
    let form = format!(
        "phases[0][items][0][price]={price}&phases[0][start_date]={START}&phases[0][coupon]=c&phases[0][iterations]=2"
    );
    world.api.post(&path, &form).await.ok();
    world.advance_to(START + 31 * DAY).await;
    world.invoices(customer).await.remove(0)
}

#[tokio::test]
async fn a_credit_has_the_last_discount() {
    for (coupon, credit) in [
        ("percent_off=100", 0),
        ("percent_off=50", -1050),
        ("amount_off=620&currency=usd", -1680),
        ("percent_off=50&duration=once", -1050),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3100").await;
        world.coupon(&format!("id=c&{coupon}")).await;
        let id = ten_days_in(&world, &customer, &price, "c").await;
        let path = format!("/v1/subscriptions/{id}?invoice_now=true&prorate=true");
        world.api.delete(&path).await.ok();
        let last = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&last), [(1, credit)], "{coupon}");
        assert_eq!(number(&last, "total"), credit, "{coupon}");
        let line = &last["lines"]["data"][0];
        assert_eq!(line["discountable"], false);
        assert_eq!(line["discount_amounts"], serde_json::json!([]));
    }
}

#[tokio::test]
async fn an_upgrade_is_charged_less_the_coupon() {
    // The coupon, then the charge, the credit, and the next month.
    for (coupon, charge, credit, next) in [
        ("percent_off=50", 2100, -1050, 3100),
        ("percent_off=100", 0, 0, 0),
        ("amount_off=620&currency=usd", 3780, -1680, 5580),
        (
            "percent_off=50&duration=repeating&duration_in_months=1",
            2100,
            -1050,
            6200,
        ),
        // The first invoice has used up the coupon.
        ("percent_off=50&duration=once", 4200, -1050, 6200),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let [small, large] = [
            world.price("unit_amount=3100").await,
            world.price("unit_amount=6200").await,
        ];
        world.coupon(&format!("id=c&{coupon}")).await;
        let id = ten_days_in(&world, &customer, &small, "c").await;
        let renewal = renewal_after_upgrade(&world, &customer, &id, &large).await;
        assert_eq!(
            lines(&renewal),
            [(1, credit), (1, charge), (1, 6200)],
            "{coupon}"
        );
        assert_eq!(
            number(&renewal, "total"),
            charge + credit + next,
            "{coupon}"
        );
    }
}

#[tokio::test]
async fn a_coupon_for_once_is_not_spent_on_prorations() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [small, large] = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=6200").await,
    ];
    world.coupon("id=c&percent_off=50&duration=once").await;
    let form = format!("phases[0][items][0][price]={small}");
    let id = world.schedule(&customer, &form).await;
    world.advance_to(START + 10 * DAY).await;
    let renewal = renewal_after_upgrade(&world, &customer, &id, &large).await;
    assert_eq!(lines(&renewal), [(1, -2100), (1, 4200), (1, 6200)]);
    assert_eq!(number(&renewal, "total"), 4200 - 2100 + 3100);
}

#[tokio::test]
async fn a_price_that_was_never_billed_is_credited() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [small, large] = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=6200").await,
    ];
    let form = format!("customer={customer}&items[0][price]={small}");
    let id = world.api.create("/v1/subscriptions", &form).await;
    world.advance_to(START + 10 * DAY).await;
    let item = world.subscription(&id).await["items"]["data"][0]["id"].clone();
    let item = item.as_str().expect("an id");
    let path = format!("/v1/subscriptions/{id}");
    let form = format!("items[0][id]={item}&items[0][price]={large}&proration_behavior=none");
    world.api.post(&path, &form).await.ok();
    let end = format!("{path}?invoice_now=true&prorate=true");
    world.api.delete(&end).await.ok();
    assert_eq!(world.billed(&customer).await, [[(1, -4200)], [(1, 3100)]]);
}

#[tokio::test]
async fn the_usage_of_a_phase_has_the_discount_of_that_phase() {
    let end = START + 10 * DAY;
    for (first, second, total) in [("half", "", 350), ("", "half", 700)] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.metered("unit_amount=10").await;
        let other = world.metered("unit_amount=20").await;
        world.coupon("id=half&percent_off=50").await;
        let form = format!(
            "start_date=now&phases[0][items][0][price]={price}&phases[0][coupon]={first}&phases[0][end_date]={end}&phases[1][items][0][price]={other}&phases[1][coupon]={second}"
        );
        let made = created(&world, &customer, &form).await;
        let id = made["subscription"].as_str().expect("started");
        world.report(id, 70).await;
        world.advance_to(end).await;
        let usage = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&usage), [(70, 700)]);
        assert_eq!(number(&usage, "total"), total);
        let discount = &world.subscription(id).await["discount"];
        assert_eq!(discount.is_null(), second.is_empty());
    }
}

#[tokio::test]
async fn a_credit_names_the_credited_lines() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let first = world.invoices(&customer).await.remove(0);
    let path = format!("/v1/subscriptions/{id}");
    let change = async |quantity: i64| {
        let form = format!(
            "items[0][id]={item}&items[0][quantity]={quantity}&proration_behavior=always_invoice"
        );
        world.api.post(&path, &form).await.ok();
        world.invoices(&customer).await.remove(0)
    };
    let credited = |invoice: &Value, line: usize| {
        invoice["lines"]["data"][line]["proration_details"]["credited_items"].clone()
    };
    let names = |invoice: &Value, line: usize| {
        serde_json::json!({
            "invoice": invoice["id"],
            "invoice_line_items": [invoice["lines"]["data"][line]["id"]],
        })
    };
    world.advance_to(START + DAY).await;
    let second = change(2).await;
    assert_eq!(credited(&second, 0), names(&first, 0));
    assert_eq!(credited(&second, 1), Value::Null);
    // The charge of the change is credited in turn.
    world.advance_to(START + 2 * DAY).await;
    let third = change(1).await;
    assert_eq!(credited(&third, 0), names(&second, 1));
}
