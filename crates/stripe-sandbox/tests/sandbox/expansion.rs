//! Expansion of ids and fields with `expand[]`.

use serde_json::{Value, json};

use super::Api;
use super::billing::World;

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
async fn null_and_deleted_values_are_not_expanded() {
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
async fn only_expandable_fields_are_expanded() {
    let api = Api::start().await;
    for bad in [
        "name",
        "email",
        "nothing",
        "metadata",
        "test_clock.name",
        "data.test_clock",
        "",
        "invoice_settings..x",
    ] {
        let (message, code, param) = api
            .post("/v1/customers", &format!("expand[]={bad}"))
            .await
            .refused(400);
        assert!(
            message.starts_with("This property cannot be expanded"),
            "{bad}: {message}"
        );
        assert_eq!((code.as_str(), param.as_str()), ("", ""));
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

#[tokio::test]
async fn fields_that_stripe_can_expand_are_accepted_even_when_empty() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("phases[0][items][0][price]={price}");
    let id = world.schedule(&customer, &form).await;
    let schedule = world.schedule_of(&id).await;
    let invoice = world.invoices(&customer).await.remove(0)["id"].clone();
    let invoice = invoice.as_str().expect("an id");
    for (path, fields) in [
        (
            format!("/v1/subscriptions/{id}"),
            "latest_invoice.total_tax_amounts.tax_rate latest_invoice.payment_intent.payment_method \
             pending_setup_intent default_tax_rates items.data.tax_rates items application on_behalf_of \
             transfer_data.destination latest_invoice.charge.balance_transaction discount.promotion_code \
             latest_invoice.lines.data.price default_source pause_collection",
        ),
        (
            format!("/v1/invoices/{invoice}"),
            "quote account_tax_ids default_tax_rates application on_behalf_of transfer_data.destination \
             total_tax_amounts.tax_rate total_discount_amounts.discount from_invoice.invoice latest_revision \
             lines lines.data.tax_amounts.tax_rate lines.data.plan.product",
        ),
        (
            format!("/v1/customers/{customer}"),
            "tax tax.location cash_balance invoice_credit_balance address shipping default_source sources tax_ids \
             tax_ids.data.customer subscriptions.data.latest_invoice",
        ),
        (
            schedule.clone(),
            "phases.items.tax_rates phases.default_tax_rates default_settings.on_behalf_of application current_phase",
        ),
        (
            "/v1/account".to_owned(),
            "settings capabilities external_accounts",
        ),
    ] {
        for field in fields.split_whitespace() {
            world
                .api
                .get(&format!("{path}?expand[]={field}"))
                .await
                .ok();
        }
    }
    let tax =
        format!("/v1/customers/{customer}?expand[]=invoice_credit_balance&expand[]=cash_balance");
    let shown = world.api.get(&tax).await.ok();
    assert!(shown.get("invoice_credit_balance").is_none());
    assert_eq!(shown.get("cash_balance"), Some(&Value::Null));
    for (path, field) in [
        (format!("/v1/subscriptions/{id}"), "latest_invoice.metadata"),
        (format!("/v1/subscriptions/{id}"), "items.data.quantity"),
        (format!("/v1/subscriptions/{id}"), "latest_invoice.quote.x"),
        (format!("/v1/invoices/{invoice}"), "lines.price"),
        (schedule.clone(), "phases.metadata"),
    ] {
        let refused = world.api.get(&format!("{path}?expand[]={field}")).await;
        let (message, ..) = refused.refused(400);
        assert_eq!(
            message,
            format!("This property cannot be expanded ({field}).")
        );
    }
}

#[tokio::test]
async fn the_plan_of_a_phase_is_shown_as_a_plan() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("phases[0][items][0][price]={price}");
    let id = world.schedule(&customer, &form).await;
    let schedule = world.schedule_of(&id).await;
    let paths = "expand[]=phases.items.plan.product&expand[]=phases.items.price.product";
    let shown = world.api.get(&format!("{schedule}?{paths}")).await.ok();
    let item = &shown["phases"][0]["items"][0];
    for kind in ["plan", "price"] {
        assert_eq!(
            (&item[kind]["object"], &item[kind]["id"]),
            (&json!(kind), &json!(price))
        );
        assert_eq!(item[kind]["product"]["object"], "product");
    }
    assert_eq!(item["plan"]["amount"], 1000);
}

#[tokio::test]
async fn paths_in_a_list_begin_with_data() {
    let api = Api::start().await;
    let path = "/v1/customers?expand[]=";
    api.get(&format!("{path}data")).await.ok();
    let (message, ..) = api.get(&format!("{path}test_clock")).await.refused(400);
    assert_eq!(
        message,
        "This property cannot be expanded (test_clock). You may want to try expanding 'data.test_clock' instead."
    );
    let (message, ..) = api.get(&format!("{path}data.email")).await.refused(400);
    assert_eq!(message, "This property cannot be expanded (data.email).");
}
