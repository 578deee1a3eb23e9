//! Invoices by request.

use serde_json::Value;

use super::super::START;
use super::super::billing::{World, number};
use super::{customer, kinds};

const INVOICES: &str = "/v1/invoices";

#[tokio::test]
async fn a_draft_is_changed_finalized_and_settled() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let form = format!("customer={customer}&description=Extra&metadata[a]=b&auto_advance=false");
    let draft = world.api.post(INVOICES, &form).await.ok();
    assert_eq!(
        (
            &draft["status"],
            &draft["billing_reason"],
            &draft["number"],
            &draft["ending_balance"]
        ),
        (
            &"draft".into(),
            &"manual".into(),
            &Value::Null,
            &Value::Null
        )
    );
    assert!(
        draft["subscription"].is_null() && draft["status_transitions"]["finalized_at"].is_null()
    );
    let path = format!("{INVOICES}/{}", draft["id"].as_str().expect("an id"));
    for verb in ["void", "mark_uncollectible"] {
        world
            .api
            .post(&format!("{path}/{verb}"), "")
            .await
            .error(400);
    }
    let changed = world
        .api
        .post(&path, "description=&footer=Thanks&metadata[a]=")
        .await
        .ok();
    assert_eq!(
        (
            &changed["description"],
            &changed["footer"],
            &changed["metadata"]
        ),
        (&Value::Null, &"Thanks".into(), &serde_json::json!({}))
    );
    let done = world.api.post(&format!("{path}/finalize"), "").await.ok();
    assert_eq!(
        (
            &done["status"],
            number(&done["status_transitions"], "finalized_at")
        ),
        (&"paid".into(), START)
    );
    assert!(done["number"].is_string());
    let (_, code, _) = world
        .api
        .post(&format!("{path}/finalize"), "")
        .await
        .refused(400);
    assert_eq!(code, "invoice_not_editable");
    world.api.delete(&path).await.error(400);
    assert_eq!(
        kinds(&world, "invoice.").await,
        [
            "invoice.created",
            "invoice.updated",
            "invoice.finalized",
            "invoice.paid",
            "invoice.payment_succeeded",
            "invoice.updated"
        ]
    );
}

#[tokio::test]
async fn paying_a_draft_finalizes_it_and_charges_a_debt() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let path = format!("/v1/customers/{customer}");
    world.api.post(&path, "balance=700").await.ok();
    let price = world.price("unit_amount=0").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    world.api.post(&path, "balance=0").await.ok();
    let subscription = world.api.create("/v1/subscriptions", &form).await;
    world.api.post(&path, "balance=700").await.ok();
    let draft = world
        .api
        .create(INVOICES, &format!("subscription={subscription}"))
        .await;
    let paid = world
        .api
        .post(&format!("{INVOICES}/{draft}/pay"), "")
        .await
        .ok();
    assert_eq!(
        (
            &paid["status"],
            number(&paid, "amount_paid"),
            number(&paid, "starting_balance"),
            &paid["subscription"]
        ),
        (&"paid".into(), 700, 700, &subscription.as_str().into())
    );
    assert!(paid["charge"].is_string());
    let holder = world.api.get(&path).await.ok();
    assert_eq!(number(&holder, "balance"), 0);
}

#[tokio::test]
async fn a_draft_is_deleted_and_what_is_not_modelled_is_named() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let form = format!("customer={customer}");
    let draft = world.api.create(INVOICES, &form).await;
    let path = format!("{INVOICES}/{draft}");
    assert_eq!(world.api.delete(&path).await.ok()["deleted"], true);
    world.api.get(&path).await.error(404);
    assert!(world.invoices(&customer).await.is_empty());
    for more in [
        "pending_invoice_items_behavior=include_and_require",
        "collection_method=send_invoice",
        "auto_advance=true",
        "discounts[0][coupon]=x",
    ] {
        let (message, ..) = world
            .api
            .post(INVOICES, &format!("{form}&{more}"))
            .await
            .refused(400);
        assert!(message.contains("does not model"), "{message}");
    }
    world.api.post(INVOICES, "").await.error(400);
    world
        .api
        .post(INVOICES, &format!("{form}&subscription=sub_none"))
        .await
        .error(400);
}

#[tokio::test]
async fn what_waits_is_invoiced_by_request() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    let (_, code, _) = world.api.post(INVOICES, &form).await.refused(400);
    assert_eq!(code, "invoice_no_customer_line_items");
    for amount in [700, 500] {
        let item = format!("customer={customer}&currency=usd&amount={amount}");
        world.api.create("/v1/invoiceitems", &item).await;
    }
    let first = world.api.create(INVOICES, &form).await;
    world.api.post(INVOICES, &form).await.error(400);
    world.api.delete(&format!("{INVOICES}/{first}")).await.ok();
    let draft = world.api.post(INVOICES, &form).await.ok();
    assert_eq!(
        (
            number(&draft, "total"),
            number(&draft["lines"], "total_count")
        ),
        (1200, 2)
    );
    let path = format!("{INVOICES}/{}", draft["id"].as_str().expect("an id"));
    let open = world.api.post(&format!("{path}/finalize"), "").await.ok();
    assert_eq!(
        (&open["status"], number(&open, "amount_due")),
        (&"open".into(), 1200)
    );
    let paid = world.api.post(&format!("{path}/pay"), "").await.ok();
    assert_eq!(
        (&paid["status"], number(&paid, "amount_paid")),
        (&"paid".into(), 1200)
    );
}
