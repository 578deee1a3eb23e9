//! The events of payments.

use super::super::START;
use super::super::billing::{DAY, World};
use super::{customer, kinds};

#[tokio::test]
async fn a_payment_records_all_its_events() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    world.api.create("/v1/subscriptions", &form).await;
    let all = kinds(&world, "").await;
    for kind in [
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.created",
    ] {
        assert_eq!(
            all.iter().filter(|one| *one == kind).count(),
            1,
            "{kind} of {all:?}"
        );
    }
}

#[tokio::test]
async fn discounts_record_their_events() {
    let world = World::new().await;
    let [once, ever] = [
        world.coupon("percent_off=10&duration=once").await,
        world.coupon("percent_off=20").await,
    ];
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}&coupon={once}");
    let id = world.api.create("/v1/subscriptions", &form).await;
    assert_eq!(
        kinds(&world, "customer.discount.").await,
        ["customer.discount.created", "customer.discount.deleted"],
        "it was for one invoice"
    );
    let path = format!("/v1/subscriptions/{id}");
    world.api.post(&path, &format!("coupon={ever}")).await.ok();
    world.advance_to(START + DAY).await;
    world.api.post(&path, &format!("coupon={once}")).await.ok();
    world.api.post(&path, "coupon=").await.ok();
    let path = format!("/v1/customers/{customer}");
    world.api.post(&path, &format!("coupon={ever}")).await.ok();
    world.api.post(&path, "coupon=").await.ok();
    assert_eq!(
        kinds(&world, "customer.discount.").await[2..],
        [
            "customer.discount.created",
            "customer.discount.updated",
            "customer.discount.deleted",
            "customer.discount.created",
            "customer.discount.deleted"
        ]
    );
}
