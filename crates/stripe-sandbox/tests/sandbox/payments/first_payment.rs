//! The payment method of a new subscription, and what happens without one.

use serde_json::Value;

use super::super::START;
use super::super::billing::{DAY, World};
use super::customer;

#[tokio::test]
async fn nobody_is_subscribed_without_a_card_when_an_amount_is_due() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    for behavior in [
        "",
        "&payment_behavior=allow_incomplete",
        "&payment_behavior=error_if_incomplete",
    ] {
        let error = world
            .api
            .post("/v1/subscriptions", &format!("{form}{behavior}"))
            .await
            .error(400);
        assert_eq!(error["code"], "resource_missing");
        assert_eq!(
            error["message"],
            "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority."
        );
        assert_eq!(error["param"], Value::Null);
    }
    // An attached card that is not the default is not charged.
    world
        .api
        .post(
            "/v1/payment_methods/pm_card_visa/attach",
            &format!("customer={customer}"),
        )
        .await
        .ok();
    world.api.post("/v1/subscriptions", &form).await.error(400);
    assert!(world.invoices(&customer).await.is_empty());
    assert!(
        world
            .api
            .ids(&format!("/v1/subscriptions?customer={customer}"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn no_card_is_needed_where_nothing_is_due() {
    let world = World::new().await;
    let paid = world.price("unit_amount=1000").await;
    let free = world.price("unit_amount=0").await;
    let metered = world.metered("unit_amount=10").await;
    let all_off = world.coupon("percent_off=100").await;
    let half_off = world.coupon("percent_off=50").await;
    let [first, customer] = [customer(&world, "").await, customer(&world, "").await];
    for (form, status) in [
        (
            format!("items[0][price]={paid}&trial_period_days=7"),
            "trialing",
        ),
        (format!("items[0][price]={free}"), "active"),
        (format!("items[0][price]={metered}"), "active"),
    ] {
        let form = format!("customer={first}&{form}");
        let made = world.api.post("/v1/subscriptions", &form).await.ok();
        assert_eq!(made["status"], status, "{form}");
    }
    let form = format!("customer={customer}&items[0][price]={paid}&coupon={all_off}");
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(made["status"], "active");
    let half = format!("customer={customer}&items[0][price]={paid}&coupon={half_off}");
    world.api.post("/v1/subscriptions", &half).await.error(400);
    let path = format!("/v1/customers/{customer}");
    world.api.post(&path, "balance=-1000").await.ok();
    let form = format!("customer={customer}&items[0][price]={paid}");
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(made["status"], "active", "the balance pays");
}

#[tokio::test]
async fn a_trial_that_ends_without_a_card_leaves_it_past_due() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}&trial_period_days=7");
    let id = world.api.create("/v1/subscriptions", &form).await;
    world.advance_to(START + 7 * DAY).await;
    assert_eq!(world.subscription(&id).await["status"], "past_due");
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (&invoice["status"], &invoice["amount_due"]),
        (&"open".into(), &1000.into())
    );
}

#[tokio::test]
async fn a_card_that_cannot_pay_leaves_it_incomplete() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    for (card, code, event) in [
        (
            "pm_card_chargeCustomerFail",
            "card_declined",
            "invoice.payment_failed",
        ),
        (
            "pm_card_authenticationRequired",
            "subscription_payment_intent_requires_action",
            "invoice.payment_action_required",
        ),
    ] {
        let customer = customer(&world, card).await;
        let form = format!("customer={customer}&items[0][price]={price}");
        let strict = format!("{form}&payment_behavior=error_if_incomplete");
        let error = world
            .api
            .post("/v1/subscriptions", &strict)
            .await
            .error(402);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&"card_error".into(), &code.into())
        );
        assert!(world.invoices(&customer).await.is_empty());
        let made = world.api.post("/v1/subscriptions", &form).await.ok();
        assert_eq!(made["status"], "incomplete");
        let events = world
            .api
            .get(&format!("/v1/events?type={event}"))
            .await
            .ok();
        assert_eq!(events["data"][0]["data"]["object"]["customer"], customer);
    }
}

#[tokio::test]
async fn a_card_that_was_set_up_pays_without_the_customer() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    let customer = customer(&world, "pm_card_authenticationRequiredSetupForOffSession").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let there = world.api.post("/v1/subscriptions", &form).await.ok();
    assert_eq!(there["status"], "incomplete");
    let away = format!("{form}&off_session=true");
    let away = world.api.post("/v1/subscriptions", &away).await.ok();
    assert_eq!(away["status"], "active");
}

#[tokio::test]
async fn prices_are_taken_by_their_older_name() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let [small, large] = [
        world.price("unit_amount=1000").await,
        world.price("unit_amount=3000").await,
    ];
    for form in [
        format!("plan={small}&quantity=3"),
        format!("items[0][plan]={small}&items[0][quantity]=3"),
    ] {
        let form = format!("customer={customer}&{form}");
        let made = world.api.post("/v1/subscriptions", &form).await.ok();
        let item = &made["items"]["data"][0];
        assert_eq!(
            (&item["price"]["id"], &item["quantity"]),
            (&small.as_str().into(), &3.into())
        );
        let path = format!("/v1/subscriptions/{}", made["id"].as_str().expect("an id"));
        let changed = world.api.post(&path, &format!("plan={large}")).await.ok();
        let changed = &changed["items"]["data"][0];
        assert_eq!(
            (
                &changed["id"],
                &changed["price"]["id"],
                &changed["quantity"]
            ),
            (&item["id"], &large.as_str().into(), &1.into())
        );
        let more = world.api.post(&path, "quantity=2").await.ok();
        assert_eq!(more["items"]["data"][0]["quantity"], 2);
    }
    let path = "/v1/subscriptions";
    let none = format!("customer={customer}&items[0][plan]=none");
    let (message, code, param) = world.api.post(path, &none).await.refused(400);
    assert_eq!(
        (&*message, &*code, &*param),
        ("No such plan: 'none'", "resource_missing", "plan")
    );
    let both = format!("customer={customer}&items[0][plan]={small}&items[0][price]={small}");
    world.api.post(path, &both).await.error(400);
}
