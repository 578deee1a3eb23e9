//! `expand[]`.

use serde_json::{Value, json};

use super::Api;

#[tokio::test]
async fn ids_become_objects() {
    let api = Api::start().await;
    let clock = api
        .create("/v1/test_helpers/test_clocks", "frozen_time=1700000000")
        .await;
    let form = format!(
        "test_clock={clock}&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa\
         &expand[]=test_clock&expand[]=invoice_settings.default_payment_method.customer"
    );
    let made = api.post("/v1/customers", &form).await.ok();
    assert_eq!(made["test_clock"]["id"], clock);
    let method = &made["invoice_settings"]["default_payment_method"];
    assert_eq!(method["object"], "payment_method");
    assert_eq!(method["customer"]["id"], made["id"]);
    let id = made["id"].as_str().expect("an id");
    let plain = api.get(&format!("/v1/customers/{id}")).await.ok();
    assert_eq!(plain["test_clock"], clock);
    assert!(plain.get("tax").is_none());
    let more = api
        .get(&format!(
            "/v1/customers/{id}?expand[]=tax&expand[]=sources&expand[]=tax_ids"
        ))
        .await
        .ok();
    assert_eq!(more["sources"]["data"], json!([]));
    assert_eq!(more["tax"]["location"], Value::Null);
}

#[tokio::test]
async fn what_is_null_or_deleted_stays() {
    let api = Api::start().await;
    let id = api.create("/v1/customers", "").await;
    let path = format!("/v1/customers/{id}?expand[]=test_clock&expand[]=discount.customer");
    let plain = api.get(&path).await.ok();
    assert_eq!(
        (&plain["test_clock"], &plain["discount"]),
        (&Value::Null, &Value::Null)
    );
    api.delete(&format!("/v1/customers/{id}")).await.ok();
    assert_eq!(api.get(&path).await.ok()["deleted"], true);
}

#[tokio::test]
async fn only_what_can_be_expanded_is_and_nothing_happens_otherwise() {
    let api = Api::start().await;
    for bad in [
        "name",
        "email",
        "nothing",
        "invoice_settings",
        "test_clock.name",
        "data.test_clock",
        "",
        "invoice_settings..x",
    ] {
        let (message, _, param) = api
            .post("/v1/customers", &format!("expand[]={bad}"))
            .await
            .refused(400);
        assert!(
            message.starts_with("This property cannot be expanded"),
            "{bad}: {message}"
        );
        assert_eq!(param, "expand");
    }
    let (message, ..) = api
        .post(
            "/v1/products",
            "name=N&expand[]=default_price.product.default_price.product.default_price",
        )
        .await
        .refused(400);
    assert!(message.contains("more than 4 levels"), "{message}");
    assert!(api.ids("/v1/customers").await.is_empty());
    assert!(api.ids("/v1/products").await.is_empty());
    let four = "/v1/products?expand[]=data.default_price.product.default_price.product";
    api.get(four).await.ok();
}
