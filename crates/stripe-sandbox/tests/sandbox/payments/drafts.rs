//! Invoices that requests create.

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
async fn a_draft_is_deleted_and_unmodelled_parameters_are_refused() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let form = format!("customer={customer}");
    let draft = world.api.create(INVOICES, &form).await;
    let path = format!("{INVOICES}/{draft}");
    assert_eq!(world.api.delete(&path).await.ok()["deleted"], true);
    world.api.get(&path).await.error(404);
    assert!(world.invoices(&customer).await.is_empty());
    for more in ["collection_method=send_invoice", "discounts[0][coupon]=x"] {
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
async fn pending_items_are_invoiced_by_request() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    let require = format!("{form}_and_require");
    let (_, code, _) = world.api.post(INVOICES, &require).await.refused(400);
    assert_eq!(code, "invoice_no_customer_line_items");
    let empty = world.api.post(INVOICES, &form).await.ok();
    assert_eq!(number(&empty["lines"], "total_count"), 0);
    for amount in [700, 500] {
        let item = format!("customer={customer}&currency=usd&amount={amount}");
        world.api.create("/v1/invoiceitems", &item).await;
    }
    let first = world.api.create(INVOICES, &form).await;
    world.api.post(INVOICES, &require).await.error(400);
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

#[tokio::test]
async fn items_are_added_to_a_draft_changed_and_removed() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let (id, path) = draft(&world, &format!("customer={customer}")).await;
    let form = format!("customer={customer}&invoice={id}&currency=usd");
    let items = "/v1/invoiceitems";
    let first = world.api.create(items, &format!("{form}&amount=700")).await;
    let second = world
        .api
        .post(items, &format!("{form}&amount=500"))
        .await
        .ok();
    assert_eq!(second["invoice"], id.as_str());
    let lines = async || {
        let draft = world.api.get(&path).await.ok();
        let data = draft["lines"]["data"].as_array().expect("lines").clone();
        let amounts = data.iter().map(|line| number(line, "amount"));
        (amounts.collect::<Vec<_>>(), number(&draft, "amount_due"))
    };
    assert_eq!(lines().await, (vec![500, 700], 1200));
    let change = format!("{items}/{first}");
    world.api.post(&change, "amount=900").await.ok();
    assert_eq!(lines().await, (vec![500, 900], 1400));
    let second = format!("{items}/{}", second["id"].as_str().expect("an id"));
    world.api.delete(&second).await.ok();
    assert_eq!(lines().await, (vec![900], 900));
    assert_eq!(kinds(&world, "invoice.updated").await.len(), 4);
    // Another invoice does not include the items of this one.
    let other = format!("customer={customer}&pending_invoice_items_behavior=include");
    let other = world.api.post(INVOICES, &other).await.ok();
    assert_eq!(number(&other, "total"), 0);
    world.api.post(&format!("{path}/pay"), "").await.ok();
    for (method, path, form) in [
        ("POST", items, format!("{form}&amount=700")),
        ("POST", &change, "amount=1".to_owned()),
        ("DELETE", &change, String::new()),
    ] {
        let (_, code, _) = world.api.send(method, path, &form).await.refused(400);
        assert_eq!(code, "invoice_not_editable", "{method}");
    }
}

#[tokio::test]
async fn an_item_goes_on_a_draft_of_its_customer_and_currency_only() {
    let world = World::new().await;
    let (mine, other) = (
        customer(&world, "pm_card_visa").await,
        customer(&world, "pm_card_visa").await,
    );
    let (id, path) = draft(&world, &format!("customer={mine}&currency=usd")).await;
    for (form, code) in [
        (
            format!("customer={other}&currency=usd&invoice={id}"),
            "resource_missing",
        ),
        (
            format!("customer={mine}&currency=usd&invoice=in_none"),
            "resource_missing",
        ),
        (format!("customer={mine}&currency=eur&invoice={id}"), ""),
    ] {
        let form = format!("{form}&amount=100");
        let refused = world.api.post("/v1/invoiceitems", &form).await.refused(400);
        assert_eq!((refused.1.as_str(), refused.2.as_str()), (code, "invoice"));
    }
    let draft = world.api.get(&path).await.ok();
    assert_eq!(number(&draft["lines"], "total_count"), 0);
}

#[tokio::test]
async fn a_draft_with_auto_advance_is_finalized_and_charged_after_an_hour() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let form = format!("customer={customer}&auto_advance=true");
    let (id, path) = draft(&world, &form).await;
    let item = format!("customer={customer}&invoice={id}&currency=usd&amount=700");
    world.api.create("/v1/invoiceitems", &item).await;
    let (left, _) = draft(&world, &format!("customer={customer}")).await;
    let shown = world.api.get(&path).await.ok();
    assert_eq!(
        (
            &shown["auto_advance"],
            number(&shown, "next_payment_attempt")
        ),
        (&true.into(), START + 3600)
    );
    world.advance_to(START + 3599).await;
    assert_eq!(world.api.get(&path).await.ok()["status"], "draft");
    // Repeating the request changes nothing.
    world.api.post(&path, "auto_advance=true").await.ok();
    world.advance_to(START + 3600).await;
    let paid = world.api.get(&path).await.ok();
    assert_eq!(
        (
            &paid["status"],
            number(&paid, "amount_paid"),
            &paid["auto_advance"]
        ),
        (&"paid".into(), 700, &false.into())
    );
    let left = world.api.get(&format!("{INVOICES}/{left}")).await.ok();
    assert_eq!(
        (&left["status"], &left["auto_advance"]),
        (&"draft".into(), &false.into())
    );
}

#[tokio::test]
async fn a_draft_finalized_with_auto_advance_is_collected() {
    let world = World::new().await;
    let payer = customer(&world, "pm_card_visa").await;
    let item = format!("customer={payer}&currency=usd&amount=700");
    let include = format!("customer={payer}&pending_invoice_items_behavior=include");
    for (made, finalized, status) in [
        ("", "", "open"),
        ("", "auto_advance=true", "paid"),
        ("&auto_advance=true", "", "paid"),
        ("&auto_advance=true", "auto_advance=false", "open"),
    ] {
        world.api.create("/v1/invoiceitems", &item).await;
        let (_, path) = draft(&world, &format!("{include}{made}")).await;
        let done = world
            .api
            .post(&format!("{path}/finalize"), finalized)
            .await
            .ok();
        assert_eq!(done["status"], status, "{made} {finalized}");
        assert_eq!(done["auto_advance"], false);
    }
    // An invoice that cannot be collected keeps waiting for payment.
    let debtor = customer(&world, "").await;
    let item = format!("customer={debtor}&currency=usd&amount=700");
    world.api.create("/v1/invoiceitems", &item).await;
    let include = format!("customer={debtor}&pending_invoice_items_behavior=include");
    let (_, path) = draft(&world, &include).await;
    let open = world
        .api
        .post(&format!("{path}/finalize"), "auto_advance=true")
        .await
        .ok();
    assert_eq!(
        (&open["status"], &open["auto_advance"], &open["attempted"]),
        (&"open".into(), &true.into(), &false.into())
    );
}

/// The id and the path of a draft that a request created.
async fn draft(world: &World, form: &str) -> (String, String) {
    let id = world.api.create(INVOICES, form).await;
    let path = format!("{INVOICES}/{id}");
    (id, path)
}
