//! Lists: order, pages, filters.

use serde_json::json;

use super::{Api, START};

#[tokio::test]
async fn lists_are_newest_first_in_pages_of_ten() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for _ in 0..12 {
        made.insert(0, api.create("/v1/customers", "").await);
    }
    let list = api.get("/v1/customers").await.ok();
    assert_eq!(
        (&list["object"], &list["url"], &list["has_more"]),
        (&json!("list"), &json!("/v1/customers"), &json!(true))
    );
    assert_eq!(api.ids("/v1/customers").await, made[..10]);
    let after = format!("/v1/customers?limit=5&starting_after={}", made[9]);
    assert_eq!(api.ids(&after).await, made[10..]);
    assert_eq!(api.get(&after).await.ok()["has_more"], false);
    let before = format!("/v1/customers?limit=3&ending_before={}", made[5]);
    assert_eq!(api.ids(&before).await, made[2..5]);
    assert_eq!(api.get(&before).await.ok()["has_more"], true);
    let (message, code, param) = api
        .get("/v1/customers?starting_after=cus_x")
        .await
        .refused(400);
    assert_eq!(message, "No such customer: 'cus_x'");
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("resource_missing", "starting_after")
    );
    for bad in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=",
        "starting_after=a&ending_before=b",
    ] {
        api.get(&format!("/v1/customers?{bad}")).await.error(400);
    }
}

#[tokio::test]
async fn a_cursor_may_be_a_deleted_object() {
    let api = Api::start().await;
    let first = api.create("/v1/customers", "").await;
    let second = api.create("/v1/customers", "").await;
    api.delete(&format!("/v1/customers/{second}")).await.ok();
    assert_eq!(
        api.ids(&format!("/v1/customers?starting_after={second}"))
            .await,
        [first]
    );
}

#[tokio::test]
async fn lists_are_filtered_by_time_and_more() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for n in 0..4 {
        api.sandbox().clock().set(START + n);
        made.push(
            api.create("/v1/customers", &format!("email=c{n}@b.co"))
                .await,
        );
    }
    let ids = async |query: &str| api.ids(&format!("/v1/customers?{query}")).await;
    assert_eq!(
        ids(&format!("created={}", START + 1)).await,
        [made[1].clone()]
    );
    assert_eq!(
        ids(&format!("created[gt]={START}&created[lte]={}", START + 2)).await,
        [made[2].clone(), made[1].clone()]
    );
    assert_eq!(
        ids(&format!(
            "created[gte]={}&created[lt]={}",
            START + 3,
            START + 9
        ))
        .await,
        [made[3].clone()]
    );
    assert_eq!(ids("email=c2@b.co").await, [made[2].clone()]);
}

#[tokio::test]
async fn events_describe_changes() {
    let api = Api::start().await;
    let customer = api
        .once("k1")
        .post("/v1/customers", "payment_method=pm_card_visa")
        .await
        .ok();
    api.create("/v1/products", "name=N").await;
    let list = api.get("/v1/events").await.ok();
    let kinds: Vec<_> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| &event["type"])
        .collect();
    assert_eq!(
        kinds,
        [
            "product.created",
            "customer.created",
            "payment_method.attached"
        ]
    );
    let event = &list["data"][1];
    assert_eq!(event["data"]["object"], customer);
    assert_eq!(event["request"]["idempotency_key"], "k1");
    let id = event["id"].as_str().expect("an id");
    assert_eq!(&api.get(&format!("/v1/events/{id}")).await.ok(), event);
    assert_eq!(api.ids("/v1/events?type=customer.created").await, [id]);
    assert_eq!(
        api.ids("/v1/events?types[]=customer.created&types[]=product.*")
            .await
            .len(),
        2
    );
    api.get("/v1/events/evt_x").await.error(404);
}
