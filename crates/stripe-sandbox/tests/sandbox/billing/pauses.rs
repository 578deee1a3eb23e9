//! `pause_collection`: pauses in the collection of a subscription's invoices.

use serde_json::{Value, json};

use super::{DAY, START, World, number};

const RENEWAL: i64 = START + 31 * DAY;

/// A customer with a monthly subscription that is paused with the parameters of the form.
async fn paused(world: &World, form: &str) -> (String, String) {
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let (id, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let path = format!("/v1/subscriptions/{id}");
    world.api.post(&path, form).await.ok();
    (customer, path)
}

#[tokio::test]
async fn invoices_of_a_pause_are_not_collected() {
    for (behavior, status, balance) in [
        ("keep_as_draft", "draft", 0),
        ("mark_uncollectible", "uncollectible", 0),
        ("void", "void", 0),
    ] {
        let world = World::new().await;
        let form = format!("pause_collection[behavior]={behavior}");
        let (customer, path) = paused(&world, &form).await;
        let held = world.api.get(&path).await.ok();
        assert_eq!(
            held["pause_collection"],
            json!({"behavior": behavior, "resumes_at": null})
        );
        world.advance_to(RENEWAL).await;
        let invoice = world.invoices(&customer).await.remove(0);
        assert_eq!(invoice["status"], status);
        assert_eq!(
            (
                &invoice["auto_advance"],
                &invoice["attempted"],
                number(&invoice, "amount_paid"),
                number(&invoice, "amount_due")
            ),
            (&json!(false), &json!(false), 0, 1000)
        );
        // The subscription continues.
        let held = world.api.get(&path).await.ok();
        assert_eq!(
            (&held["status"], number(&held, "current_period_start")),
            (&json!("active"), RENEWAL)
        );
        let holder = world
            .api
            .get(&format!("/v1/customers/{customer}"))
            .await
            .ok();
        assert_eq!(number(&holder, "balance"), balance);

        // Invoices after the pause are collected again; those made during it stay as they are.
        world.api.post(&path, "pause_collection=").await.ok();
        world.advance_to(START + 60 * DAY).await;
        let invoices = world.invoices(&customer).await;
        let states = invoices.iter().map(|invoice| &invoice["status"]);
        assert_eq!(states.collect::<Vec<_>>(), ["paid", status, "paid"]);
        assert_eq!(
            world.api.get(&path).await.ok()["pause_collection"],
            Value::Null
        );
    }
}

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let world = World::new().await;
    let until = START + 40 * DAY;
    let form = format!("pause_collection[behavior]=void&pause_collection[resumes_at]={until}");
    let (customer, path) = paused(&world, &form).await;
    world.advance_to(until - 1).await;
    let held = world.api.get(&path).await.ok();
    assert_eq!(number(&held["pause_collection"], "resumes_at"), until);
    world.advance_to(until).await;
    assert_eq!(
        world.api.get(&path).await.ok()["pause_collection"],
        Value::Null
    );
    world.advance_to(START + 60 * DAY).await;
    let invoices = world.invoices(&customer).await;
    let states = invoices.iter().map(|invoice| &invoice["status"]);
    assert_eq!(states.collect::<Vec<_>>(), ["paid", "void", "paid"]);
    // The pause ends before a renewal at the same time.
    let form = format!(
        "pause_collection[behavior]=void&pause_collection[resumes_at]={}",
        START + 91 * DAY
    );
    world.api.post(&path, &form).await.ok();
    world.advance_to(START + 91 * DAY).await;
    assert_eq!(world.invoices(&customer).await[0]["status"], "paid");
}

#[tokio::test]
async fn a_draft_of_a_pause_is_finalized_and_collected_by_request() {
    let world = World::new().await;
    let (customer, _) = paused(&world, "pause_collection[behavior]=keep_as_draft").await;
    world.advance_to(RENEWAL + DAY).await;
    let draft = world.invoices(&customer).await.remove(0);
    let path = format!("/v1/invoices/{}", draft["id"].as_str().expect("an id"));
    let paid = world
        .api
        .post(&format!("{path}/finalize"), "auto_advance=true")
        .await
        .ok();
    assert_eq!(
        (&paid["status"], number(&paid, "amount_paid")),
        (&json!("paid"), 1000)
    );
}

#[tokio::test]
async fn a_pause_is_checked() {
    let world = World::new().await;
    let (_, path) = paused(&world, "").await;
    for (form, param) in [
        (
            format!("pause_collection[resumes_at]={}", START + DAY),
            "pause_collection[behavior]",
        ),
        (
            "pause_collection[behavior]=wait".to_owned(),
            "pause_collection[behavior]",
        ),
        (
            format!("pause_collection[behavior]=void&pause_collection[resumes_at]={START}"),
            "pause_collection[resumes_at]",
        ),
        (
            "pause_collection[until]=1".to_owned(),
            "pause_collection[behavior]",
        ),
    ] {
        assert_eq!(world.api.post(&path, &form).await.refused(400).2, param);
    }
}
