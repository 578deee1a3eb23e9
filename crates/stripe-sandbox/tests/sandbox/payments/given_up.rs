//! Subscriptions that end before they are paid: incomplete ones, and canceled ones with open invoices.

use super::super::START;
use super::super::billing::{DAY, World, number};
use super::{customer, kinds, unpaid};

/// A customer with a good card, an incomplete subscription, its item and its first invoice.
async fn incomplete(world: &World) -> (String, String, String, String) {
    let customer = customer(world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}&payment_behavior=default_incomplete");
    let (subscription, item) = world.subscribe(&customer, &form).await;
    let held = world.subscription(&subscription).await;
    let invoice = held["latest_invoice"].as_str().expect("an invoice");
    (customer, subscription, item, invoice.to_owned())
}

#[tokio::test]
async fn canceling_an_incomplete_subscription_credits_nothing() {
    for how in [
        "",
        "?prorate=true",
        "?invoice_now=true",
        "?prorate=true&invoice_now=true",
    ] {
        let world = World::new().await;
        let (customer, subscription, _, invoice) = incomplete(&world).await;
        world.advance_to(START + 3600).await;
        let path = format!("/v1/subscriptions/{subscription}{how}");
        let ended = world.api.delete(&path).await.ok();
        assert_eq!(ended["status"], "incomplete_expired", "{how}");
        assert_eq!(number(&ended, "canceled_at"), START + 3600);
        assert_eq!(number(&ended, "ended_at"), START + 3600);
        let all = world.invoices(&customer).await;
        assert_eq!(all.len(), 1, "{how}: no last invoice");
        assert_eq!(all[0]["id"], *invoice);
        assert_eq!(all[0]["status"], "void", "{how}");
        let waiting = format!("/v1/invoiceitems?customer={customer}&pending=true");
        assert_eq!(world.api.ids(&waiting).await.len(), 0, "{how}");
        let holder = world.api.get(&format!("/v1/customers/{customer}")).await;
        assert_eq!(number(&holder.ok(), "balance"), 0, "{how}");
        assert_eq!(
            kinds(&world, "customer.subscription.").await,
            [
                "customer.subscription.created",
                "customer.subscription.updated"
            ]
        );
    }
}

#[tokio::test]
async fn other_endpoints_cannot_change_an_incomplete_subscription() {
    let world = World::new().await;
    let (customer, subscription, item, _) = incomplete(&world).await;
    let other = world.price("unit_amount=5000").await;
    let api = &world.api;
    let adopt = format!("from_subscription={subscription}");
    let (message, _, param) = api
        .post("/v1/subscription_schedules", &adopt)
        .await
        .refused(400);
    assert!(message.contains("incomplete"), "{message}");
    assert_eq!(param, "from_subscription");
    let add = format!("subscription={subscription}&price={other}");
    api.post("/v1/subscription_items", &add).await.error(400);
    let path = format!("/v1/subscription_items/{item}");
    api.delete(&path).await.error(400);
    let change = format!("price={other}");
    api.post(&path, &change).await.error(400);
    let preview = format!(
        "/v1/invoices/upcoming?subscription={subscription}&subscription_items[0][id]={item}&subscription_items[0][price]={other}"
    );
    let (_, _, param) = api.get(&preview).await.refused(400);
    assert_eq!(param, "subscription_items");
    assert_eq!(world.invoices(&customer).await.len(), 1);
    let held = world.subscription(&subscription).await;
    assert_eq!(held["items"]["data"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn an_uncollectible_first_invoice_leaves_a_subscription_incomplete() {
    let world = World::new().await;
    let (_, subscription, _, invoice) = incomplete(&world).await;
    let path = format!("/v1/invoices/{invoice}");
    let api = &world.api;
    api.post(&format!("{path}/mark_uncollectible"), "")
        .await
        .ok();
    let status = async || world.subscription(&subscription).await["status"].clone();
    assert_eq!(status().await, "incomplete");
    api.post(&format!("{path}/pay"), "").await.ok();
    assert_eq!(status().await, "active", "it can still be paid");

    let (customer, subscription, _, invoice) = incomplete(&world).await;
    let path = format!("/v1/invoices/{invoice}/mark_uncollectible");
    api.post(&path, "").await.ok();
    world.advance_to(START + DAY).await;
    let ended = world.subscription(&subscription).await;
    assert_eq!(ended["status"], "incomplete_expired");
    assert_eq!(
        world.invoices(&customer).await[0]["status"],
        "uncollectible"
    );
}

#[tokio::test]
async fn a_canceled_subscription_collects_no_earlier_invoice() {
    for end in ["now", "at_period_end"] {
        let world = World::new().await;
        let (customer, subscription) = unpaid(&world, "unit_amount=1000", "").await;
        assert_eq!(
            world.subscription(&subscription).await["status"],
            "past_due"
        );
        let open = world.invoices(&customer).await.remove(0);
        assert_eq!(
            (&open["status"], &open["auto_advance"]),
            (&"open".into(), &true.into())
        );
        let path = format!("/v1/subscriptions/{subscription}");
        if end == "now" {
            world.api.delete(&path).await.ok();
        } else {
            world
                .update(&subscription, "cancel_at_period_end=true")
                .await;
            world.advance_to(START + 40 * DAY).await;
        }
        assert_eq!(
            world.subscription(&subscription).await["status"],
            "canceled"
        );
        let open = world.invoices(&customer).await.remove(0);
        assert_eq!(
            (&open["status"], &open["auto_advance"]),
            (&"open".into(), &false.into()),
            "{end}"
        );
    }
}

#[tokio::test]
async fn drafts_of_a_canceled_subscription_stay_drafts() {
    let world = World::new().await;
    let customer = customer(&world, "pm_card_visa").await;
    let price = world.price("unit_amount=1000").await;
    let (subscription, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let api = &world.api;
    let form = format!("customer={customer}&subscription={subscription}&auto_advance=true");
    let theirs = api.create("/v1/invoices", &form).await;
    let form = format!("customer={customer}&auto_advance=true");
    let other = api.create("/v1/invoices", &form).await;
    for invoice in [&theirs, &other] {
        let form = format!("customer={customer}&invoice={invoice}&amount=700&currency=usd");
        api.post("/v1/invoiceitems", &form).await.ok();
    }
    api.delete(&format!("/v1/subscriptions/{subscription}"))
        .await
        .ok();
    world.advance_to(START + DAY).await;
    let path = |id: &str| format!("/v1/invoices/{id}");
    let draft = api.get(&path(&theirs)).await.ok();
    assert_eq!(
        (&draft["status"], &draft["auto_advance"]),
        (&"draft".into(), &false.into())
    );
    assert_eq!(api.get(&path(&other)).await.ok()["status"], "paid");
    // A request continues it.
    api.post(&path(&theirs), "auto_advance=true").await.ok();
    world.advance_to(START + 2 * DAY).await;
    assert_eq!(api.get(&path(&theirs)).await.ok()["status"], "paid");
}
