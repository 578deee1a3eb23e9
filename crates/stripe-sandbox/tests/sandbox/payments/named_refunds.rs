//! Refunds that credit notes refer to.

use super::super::billing::World;
use super::customer;

const NOTES: &str = "/v1/credit_notes";

#[tokio::test]
async fn a_refund_is_for_one_credit_note() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let invoice = world.invoices(&customer).await.remove(0);
    let text = |field: &str| invoice[field].as_str().expect("an id").to_owned();
    let (id, charge) = (text("id"), text("charge"));
    let api = &world.api;
    let refund = format!("charge={charge}&amount=400");
    let refund = api.create("/v1/refunds", &refund).await;
    let form = format!("invoice={id}&amount=400&refund={refund}");
    let note = api.post(NOTES, &form).await.ok();
    assert_eq!(note["refund"], *refund);
    let (_, _, param) = api.post(NOTES, &form).await.refused(400);
    assert_eq!(param, "refund");
    let preview = api.get(&format!("{NOTES}/preview?{form}")).await;
    assert_eq!(preview.refused(400).2, "refund");
    // The same holds for a refund that a credit note has made.
    let form = format!("invoice={id}&amount=300&refund_amount=300");
    let note = api.post(NOTES, &form).await.ok();
    let made = note["refund"].as_str().expect("a refund");
    let form = format!("invoice={id}&amount=300&refund={made}");
    let (_, _, param) = api.post(NOTES, &form).await.refused(400);
    assert_eq!(param, "refund");
}
