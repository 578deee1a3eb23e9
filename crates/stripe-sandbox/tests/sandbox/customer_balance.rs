//! Customers' balances and their transactions.

use serde_json::Value;

use super::billing::{World, number};

/// A customer's transactions, oldest first: amount, balance after it, and type.
async fn lines_by_time(world: &World, customer: &str) -> Vec<(i64, i64, String)> {
    let path = format!("/v1/customers/{customer}/balance_transactions?limit=100");
    let list = world.api.get(&path).await.ok();
    let all = list["data"].as_array().expect("a list").iter().rev();
    let one = |one: &Value| {
        (
            number(one, "amount"),
            number(one, "ending_balance"),
            one["type"].as_str().expect("a type").to_owned(),
        )
    };
    all.map(one).collect()
}

fn expected(all: &[(i64, i64, &str)]) -> Vec<(i64, i64, String)> {
    let owned = |(amount, after, kind): &(i64, i64, &str)| (*amount, *after, (*kind).to_owned());
    all.iter().map(owned).collect()
}

#[tokio::test]
async fn a_transaction_changes_the_balance() {
    let world = World::new().await;
    let api = &world.api;
    let customer = api.create("/v1/customers", "balance=-200").await;
    let holder = format!("/v1/customers/{customer}");
    let path = format!("{holder}/balance_transactions");
    let form = "amount=-500&currency=usd&description=Sorry&metadata[a]=1";
    let made = api.post(&path, form).await.ok();
    assert_eq!(made["object"], "customer_balance_transaction");
    assert_eq!(
        (
            &made["description"],
            &made["metadata"]["a"],
            &made["currency"]
        ),
        (&"Sorry".into(), &"1".into(), &"usd".into())
    );
    let shown = api.get(&holder).await.ok();
    assert_eq!(number(&shown, "balance"), -700);
    assert_eq!(shown["currency"], "usd");
    api.post(&holder, "balance=100").await.ok();
    api.post(&holder, "balance=100&name=Same").await.ok();
    let all = [
        (-200, -200, "initial"),
        (-500, -700, "adjustment"),
        (800, 100, "adjustment"),
    ];
    assert_eq!(lines_by_time(&world, &customer).await, expected(&all));
    let id = made["id"].as_str().expect("an id");
    let one = format!("{path}/{id}");
    let changed = api.post(&one, "description=Well").await.ok();
    assert_eq!(changed["description"], "Well");
    assert_eq!(number(&changed, "amount"), -500);
    let read = api.get(&format!("{one}?expand[]=customer")).await.ok();
    assert_eq!(read["customer"]["id"], *customer);
    for (form, param) in [
        ("currency=usd", "amount"),
        ("amount=5", "currency"),
        ("amount=0&currency=usd", "amount"),
        ("amount=9000000000000&currency=usd", "amount"),
        ("amount=5&currency=eur", ""),
        ("amount=x&currency=usd", "amount"),
    ] {
        assert_eq!(api.post(&path, form).await.refused(400).2, param, "{form}");
    }
    let other = api.create("/v1/customers", "").await;
    let theirs = format!("/v1/customers/{other}/balance_transactions");
    assert!(api.ids(&theirs).await.is_empty());
    api.get(&format!("{theirs}/{id}")).await.error(404);
}

#[tokio::test]
async fn invoices_and_credit_notes_make_transactions() {
    let world = World::new().await;
    let api = &world.api;
    let customer = world.customer().await;
    let path = format!("/v1/customers/{customer}/balance_transactions");
    api.post(&path, "amount=-300&currency=usd").await.ok();
    let invoice = async |amount: i64| {
        let form = format!("customer={customer}");
        let id = api.create("/v1/invoices", &form).await;
        let form = format!("{form}&invoice={id}&amount={amount}&currency=usd");
        api.post("/v1/invoiceitems", &form).await.ok();
        let path = format!("/v1/invoices/{id}/finalize");
        api.post(&path, "auto_advance=false").await.ok();
        id
    };
    let first = invoice(1000).await;
    api.post(&format!("/v1/invoices/{first}/void"), "")
        .await
        .ok();
    let second = invoice(1000).await;
    api.post(&format!("/v1/invoices/{second}/pay"), "")
        .await
        .ok();
    let form = format!("invoice={second}&amount=100&credit_amount=100");
    let note = api.post("/v1/credit_notes", &form).await.ok();
    invoice(130).await;
    invoice(-40).await;
    let all = [
        (-300, -300, "adjustment"),
        (300, 0, "applied_to_invoice"),
        (-300, -300, "unapplied_from_invoice"),
        (300, 0, "applied_to_invoice"),
        (-100, -100, "credit_note"),
        (130, 30, "invoice_too_small"),
        (-40, -10, "applied_to_invoice"),
    ];
    assert_eq!(lines_by_time(&world, &customer).await, expected(&all));
    let id = note["customer_balance_transaction"].as_str();
    let of_note = api
        .get(&format!("{path}/{}", id.expect("an id")))
        .await
        .ok();
    assert_eq!(
        (&of_note["credit_note"], &of_note["invoice"]),
        (&note["id"], &second.into())
    );
    let clock = format!("/v1/test_helpers/test_clocks/{}", world.clock);
    api.delete(&clock).await.ok();
    api.get(&path).await.error(404);
}
