//! Automatic taxes, as far as they depend on the customer's location.

use super::{DAY, START, World};

const PRECISE: &[&str] = &[
    "address[country]=DE",
    "address[country]=US&address[postal_code]=94103",
    "address[country]=US&address[postal_code]=94103-1234",
    "address[country]=CA&address[state]=ON",
    "address[country]=US&shipping[name]=Jo&shipping[address][country]=DE",
];
const NOT_PRECISE: &[&str] = &[
    "name=Jo",
    "address[city]=Berlin",
    "address[country]=US",
    "address[country]=US&address[postal_code]=941",
    "address[country]=CA",
    "address[country]=DE&shipping[name]=Jo&shipping[address][country]=US",
];

#[tokio::test]
async fn a_subscription_with_taxes_needs_to_know_where_its_customer_is() {
    let world = World::new().await;
    let api = &world.api;
    let price = world.price("unit_amount=1000").await;
    let taxed = format!("items[0][price]={price}&automatic_tax[enabled]=true");
    for place in PRECISE {
        let form = format!(
            "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa&expand[]=tax&{place}"
        );
        let made = api.post("/v1/customers", &form).await.ok();
        assert_eq!(made["tax"]["automatic_tax"], "supported", "{place}");
        let customer = made["id"].as_str().expect("an id");
        world.subscribe(customer, &taxed).await;
        let invoice = world.invoices(customer).await.remove(0);
        assert_eq!(invoice["automatic_tax"]["status"], "complete", "{place}");
        assert_eq!(
            (&invoice["tax"], &invoice["status"]),
            (&0.into(), &"paid".into())
        );
    }
    for place in NOT_PRECISE {
        let form = format!(
            "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa&expand[]=tax&{place}"
        );
        let made = api.post("/v1/customers", &form).await.ok();
        assert_eq!(made["tax"]["automatic_tax"], "unrecognized_location");
        let customer = made["id"].as_str().expect("an id");
        let form = format!("customer={customer}&{taxed}");
        let refused = api.post("/v1/subscriptions", &form).await.refused(400);
        assert_eq!(refused.1, "customer_tax_location_invalid", "{place}");
        assert!(world.invoices(customer).await.is_empty());
        let (subscription, _) = world
            .subscribe(customer, &format!("items[0][price]={price}"))
            .await;
        let path = format!("/v1/subscriptions/{subscription}");
        let refused = api.post(&path, "automatic_tax[enabled]=true").await;
        assert_eq!(refused.refused(400).1, "customer_tax_location_invalid");
        world
            .update(&subscription, "automatic_tax[enabled]=false")
            .await;
    }
}

#[tokio::test]
async fn an_invoice_says_whether_its_taxes_could_be_worked_out() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form =
        format!("default_settings[automatic_tax][enabled]=true&phases[0][items][0][price]={price}");
    let subscription = world.schedule(&customer, &form).await;
    let status = async || {
        let invoice = world.invoices(&customer).await.remove(0);
        (
            invoice["automatic_tax"]["status"].clone(),
            invoice["tax"].clone(),
        )
    };
    let unlocated = ("requires_location_inputs".into(), serde_json::Value::Null);
    assert_eq!(status().await, unlocated);
    let path = format!("/v1/invoices/upcoming?subscription={subscription}");
    let next = world.api.get(&path).await.ok();
    assert_eq!(next["automatic_tax"]["status"], "requires_location_inputs");
    let holder = format!("/v1/customers/{customer}");
    world.api.post(&holder, "address[country]=FR").await.ok();
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(status().await, ("complete".into(), 0.into()));
}
