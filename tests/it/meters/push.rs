//! The meters and prices that a push creates: the first time, repeated, concurrently, and after an interruption.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stripe_sandbox::{Action, When};
use tier::billing::WITH_METERS;
use tier::domain::{Generation, PushOutcome};
use tier::stripe::Form;

use super::aggregates;
use crate::harness::any_path;
use crate::shop::{Shop, abc, all_are, lines, parse};

async fn shop() -> Shop {
    Shop::with_retries(3).await.making(Generation::Meters)
}

#[tokio::test]
async fn each_metered_price_has_a_meter_of_its_own() {
    let shop = shop().await;
    let mut model = aggregates();
    model["plans"]["plan:b@1"] = json!({ "features": { "feature:sum": { "tiers": [{}] } } });
    assert!(all_are(
        &PushOutcome::Created,
        &shop.push(&parse(&model)).await
    ));
    let mut meters = shop.meters().await;
    meters.sort_by_key(|meter| meter["event_name"].to_string());
    let shown: Vec<String> = (meters.iter())
        .map(|meter| {
            let formula = &meter["default_aggregation"]["formula"];
            let (event, name) = (&meter["event_name"], &meter["display_name"]);
            format!("{event} {formula} {name}")
        })
        .collect();
    assert_snapshot!(shown.join("\n"), @r#"
    "tier__feature-last-plan-a-1" "last" "feature:last@plan:a@1"
    "tier__feature-level-plan-a-1" "last" "feature:level@plan:a@1"
    "tier__feature-most-plan-a-1" "last" "feature:most@plan:a@1"
    "tier__feature-sum-plan-a-1" "sum" "feature:sum@plan:a@1"
    "tier__feature-sum-plan-b-1" "sum" "feature:sum@plan:b@1"
    "#);
    let prices = shop.read("/v1/prices?limit=100").await;
    for price in prices["data"].as_array().unwrap() {
        let meter = meters
            .iter()
            .find(|meter| meter["event_name"] == price["lookup_key"]);
        let own = meter.map_or(&Value::Null, |meter| &meter["id"]);
        assert_eq!(&price["recurring"]["meter"], own, "{price:#}");
    }
}

#[tokio::test]
async fn a_repeated_push_creates_nothing() {
    let shop = shop().await;
    let model = parse(&aggregates());
    shop.push(&model).await;
    let again = shop.push(&model).await;
    assert!(
        all_are(&PushOutcome::Unchanged, &again),
        "{}",
        lines(&again)
    );
    let of = |name: &str| {
        let mut found = again.iter();
        let found = found.find(|one| one.feature.as_str().starts_with(name));
        found.unwrap().price.as_ref().unwrap().generation
    };
    assert_eq!(of("feature:base@"), None);
    assert_eq!(of("feature:sum@"), Some(Generation::Meters));
    let counts = (shop.count("/v1/prices").await, shop.meters().await.len());
    assert_eq!(counts, (5, 4));
}

#[tokio::test]
async fn two_pushes_at_once_are_one() {
    let shop = shop().await;
    let model = parse(&aggregates());
    let pushes = (0..8).map(|_| shop.push(&model));
    let results = futures::future::join_all(pushes).await.concat();
    assert!(
        (results.iter()).all(|result| result.outcome.is_ok() && result.price.is_some()),
        "{}",
        lines(&results)
    );
    let created = results
        .iter()
        .filter(|result| result.outcome == PushOutcome::Created);
    let counts = (shop.count("/v1/prices").await, shop.meters().await.len());
    assert_eq!((created.count(), counts), (5, (5, 4)));
}

#[tokio::test]
async fn an_interrupted_push_is_completed_by_the_next() {
    let shop = Shop::new().await.making(Generation::Meters);
    let model = parse(&aggregates());
    // Stripe creates the first two meters, but the answers are lost.
    shop.fail("POST", "/v1/billing/meters", Action::Drop, When::After, 2);
    let first = shop.push(&model).await;
    let failed = first.iter().filter(|result| !result.outcome.is_ok());
    let counts = (shop.count("/v1/prices").await, shop.meters().await.len());
    assert_eq!((failed.count(), counts), (2, (3, 4)));
    let second = shop.push(&model).await;
    assert!(second.iter().all(|result| result.outcome.is_ok()));
    let counts = (shop.count("/v1/prices").await, shop.meters().await.len());
    assert_eq!(counts, (5, 4));
    assert_eq!(shop.domain.pull().await.unwrap(), model);
}

#[tokio::test]
async fn a_meter_that_counts_otherwise_is_not_used() {
    let shop = shop().await;
    let create = async |event_name: &str, formula: &str| -> Value {
        let mut form = Form::new();
        form.push("display_name", "Not Tier's");
        form.push("event_name", event_name);
        form.push("default_aggregation[formula]", formula);
        let create = shop.client.post(WITH_METERS, "/v1/billing/meters");
        create.form(form).send().await.unwrap()
    };
    let other = create("tier__feature-b-plan-a-1", "count").await;
    let same = create("tier__feature-c-plan-a-1", "last").await;
    let id = other["id"].as_str().unwrap();
    let pushed = shop.pushed(&abc("1")).await.replace(id, "ID");
    assert_snapshot!(pushed, @r#"
    ok feature:a@plan:a@1 priced created
    failed feature:b@plan:a@1 - the meter ID of the event tier__feature-b-plan-a-1 exists with other settings: deactivate it in Stripe, and push again
    ok feature:c@plan:a@1 priced created
    "#);
    let prices = shop.read("/v1/prices").await;
    let prices = prices["data"].as_array().unwrap();
    let mut used = prices.iter().map(|price| &price["recurring"]["meter"]);
    assert!(used.any(|meter| *meter == same["id"]));

    let path = format!("/v1/billing/meters/{id}/deactivate");
    let off = shop.client.post(WITH_METERS, any_path(&path));
    off.send::<Value>().await.unwrap();
    assert!(
        shop.push(&parse(&abc("1")))
            .await
            .iter()
            .all(|one| one.outcome.is_ok())
    );
    assert_eq!(shop.domain.pull().await.unwrap(), parse(&abc("1")));
}
