//! Invoice items: items that clients add to a customer's next invoice, and pending prorations.

use serde_json::{Value, json};

use super::{DAY, START, World, descriptions, lines, number};

const URL: &str = "/v1/invoiceitems";

async fn pending(world: &World, customer: &str) -> Vec<Value> {
    let list = world
        .api
        .get(&format!("{URL}?pending=true&customer={customer}"))
        .await
        .ok();
    list["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn pending_items_go_on_the_next_invoice() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let once = world
        .api
        .create(
            "/v1/prices",
            "currency=usd&unit_amount=250&product_data[name]=Setup",
        )
        .await;
    let (id, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let (other, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.coupon("id=half&percent_off=50").await;
    world.update(&id, "coupon=half").await;
    for form in [
        format!("subscription={id}&price={once}&quantity=3"),
        format!(
            "subscription={id}&currency=usd&unit_amount_decimal=0.5&quantity=3&description=Half"
        ),
        format!("subscription={id}&currency=usd&amount=-100&description=Sorry&metadata[k]=v"),
        format!("subscription={id}&currency=usd&amount=400&discountable=false"),
    ] {
        world
            .api
            .post(URL, &format!("customer={customer}&{form}"))
            .await
            .ok();
    }
    let first = pending(&world, &customer).await.remove(3);
    assert_eq!(
        (
            number(&first, "amount"),
            number(&first, "quantity"),
            number(&first, "unit_amount")
        ),
        (750, 3, 250)
    );
    assert_eq!(
        (&first["description"], &first["subscription"]),
        (&json!("Setup"), &json!(id))
    );
    // A one-time price has no plan.
    assert_eq!(
        (&first["price"]["id"], first.get("plan")),
        (&json!(once), Some(&Value::Null))
    );
    let path = format!("/v1/invoices/upcoming?subscription={id}");
    let upcoming = world.api.get(&path).await.ok();
    world.advance_to(START + 31 * DAY).await;
    let invoices = world.invoices(&customer).await;
    let of = |id: &str| {
        let mut of = invoices.iter().filter(|one| one["subscription"] == id);
        of.next().expect("a renewal")
    };
    let expected = [(1, 400), (1, -100), (3, 2), (3, 750), (1, 1000)];
    assert_eq!(lines(of(&id)), expected);
    assert_eq!(lines(&upcoming), expected);
    // Half of the discountable amount.
    assert_eq!(number(of(&id), "total"), 400 - 100 + 1 + 375 + 500);
    assert_eq!(lines(of(&other)), [(1, 1000)]);
    let line = &of(&id)["lines"]["data"][1];
    assert_eq!(
        (&line["type"], &line["metadata"]["k"]),
        (&json!("invoiceitem"), &json!("v"))
    );
    assert_eq!(
        (&line["price"], &line["plan"]),
        (&Value::Null, &Value::Null)
    );
    assert!(line.get("subscription_item").is_none());
    assert!(pending(&world, &customer).await.is_empty());
    let invoice = of(&id)["id"].as_str().expect("an id");
    let taken = world.api.ids(&format!("{URL}?invoice={invoice}")).await;
    assert_eq!(taken.len(), 4);
    let item = format!("{URL}/{}", taken[0]);
    assert_eq!(world.api.get(&item).await.ok()["invoice"], invoice);
    world.api.post(&item, "amount=1").await.refused(400);
    world.api.delete(&item).await.refused(400);
}

#[tokio::test]
async fn pending_items_can_be_changed_and_deleted() {
    let world = World::new().await;
    let customer = world.customer().await;
    let form = format!("customer={customer}&currency=usd&unit_amount=100&quantity=2");
    let id = world.api.create(URL, &form).await;
    let path = format!("{URL}/{id}");
    for (form, amount) in [
        ("quantity=5", 500),
        ("unit_amount=30", 30),
        ("unit_amount=30&quantity=3&description=Three", 90),
        ("amount=-7", -7),
        ("metadata[k]=v", -7),
    ] {
        let changed = world.api.post(&path, form).await.ok();
        assert_eq!(number(&changed, "amount"), amount, "{form}");
    }
    let period = format!("period[start]={START}&period[end]={}", START + DAY);
    let changed = world.api.post(&path, &period).await.ok();
    assert_eq!(number(&changed["period"], "end"), START + DAY);
    assert_eq!(
        (&changed["description"], &changed["metadata"]["k"]),
        (&json!("Three"), &json!("v"))
    );
    assert_eq!(world.api.delete(&path).await.ok()["deleted"], true);
    world.api.get(&path).await.refused(404);
    assert!(pending(&world, &customer).await.is_empty());
    for (kind, times) in [("created", 1), ("updated", 6), ("deleted", 1)] {
        let events = world
            .api
            .ids(&format!("/v1/events?limit=100&type=invoiceitem.{kind}"))
            .await;
        assert_eq!(events.len(), times, "{kind}");
    }
}

#[tokio::test]
async fn what_cannot_be_invoiced_is_refused() {
    let world = World::new().await;
    let customer = world.customer().await;
    let recurring = world.price("unit_amount=1").await;
    let once = world
        .api
        .create(
            "/v1/prices",
            "currency=usd&unit_amount=250&product_data[name]=Setup",
        )
        .await;
    let (gone, _) = world
        .subscribe(&customer, &format!("items[0][price]={recurring}"))
        .await;
    world
        .api
        .delete(&format!("/v1/subscriptions/{gone}"))
        .await
        .ok();
    for (form, param) in [
        ("currency=usd", "amount"),
        ("amount=1", "currency"),
        ("amount=1&currency=usd&quantity=2", "quantity"),
        ("amount=1&currency=usd&unit_amount=2", "amount"),
        ("amount=9999999999999&currency=usd", "amount"),
        ("price=price_x", "price"),
        (&format!("price={recurring}"), "price"),
        (&format!("price={once}&currency=eur"), "currency"),
        (
            &format!("amount=1&currency=usd&subscription={gone}"),
            "subscription",
        ),
        (
            "amount=1&currency=usd&period[start]=5&period[end]=4",
            "period[end]",
        ),
        ("amount=1&currency=usd&tax_rates[0]=x", "tax_rates"),
        ("amount=1&currency=usd&foo=1", "foo"),
    ] {
        let reply = world
            .api
            .post(URL, &format!("customer={customer}&{form}"))
            .await;
        assert_eq!(reply.refused(400).2, param, "{form}");
    }
    world
        .api
        .post(URL, "customer=cus_x&amount=1&currency=usd")
        .await
        .refused(400);
    assert!(pending(&world, &customer).await.is_empty());
}

#[tokio::test]
async fn pending_prorations_begin_with_the_credit() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.advance_to(START + 10 * DAY).await;
    world
        .update(&id, &format!("items[0][id]={item}&items[0][quantity]=2"))
        .await;
    let waiting = pending(&world, &customer).await;
    let amounts: Vec<i64> = waiting.iter().map(|item| number(item, "amount")).collect();
    assert_eq!(amounts, [-2100, 4200]);
    for one in &waiting {
        assert_eq!(
            (&one["proration"], &one["discountable"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&one["subscription"], &one["subscription_item"]),
            (&json!(id), &json!(item))
        );
        for kind in ["plan", "price"] {
            assert_eq!(
                (&one[kind]["object"], &one[kind]["id"]),
                (&json!(kind), &json!(price))
            );
        }
    }
}

#[tokio::test]
async fn a_credit_remains_after_its_subscription() {
    // The way of canceling, and the invoice of the customer's next subscription: with and without earlier pending
    // items.
    for (end, next) in [
        (
            "prorate=true",
            vec![(2, -4200), (1, -2100), (2, 4200), (1, 1000)],
        ),
        ("", vec![(1, 1000)]),
        ("invoice_now=true&prorate=true", vec![(1, 1000)]),
        ("invoice_now=true", vec![(1, 1000)]),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let [price, other] = [
            world.price("unit_amount=3100").await,
            world.price("unit_amount=1000").await,
        ];
        let (id, item) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        world.advance_to(START + 10 * DAY).await;
        world
            .update(&id, &format!("items[0][id]={item}&items[0][quantity]=2"))
            .await;
        world
            .api
            .delete(&format!("/v1/subscriptions/{id}?{end}"))
            .await
            .ok();
        if end == "prorate=true" {
            let credit = pending(&world, &customer).await.remove(0);
            assert_eq!(number(&credit, "amount"), -4200);
            assert!(credit["subscription"].is_null());
        }
        world
            .subscribe(&customer, &format!("items[0][price]={other}"))
            .await;
        let invoice = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&invoice), next, "{end}");
        assert!(pending(&world, &customer).await.is_empty());
        if end == "prorate=true" {
            assert_eq!(
                descriptions(&invoice)[0],
                "Unused time on 2 × Name after 10 Jan 2020"
            );
        }
    }
}

#[tokio::test]
async fn a_deleted_customer_has_no_pending_items() {
    let world = World::new().await;
    let customer = world.customer().await;
    let form = format!("customer={customer}&currency=usd&amount=100");
    let id = world.api.create(URL, &form).await;
    world
        .api
        .delete(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    world.api.get(&format!("{URL}/{id}")).await.refused(404);
}
