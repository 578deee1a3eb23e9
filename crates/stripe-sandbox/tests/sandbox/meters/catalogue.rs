//! Meters themselves, and prices that name them.

use serde_json::json;
use stripe_sandbox::Options;

use super::super::billing::number;
use super::super::{Api, START, with_manual_clock};
use super::{Metered, meter, world};

#[tokio::test]
async fn a_meter_is_made_changed_and_deactivated() {
    let world = world(START).await;
    let form = "display_name=Calls&event_name=calls&default_aggregation[formula]=last\
        &customer_mapping[type]=by_id&customer_mapping[event_payload_key]=org\
        &value_settings[event_payload_key]=n&event_time_window=hour";
    let made = world.api.post("/v1/billing/meters", form).await.ok();
    let id = made["id"].as_str().expect("an id");
    assert!(id.starts_with("mtr_test_"), "{id}");
    assert_eq!(
        made,
        json!({
            "id": id,
            "object": "billing.meter",
            "created": START,
            "customer_mapping": {"event_payload_key": "org", "type": "by_id"},
            "default_aggregation": {"formula": "last"},
            "display_name": "Calls",
            "event_name": "calls",
            "event_time_window": "hour",
            "livemode": false,
            "status": "active",
            "status_transitions": {"deactivated_at": null},
            "updated": START,
            "value_settings": {"event_payload_key": "n"},
        })
    );
    let path = format!("/v1/billing/meters/{id}");
    let named = world.api.post(&path, "display_name=Other").await.ok();
    assert_eq!(named["display_name"], "Other");
    world.api.post(&path, "event_name=other").await.error(400);
    assert_eq!(world.api.get(&path).await.ok(), named);
    let off = world.api.post(&format!("{path}/deactivate"), "").await.ok();
    assert_eq!(off["status"], "inactive");
    assert_eq!(number(&off["status_transitions"], "deactivated_at"), START);
    world
        .api
        .post(&format!("{path}/deactivate"), "")
        .await
        .error(400);
    assert_eq!(
        world
            .api
            .ids("/v1/billing/meters?status=active")
            .await
            .len(),
        0
    );
    assert_eq!(
        world.api.ids("/v1/billing/meters?status=inactive").await,
        [id]
    );
    let on = world.api.post(&format!("{path}/reactivate"), "").await.ok();
    assert_eq!(on["status"], "active");
    assert!(on["status_transitions"]["deactivated_at"].is_null());
    let events = world.api.get("/v1/events?limit=100").await.ok();
    let events = events["data"].as_array().expect("a list");
    let kinds = events
        .iter()
        .map(|event| event["type"].as_str().expect("a type"));
    let kinds: Vec<&str> = kinds
        .filter(|kind| kind.starts_with("billing.meter"))
        .collect();
    assert_eq!(
        kinds,
        [
            "billing.meter.reactivated",
            "billing.meter.deactivated",
            "billing.meter.updated",
            "billing.meter.created",
        ]
    );
}

#[tokio::test]
async fn bad_meters_are_refused() {
    let world = world(START).await;
    meter(&world, "calls", "sum").await;
    let base = "display_name=A&event_name=b&default_aggregation[formula]=sum";
    for (form, param) in [
        (
            "event_name=b&default_aggregation[formula]=sum".to_owned(),
            "display_name",
        ),
        (
            "display_name=A&default_aggregation[formula]=sum".to_owned(),
            "event_name",
        ),
        (
            "display_name=A&event_name=b".to_owned(),
            "default_aggregation",
        ),
        (
            "display_name=A&event_name=b&default_aggregation[formula]=max".to_owned(),
            "default_aggregation[formula]",
        ),
        (
            format!(
                "display_name=A&event_name={}&default_aggregation[formula]=sum",
                "x".repeat(101)
            ),
            "event_name",
        ),
        (
            format!("{base}&event_time_window=week"),
            "event_time_window",
        ),
        (
            format!("{base}&customer_mapping[type]=by_name"),
            "customer_mapping[type]",
        ),
        (
            "display_name=A&event_name=calls&default_aggregation[formula]=sum".to_owned(),
            "event_name",
        ),
        (format!("{base}&metadata[a]=b"), "metadata"),
    ] {
        let refused = world
            .api
            .post("/v1/billing/meters", &form)
            .await
            .refused(400);
        assert_eq!(refused.2, param, "{form}: {}", refused.0);
    }
    world
        .api
        .get("/v1/billing/meters/mtr_none")
        .await
        .error(404);
}

#[tokio::test]
async fn a_price_names_its_meter_in_every_version() {
    let metered = Metered::new().await;
    let price = metered.price("unit_amount=5").await;
    let api = &metered.world.api;
    let path = format!("/v1/prices/{price}");
    let shown = api.get(&path).await.ok();
    let recurring = json!({
        "interval": "month",
        "interval_count": 1,
        "meter": metered.meter,
        "trial_period_days": null,
        "usage_type": "metered",
    });
    assert_eq!(shown["recurring"], recurring);
    let older = api.header("stripe-version", "2022-11-15");
    let shown = older.get(&path).await.ok();
    assert_eq!(shown["recurring"]["meter"], json!(metered.meter));
    assert!(shown["recurring"]["aggregate_usage"].is_null());
    let other = meter(&metered.world, "other", "sum").await;
    for (meter, found) in [(&metered.meter, 1), (&other, 0)] {
        let path = format!("/v1/prices?recurring[meter]={meter}");
        assert_eq!(api.ids(&path).await.len(), found);
    }
    let base = "currency=usd&unit_amount=5&product_data[name]=A&recurring[interval]=month";
    let licensed = format!("{base}&recurring[meter]={other}");
    assert_eq!(
        api.post("/v1/prices", &licensed).await.refused(400).2,
        "recurring[meter]"
    );
    let missing = format!("{base}&recurring[usage_type]=metered&recurring[meter]=mtr_none");
    assert_eq!(
        api.post("/v1/prices", &missing).await.refused(400).0,
        "No such meter: 'mtr_none'"
    );
    api.post(&format!("/v1/billing/meters/{other}/deactivate"), "")
        .await
        .ok();
    let inactive = format!("{base}&recurring[usage_type]=metered&recurring[meter]={other}");
    assert_eq!(
        api.post("/v1/prices", &inactive).await.refused(400).2,
        "recurring[meter]"
    );
}

#[tokio::test]
async fn usage_records_are_not_for_meters() {
    let metered = Metered::new().await;
    let price = metered.price("unit_amount=5").await;
    let (_, items) = metered.subscribe(&[&price], "").await;
    let item = &items[0];
    let older = metered.world.api.header("stripe-version", "2022-11-15");
    let path = format!("/v1/subscription_items/{item}/usage_records");
    assert_eq!(
        older.post(&path, "quantity=1").await.refused(400).0,
        format!(
            "Cannot create a usage record for `{item}` because it is not on the legacy metered billing system. Call /v1/billing/meter_events instead."
        )
    );
    let path = format!("/v1/subscription_items/{item}/usage_record_summaries");
    assert_eq!(
        older.get(&path).await.refused(400).0,
        format!(
            "Cannot list usage record summaries for `{item}` because it is not on the legacy metered billing system. Call /v1/billing/meters/:id/event_summaries instead."
        )
    );
}

#[tokio::test]
async fn an_account_may_refuse_metered_prices_without_a_meter_in_every_version() {
    let api = Api::with(Options {
        meters_only: true,
        ..with_manual_clock()
    })
    .await;
    let form = "currency=usd&unit_amount=1&product_data[name]=A&recurring[interval]=month";
    for metered in [
        "&recurring[usage_type]=metered",
        "&recurring[usage_type]=metered&recurring[aggregate_usage]=max",
    ] {
        let refused = api.post("/v1/prices", &format!("{form}{metered}")).await;
        let (message, code, param) = refused.refused(400);
        assert_eq!(
            message,
            "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters."
        );
        assert_eq!((code.as_str(), param.as_str()), ("", ""));
    }
    assert!(api.ids("/v1/products").await.is_empty());
    api.post("/v1/prices", form).await.ok();
}
