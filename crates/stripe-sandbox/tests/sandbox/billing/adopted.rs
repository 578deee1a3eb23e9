//! Schedules from subscriptions that are to end. The schedule then cancels them.

use super::{DAY, START, World, number};

const URL: &str = "/v1/subscription_schedules";

/// A subscription with the end that the form describes.
async fn ending(world: &World, customer: &str, price: &str, end: &str) -> String {
    let form = format!("customer={customer}&items[0][price]={price}&{end}");
    world.api.create("/v1/subscriptions", &form).await
}

#[tokio::test]
async fn a_schedule_takes_over_the_end() {
    let month = START + 31 * DAY;
    for (end, at) in [
        ("cancel_at_period_end=true".to_owned(), month),
        (format!("cancel_at={}", START + 10 * DAY), START + 10 * DAY),
        (format!("cancel_at={}", START + 40 * DAY), START + 40 * DAY),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3100").await;
        let id = ending(&world, &customer, &price, &end).await;
        let form = format!("from_subscription={id}");
        let made = world.api.post(URL, &form).await.ok();
        assert_eq!(made["end_behavior"], "cancel", "{end}");
        assert_eq!(number(&made["phases"][0], "end_date"), at);
        let subscription = world.subscription(&id).await;
        assert_eq!(number(&subscription, "cancel_at"), at);
        assert_eq!(subscription["cancel_at_period_end"], false);
        assert_eq!(number(&subscription, "canceled_at"), START);
        world.advance_to(at).await;
        let over = world.subscription(&id).await;
        assert_eq!(
            (&over["status"], number(&over, "ended_at")),
            (&"canceled".into(), at)
        );
        let path = format!("{URL}/{}", made["id"].as_str().expect("an id"));
        assert_eq!(world.api.get(&path).await.ok()["status"], "completed");
    }
}

#[tokio::test]
async fn other_phases_remove_the_end() {
    let month = vec![(1, 3100)];
    for (end, billed) in [
        (
            "cancel_at_period_end=true".to_owned(),
            vec![month.clone(), month.clone()],
        ),
        // The first period still ends there, and only that part was charged.
        (
            format!("cancel_at={}", START + 10 * DAY),
            vec![month.clone(), month.clone(), vec![(1, 1000)]],
        ),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=3100").await;
        let id = ending(&world, &customer, &price, &end).await;
        let form = format!("from_subscription={id}");
        let made = world.api.post(URL, &form).await.ok();
        let path = format!("{URL}/{}", made["id"].as_str().expect("an id"));
        let form = format!(
            "end_behavior=release&phases[0][start_date]={START}&phases[0][items][0][price]={price}"
        );
        world.api.post(&path, &form).await.ok();
        let subscription = world.subscription(&id).await;
        for field in ["cancel_at", "canceled_at"] {
            assert!(subscription[field].is_null(), "{field} after {end}");
        }
        world.advance_to(START + 50 * DAY).await;
        let subscription = world.subscription(&id).await;
        assert_eq!(subscription["status"], "active", "{end}");
        assert_eq!(world.billed(&customer).await, billed, "{end}");
    }
}

#[tokio::test]
async fn a_release_removes_the_schedules_end() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let form = format!("phases[0][items][0][price]={price}&end_behavior=cancel");
    let id = world.schedule(&customer, &form).await;
    let subscription = world.subscription(&id).await;
    assert_eq!(number(&subscription, "cancel_at"), START + 31 * DAY);
    let path = world.schedule_of(&id).await;
    world.api.post(&format!("{path}/release"), "").await.ok();
    assert!(world.subscription(&id).await["cancel_at"].is_null());
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(world.subscription(&id).await["status"], "active");
}
