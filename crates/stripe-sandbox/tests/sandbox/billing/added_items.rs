//! `add_invoice_items`: invoice items that come with a subscription, a change or a phase.

use serde_json::Value;

use super::schedules::{created, path};
use super::{DAY, START, World, descriptions, lines, number};

/// A one-time price.
async fn once(world: &World, form: &str) -> String {
    let form = format!("currency=usd&product_data[name]=T-Shirt&{form}");
    world.api.create("/v1/prices", &form).await
}

#[tokio::test]
async fn they_are_on_the_first_invoice_before_the_subscriptions_own_lines() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let (shirt, mug) = (
        once(&world, "unit_amount=1500").await,
        once(&world, "unit_amount=700").await,
    );
    world.coupon("id=tenth&percent_off=10").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&coupon=tenth&add_invoice_items[0][price]={shirt}&add_invoice_items[1][price]={mug}&add_invoice_items[1][quantity]=2"
    );
    let id = world.api.create("/v1/subscriptions", &form).await;
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(lines(&invoice), [(1, 1500), (2, 1400), (1, 1000)]);
    assert_eq!(
        (number(&invoice, "total"), number(&invoice, "amount_paid")),
        (3510, 3510)
    );
    let first = &invoice["lines"]["data"][0];
    assert_eq!(
        (&first["type"], &first["subscription"], &first["period"]),
        (
            &"invoiceitem".into(),
            &id.as_str().into(),
            &serde_json::json!({"end": START + 31 * DAY, "start": START})
        )
    );
    assert_eq!(descriptions(&invoice)[0], "T-Shirt");
    // It is charged once.
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(lines(&world.invoices(&customer).await[0]), [(1, 1000)]);
}

#[tokio::test]
async fn a_trial_does_not_make_them_free() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    let shirt = once(&world, "unit_amount=1500").await;
    let form =
        format!("items[0][price]={price}&trial_period_days=7&add_invoice_items[0][price]={shirt}");
    let customer = world.customer().await;
    world.subscribe(&customer, &form).await;
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(lines(&invoice), [(1, 1500), (1, 0)]);
    assert_eq!(invoice["status"], "paid");
    // A payment method is required.
    let form = format!("test_clock={}", world.clock);
    let poor = world.api.create("/v1/customers", &form).await;
    let form = format!(
        "customer={poor}&items[0][price]={price}&trial_period_days=7&add_invoice_items[0][price]={shirt}"
    );
    let (_, code, _) = world
        .api
        .post("/v1/subscriptions", &form)
        .await
        .refused(400);
    assert_eq!(code, "resource_missing");
}

#[tokio::test]
async fn items_added_by_a_change_wait_or_go_on_its_invoice() {
    let world = World::new().await;
    let price = world.price("unit_amount=3100").await;
    let yearly = world
        .price("unit_amount=31000&recurring[interval]=year")
        .await;
    let shirt = once(&world, "unit_amount=1500").await;
    let added = format!("add_invoice_items[0][price]={shirt}");
    for (change, at_once) in [
        (String::new(), None),
        (
            "items[0][quantity]=2&proration_behavior=always_invoice".to_owned(),
            Some(vec![(1, 1500), (1, -3100), (2, 6200)]),
        ),
        (
            format!("items[0][price]={yearly}&proration_behavior=always_invoice"),
            Some(vec![(1, 1500), (1, -3100), (1, 31000)]),
        ),
    ] {
        let customer = world.customer().await;
        let (id, item) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        let form = match &*change {
            "" => added.clone(),
            change => format!("items[0][id]={item}&{change}&{added}"),
        };
        let path = format!("/v1/subscriptions/{id}");
        world.api.post(&path, &form).await.ok();
        let invoices = world.invoices(&customer).await;
        let newest = (invoices.len() > 1).then(|| {
            let mut lines = lines(&invoices[0]);
            lines.sort_by_key(|(_, amount)| (*amount != 1500, *amount));
            lines
        });
        assert_eq!(newest, at_once, "{change}");
        let waiting = format!("/v1/invoiceitems?customer={customer}&pending=true");
        let waits = world.api.ids(&waiting).await.len();
        assert_eq!(waits, usize::from(at_once.is_none()), "{change}");
    }
}

#[tokio::test]
async fn a_phase_adds_them_once_when_it_begins() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let shirt = once(&world, "unit_amount=1500").await;
    let mug = once(&world, "unit_amount=700").await;
    let phases = format!(
        "phases[0][items][0][price]={price}&phases[0][iterations]=1&phases[0][add_invoice_items][0][price]={shirt}&phases[1][items][0][price]={price}&phases[1][add_invoice_items][0][price]={mug}"
    );
    let made = created(&world, &customer, &format!("start_date=now&{phases}")).await;
    let added = &made["phases"][0]["add_invoice_items"];
    assert_eq!(
        added,
        &serde_json::json!([{"price": shirt, "quantity": 1, "tax_rates": []}])
    );
    assert_eq!(
        lines(&world.invoices(&customer).await[0]),
        [(1, 1500), (1, 1000)]
    );
    // Sending the running phase again does not charge the item again.
    let again = format!("phases[0][start_date]={START}&{phases}");
    world.api.post(&path(&made), &again).await.ok();
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(
        lines(&world.invoices(&customer).await[0]),
        [(1, 700), (1, 1000)]
    );
    world.advance_to(START + 60 * DAY).await;
    assert_eq!(lines(&world.invoices(&customer).await[0]), [(1, 1000)]);
}

#[tokio::test]
async fn added_items_need_one_time_prices_in_the_subscriptions_currency() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let euros = "currency=eur&unit_amount=100&product_data[name]=N";
    let euros = world.api.create("/v1/prices", euros).await;
    let shirt = once(&world, "unit_amount=1500").await;
    let many = (0..21).map(|index| format!("add_invoice_items[{index}][price]={shirt}"));
    let many = many.collect::<Vec<_>>().join("&");
    for (added, param) in [
        (
            format!("add_invoice_items[0][price]={price}"),
            "add_invoice_items[0][price]",
        ),
        (
            format!("add_invoice_items[0][price]={euros}"),
            "add_invoice_items[0][price]",
        ),
        (
            "add_invoice_items[0][price]=price_x".to_owned(),
            "add_invoice_items[0][price]",
        ),
        (
            "add_invoice_items[0][quantity]=1".to_owned(),
            "add_invoice_items[0][price]",
        ),
        (
            "add_invoice_items[0][price_data][currency]=usd".to_owned(),
            "add_invoice_items[0][price_data]",
        ),
        (many, "add_invoice_items"),
    ] {
        let form = format!("customer={customer}&items[0][price]={price}&{added}");
        let refused = world
            .api
            .post("/v1/subscriptions", &form)
            .await
            .refused(400);
        assert_eq!(refused.2, param, "{}", refused.0);
    }
    assert_eq!(world.invoices(&customer).await, Vec::<Value>::new());
}
