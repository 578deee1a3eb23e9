//! Paying and voiding invoices, marking them as uncollectible, and the effects on the subscription.

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::{customer, unpaid};

#[tokio::test]
async fn a_past_due_subscription_recovers_when_its_latest_invoice_is_paid() {
    let world = World::new().await;
    let (customer, subscription) = unpaid(&world, "unit_amount=1000", "").await;
    world.advance_to(START + 7 * DAY + 31 * DAY).await;
    let invoices = world
        .api
        .ids(&format!("/v1/invoices?customer={customer}&status=open"))
        .await;
    let [latest, first] = &invoices[..] else {
        panic!("{invoices:?}")
    };
    let pay = |id: &str, form: &str| {
        let (path, form) = (format!("/v1/invoices/{id}/pay"), form.to_owned());
        let api = world.api.clone();
        async move { api.post(&path, &form).await }
    };
    let (message, code, _) = pay(latest, "").await.refused(400);
    assert!(
        message.starts_with("There is no `default_payment_method` set"),
        "{message}"
    );
    assert_eq!(code, "resource_missing");
    let other = world.customer().await;
    let others = world
        .api
        .ids(&format!("/v1/payment_methods?customer={other}"))
        .await
        .remove(0);
    pay(latest, &format!("payment_method={others}"))
        .await
        .error(400);
    let path = "/v1/payment_methods/pm_card_visa/attach";
    let card = world
        .api
        .create(path, &format!("customer={customer}"))
        .await;
    let with = format!("payment_method={card}");
    let paid = pay(first, &with).await.ok();
    assert_eq!(
        (&paid["status"], number(&paid, "amount_paid")),
        (&"paid".into(), 1000)
    );
    assert_eq!(
        world.subscription(&subscription).await["status"],
        "past_due",
        "it goes by the latest"
    );
    pay(latest, &with).await.ok();
    assert_eq!(world.subscription(&subscription).await["status"], "active");
    let (message, ..) = pay(latest, &with).await.refused(400);
    assert_eq!(message, "Invoice is already paid");
    for kind in ["invoice.paid", "invoice.payment_succeeded"] {
        let events = world.api.get(&format!("/v1/events?type={kind}")).await.ok();
        assert_eq!(
            events["data"][0]["data"]["object"]["id"], **latest,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_declined_payment_is_counted_and_recorded() {
    let world = World::new().await;
    let (customer, _) = unpaid(&world, "unit_amount=1000", "").await;
    let invoice = world
        .api
        .ids(&format!("/v1/invoices?customer={customer}&status=open"))
        .await
        .remove(0);
    let path = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let card = world
        .api
        .create(path, &format!("customer={customer}"))
        .await;
    let pay = format!("/v1/invoices/{invoice}/pay");
    let error = world
        .api
        .post(&pay, &format!("payment_method={card}"))
        .await
        .error(402);
    assert_eq!(
        (&error["code"], &error["decline_code"]),
        (&"card_declined".into(), &"generic_decline".into())
    );
    let path = "/v1/payment_methods/pm_card_authenticationRequired/attach";
    let card = world
        .api
        .create(path, &format!("customer={customer}"))
        .await;
    let error = world
        .api
        .post(&pay, &format!("payment_method={card}"))
        .await
        .error(402);
    assert_eq!(error["code"], "invoice_payment_intent_requires_action");
    let now = world.api.get(&format!("/v1/invoices/{invoice}")).await.ok();
    assert_eq!(
        (&now["status"], number(&now, "attempt_count")),
        (&"open".into(), 2)
    );
    let failed = world
        .api
        .ids("/v1/events?type=invoice.payment_failed")
        .await;
    assert_eq!(failed.len(), 2);
}

#[tokio::test]
async fn a_payment_outside_of_stripe_charges_nothing() {
    let world = World::new().await;
    let (customer, subscription) = unpaid(&world, "unit_amount=1000", "").await;
    let invoice = world
        .api
        .ids(&format!("/v1/invoices?customer={customer}&status=open"))
        .await
        .remove(0);
    let path = format!("/v1/invoices/{invoice}/pay");
    let paid = world.api.post(&path, "paid_out_of_band=true").await.ok();
    assert_eq!(
        (
            &paid["status"],
            &paid["paid_out_of_band"],
            number(&paid, "attempt_count")
        ),
        (&"paid".into(), &true.into(), 0)
    );
    assert_eq!(world.subscription(&subscription).await["status"], "active");
}

#[tokio::test]
async fn an_incomplete_subscription_begins_when_its_invoice_is_paid() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_chargeCustomerFail").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = world.api.create("/v1/subscriptions", &form).await;
    let path = "/v1/payment_methods/pm_card_visa/attach";
    let card = world
        .api
        .create(path, &format!("customer={customer}"))
        .await;
    let invoice = world.subscription(&subscription).await["latest_invoice"].clone();
    let path = format!("/v1/invoices/{}/pay", invoice.as_str().expect("an id"));
    world
        .api
        .post(&path, &format!("payment_method={card}"))
        .await
        .ok();
    let held = world.subscription(&subscription).await;
    assert_eq!(held["status"], "active");
    let events = world
        .api
        .get("/v1/events?type=customer.subscription.updated")
        .await
        .ok();
    assert_eq!(
        events["data"][0]["data"]["previous_attributes"]["status"],
        "incomplete"
    );
    world.advance_to(START + 2 * DAY).await;
    assert_eq!(world.subscription(&subscription).await["status"], "active");
}

#[tokio::test]
async fn voiding_the_first_invoice_ends_an_incomplete_subscription() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_chargeCustomerFail").await;
    let price = world.price("unit_amount=1000").await;
    world
        .api
        .post(&format!("/v1/customers/{customer}"), "balance=-300")
        .await
        .ok();
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = world.api.create("/v1/subscriptions", &form).await;
    let balance = async || {
        let holder = world
            .api
            .get(&format!("/v1/customers/{customer}"))
            .await
            .ok();
        number(&holder, "balance")
    };
    assert_eq!(balance().await, 0);
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(number(&invoice, "amount_due"), 700);
    let path = format!("/v1/invoices/{}", invoice["id"].as_str().expect("an id"));
    let void = world.api.post(&format!("{path}/void"), "").await.ok();
    assert_eq!(
        (&void["status"], &void["status_transitions"]["voided_at"]),
        (&"void".into(), &START.into())
    );
    assert_eq!(balance().await, -300, "what it had taken is back");
    assert_eq!(
        world.subscription(&subscription).await["status"],
        "incomplete_expired"
    );
    for verb in ["void", "pay", "mark_uncollectible"] {
        world
            .api
            .post(&format!("{path}/{verb}"), "")
            .await
            .error(400);
    }
    assert_eq!(
        world.api.ids("/v1/events?type=invoice.voided").await.len(),
        1
    );
}

#[tokio::test]
async fn a_void_invoice_does_not_count_and_an_uncollectible_one_is_given_up() {
    let world = World::new().await;
    let (customer, subscription) = unpaid(&world, "unit_amount=1000", "").await;
    world.advance_to(START + 7 * DAY + 31 * DAY).await;
    let open = world
        .api
        .ids(&format!("/v1/invoices?customer={customer}&status=open"))
        .await;
    let status = async || world.subscription(&subscription).await["status"].clone();
    world
        .api
        .post(&format!("/v1/invoices/{}/void", open[0]), "")
        .await
        .ok();
    assert_eq!(status().await, "past_due", "the one before is open still");
    let path = format!("/v1/invoices/{}/mark_uncollectible", open[1]);
    let given_up = world.api.post(&path, "").await.ok();
    assert_eq!(given_up["status"], "uncollectible");
    assert!(given_up["status_transitions"]["marked_uncollectible_at"].is_i64());
    assert_eq!(status().await, "active");
    let path = format!("/v1/invoices/{}/pay", open[1]);
    let paid = world.api.post(&path, "paid_out_of_band=true").await.ok();
    assert_eq!(paid["status"], "paid");
}
