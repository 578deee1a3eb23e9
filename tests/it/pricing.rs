//! What was pushed comes back by pull, whatever the model.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tier::clock::Clock;
use tier::domain::{Domain, PushOutcome, PushResult};
use tier::sandbox::{self, Sandbox};

use crate::models;
use crate::shop::{Shop, abc, all_are, client, lines, parse};

#[test]
fn what_is_pushed_is_pulled() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stripe = runtime
        .block_on(Sandbox::start(sandbox::Options::default()))
        .unwrap();
    let accounts = AtomicU32::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 64,
        ..Config::with_source_file(file!())
    });
    let outcome = runner.run(&models::models(3, 4), |json| {
        let key = format!("sk_test_{}", accounts.fetch_add(1, Ordering::Relaxed));
        let domain = Domain::new(client(&stripe, &key, 0), Clock::system(), "sandbox");
        let model = parse(&json);
        runtime.block_on(async {
            let first = domain.push(&model, |_| ()).await.unwrap();
            prop_assert_eq!(first.len(), model.features().count());
            prop_assert!(all_are(&PushOutcome::Created, &first), "{}", lines(&first));

            let pulled = domain.pull().await.unwrap();
            prop_assert_eq!(&pulled, &model);
            prop_assert_eq!(pulled.to_json(), model.to_json());

            let again = domain.push(&pulled, |_| ()).await.unwrap();
            prop_assert!(
                all_are(&PushOutcome::Unchanged, &again),
                "{}",
                lines(&again)
            );
            let prices = |results: &[PushResult]| -> Vec<_> {
                results.iter().map(|result| result.price.clone()).collect()
            };
            prop_assert_eq!(prices(&first), prices(&again));
            Ok(())
        })
    });
    outcome.unwrap();
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
async fn what_the_model_leaves_unsold() {
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
async fn a_limit_that_was_changed_in_stripe_is_pulled() {
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
    // The plan is still the one that was pushed.
    assert!(all_are(
        &PushOutcome::Unchanged,
        &shop.push(&parse(&abc("1"))).await
    ));
}
