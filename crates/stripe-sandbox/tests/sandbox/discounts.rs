//! Discounts and the texts of coupons.

use super::billing::{DAY, World, number};
use super::{Api, START};

#[tokio::test]
async fn a_discount_is_removed_from_its_customer_or_subscription() {
    let world = World::new().await;
    let api = &world.api;
    let coupon = world.coupon("percent_off=50").await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}&coupon={coupon}");
    let (subscription, _) = world.subscribe(&customer, &form).await;
    let holder = format!("/v1/customers/{customer}");
    api.post(&holder, &format!("coupon={coupon}")).await.ok();
    let shown = api.get(&format!("{holder}/discount")).await.ok();
    assert_eq!(shown["coupon"]["id"], *coupon);
    for path in [holder.clone(), format!("/v1/subscriptions/{subscription}")] {
        let discount = api.get(&path).await.ok()["discount"]["id"].clone();
        let expanding = format!("{path}/discount?expand[]=customer");
        let gone = api.delete(&expanding).await.ok();
        assert_eq!(gone["customer"]["id"], *customer, "{path}");
        assert_eq!(
            (&gone["object"], &gone["id"], &gone["deleted"]),
            (&"discount".into(), &discount, &true.into())
        );
        assert!(api.get(&path).await.ok()["discount"].is_null(), "{path}");
        let again = api.delete(&format!("{path}/discount")).await;
        assert_eq!(again.refused(404).1, "resource_missing");
    }
    api.get(&format!("{holder}/discount")).await.error(404);
    let events = api.get("/v1/events?type=customer.discount.deleted").await;
    assert_eq!(events.ok()["data"].as_array().expect("a list").len(), 2);
    // The next invoice has no discount.
    let next = format!("/v1/invoices/upcoming?subscription={subscription}");
    assert_eq!(number(&api.get(&next).await.ok(), "total"), 1000);
}

#[tokio::test]
async fn a_changed_coupon_changes_its_discounts() {
    let api = Api::start().await;
    let coupon = api
        .create(
            "/v1/coupons",
            "percent_off=50&duration=forever&metadata[a]=1",
        )
        .await;
    let customer = api
        .create("/v1/customers", &format!("coupon={coupon}"))
        .await;
    let path = format!("/v1/coupons/{coupon}");
    let changed = api.post(&path, "name=Spring&metadata[b]=2").await.ok();
    assert_eq!(changed["name"], "Spring");
    assert_eq!(changed["metadata"], serde_json::json!({"a": "1", "b": "2"}));
    let holder = api.get(&format!("/v1/customers/{customer}")).await.ok();
    assert_eq!(holder["discount"]["coupon"]["name"], "Spring");
    assert_eq!(number(&holder["discount"]["coupon"], "times_redeemed"), 1);
    let events = api.get("/v1/events?type=coupon.updated").await.ok();
    let lines_by_time = &events["data"][0]["data"];
    assert!(lines_by_time["previous_attributes"]["name"].is_null());
    assert_eq!(lines_by_time["object"]["name"], "Spring");
    // Its discount cannot be changed.
    let (_, code, param) = api.post(&path, "percent_off=10").await.refused(400);
    assert_eq!((&*code, &*param), ("parameter_unknown", "percent_off"));
    let (message, _, _) = api
        .post(&path, "currency_options[eur][amount_off]=1")
        .await
        .refused(400);
    assert!(message.contains("does not model"), "{message}");
    api.post("/v1/coupons/none", "name=x").await.error(404);
}

#[tokio::test]
async fn a_coupon_past_its_last_day_is_no_longer_valid() {
    let api = Api::start().await;
    let last = START + 10 * DAY;
    let form = format!("percent_off=50&duration=forever&redeem_by={last}");
    let coupon = api.create("/v1/coupons", &form).await;
    let customer =
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";
    let customer = api.create("/v1/customers", customer).await;
    let price = "currency=usd&unit_amount=1000&recurring[interval]=month&product_data[name]=Name";
    let price = api.create("/v1/prices", price).await;
    let form = format!("customer={customer}&items[0][price]={price}&coupon={coupon}");
    let subscription = api.create("/v1/subscriptions", &form).await;
    for (at, valid) in [(last, true), (last + 1, false)] {
        api.sandbox().clock().set(at);
        for path in [
            format!("/v1/coupons/{coupon}"),
            format!("/v1/subscriptions/{subscription}"),
        ] {
            let shown = api.get(&path).await.ok();
            let coupon = match shown["object"].as_str() {
                Some("coupon") => &shown,
                _ => &shown["discount"]["coupon"],
            };
            assert_eq!(coupon["valid"], valid, "{path} at {at}");
        }
        let path = format!("/v1/customers/{customer}?expand[]=subscriptions");
        let shown = api.get(&path).await.ok();
        let shown = &shown["subscriptions"]["data"][0];
        assert_eq!(shown["discount"]["coupon"]["valid"], valid, "at {at}");
    }
}
