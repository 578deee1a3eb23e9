//! A pull returns every pushed model unchanged.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tier::domain::{GenerationSetting, PushOutcome};

use crate::harness::{Settings, TestApp};
use crate::models;
use crate::shop::{Shop, abc, all_are, parse};

#[test]
fn a_pushed_model_is_pulled_unchanged() {
    any_model_is_pulled_unchanged(GenerationSetting::Auto, 64);
}

/// Whatever the generation of its prices. Tries so many models.
pub(crate) fn any_model_is_pulled_unchanged(generation: GenerationSetting, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let settings = Settings {
        generation,
        ..Settings::default()
    };
    let app = runtime.block_on(TestApp::with(settings));
    let mut runner = TestRunner::new(Config {
        cases,
        ..Config::with_source_file(file!())
    });
    let outcome = runner.run(&models::models(3, 4), |model| {
        app.sandbox().reset();
        runtime.block_on(round_trip(&app, &model))
    });
    outcome.expect("the same model");
}

async fn round_trip(app: &TestApp, model: &Value) -> Result<(), TestCaseError> {
    let first = app.post_json("/v1/push", model).await.ok().json();
    let pulled = app.get("/v1/pull").await.ok();
    prop_assert_eq!(pulled.json(), models::as_pulled(model));

    // The pulled model is the same, so nothing is created.
    let again = app.post("/v1/push", pulled.body.as_str()).await.ok().json();
    prop_assert_eq!(app.get("/v1/pull").await.ok().body, pulled.body);
    for (result, reason) in [(first, "created"), (again, "feature already exists")] {
        for result in result["results"].as_array().into_iter().flatten() {
            prop_assert_eq!(
                (&result["status"], &result["reason"]),
                (&json!("ok"), &json!(reason))
            );
            prop_assert!(result["id"].is_string());
        }
    }
    Ok(())
}

#[tokio::test]
async fn dashes_and_colons_stay_apart() {
    let shop = Shop::new().await;
    let model = json!({ "plans": {
        "plan:a-b@1": { "features": { "feature:x-y": {}, "feature:x:y": { "base": 1 } } },
        "plan:a:b@1": { "features": { "feature:x-y": { "base": 2 }, "feature:x:y": { "base": 3 } } },
    } });
    assert!(all_are(
        &PushOutcome::Created,
        &shop.push(&parse(&model)).await
    ));
    assert_eq!(shop.domain.pull().await.unwrap(), parse(&model));
}

#[tokio::test]
async fn a_feature_with_empty_tiers_has_a_limit_of_zero() {
    let shop = Shop::new().await;
    let model =
        json!({ "plans": { "plan:a@1": { "features": { "feature:x": { "tiers": [] } } } } });
    shop.pushed(&model).await;
    let price = &shop.read("/v1/prices").await["data"][0];
    assert_eq!(price["metadata"]["tier.limit"], "0");
    assert_eq!(price["recurring"]["usage_type"], "metered");
    assert_eq!(price["unit_amount_decimal"], "0");
}

#[tokio::test]
async fn a_pull_is_one_call_for_a_hundred_prices() {
    let shop = Shop::new().await;
    let features: serde_json::Map<String, Value> = (0..99)
        .map(|i| (format!("feature:f{i}"), json!({})))
        .collect();
    let model = json!({ "plans": { "plan:a@1": { "features": features } } });
    shop.pushed(&model).await;
    let stray = [
        ("product_data[name]", "not Tier's"),
        ("currency", "usd"),
        ("unit_amount", "1"),
    ];
    shop.create("/v1/prices", &stray).await;

    let sandbox = shop.stripe.sandbox();
    sandbox.clear_requests();
    assert_eq!(shop.domain.pull().await.unwrap(), parse(&model));
    assert_eq!(sandbox.requests(None).len(), 1);

    shop.create("/v1/prices", &stray).await;
    sandbox.clear_requests();
    assert_eq!(shop.domain.pull().await.unwrap(), parse(&model));
    assert_eq!(sandbox.requests(None).len(), 2);
}

#[tokio::test]
async fn a_limit_changed_in_stripe_is_pulled() {
    let shop = Shop::new().await;
    let results = shop.push(&parse(&abc("1"))).await;
    let id = &results[1].price.as_ref().unwrap().id;
    shop.create(
        &format!("/v1/prices/{id}"),
        &[("metadata[tier.limit]", "25")],
    )
    .await;
    let pulled = shop.domain.pull().await.unwrap();
    let limits: Vec<i64> = pulled
        .features()
        .map(|(_, _, feature)| feature.limit())
        .collect();
    assert_eq!(limits, [i64::MAX, 25, i64::MAX]);
    // A push of the same plan still changes nothing.
    assert!(all_are(
        &PushOutcome::Unchanged,
        &shop.push(&parse(&abc("1"))).await
    ));
}
