//! A plan change keeps the settings that the request does not mention.

use serde_json::{Value, json};

use super::{buy, phase, schedule, start, subscriptions};
use crate::harness::{DAY, TestApp};

/// The org's only live subscription.
async fn live(app: &TestApp) -> Value {
    let all = subscriptions(app).await.into_iter();
    let mut live = all.filter(|subscription| subscription["status"] != "canceled");
    let one = live.next().expect("a live subscription");
    assert!(live.next().is_none(), "there is one");
    one
}

/// The quantities of a subscription's items, by feature.
fn quantities(subscription: &Value) -> Vec<(String, Value)> {
    let items = subscription["items"]["data"].as_array().expect("items");
    let quantity = |item: &Value| {
        let feature = item["price"]["metadata"]["tier.feature"].as_str();
        (
            feature.unwrap_or("not Tier's").to_owned(),
            item["quantity"].clone(),
        )
    };
    let mut all: Vec<_> = items.iter().map(quantity).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

async fn set_quantity(app: &TestApp, feature: &str, quantity: &str) {
    let subscription = live(app).await;
    let items = subscription["items"]["data"].as_array().expect("items");
    let item = items
        .iter()
        .find(|item| item["price"]["metadata"]["tier.feature"] == feature)
        .expect("an item");
    let path = format!(
        "/v1/subscriptions/{}",
        subscription["id"].as_str().expect("an id")
    );
    let id = item["id"].as_str().expect("an id");
    app.stripe_post(
        &path,
        &[("items[0][id]", id), ("items[0][quantity]", quantity)],
    )
    .await;
}

async fn push_seats(app: &TestApp) {
    app.push(&json!({"plans": {
        "plan:small@1": {"features": {"feature:seats": {"base": 500}}},
        "plan:large@1": {"features": {"feature:seats": {"base": 2000}, "feature:desks": {"base": 10}}},
    }}))
    .await;
}

#[tokio::test]
async fn a_quantity_follows_its_feature_to_another_price() {
    let app = start().await;
    push_seats(&app).await;
    app.subscribe("org:a", &["plan:small@1"]).await;
    set_quantity(&app, "feature:seats@plan:small@1", "5").await;
    let seats = |plan: &str, n: u64| (format!("feature:seats@{plan}"), json!(n));

    // A client may request the same plan again, for example with another card.
    app.subscribe("org:a", &["plan:small@1"]).await;
    assert_eq!(quantities(&live(&app).await), [seats("plan:small@1", 5)]);

    app.advance(DAY);
    app.subscribe("org:a", &["plan:large@1"]).await;
    let desks = ("feature:desks@plan:large@1".to_owned(), json!(1));
    assert_eq!(
        quantities(&live(&app).await),
        [desks, seats("plan:large@1", 5)]
    );

    // A scheduled change keeps the quantities, too, before and after its time.
    let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:small@1"]}]);
    schedule(&app, later).await.ok();
    assert_eq!(quantities(&live(&app).await).len(), 2);
    app.advance(20 * DAY);
    assert_eq!(quantities(&live(&app).await), [seats("plan:small@1", 5)]);
}

#[tokio::test]
async fn items_and_metadata_that_are_not_tiers_stay() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let price = app
        .stripe_post(
            "/v1/prices",
            &[
                ("currency", "usd"),
                ("unit_amount", "300"),
                ("recurring[interval]", "month"),
                ("product_data[name]", "Support"),
            ],
        )
        .await;
    let path = format!(
        "/v1/subscriptions/{}",
        live(&app).await["id"].as_str().unwrap()
    );
    app.stripe_post(
        &path,
        &[
            ("items[0][price]", price["id"].as_str().unwrap()),
            ("items[0][quantity]", "2"),
            ("items[0][metadata][theirs]", "too"),
            ("metadata[their]", "own"),
        ],
    )
    .await;
    let check = async |tiers: &str| {
        let subscription = live(&app).await;
        let theirs = ("not Tier's".to_owned(), json!(2));
        let all = quantities(&subscription);
        assert!(all.contains(&theirs), "{all:?}");
        assert!(all.iter().any(|(feature, _)| feature == tiers), "{all:?}");
        assert_eq!(subscription["metadata"]["their"], "own");
        let items = subscription["items"]["data"].as_array().expect("items");
        let kept = |item: &&Value| item["metadata"]["theirs"] == "too";
        assert_eq!(items.iter().filter(kept).count(), 1);
    };
    app.subscribe("org:a", &["plan:free@1"]).await;
    check("feature:calls@plan:free@1").await;
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    check("feature:seats@plan:pro@1").await;
    let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:free@1"]}]);
    schedule(&app, later).await.ok();
    check("feature:seats@plan:pro@1").await;
    app.advance(20 * DAY);
    check("feature:calls@plan:free@1").await;
    // Tier shows only features that it created.
    assert_eq!(
        phase(&app).await.ok().json()["features"],
        json!(["feature:calls@plan:free@1"])
    );
}

#[tokio::test]
async fn automatic_tax_stays_unless_it_is_turned_off() {
    let app = start().await;
    let subscribe = async |tax: Value, phases: Value| {
        let body = json!({"org": "org:a", "tax": tax, "phases": phases});
        app.post_json("/v1/subscribe", &body).await.ok();
    };
    let taxed = async || live(&app).await["automatic_tax"]["enabled"] == true;
    let free = json!([{"features": ["plan:free@1"]}]);
    let pro = json!([{"features": ["plan:pro@1"]}]);
    subscribe(json!({"automatic": true}), free.clone()).await;
    assert!(taxed().await);
    for unsaid in [
        json!({}),
        json!(null),
        json!({"automatic": null}),
        json!({"collect_id": true}),
    ] {
        app.advance(DAY);
        subscribe(unsaid.clone(), pro.clone()).await;
        assert!(taxed().await, "{unsaid}");
        subscribe(unsaid.clone(), free.clone()).await;
        assert!(taxed().await, "{unsaid}");
    }
    let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:pro@1"]}]);
    subscribe(json!({}), later).await;
    assert!(taxed().await, "a change ahead");
    app.advance(20 * DAY);
    assert!(taxed().await, "when it comes");
    subscribe(json!({}), json!([{"effective": "2023-02-20T00:00:00Z"}])).await;
    assert!(taxed().await, "an end ahead");
    subscribe(json!({"automatic": false}), pro.clone()).await;
    assert!(!taxed().await);
    app.advance(DAY);
    subscribe(json!({}), free).await;
    assert!(!taxed().await);
}

#[tokio::test]
async fn tax_set_by_checkout_stays() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    let org = app.get("/v1/whois?org=org:a").await.ok().json();
    let customer = org["stripe_id"].as_str().expect("an id");
    let path = format!("/v1/customers/{customer}");
    app.stripe_post(&path, &[("address[country]", "DE")]).await;
    let taxed = [("automatic_tax[enabled]", "true")];
    buy(&app, "feature-calls-plan-free-1", &taxed).await;
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(live(&app).await["automatic_tax"]["enabled"], true);
}

/// Creates a coupon of 50 % that lasts several months.
async fn half(app: &TestApp) {
    app.stripe_post(
        "/v1/coupons",
        &[
            ("id", "half"),
            ("percent_off", "50"),
            ("duration", "repeating"),
            ("duration_in_months", "3"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_coupon_continues_across_an_upgrade() {
    let app = start().await;
    half(&app).await;
    let with = json!([{"features": ["plan:free@1"], "coupon": "half"}]);
    schedule(&app, with).await.ok();
    let before = live(&app).await["discount"].clone();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    let after = live(&app).await["discount"].clone();
    // The coupon is not redeemed again, so its end stays the same.
    assert_eq!(
        (&after["coupon"]["id"], &after["end"]),
        (&json!("half"), &before["end"])
    );
    assert_eq!(phase(&app).await.ok().json()["coupon"], "half");
    let later = json!([{"effective": "2023-01-20T00:00:00Z", "features": ["plan:free@1"]}]);
    schedule(&app, later).await.ok();
    app.advance(20 * DAY);
    assert_eq!(live(&app).await["discount"]["end"], before["end"]);
    app.subscribe("org:a", &["plan:free@1"]).await;
    assert_eq!(live(&app).await["discount"]["end"], before["end"]);

    schedule(&app, json!([{"features": ["plan:free@1"], "coupon": null}]))
        .await
        .ok();
    assert_eq!(live(&app).await["discount"]["end"], before["end"]);
    schedule(&app, json!([{"features": ["plan:free@1"], "coupon": ""}]))
        .await
        .ok();
    assert_eq!(live(&app).await["discount"], Value::Null);
}

#[tokio::test]
async fn an_expired_coupon_does_not_return() {
    let app = start().await;
    half(&app).await;
    schedule(
        &app,
        json!([{"features": ["plan:pro@1"], "coupon": "half"}]),
    )
    .await
    .ok();
    app.advance(100 * DAY);
    app.subscribe("org:a", &["plan:extra@1"]).await;
    assert_eq!(live(&app).await["discount"], Value::Null);
    assert_eq!(phase(&app).await.ok().json()["coupon"], Value::Null);
}

#[tokio::test]
async fn a_coupon_redeemed_in_checkout_is_not_redeemed_again() {
    let app = start().await;
    half(&app).await;
    app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": {}}))
        .await
        .ok();
    buy(&app, "feature-calls-plan-free-1", &[("coupon", "half")]).await;
    let before = live(&app).await["discount"].clone();
    app.advance(DAY);
    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(live(&app).await["discount"]["end"], before["end"]);
    let coupon = app.stripe_get("/v1/coupons/half").await;
    assert_eq!(coupon["times_redeemed"], 1);
}

#[tokio::test]
async fn the_terms_of_a_schedule_that_has_not_started_stay() {
    let app = start().await;
    half(&app).await;
    let body = json!({"org": "org:a", "tax": {"automatic": true}, "info": {"payment_method": "pm_card_visa"},
        "phases": [{"effective": "2023-01-20T00:00:00Z", "features": ["plan:pro@1"], "coupon": "half"}]});
    app.post_json("/v1/subscribe", &body).await.ok();
    let sooner = json!([{"effective": "2023-01-10T00:00:00Z", "features": ["plan:pro@1"]}]);
    schedule(&app, sooner).await.ok();
    app.advance(10 * DAY);
    let begun = live(&app).await;
    assert_eq!(begun["automatic_tax"]["enabled"], true);
    assert_eq!(begun["discount"]["coupon"]["id"], "half");
}
