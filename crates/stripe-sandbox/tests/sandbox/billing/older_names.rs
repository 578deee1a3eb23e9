//! Older names that 2022-11-15 still accepts and shows: `plan` and `quantity` of a subscription, and `plan` for an
//! item's price.

use serde_json::{Value, json};

use super::World;

const URL: &str = "/v1/subscriptions";

fn item(subscription: &Value) -> (&str, &Value) {
    let item = &subscription["items"]["data"][0];
    (
        item["price"]["id"].as_str().expect("an id"),
        &item["quantity"],
    )
}

#[tokio::test]
async fn a_subscription_is_made_and_changed_by_its_plan() {
    let world = World::new().await;
    let customer = world.customer().await;
    let small = world.price("unit_amount=1000").await;
    let large = world.price("unit_amount=2000").await;
    let form = format!("customer={customer}&plan={small}&quantity=3");
    let made = world.api.post(URL, &form).await.ok();
    assert_eq!(item(&made), (&*small, &json!(3)));
    assert_eq!(
        (&made["plan"]["id"], &made["quantity"]),
        (&json!(small), &json!(3))
    );
    assert_eq!(made["plan"]["object"], "plan");
    let path = format!("{URL}/{}", made["id"].as_str().expect("an id"));
    let more = world.api.post(&path, "quantity=5").await.ok();
    assert_eq!(item(&more), (&*small, &json!(5)));
    let form = format!("plan={large}&quantity=2&proration_behavior=none");
    let other = world.api.post(&path, &form).await.ok();
    assert_eq!(item(&other), (&*large, &json!(2)));
    assert_eq!(
        other["items"]["data"][0]["id"],
        made["items"]["data"][0]["id"]
    );
    assert_eq!(other["plan"]["id"], json!(large));

    let form = format!("items[0][plan]={small}");
    let both = world.api.post(&path, &form).await.ok();
    assert_eq!(both["items"]["data"].as_array().expect("items").len(), 2);
    assert!(both.get("plan").is_none() && both.get("quantity").is_none());
    for form in ["quantity=1".to_owned(), format!("plan={small}")] {
        world.api.post(&path, &form).await.refused(400);
    }
}

#[tokio::test]
async fn a_plan_that_is_not_there_is_refused() {
    let world = World::new().await;
    let customer = world.customer().await;
    let metered = world.metered("unit_amount=1").await;
    for (form, message) in [
        ("items[0][plan]=invalid", "No such plan: 'invalid'"),
        ("plan=invalid", "No such plan: 'invalid'"),
        ("quantity=1", "Missing required param: items."),
    ] {
        let form = format!("customer={customer}&{form}");
        assert_eq!(world.api.post(URL, &form).await.refused(400).0, message);
    }
    let form = format!("customer={customer}&plan={metered}&quantity=1");
    let (message, ..) = world.api.post(URL, &form).await.refused(400);
    assert!(
        message.starts_with("Quantity should not be specified"),
        "{message}"
    );
    let form = format!("customer={customer}&plan={metered}");
    let made = world.api.post(URL, &form).await.ok();
    assert!(made.get("quantity").is_none(), "{made}");
}

#[tokio::test]
async fn an_invoice_shows_the_metadata_that_its_subscription_had() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}&metadata[a]=1");
    let id = world.api.create(URL, &form).await;
    let path = format!("{URL}/{id}");
    world.api.post(&path, "metadata[a]=2").await.ok();
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        invoice["subscription_details"]["metadata"],
        json!({"a": "1"})
    );
    assert_eq!(invoice["effective_at"], invoice["created"]);
    let upcoming = format!("/v1/invoices/upcoming?subscription={id}");
    let upcoming = world.api.get(&upcoming).await.ok();
    assert_eq!(
        upcoming["subscription_details"]["metadata"],
        json!({"a": "2"})
    );
    assert_eq!(upcoming["effective_at"], Value::Null);
}

#[tokio::test]
async fn nothing_but_metadata_of_an_ended_subscription_can_be_changed() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}&metadata[a]=1");
    let id = world.api.create(URL, &form).await;
    let path = format!("{URL}/{id}");
    world.api.delete(&path).await.ok();
    let changed = world.api.post(&path, "metadata[b]=2").await.ok();
    assert_eq!(changed["metadata"], json!({"a": "1", "b": "2"}));
    assert_eq!(changed["status"], "canceled");
    for form in ["description=x", "metadata[b]=3&cancel_at_period_end=false"] {
        let (message, ..) = world.api.post(&path, form).await.refused(400);
        assert_eq!(
            message,
            "A canceled subscription can only update its cancellation_details and metadata."
        );
    }
    assert_eq!(world.subscription(&id).await["metadata"]["b"], "2");
}
