//! `trial_settings`: what happens if a trial ends without a payment method.

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::{customer, kinds};

async fn trial(world: &World, customer: &str, missing: &str) -> String {
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&trial_period_days=7&trial_settings[end_behavior][missing_payment_method]={missing}"
    );
    let id = world.api.create("/v1/subscriptions", &form).await;
    let held = world.subscription(&id).await;
    assert_eq!(
        held["trial_settings"]["end_behavior"]["missing_payment_method"],
        missing
    );
    id
}

#[tokio::test]
async fn a_trial_without_a_card_is_canceled_at_its_end() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let id = trial(&world, &customer, "cancel").await;
    world.advance_to(START + 7 * DAY).await;
    assert_eq!(world.subscription(&id).await["status"], "canceled");
    assert_eq!(world.invoices(&customer).await.len(), 1, "of the trial");
}

#[tokio::test]
async fn a_trial_without_a_card_is_paused_until_it_is_resumed() {
    let world = World::new().await;
    let customer = customer(&world, "").await;
    let id = trial(&world, &customer, "pause").await;
    world.advance_to(START + 8 * DAY).await;
    assert_eq!(world.subscription(&id).await["status"], "paused");
    world.advance_to(START + 60 * DAY).await;
    assert_eq!(world.invoices(&customer).await.len(), 1, "of the trial");
    let path = format!("/v1/subscriptions/{id}/resume");
    world.api.post(&path, "").await.error(400);
    world
        .api
        .create(
            "/v1/setup_intents",
            &format!("customer={customer}&confirm=true&payment_method=pm_card_visa"),
        )
        .await;
    let card = world
        .api
        .ids(&format!("/v1/payment_methods?customer={customer}"))
        .await
        .remove(0);
    let form = format!("default_payment_method={card}");
    world
        .api
        .post(&format!("/v1/subscriptions/{id}"), &form)
        .await
        .ok();
    let resumed = world.api.post(&path, "").await.ok();
    assert_eq!(
        (&resumed["status"], number(&resumed, "billing_cycle_anchor")),
        (&"active".into(), START + 60 * DAY)
    );
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (&invoice["status"], number(&invoice, "amount_paid")),
        (&"paid".into(), 1000)
    );
    let (message, ..) = world.api.post(&path, "").await.refused(400);
    assert!(message.contains("active"), "{message}");
    assert_eq!(
        kinds(&world, "customer.subscription.").await,
        [
            "customer.subscription.created",
            "customer.subscription.trial_will_end",
            "customer.subscription.paused",
            "customer.subscription.updated",
            "customer.subscription.updated",
            "customer.subscription.updated",
            "customer.subscription.resumed"
        ]
    );
}

#[tokio::test]
async fn with_a_card_it_goes_on() {
    let world = World::new().await;
    for missing in ["cancel", "pause", "create_invoice"] {
        let customer = customer(&world, "pm_card_visa").await;
        let id = trial(&world, &customer, missing).await;
        let path = format!("/v1/subscriptions/{id}");
        let bad = "trial_settings[end_behavior][missing_payment_method]=shrug";
        world.api.post(&path, bad).await.error(400);
    }
    world.advance_to(START + 7 * DAY).await;
    let list = world
        .api
        .get(&format!("/v1/subscriptions?test_clock={}", world.clock))
        .await
        .ok();
    let list = list["data"].as_array().expect("a list");
    assert!(list.len() == 3 && list.iter().all(|one| one["status"] == "active"));
}
