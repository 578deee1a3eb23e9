//! Parameters and endpoints that Stripe removed are refused in 2026-10-28.endive, and those that it added are unknown
//! in 2022-11-15.

use super::super::START;
use super::super::billing::World;
use super::{later, world};

#[tokio::test]
async fn parameters_that_are_gone_are_unknown() {
    let world = world(START).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let coupon = world.coupon("percent_off=50").await;
    let (subscription, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let schedule = format!("customer={customer}&start_date=now&phases[0][items][0][price]={price}");
    let checkout = "success_url=https://example.com&mode=setup&currency=usd";
    let item = format!("customer={customer}&currency=usd");
    for (path, form, unknown) in [
        ("/v1/customers".to_owned(), format!("coupon={coupon}"), "coupon"),
        (
            "/v1/subscriptions".to_owned(),
            format!("customer={customer}&items[0][price]={price}&coupon={coupon}"),
            "coupon",
        ),
        (
            format!("/v1/subscriptions/{subscription}"),
            format!("coupon={coupon}"),
            "coupon",
        ),
        (
            "/v1/subscription_schedules".to_owned(),
            format!("{schedule}&phases[0][coupon]={coupon}"),
            "phases[0][coupon]",
        ),
        (
            "/v1/subscription_schedules".to_owned(),
            format!("{schedule}&phases[0][iterations]=2"),
            "phases[0][iterations]",
        ),
        (
            "/v1/checkout/sessions".to_owned(),
            format!("{checkout}&payment_method_types[]=card"),
            "payment_method_types",
        ),
        (
            "/v1/prices".to_owned(),
            "currency=usd&unit_amount=1&product_data[name]=A&recurring[interval]=month&recurring[aggregate_usage]=max"
                .to_owned(),
            "recurring[aggregate_usage]",
        ),
        ("/v1/promotion_codes".to_owned(), format!("promotion[type]=coupon&promotion[coupon]={coupon}&coupon={coupon}"), "coupon"),
        ("/v1/invoiceitems".to_owned(), format!("{item}&amount=100&unit_amount=5"), "unit_amount"),
    ] {
        let refused = world.api.post(&path, &form).await.refused(400);
        let expected = format!("Received unknown parameter: {unknown}");
        assert_eq!(refused, (expected, "parameter_unknown".to_owned(), unknown.to_owned()), "{path}");
    }
    let message = world.api.post(
        "/v1/checkout/sessions",
        "success_url=https://example.com&mode=setup",
    );
    assert_eq!(message.await.refused(400).2, "currency");
}

#[tokio::test]
async fn metered_prices_need_meters() {
    let world = World::at(START).await;
    let metered = "currency=usd&unit_amount=1&product_data[name]=Calls&recurring[interval]=month&recurring[usage_type]=metered";
    let later = later(&world.api);
    let expected = (
        "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters."
            .to_owned(),
        String::new(),
        String::new(),
    );
    assert_eq!(
        later.post("/v1/prices", metered).await.refused(400),
        expected
    );
    // A price that was created in an older version can still be read, but not used in subscriptions.
    let price = world.api.create("/v1/prices", metered).await;
    let shown = later.get(&format!("/v1/prices/{price}")).await.ok();
    assert!(shown["recurring"]["meter"].is_null());
    assert_eq!(shown["recurring"]["usage_type"], "metered");
    let customer = world.customer().await;
    let form = format!("customer={customer}&items[0][price]={price}");
    assert_eq!(
        later.post("/v1/subscriptions", &form).await.refused(400),
        expected
    );
    world.api.post("/v1/subscriptions", &form).await.ok();
}

#[tokio::test]
async fn endpoints_came_and_went() {
    let world = World::at(START).await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let (subscription, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let later = later(&world.api);
    let records = format!("/v1/subscription_items/{item}/usage_records");
    later.post(&records, "quantity=1").await.error(404);
    world.api.post(&records, "quantity=1").await.ok();
    let upcoming = format!("/v1/invoices/upcoming?subscription={subscription}");
    later.get(&upcoming).await.error(404);
    world.api.get(&upcoming).await.ok();
    for path in [
        "/v1/billing/meters",
        "/v1/billing/meters/mtr_1",
        "/v1/invoice_payments",
    ] {
        let refused = world.api.get(path).await.refused(404);
        assert!(
            refused.0.starts_with("Unrecognized request URL"),
            "{}",
            refused.0
        );
    }
    let refused = world
        .api
        .post("/v1/invoices/create_preview", "")
        .await
        .refused(404);
    assert_eq!(refused.0, "No such invoice: 'create_preview'");
    // Parameters that Stripe has and the sandbox does not model.
    let refused = later.get("/v1/billing/alerts").await.refused(400);
    assert!(
        refused
            .0
            .starts_with("The sandbox does not model the endpoint"),
        "{}",
        refused.0
    );
}
