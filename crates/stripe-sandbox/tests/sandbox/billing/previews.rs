//! Previews of changes.

use super::{DAY, START, World, lines, number};

const URL: &str = "/v1/invoices/upcoming";

#[tokio::test]
async fn a_change_is_previewed_and_not_made() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [small, large] = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=6200").await,
    ];
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={small}"))
        .await;
    world.advance_to(START + 10 * DAY).await;
    let base = format!("{URL}?subscription={id}");
    let swap = format!("subscription_items[0][id]={item}&subscription_items[0][price]={large}");
    for (query, expected) in [
        (swap.clone(), vec![(1, -2100), (1, 4200), (1, 6200)]),
        (
            format!("{swap}&subscription_proration_behavior=always_invoice"),
            vec![(1, -2100), (1, 4200)],
        ),
        (
            format!(
                "{swap}&subscription_proration_date={START}&subscription_proration_behavior=always_invoice"
            ),
            vec![(1, -3100), (1, 6200)],
        ),
        (
            "subscription_billing_cycle_anchor=now".to_owned(),
            vec![(1, -2100), (1, 3100)],
        ),
        ("subscription_cancel_now=true".to_owned(), vec![(1, -2100)]),
        (
            format!("subscription_cancel_at={}", START + 20 * DAY),
            vec![(1, -1100)],
        ),
        (
            "invoice_items[0][amount]=500&invoice_items[0][currency]=usd".to_owned(),
            vec![(1, 500), (1, 3100)],
        ),
    ] {
        let shown = world.api.get(&format!("{base}&{query}")).await.ok();
        assert_eq!(lines(&shown), expected, "{query}");
        assert!(shown.get("id").is_none(), "{query}");
        assert_eq!(shown["billing_reason"], "upcoming");
        assert_eq!(shown["status"], "draft", "{query}");
        assert_eq!(shown["auto_advance"], true, "{query}");
        for unset in ["payment_intent", "ending_balance", "effective_at", "number"] {
            assert!(shown[unset].is_null(), "{unset}: {query}");
        }
        let list = world
            .api
            .get(&format!("{URL}/lines?subscription={id}&{query}"))
            .await
            .ok();
        assert_eq!(
            number(&list, "total_count"),
            i64::try_from(expected.len()).expect("few")
        );
    }
    let ending = format!("{base}&subscription_cancel_at_period_end=true");
    world.api.get(&ending).await.refused(404);
    world.coupon("id=half&percent_off=50").await;
    let halved = world.api.get(&format!("{base}&coupon=half")).await.ok();
    assert_eq!(number(&halved, "total"), 1550);
    assert_eq!(
        number(
            &world.api.get("/v1/coupons/half").await.ok(),
            "times_redeemed"
        ),
        0
    );
    // Nothing has changed.
    assert_eq!(world.billed(&customer).await, [[(1, 3100)]]);
    let upcoming = world.api.get(&base).await.ok();
    assert_eq!(
        (lines(&upcoming), number(&upcoming, "total")),
        (vec![(1, 3100)], 3100)
    );
    let pending = world
        .api
        .ids(&format!("/v1/invoiceitems?customer={customer}"))
        .await;
    assert!(pending.is_empty());
    let events = world
        .api
        .ids("/v1/events?type=customer.subscription.updated")
        .await;
    assert!(events.is_empty());
}

#[tokio::test]
async fn a_new_subscription_is_previewed() {
    let world = World::new().await;
    // A preview needs no payment method.
    let customer = world
        .api
        .create("/v1/customers", &format!("test_clock={}", world.clock))
        .await;
    let price = world.price("unit_amount=3100").await;
    let base = format!("{URL}?customer={customer}");
    let item = format!("subscription_items[0][price]={price}&subscription_items[0][quantity]=2");
    let trial = format!("{item}&subscription_trial_end={}", START + DAY);
    for (query, total) in [(&item, 6200), (&trial, 0)] {
        let shown = world.api.get(&format!("{base}&{query}")).await.ok();
        assert_eq!(number(&shown, "total"), total, "{query}");
    }
    let form = format!(
        "customer={customer}&start_date={}&phases[0][items][0][price]={price}",
        START + 5 * DAY
    );
    let schedule = world.api.create("/v1/subscription_schedules", &form).await;
    let shown = world
        .api
        .get(&format!("{URL}?schedule={schedule}"))
        .await
        .ok();
    assert_eq!(
        (number(&shown, "total"), number(&shown, "created")),
        (3100, START + 5 * DAY)
    );
    let path = format!("/v1/subscription_schedules/{schedule}");
    assert_eq!(world.api.get(&path).await.ok()["status"], "not_started");
    assert!(
        world
            .api
            .ids(&format!("/v1/subscriptions?customer={customer}"))
            .await
            .is_empty()
    );
    assert!(world.invoices(&customer).await.is_empty());
}

#[tokio::test]
async fn a_refused_change_cannot_be_previewed() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    for (query, param) in [
        (
            "subscription_items[0][price]=price_x".to_owned(),
            "subscription_items[0][price]",
        ),
        (
            format!("subscription_items[0][id]={item}&subscription_items[0][foo]=1"),
            "subscription_items[0][foo]",
        ),
        (
            "subscription_cancel_at=1".to_owned(),
            "subscription_cancel_at",
        ),
        (
            "subscription_proration_date=1".to_owned(),
            "subscription_proration_date",
        ),
        ("coupon=none".to_owned(), "coupon"),
        (
            "subscription_default_tax_rates[0]=x".to_owned(),
            "subscription_default_tax_rates",
        ),
        ("schedule=sub_sched_x".to_owned(), "schedule"),
        ("subscription_foo=1".to_owned(), "subscription_foo"),
    ] {
        let reply = world
            .api
            .get(&format!("{URL}?subscription={id}&{query}"))
            .await;
        assert_eq!(reply.refused(400).2, param, "{query}");
    }
    let (message, ..) = world.api.get(URL).await.refused(400);
    assert!(
        message.starts_with("You must either provide a `customer`"),
        "{message}"
    );
}
