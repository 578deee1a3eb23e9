//! Balance transactions: the effects of charges and refunds on the account's balance.

use serde_json::{Value, json};

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::customer;

const URL: &str = "/v1/balance_transactions";

/// The customer's latest charge, with its transaction.
async fn latest(world: &World, customer: &str) -> Value {
    let path = format!("/v1/charges?customer={customer}&expand[]=data.balance_transaction");
    world.api.get(&path).await.ok()["data"][0].clone()
}

#[tokio::test]
async fn a_charge_and_its_refund_move_the_balance() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    world.api.create("/v1/subscriptions", &form).await;
    let charge = latest(&world, &customer).await;
    let money =
        |transaction: &Value| ["amount", "fee", "net"].map(|field| number(transaction, field));
    let brought = &charge["balance_transaction"];
    assert_eq!(money(brought), [1000, 59, 941]);
    assert_eq!(
        (&brought["type"], &brought["source"], &brought["status"]),
        (&json!("charge"), &charge["id"], &json!("pending"))
    );
    assert_eq!(brought["fee_details"][0]["amount"], 59);
    assert_eq!(number(brought, "created"), START);

    world.advance_to(START + DAY).await;
    let form = format!(
        "charge={}&amount=400",
        charge["id"].as_str().expect("an id")
    );
    let refund = world.api.post("/v1/refunds", &form).await.ok();
    let path = format!(
        "{URL}/{}",
        refund["balance_transaction"].as_str().expect("an id")
    );
    let given = world.api.get(&format!("{path}?expand[]=source")).await.ok();
    assert_eq!(money(&given), [-400, 0, -400]);
    assert_eq!(
        (
            &given["type"],
            &given["source"]["id"],
            &given["fee_details"]
        ),
        (&json!("refund"), &refund["id"], &json!([]))
    );

    let all = [&given["id"], &brought["id"]].map(|id| id.as_str().expect("an id").to_owned());
    assert_eq!(world.api.ids(URL).await, all, "newest first");
    for (filter, expected) in [
        ("type=charge", &all[1..]),
        ("type=payout", &[]),
        ("currency=eur", &[]),
        (&format!("starting_after={}", all[0]), &all[1..]),
        (
            &format!("source={}", refund["id"].as_str().expect("an id")),
            &all[..1],
        ),
    ] {
        let found = world.api.ids(&format!("{URL}?{filter}")).await;
        assert_eq!(found, expected, "{filter}");
    }
    world.advance_to(START + 2 * DAY).await;
    let path = format!("{URL}/{}", all[1]);
    assert_eq!(world.api.get(&path).await.ok()["status"], "available");
    world.api.get(&format!("{URL}/txn_none")).await.refused(404);
}

#[tokio::test]
async fn an_uncaptured_charge_has_no_transaction() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let cards = format!("/v1/payment_methods?customer={customer}");
    let card = world.api.ids(&cards).await.remove(0);
    let form = format!(
        "amount=2900&currency=usd&customer={customer}&payment_method={card}&confirm=true&capture_method=manual"
    );
    let intent = world.api.create("/v1/payment_intents", &form).await;
    assert_eq!(
        latest(&world, &customer).await["balance_transaction"],
        Value::Null
    );
    assert!(world.api.ids(URL).await.is_empty());
    world.advance_to(START + DAY).await;
    let path = format!("/v1/payment_intents/{intent}/capture");
    world.api.post(&path, "amount_to_capture=1000").await.ok();
    let charge = latest(&world, &customer).await;
    let brought = &charge["balance_transaction"];
    assert_eq!(
        (number(brought, "amount"), number(brought, "created")),
        (1000, START + DAY)
    );
}
