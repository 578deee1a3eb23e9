//! Charges of invoices, and refunds.

use serde_json::Value;

use super::super::billing::{World, number};
use super::{DAY, START, kinds};

async fn paid(world: &World) -> (String, Value) {
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&expand[]=latest_invoice.payment_intent&expand[]=latest_invoice.charge"
    );
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    (customer, made["latest_invoice"].clone())
}

#[tokio::test]
async fn a_paid_invoice_names_its_charge_and_intent() {
    let world = World::new().await;
    let (customer, invoice) = paid(&world).await;
    let (intent, charge) = (&invoice["payment_intent"], &invoice["charge"]);
    assert_eq!(
        (
            &intent["status"],
            number(intent, "amount"),
            &intent["setup_future_usage"]
        ),
        (&"succeeded".into(), 1000, &"off_session".into())
    );
    assert_eq!(intent["description"], "Subscription creation");
    assert_eq!(
        (
            &charge["invoice"],
            &charge["customer"],
            number(charge, "amount_captured")
        ),
        (&invoice["id"], &customer.as_str().into(), 1000)
    );
    let path = format!(
        "/v1/charges/{}?expand[]=invoice.subscription&expand[]=refunds",
        charge["id"].as_str().unwrap()
    );
    let shown = world.api.get(&path).await.ok();
    assert_eq!(shown["invoice"]["subscription"]["status"], "active");
    assert_eq!(shown["refunds"]["data"], Value::Array(Vec::new()));
    // If nothing is due, there is no charge.
    let free = world.price("unit_amount=0").await;
    let form = format!("customer={customer}&items[0][price]={free}&expand[]=latest_invoice");
    let made = world.api.post("/v1/subscriptions", &form).await.ok();
    assert!(made["latest_invoice"]["payment_intent"].is_null());
    assert!(made["latest_invoice"]["charge"].is_null());
}

#[tokio::test]
async fn a_charge_is_refunded_in_parts_and_no_more() {
    let world = World::new().await;
    let (_, invoice) = paid(&world).await;
    let charge = invoice["charge"]["id"].as_str().expect("an id");
    let intent = invoice["payment_intent"]["id"].as_str().expect("an id");
    let of_charge = format!("charge={charge}");
    let first = world
        .api
        .post(
            "/v1/refunds",
            &format!("{of_charge}&amount=300&reason=duplicate"),
        )
        .await
        .ok();
    assert_eq!(
        (number(&first, "amount"), &first["status"]),
        (300, &"succeeded".into())
    );
    let (message, ..) = world
        .api
        .post("/v1/refunds", &format!("{of_charge}&amount=701"))
        .await
        .refused(400);
    assert_eq!(
        message,
        "Refund amount ($7.01) is greater than unrefunded amount on charge ($7.00)"
    );
    let rest = world
        .api
        .post("/v1/refunds", &format!("payment_intent={intent}"))
        .await
        .ok();
    assert_eq!(number(&rest, "amount"), 700);
    let (_, code, _) = world.api.post("/v1/refunds", &of_charge).await.refused(400);
    assert_eq!(code, "charge_already_refunded");
    world.api.post("/v1/refunds", "").await.error(400);
    let shown = world
        .api
        .get(&format!("/v1/charges/{charge}?expand[]=refunds"))
        .await
        .ok();
    assert_eq!(
        (number(&shown, "amount_refunded"), &shown["refunded"]),
        (1000, &true.into())
    );
    assert_eq!(shown["refunds"]["data"][0]["id"], rest["id"]);
    assert_eq!(
        world
            .api
            .ids(&format!("/v1/refunds?charge={charge}"))
            .await
            .len(),
        2
    );
    assert_eq!(
        kinds(&world, "charge.").await,
        ["charge.succeeded", "charge.refunded", "charge.refunded"]
    );
}

#[tokio::test]
async fn a_credit_note_refunds_the_card() {
    let world = World::new().await;
    let (_, invoice) = paid(&world).await;
    let id = invoice["id"].as_str().expect("an id");
    let form = format!(
        "invoice={id}&refund_amount=500&lines[0][type]=custom_line_item&lines[0][description]=Refund&lines[0][quantity]=1&lines[0][unit_amount]=500"
    );
    let note = world
        .api
        .post("/v1/credit_notes", &format!("{form}&expand[]=refund"))
        .await
        .ok();
    assert_eq!(
        (number(&note["refund"], "amount"), &note["type"]),
        (500, &"post_payment".into())
    );
    assert_eq!(note["refund"]["charge"], invoice["charge"]["id"]);
    world
        .api
        .post("/v1/credit_notes", &form.replace("500", "501"))
        .await
        .error(400);
    // An earlier refund is linked.
    let charge = invoice["charge"]["id"].as_str().expect("an id");
    let refund = world
        .api
        .create("/v1/refunds", &format!("charge={charge}&amount=200"))
        .await;
    let linked = format!("invoice={id}&amount=300&refund={refund}&credit_amount=100");
    let linked = world.api.post("/v1/credit_notes", &linked).await.ok();
    assert_eq!(linked["refund"], refund);
    let now = world.api.get(&format!("/v1/invoices/{id}")).await.ok();
    assert_eq!(number(&now, "post_payment_credit_notes_amount"), 800);
    let shown = world.api.get(&format!("/v1/charges/{charge}")).await.ok();
    assert_eq!(number(&shown, "amount_refunded"), 700);
}

#[tokio::test]
async fn an_update_of_a_refund_is_recorded_at_the_time_of_the_customer() {
    let world = World::new().await;
    let (_, invoice) = paid(&world).await;
    let charge = invoice["charge"]["id"].as_str().expect("an id");
    let form = format!("charge={charge}");
    let refund = world.api.create("/v1/refunds", &form).await;
    world.advance_to(START + 5 * DAY).await;
    let path = format!("/v1/refunds/{refund}");
    world.api.post(&path, "metadata[a]=b").await.ok();
    let events = "/v1/events?type=charge.refund.updated";
    let events = world.api.get(events).await.ok();
    assert_eq!(number(&events["data"][0], "created"), START + 5 * DAY);
}
