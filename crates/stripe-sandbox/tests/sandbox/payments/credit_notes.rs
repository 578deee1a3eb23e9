//! Credit notes for unpaid and paid invoices, to the cent.

use serde_json::Value;

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::unpaid;

fn line_of(invoice: &Value) -> (String, String) {
    let id = |object: &Value| object["id"].as_str().expect("an id").to_owned();
    (id(invoice), id(&invoice["lines"]["data"][0]))
}

#[tokio::test]
async fn a_credit_note_lowers_the_amount_due_and_pays_nothing_out() {
    let world = World::new().await;
    let (customer, subscription) = unpaid(&world, "unit_amount=1000", "").await;
    let (invoice, line) = line_of(&world.invoices(&customer).await[0]);
    let form = format!(
        "invoice={invoice}&lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][amount]=333&reason=order_change&memo=unused"
    );
    let preview = world
        .api
        .get(&format!("/v1/credit_notes/preview?{form}"))
        .await
        .ok();
    assert_eq!(number(&preview, "total"), 333);
    assert!(
        world
            .api
            .ids(&format!("/v1/credit_notes?invoice={invoice}"))
            .await
            .is_empty()
    );
    let note = world.api.post("/v1/credit_notes", &form).await.ok();
    assert_eq!(
        (&note["type"], &note["status"], number(&note, "amount")),
        (&"pre_payment".into(), &"issued".into(), 333)
    );
    let line = &note["lines"]["data"][0];
    assert_eq!(
        (number(line, "amount"), &line["type"]),
        (333, &"invoice_line_item".into())
    );
    let now = world.api.get(&format!("/v1/invoices/{invoice}")).await.ok();
    assert_eq!(
        note["number"],
        format!("{}-CN-01", now["number"].as_str().expect("a number"))
    );
    for (field, amount) in [
        ("amount_due", 667),
        ("amount_remaining", 667),
        ("amount_paid", 0),
        ("total", 1000),
        ("pre_payment_credit_notes_amount", 333),
        ("post_payment_credit_notes_amount", 0),
    ] {
        assert_eq!(number(&now, field), amount, "{field}");
    }
    assert_eq!(now["status"], "open");
    let holder = world
        .api
        .get(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    assert_eq!(number(&holder, "balance"), 0);
    // Not more than the amount due can be credited.
    let too_much = format!("invoice={invoice}&amount=668");
    world
        .api
        .post("/v1/credit_notes", &too_much)
        .await
        .error(400);
    let rest = format!("invoice={invoice}&amount=667");
    let rest = world.api.post("/v1/credit_notes", &rest).await.ok();
    let now = world.api.get(&format!("/v1/invoices/{invoice}")).await.ok();
    assert_eq!(
        (
            &now["status"],
            number(&now, "amount_due"),
            number(&now, "amount_paid")
        ),
        (&"paid".into(), 0, 0)
    );
    assert_eq!(world.subscription(&subscription).await["status"], "active");
    let listed = world
        .api
        .ids(&format!("/v1/credit_notes?customer={customer}"))
        .await;
    assert_eq!(
        listed,
        [rest["id"].as_str().unwrap(), note["id"].as_str().unwrap()]
    );
}

#[tokio::test]
async fn a_voided_credit_note_is_due_again() {
    let world = World::new().await;
    let (customer, _) = unpaid(&world, "unit_amount=1000", "").await;
    let (invoice, line) = line_of(&world.invoices(&customer).await[0]);
    let whole = format!(
        "lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][amount]=600"
    );
    let form = format!("invoice={invoice}&{whole}");
    let note = world.api.create("/v1/credit_notes", &form).await;
    world.api.post("/v1/credit_notes", &form).await.error(400);
    let path = format!("/v1/credit_notes/{note}");
    let lines_by_time = world
        .api
        .post(&path, "memo=a mistake&metadata[a]=b")
        .await
        .ok();
    assert_eq!(
        (&lines_by_time["memo"], &lines_by_time["metadata"]["a"]),
        (&"a mistake".into(), &"b".into())
    );
    let void = world.api.post(&format!("{path}/void"), "").await.ok();
    assert_eq!(
        (&void["status"], number(&void, "voided_at")),
        (&"void".into(), START + 7 * DAY)
    );
    world.api.post(&format!("{path}/void"), "").await.error(400);
    let now = world.api.get(&format!("/v1/invoices/{invoice}")).await.ok();
    assert_eq!(
        (
            number(&now, "amount_due"),
            number(&now, "pre_payment_credit_notes_amount")
        ),
        (1000, 0)
    );
    // The whole line can be credited again.
    world.api.create("/v1/credit_notes", &form).await;
    let kinds: Vec<Value> = world.api.get("/v1/events?type=credit_note.*").await.ok()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "credit_note.created",
            "credit_note.voided",
            "credit_note.updated",
            "credit_note.created"
        ]
    );
}

#[tokio::test]
async fn the_parts_of_a_discount_add_up() {
    let world = World::new().await;
    let coupon = world.coupon("percent_off=33").await;
    let (customer, _) = unpaid(&world, "unit_amount=1001", &format!("&coupon={coupon}")).await;
    let invoice = world.invoices(&customer).await.remove(0);
    // 33 % of 1001 are 330.
    assert_eq!(number(&invoice, "amount_due"), 671);
    let (id, line) = line_of(&invoice);
    let mut due = 671;
    let mut discounts = 0;
    for amount in [333, 335, 333] {
        let form = format!(
            "invoice={id}&lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][amount]={amount}"
        );
        let note = world.api.post("/v1/credit_notes", &form).await.ok();
        assert_eq!(number(&note, "subtotal"), amount);
        assert_eq!(
            number(&note, "total"),
            amount - number(&note, "discount_amount")
        );
        assert_eq!(
            note["discount_amounts"][0]["amount"],
            note["discount_amount"]
        );
        due -= number(&note, "total");
        discounts += number(&note, "discount_amount");
        let now = world.api.get(&format!("/v1/invoices/{id}")).await.ok();
        assert_eq!(number(&now, "amount_due"), due);
    }
    assert_eq!((due, discounts), (0, 330));
    let now = world.api.get(&format!("/v1/invoices/{id}")).await.ok();
    assert_eq!(now["status"], "paid");
}

#[tokio::test]
async fn units_and_custom_lines_are_taken_off() {
    let world = World::new().await;
    let (customer, _) = unpaid(&world, "unit_amount=500", "&items[0][quantity]=3").await;
    let (invoice, line) = line_of(&world.invoices(&customer).await[0]);
    let form = format!(
        "invoice={invoice}&lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][quantity]=2&lines[1][type]=custom_line_item&lines[1][description]=Sorry&lines[1][quantity]=3&lines[1][unit_amount]=50"
    );
    for (wrong, param) in [
        ("&amount=1149", "amount"),
        ("&lines[2][type]=other", "lines[2][type]"),
        (
            "&lines[2][type]=custom_line_item&lines[2][quantity]=1&lines[2][unit_amount]=1",
            "lines[2][description]",
        ),
        ("&refund_amount=5", "refund_amount"),
        ("&credit_amount=5", "credit_amount"),
        ("&shipping_cost[shipping_rate]=x", "shipping_cost"),
    ] {
        let (_, _, named) = world
            .api
            .post("/v1/credit_notes", &format!("{form}{wrong}"))
            .await
            .refused(400);
        assert_eq!(named, param, "{wrong}");
    }
    let note = world
        .api
        .post("/v1/credit_notes", &format!("{form}&amount=1150"))
        .await
        .ok();
    let lines = note["lines"]["data"].as_array().expect("lines");
    let amounts: Vec<i64> = lines.iter().map(|line| number(line, "amount")).collect();
    assert_eq!(amounts, [1000, 150]);
    assert_eq!(
        (
            number(&lines[0], "quantity"),
            number(&lines[1], "unit_amount")
        ),
        (2, 50)
    );
    let id = note["id"].as_str().expect("an id");
    let shown = world
        .api
        .get(&format!("/v1/credit_notes/{id}/lines?limit=1"))
        .await
        .ok();
    assert_eq!(
        (&shown["has_more"], &shown["data"][0]),
        (&true.into(), &lines[0])
    );
    let now = world.api.get(&format!("/v1/invoices/{invoice}")).await.ok();
    assert_eq!(number(&now, "amount_due"), 350);
}

#[tokio::test]
async fn only_open_paid_and_uncollectible_invoices_can_be_credited() {
    let world = World::new().await;
    let (customer, _) = unpaid(&world, "unit_amount=1000", "").await;
    let invoice = line_of(&world.invoices(&customer).await[0]).0;
    let path = format!("/v1/invoices/{invoice}");
    world
        .api
        .post(&format!("{path}/mark_uncollectible"), "")
        .await
        .ok();
    let form = format!("invoice={invoice}&amount=400");
    world.api.post("/v1/credit_notes", &form).await.ok();
    let now = world.api.get(&path).await.ok();
    assert_eq!(
        (&now["status"], number(&now, "amount_due")),
        (&"uncollectible".into(), 600)
    );
    world.api.post(&format!("{path}/void"), "").await.ok();
    world.api.post("/v1/credit_notes", &form).await.error(400);
    let nowhere = world
        .api
        .post("/v1/credit_notes", "invoice=in_none&amount=1")
        .await
        .error(400);
    assert_eq!(nowhere["code"], "resource_missing");
}

#[tokio::test]
async fn the_payout_of_a_paid_invoice_adds_up() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    world.api.create("/v1/subscriptions", &form).await;
    let invoice = line_of(&world.invoices(&customer).await[0]).0;
    let form = format!("invoice={invoice}&amount=500");
    for wrong in [
        "",
        "&credit_amount=499",
        "&credit_amount=300&out_of_band_amount=201",
    ] {
        world
            .api
            .post("/v1/credit_notes", &format!("{form}{wrong}"))
            .await
            .error(400);
    }
    let right = format!("{form}&credit_amount=300&out_of_band_amount=200");
    let note = world.api.post("/v1/credit_notes", &right).await.ok();
    assert_eq!(
        (&note["type"], number(&note, "out_of_band_amount")),
        (&"post_payment".into(), 200)
    );
    let holder = world
        .api
        .get(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    assert_eq!(number(&holder, "balance"), -300);
    let now = world.api.get(&format!("/v1/invoices/{invoice}")).await.ok();
    assert_eq!(
        (
            number(&now, "amount_due"),
            number(&now, "amount_paid"),
            number(&now, "post_payment_credit_notes_amount")
        ),
        (1000, 1000, 500)
    );
    let more = format!("invoice={invoice}&amount=501&credit_amount=501");
    world.api.post("/v1/credit_notes", &more).await.error(400);
    let id = note["id"].as_str().expect("an id");
    world
        .api
        .post(&format!("/v1/credit_notes/{id}/void"), "")
        .await
        .error(400);
    world.advance_to(START + 31 * DAY).await;
    let next = world.invoices(&customer).await.remove(0);
    assert_eq!(number(&next, "amount_due"), 700);
}
