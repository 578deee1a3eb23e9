//! Amounts that Stripe does not charge: too large, or not a multiple of the currency's step.

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::customer;

const TOO_LARGE: &str = "Amount must be no more than $999,999.99";

#[tokio::test]
async fn more_than_stripe_charges_is_refused() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=10000000").await;
    let api = &world.api;
    let subscribe = format!("customer={customer}&items[0][price]={price}");
    for (path, form) in [
        (
            "/v1/payment_intents",
            "amount=100000000&currency=usd".to_owned(),
        ),
        (
            "/v1/subscriptions",
            format!("{subscribe}&items[0][quantity]=10"),
        ),
        (
            "/v1/subscriptions",
            format!("{subscribe}&items[0][quantity]=10&payment_behavior=default_incomplete"),
        ),
        (
            "/v1/checkout/sessions",
            format!(
                "customer={customer}&mode=subscription&success_url=http://x.test/&line_items[0][price]={price}&line_items[0][quantity]=10"
            ),
        ),
    ] {
        let (message, code, _) = api.post(path, &form).await.refused(400);
        assert_eq!(
            (&*message, &*code),
            (TOO_LARGE, "amount_too_large"),
            "{form}"
        );
    }
    assert!(world.invoices(&customer).await.is_empty());
    let (subscription, item) = world
        .subscribe(
            &customer,
            &format!("items[0][price]={price}&items[0][quantity]=9"),
        )
        .await;
    let path = format!("/v1/subscriptions/{subscription}");
    let form =
        format!("items[0][id]={item}&items[0][quantity]=20&proration_behavior=always_invoice");
    let (_, code, _) = api.post(&path, &form).await.refused(400);
    assert_eq!(code, "amount_too_large");
    let held = world.subscription(&subscription).await;
    assert_eq!(number(&held["items"]["data"][0], "quantity"), 9);
}

#[tokio::test]
async fn a_renewal_above_the_largest_charge_stays_unpaid() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.metered("unit_amount=10000000").await;
    let (subscription, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.report(&subscription, 10).await;
    world.advance_to(START + 31 * DAY).await;
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (&invoice["status"], number(&invoice, "amount_due")),
        (&"open".into(), 100_000_000)
    );
    assert!(invoice["charge"].is_null() && invoice["payment_intent"].is_null());
    assert_eq!(
        world.subscription(&subscription).await["status"],
        "past_due"
    );
    let path = format!("/v1/invoices/{}", invoice["id"].as_str().expect("an id"));
    let pay = format!("{path}/pay");
    let (message, code, _) = world.api.post(&pay, "").await.refused(400);
    assert_eq!((&*message, &*code), (TOO_LARGE, "amount_too_large"));
    world.api.post(&pay, "paid_out_of_band=true").await.ok();
    assert_eq!(world.subscription(&subscription).await["status"], "active");
}

#[tokio::test]
async fn a_draft_that_asks_for_too_much_is_not_finalized() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let api = &world.api;
    let invoice = api
        .create("/v1/invoices", &format!("customer={customer}"))
        .await;
    let form = format!("customer={customer}&invoice={invoice}&amount=100000000&currency=usd");
    api.post("/v1/invoiceitems", &form).await.ok();
    let path = format!("/v1/invoices/{invoice}");
    for action in ["finalize", "pay"] {
        let reply = api.post(&format!("{path}/{action}"), "").await;
        assert_eq!(reply.refused(400).1, "amount_too_large", "{action}");
    }
    assert_eq!(api.get(&path).await.ok()["status"], "draft");
}

#[tokio::test]
async fn payments_must_be_multiples_of_the_currencys_step() {
    let world = World::new().await;
    let api = &world.api;
    for (currency, bad, good) in [
        ("kwd", 1234, 1230),
        ("bhd", 1001, 1000),
        ("ugx", 1250, 1200),
        ("isk", 1250, 1200),
    ] {
        let intent = async |amount: i64| {
            let form = format!(
                "amount={amount}&currency={currency}&payment_method=pm_card_visa&confirm=true"
            );
            api.post("/v1/payment_intents", &form).await
        };
        let (_, code, param) = intent(bad).await.refused(400);
        assert!(code.starts_with("invalid_charge_amount"), "{code}");
        assert_eq!(param, "amount");
        let paid = intent(good).await.ok();
        let id = paid["id"].as_str().expect("an id");
        let refund = format!("payment_intent={id}&amount={}", bad % 100 + 101);
        let (_, code, _) = api.post("/v1/refunds", &refund).await.refused(400);
        assert!(code.starts_with("invalid_charge_amount"), "{code}");
        let refund = format!("payment_intent={id}");
        api.post("/v1/refunds", &refund).await.ok();
    }
}

#[tokio::test]
async fn an_invoice_asks_for_a_chargeable_amount() {
    for (currency, amount, due) in [
        ("kwd", 1234, 1230),
        ("kwd", 1236, 1240),
        ("ugx", 12_340, 12_300),
        ("usd", 1234, 1234),
    ] {
        let world = World::new().await;
        let customer = customer(&world, "pm_card_visa").await;
        let form = format!(
            "currency={currency}&unit_amount={amount}&recurring[interval]=month&product_data[name]=N"
        );
        let price = world.api.create("/v1/prices", &form).await;
        world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        let invoice = world.invoices(&customer).await.remove(0);
        let shown = ["total", "amount_paid", "ending_balance"].map(|field| number(&invoice, field));
        assert_eq!(shown, [amount, due, amount - due], "{currency}");
        let holder = world.api.get(&format!("/v1/customers/{customer}")).await;
        assert_eq!(number(&holder.ok(), "balance"), amount - due);
        // Rounding differences do not add up over time: they stay in the balance.
        world.advance_to(START + 31 * DAY).await;
        let all = world.invoices(&customer).await;
        let paid: i64 = all.iter().map(|one| number(one, "amount_paid")).sum();
        assert_eq!(paid + number(&all[0], "ending_balance"), 2 * amount);
    }
}
