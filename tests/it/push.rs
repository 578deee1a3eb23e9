//! `push`: its results and its effect in Stripe, the first time, when it is repeated, and after an interruption.

use clock::Clock;
use insta::assert_snapshot;
use serde_json::json;
use stripe_sandbox::{Action, When};
use tier::domain::pricing::Model;
use tier::domain::{Domain, Error, PushOutcome};
use tier::stripe::Client;

use crate::shop::{
    Shop, abc, all_are, client, lines, parse, prices_of_the_original, pushed_by_the_original,
    transport,
};

#[tokio::test]
async fn results_are_sorted_and_lead_to_the_dashboard() {
    let shop = Shop::new().await;
    let mut seen = Vec::new();
    let results = shop
        .domain
        .push(&parse(&abc("1")), |result| {
            seen.push(result.feature.clone());
        })
        .await;
    let results = results.unwrap();
    assert_snapshot!(lines(&results), @r#"
    ok feature:a@plan:a@1 priced created
    ok feature:b@plan:a@1 priced created
    ok feature:c@plan:a@1 priced created
    "#);
    seen.sort();
    assert!(seen.iter().eq(results.iter().map(|result| &result.feature)));
    for result in &results {
        let price = result.price.as_ref().unwrap();
        assert_eq!(
            price.link.as_deref(),
            Some(&*format!(
                "https://dashboard.stripe.com/test/prices/{}",
                price.id
            ))
        );
        let stripe = shop.read(&format!("/v1/prices/{}", price.id)).await;
        assert_eq!(stripe["metadata"]["tier.feature"], result.feature.as_str());
    }
    let plan = shop.read("/v1/products/tier__plan-a-1").await;
    assert_eq!(
        (&plan["active"], &plan["name"]),
        (&json!(false), &json!("plan:a@1"))
    );
}

#[tokio::test]
async fn pushing_an_empty_model_does_nothing() {
    let shop = Shop::new().await;
    assert_eq!(shop.push(&Model::default()).await, []);
    assert_eq!(shop.stripe.sandbox().requests(None).len(), 0);
    assert_eq!(shop.domain.pull().await.unwrap(), Model::default());
}

#[tokio::test]
async fn a_plan_never_changes() {
    let shop = Shop::new().await;
    shop.pushed(&abc("1")).await;
    let mut other = abc("1");
    other["plans"]["plan:a@1"]["features"]["feature:a"]["base"] = json!(200);
    other["plans"]["plan:b@1"] = json!({ "features": { "feature:a": {} } });
    assert_snapshot!(shop.pushed(&other).await, @r#"
    failed feature:a@plan:a@1 - plan already exists
    ok feature:a@plan:b@1 priced created
    failed feature:b@plan:a@1 - plan already exists
    failed feature:c@plan:a@1 - plan already exists
    "#);
    assert_eq!(shop.count("/v1/prices").await, 4);

    // A plan with one more feature is a different plan too.
    let mut more = abc("1");
    more["plans"]["plan:a@1"]["features"]["feature:d"] = json!({});
    let results = shop.push(&parse(&more)).await;
    assert!(all_are(&PushOutcome::PlanDiffers, &results));
    assert_eq!(shop.count("/v1/prices").await, 4);
}

#[tokio::test]
async fn an_interrupted_push_is_completed_by_the_next() {
    let shop = Shop::new().await;
    let model = parse(&abc("1"));
    shop.fail(
        "POST",
        "/v1/prices",
        Action::Status(500, None),
        When::Before,
        2,
    );
    let first = shop.push(&model).await;
    let failed = first
        .iter()
        .filter(|result| !result.outcome.is_ok())
        .count();
    assert_eq!((failed, shop.count("/v1/prices").await), (2, 1));
    assert_eq!(shop.domain.pull().await.unwrap().features().count(), 1);

    let second = shop.push(&model).await;
    assert!(
        second
            .iter()
            .all(|result| result.outcome.is_ok() && result.price.is_some())
    );
    let created = second
        .iter()
        .filter(|result| result.outcome == PushOutcome::Created)
        .count();
    assert_eq!((created, shop.count("/v1/prices").await), (2, 3));
    assert_eq!(shop.domain.pull().await.unwrap(), model);
}

#[tokio::test]
async fn a_lost_answer_does_not_repeat_the_effect() {
    let shop = Shop::new().await;
    let model = parse(&abc("1"));
    shop.fail("POST", "/v1/products", Action::Drop, When::After, 1);
    assert!(matches!(
        shop.domain.push(&model, |_| ()).await,
        Err(Error::Unavailable { .. })
    ));
    shop.fail("POST", "/v1/prices", Action::Drop, When::After, 3);
    let second = shop.push(&model).await;
    assert!(
        second
            .iter()
            .all(|result| matches!(result.outcome, PushOutcome::Failed(_)))
    );
    assert!(all_are(&PushOutcome::Unchanged, &shop.push(&model).await));
    assert_eq!(shop.count("/v1/prices").await, 3);
}

#[tokio::test]
async fn retries_of_one_call_have_one_effect() {
    let shop = Shop::with_retries(3).await;
    shop.fail("POST", "*", Action::Drop, When::After, 2);
    assert!(all_are(
        &PushOutcome::Created,
        &shop.push(&parse(&abc("1"))).await
    ));
    assert_eq!(shop.count("/v1/prices").await, 3);
}

#[tokio::test]
async fn two_pushes_at_once_are_one() {
    let shop = Shop::with_retries(3).await;
    let model = parse(&abc("1"));
    let pushes = (0..8).map(|_| shop.push(&model));
    let results = futures::future::join_all(pushes).await.concat();
    assert!(
        results
            .iter()
            .all(|result| result.outcome.is_ok() && result.price.is_some()),
        "{}",
        lines(&results)
    );
    let created = results
        .iter()
        .filter(|result| result.outcome == PushOutcome::Created)
        .count();
    assert_eq!((created, shop.count("/v1/prices").await), (3, 3));
}

#[tokio::test]
async fn a_push_fails_while_stripe_is_down() {
    let shop = Shop::new().await;
    let model = parse(&abc("1"));
    shop.fail("*", "*", Action::Status(503, None), When::Before, 2);
    assert!(matches!(
        shop.domain.push(&model, |_| ()).await,
        Err(Error::Unavailable { .. })
    ));
    assert!(matches!(
        shop.domain.pull().await,
        Err(Error::Unavailable { .. })
    ));

    // One plan's failure does not stop the other plan.
    let mut two = abc("1");
    two["plans"]["plan:b@1"] = json!({ "features": { "feature:a": {} } });
    shop.fail(
        "POST",
        "/v1/products",
        Action::Status(503, None),
        When::Before,
        1,
    );
    let results = shop.push(&parse(&two)).await;
    let failed: Vec<_> = (results.iter())
        .filter(|result| !result.outcome.is_ok())
        .map(|r| r.feature.plan())
        .collect();
    assert!(!failed.is_empty() && failed.len() < 4);
    assert!(failed.iter().all(|plan| *plan == failed[0]));
}

#[tokio::test]
async fn a_push_fails_with_a_refused_key() {
    let shop = Shop::new().await;
    let domain = Domain::new(client(&shop.stripe, "sk_bogus", 0), Clock::system(), "flag");
    let pushed = domain.push(&parse(&abc("1")), |_| ()).await;
    assert!(matches!(pushed, Err(Error::InvalidApiKey)), "{pushed:?}");
}

#[tokio::test]
async fn links_lead_to_the_connected_account() {
    let shop = Shop::new().await;
    let account = shop.create("/v1/accounts", &[("type", "standard")]).await;
    let id = account["id"].as_str().unwrap();
    let mut credentials = shop.client.credentials().clone();
    credentials.account = Some(id.to_owned());
    let client = Client::new(transport(&shop.stripe, 0), credentials);
    let domain = Domain::new(client, Clock::system(), "sandbox");
    let results = domain.push(&parse(&abc("1")), |_| ()).await.unwrap();
    for price in results.iter().map(|result| result.price.as_ref().unwrap()) {
        let page = format!("https://dashboard.stripe.com/{id}/test/prices/{}", price.id);
        assert_eq!(price.link, Some(page));
    }
    // The account that owns the key has no prices.
    assert_eq!(shop.count("/v1/prices").await, 0);
}

#[tokio::test]
async fn plans_pushed_by_the_original_are_recognised() {
    let shop = Shop::new().await;
    pushed_by_the_original(&shop).await;
    assert_snapshot!(shop.domain.pull().await.unwrap().to_json(), @r#"
    {
      "plans": {
        "plan:a@1": {
          "title": "plan:a@1",
          "features": {
            "feature:a": {
              "base": 100
            },
            "feature:b": {
              "tiers": [
                {
                  "upto": 10
                }
              ]
            }
          }
        }
      }
    }
    "#);
    // A third feature cannot be added to the plan, and no feature can be changed.
    let mut model = abc("1");
    assert_snapshot!(shop.pushed(&model).await, @r#"
    ok feature:a@plan:a@1 priced feature already exists
    ok feature:b@plan:a@1 priced feature already exists
    failed feature:c@plan:a@1 - plan already exists
    "#);
    model["plans"]["plan:a@1"]["features"]["feature:b"]["tiers"][0]["upto"] = json!(11);
    assert_snapshot!(shop.pushed(&model).await, @r#"
    ok feature:a@plan:a@1 priced feature already exists
    failed feature:b@plan:a@1 - plan already exists
    failed feature:c@plan:a@1 - plan already exists
    "#);
    assert_eq!(shop.count("/v1/prices").await, 2);
}

#[tokio::test]
async fn features_outlive_the_product_of_their_plan() {
    let shop = Shop::new().await;
    prices_of_the_original(&shop).await;
    let mut model = abc("1");
    model["plans"]["plan:a@1"]["features"]["feature:b"] = json!({});
    assert_snapshot!(shop.pushed(&model).await, @r#"
    ok feature:a@plan:a@1 priced feature already exists
    failed feature:b@plan:a@1 - feature already exists
    ok feature:c@plan:a@1 priced created
    "#);
}

#[tokio::test]
async fn a_product_without_a_price_gets_one() {
    let shop = Shop::new().await;
    shop.create(
        "/v1/products",
        &[("id", "tier__feature-a-plan-a-1"), ("name", "left over")],
    )
    .await;
    assert!(all_are(
        &PushOutcome::Created,
        &shop.push(&parse(&abc("1"))).await
    ));
    assert_eq!(shop.domain.pull().await.unwrap(), parse(&abc("1")));
}

#[tokio::test]
async fn a_taken_lookup_key_is_reported() {
    let shop = Shop::new().await;
    let taken = shop
        .create(
            "/v1/prices",
            &[
                ("lookup_key", "tier__feature-a-plan-a-1"),
                ("product_data[name]", "not Tier's"),
                ("currency", "usd"),
                ("unit_amount", "1"),
            ],
        )
        .await;
    let pushed = shop.pushed(&abc("1")).await;
    let id = taken["id"].as_str().unwrap();
    assert_snapshot!(pushed.replace(id, "ID"), @r#"
    failed feature:a@plan:a@1 - A price (`ID`) already uses that lookup key.
    ok feature:b@plan:a@1 priced created
    ok feature:c@plan:a@1 priced created
    "#);
    assert_eq!(shop.domain.pull().await.unwrap().features().count(), 2);
}
