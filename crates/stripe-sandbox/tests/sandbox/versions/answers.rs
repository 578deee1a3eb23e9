//! Fields of answers that 2026-10-28.endive moved.

use serde_json::json;

use super::super::START;
use super::super::billing::number;
use super::world;

#[tokio::test]
async fn a_line_has_a_parent_and_a_pricing() {
    let world = world(START).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}&items[0][quantity]=2");
    let (subscription, item) = world.subscribe(&customer, &form).await;
    let invoice = &world.invoices(&customer).await[0];
    let line = &invoice["lines"]["data"][0];
    assert_eq!(line["invoice"], invoice["id"]);
    assert_eq!(
        line["parent"],
        json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null,
                "proration": false,
                "proration_details": {"credited_items": null},
                "subscription": subscription,
                "subscription_item": item,
            },
            "type": "subscription_item_details",
        })
    );
    let product = world.api.get(&format!("/v1/prices/{price}")).await.ok();
    assert_eq!(
        line["pricing"],
        json!({
            "price_details": {"price": price, "product": product["product"]},
            "type": "price_details",
            "unit_amount_decimal": "1000",
        })
    );
    assert_eq!(line["quantity_decimal"], "2");
    assert_eq!(number(line, "subtotal"), 2000);
    for gone in [
        "price",
        "plan",
        "proration",
        "type",
        "tax_amounts",
        "amount_excluding_tax",
    ] {
        assert!(line.get(gone).is_none(), "{gone}");
    }
    assert_eq!(
        invoice["parent"]["subscription_details"]["subscription"],
        json!(subscription)
    );
    for gone in [
        "subscription",
        "charge",
        "payment_intent",
        "paid",
        "tax",
        "discount",
    ] {
        assert!(invoice.get(gone).is_none(), "{gone}");
    }
    let id = invoice["id"].as_str().expect("an id");
    let lines = world
        .api
        .get(&format!("/v1/invoices/{id}/lines"))
        .await
        .ok();
    assert_eq!(lines["data"][0], *line);
    let expanded = format!("/v1/invoices/{id}/lines?expand[]=data.pricing.price_details.price");
    let lines = world.api.get(&expanded).await.ok();
    let shown = &lines["data"][0]["pricing"]["price_details"]["price"];
    assert_eq!(
        (&shown["id"], &shown["object"]),
        (&json!(price), &json!("price"))
    );
    assert!(shown["recurring"].get("aggregate_usage").is_none());
}

#[tokio::test]
async fn payments_of_invoices_are_objects() {
    let world = world(START).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}");
    world.subscribe(&customer, &form).await;
    let invoice = &world.invoices(&customer).await[0];
    assert!(invoice.get("payments").is_none());
    let id = invoice["id"].as_str().expect("an id");
    let path = format!("/v1/invoices/{id}?expand[]=payments.data.payment.payment_intent");
    let expanded = world.api.get(&path).await.ok();
    let payment = &expanded["payments"]["data"][0];
    assert_eq!(payment["status"], "paid");
    assert_eq!(number(payment, "amount_paid"), 1000);
    assert_eq!(payment["invoice"], json!(id));
    let intent = &payment["payment"]["payment_intent"];
    assert_eq!(intent["status"], "succeeded");
    assert!(intent.get("invoice").is_none());
    let listed = world
        .api
        .get(&format!("/v1/invoice_payments?invoice={id}"))
        .await
        .ok();
    assert_eq!(listed["data"][0]["id"], payment["id"]);
    let alone = payment["id"].as_str().expect("an id");
    let alone = world
        .api
        .get(&format!("/v1/invoice_payments/{alone}"))
        .await
        .ok();
    assert_eq!(alone, listed["data"][0]);
    let older = world.api.header("stripe-version", "2022-11-15");
    older
        .get(&format!("/v1/invoice_payments?invoice={id}"))
        .await
        .error(404);
}

#[tokio::test]
async fn discounts_take_the_place_of_coupons() {
    let world = world(START).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let coupon = world.coupon("percent_off=50").await;
    let form = format!("items[0][price]={price}&discounts[0][coupon]={coupon}");
    let (id, _) = world.subscribe(&customer, &form).await;
    let path = format!("/v1/subscriptions/{id}?expand[]=discounts.source.coupon");
    let shown = world.api.get(&path).await.ok();
    let discount = &shown["discounts"][0];
    assert_eq!(discount["source"]["type"], "coupon");
    assert_eq!(discount["source"]["coupon"]["id"], json!(coupon));
    assert!(discount.get("coupon").is_none());
    assert_eq!(number(&world.invoices(&customer).await[0], "total"), 500);
    let updated = world.update(&id, "discounts=").await;
    assert_eq!(updated["discounts"], json!([]));
    let code = format!("promotion[type]=coupon&promotion[coupon]={coupon}&code=HALF");
    let code = world.api.post("/v1/promotion_codes", &code).await.ok();
    assert_eq!(
        code["promotion"],
        json!({"coupon": coupon, "type": "coupon"})
    );
    let code = code["id"].as_str().expect("an id");
    let updated = world
        .update(&id, &format!("discounts[0][promotion_code]={code}"))
        .await;
    assert_eq!(updated["discounts"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn phases_have_discounts_and_durations() {
    let world = world(START).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let coupon = world.coupon("percent_off=50").await;
    let form = format!(
        "customer={customer}&start_date=now&phases[0][items][0][price]={price}\
         &phases[0][discounts][0][coupon]={coupon}&phases[0][duration][interval]=week\
         &phases[0][duration][interval_count]=2&phases[1][items][0][price]={price}"
    );
    let schedule = world
        .api
        .post("/v1/subscription_schedules", &form)
        .await
        .ok();
    let phase = &schedule["phases"][0];
    assert_eq!(number(phase, "end_date"), START + 14 * 86_400);
    assert_eq!(
        phase["discounts"],
        json!([{"coupon": coupon, "discount": null, "promotion_code": null}])
    );
    assert!(phase.get("coupon").is_none());
    assert_eq!(schedule["billing_mode"]["type"], "flexible");
    assert_eq!(schedule["pause_schedules"], json!([]));
    let id = schedule["id"].as_str().expect("an id");
    let path = format!("/v1/subscription_schedules/{id}?expand[]=phases.discounts.coupon");
    let shown = world.api.get(&path).await.ok();
    assert_eq!(
        shown["phases"][0]["discounts"][0]["coupon"]["id"],
        json!(coupon)
    );
}
