//! Push, pull and diff against the sandbox: what Stripe holds afterwards, and what is said about it.

use std::sync::atomic::{AtomicU32, Ordering};

use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tier::clock::Clock;
use tier::domain::pricing::Model;
use tier::domain::{Domain, Error, FeatureDiff, PushOutcome, PushResult};
use tier::sandbox::{self, Action, Amount, Rule, Running, Sandbox, When};
use tier::stripe::{Client, Credentials, Form, Options, Transport};

use crate::models;

/// One account in a sandbox, through Tier and through a bare Stripe client.
struct Shop {
    stripe: Running,
    client: Client,
    domain: Domain,
}

impl Shop {
    /// An account whose calls are not tried again, so that each fault shows.
    async fn new() -> Self {
        Self::with_retries(0).await
    }

    async fn with_retries(retries: usize) -> Self {
        let stripe = Sandbox::start(sandbox::Options::default())
            .await
            .expect("a loopback port is free");
        let client = client(&stripe, "sk_test_shop", retries);
        let domain = Domain::new(client.clone(), Clock::system(), "sandbox");
        Self {
            stripe,
            client,
            domain,
        }
    }

    async fn push(&self, model: &Model) -> Vec<PushResult> {
        self.domain
            .push(model, |_| ())
            .await
            .expect("the sandbox answers")
    }

    /// Pushes, and says a line for each feature.
    async fn pushed(&self, model: &Value) -> String {
        lines(&self.push(&parse(model)).await)
    }

    async fn create(&self, path: &str, params: &[(&'static str, &str)]) -> Value {
        let mut form = Form::new();
        for (key, value) in params {
            form.push(*key, value);
        }
        self.client
            .post(path)
            .form(form)
            .send()
            .await
            .expect("the sandbox takes it")
    }

    async fn read(&self, path: &str) -> Value {
        self.client
            .get(path)
            .send()
            .await
            .expect("the sandbox takes it")
    }

    async fn count(&self, path: &str) -> usize {
        let all: Value = self
            .client
            .get(path)
            .param("limit", 100)
            .send()
            .await
            .expect("the sandbox takes it");
        all["data"].as_array().expect("it is well formed").len()
    }

    fn fail(&self, method: &str, path: &str, action: Action, when: When, times: u32) {
        let mut rule = Rule::new(method, path, action);
        rule.when = when;
        rule.amount = Amount::Count(times);
        self.stripe.sandbox().add_fault(rule);
    }
}

fn client(stripe: &Running, key: &str, retries: usize) -> Client {
    let options = Options {
        base_url: stripe.url().to_owned(),
        retries,
        ..Options::default()
    };
    Client::new(
        Transport::new(options).expect("it is well formed"),
        Credentials::new(key),
    )
}

fn parse(model: &Value) -> Model {
    Model::parse(&model.to_string()).expect("it is well formed")
}

fn lines(results: &[PushResult]) -> String {
    let line = |result: &PushResult| {
        let status = if result.outcome.is_ok() {
            "ok"
        } else {
            "failed"
        };
        let priced = if result.price.is_some() {
            "priced"
        } else {
            "-"
        };
        format!(
            "{status} {} {priced} {}",
            result.feature,
            result.outcome.reason()
        )
    };
    results.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn all_are(outcome: &PushOutcome, results: &[PushResult]) -> bool {
    results.iter().all(|result| result.outcome == *outcome)
}

/// A plan of three features.
fn abc(version: &str) -> Value {
    json!({ "plans": { format!("plan:a@{version}"): { "features": {
        "feature:a": { "base": 100 },
        "feature:b": { "tiers": [{ "upto": 10 }] },
        "feature:c": { "tiers": [{ "upto": 10, "price": 0.5 }, { "base": 7 }], "aggregate": "max" },
    } } } })
}

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

            let diff = domain.diff(&model).await.unwrap();
            prop_assert!(
                diff.iter()
                    .all(|diff| diff.in_stripe && diff.fields.is_empty())
            );
            Ok(())
        })
    });
    outcome.unwrap();
}

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
            price.link,
            format!("https://dashboard.stripe.com/test/prices/{}", price.id)
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
async fn nothing_pushed_is_nothing_done() {
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

    // One feature more is another plan, too.
    let mut more = abc("1");
    more["plans"]["plan:a@1"]["features"]["feature:d"] = json!({});
    let results = shop.push(&parse(&more)).await;
    assert!(all_are(&PushOutcome::PlanDiffers, &results));
    assert_eq!(shop.count("/v1/prices").await, 4);
}

#[tokio::test]
async fn a_push_that_broke_off_is_completed() {
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
async fn an_answer_that_was_lost_was_still_an_effect() {
    let shop = Shop::new().await;
    let model = parse(&abc("1"));
    shop.fail("POST", "/v1/products", Action::Drop, When::After, 1);
    assert!(matches!(
        shop.domain.push(&model, |_| ()).await,
        Err(Error::Unavailable(_))
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
async fn tries_of_one_call_have_one_effect() {
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
async fn a_stripe_that_is_down_fails_the_push() {
    let shop = Shop::new().await;
    let model = parse(&abc("1"));
    shop.fail("*", "*", Action::Status(503, None), When::Before, 2);
    assert!(matches!(
        shop.domain.push(&model, |_| ()).await,
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        shop.domain.pull().await,
        Err(Error::Unavailable(_))
    ));

    // One plan of two is no reason to give up the other.
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

/// `plan:a@1` as the original pushed it: no hash, and metadata of its time.
async fn pushed_by_the_original(shop: &Shop) {
    shop.create(
        "/v1/products",
        &[
            ("id", "tier__plan-a-1"),
            ("name", "plan:a@1"),
            ("active", "false"),
        ],
    )
    .await;
    prices_of_the_original(shop).await;
}

/// Its first two features, the first of which is licensed.
async fn prices_of_the_original(shop: &Shop) {
    let common = [
        ("currency", "usd"),
        ("metadata[tier.plan_title]", "plan:a@1"),
        ("recurring[interval]", "month"),
        ("recurring[interval_count]", "1"),
    ];
    let licensed = [
        ("lookup_key", "tier__feature-a-plan-a-1"),
        ("product_data[id]", "tier__feature-a-plan-a-1"),
        ("product_data[name]", "plan:a@1 - feature:a@plan:a@1"),
        ("metadata[tier.feature]", "feature:a@plan:a@1"),
        ("metadata[tier.limit]", "inf"),
        ("metadata[tier.title]", ""),
        ("recurring[usage_type]", "licensed"),
        ("billing_scheme", "per_unit"),
        ("unit_amount_decimal", "100"),
    ];
    let metered = [
        ("lookup_key", "tier__feature-b-plan-a-1"),
        ("product_data[id]", "tier__feature-b-plan-a-1"),
        ("product_data[name]", "plan:a@1 - feature:b@plan:a@1"),
        ("metadata[tier.feature]", "feature:b@plan:a@1"),
        ("metadata[tier.limit]", "10"),
        ("recurring[usage_type]", "metered"),
        ("recurring[aggregate_usage]", "sum"),
        ("billing_scheme", "per_unit"),
        ("unit_amount_decimal", "0"),
    ];
    for price in [&licensed, &metered] {
        shop.create("/v1/prices", &[&common[..], &price[..]].concat())
            .await;
    }
}

#[tokio::test]
async fn plans_of_the_original_are_known() {
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
    // The third feature of the plan cannot be added, and an other one not be changed.
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
    let diff = shop.domain.diff(&parse(&model)).await.unwrap();
    assert_snapshot!(diff_lines(&diff), @r#"
    feature:a@plan:a@1 (in Stripe): feature already exists
    feature:b@plan:a@1 (in Stripe): feature already exists
      tiers: [{"upto":10}] -> null
    feature:c@plan:a@1 (not in Stripe): created
    "#);
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
async fn a_lookup_key_that_is_taken_is_said_so() {
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

#[tokio::test]
async fn differences_are_shown_before_a_push() {
    let shop = Shop::new().await;
    shop.pushed(&abc("1")).await;
    let mut model = abc("1");
    model["plans"]["plan:a@1"]["title"] = json!("A");
    model["plans"]["plan:a@1"]["features"] = json!({
        "feature:b": { "tiers": [{ "upto": 11, "price": 0.5 }], "aggregate": "max" },
        "feature:d": {},
    });
    model["plans"]["plan:b@1"] = json!({ "features": { "feature:a": {} } });
    let diff = shop.domain.diff(&parse(&model)).await.unwrap();
    assert_snapshot!(diff_lines(&diff), @r#"
    feature:a@plan:a@1 (in Stripe): -
    feature:a@plan:b@1 (not in Stripe): created
    feature:b@plan:a@1 (in Stripe): plan already exists
      plan title: "plan:a@1" -> "A"
      aggregate: "sum" -> "max"
      tiers: [{"upto":10}] -> [{"upto":11,"price":0.5}]
    feature:c@plan:a@1 (in Stripe): -
    feature:d@plan:a@1 (not in Stripe): plan already exists
    "#);
    // Looking changed nothing.
    assert_eq!(shop.count("/v1/products").await, 4);
    assert!(all_are(
        &PushOutcome::Unchanged,
        &shop.push(&parse(&abc("1"))).await
    ));
}

fn diff_lines(diff: &[FeatureDiff]) -> String {
    let mut lines = Vec::new();
    for feature in diff {
        let there = if feature.in_stripe {
            "in Stripe"
        } else {
            "not in Stripe"
        };
        let push = feature.push.as_ref().map_or("-", PushOutcome::reason);
        lines.push(format!("{} ({there}): {push}", feature.feature));
        for field in &feature.fields {
            lines.push(format!(
                "  {}: {} -> {}",
                field.field, field.stripe, field.model
            ));
        }
    }
    lines.join("\n")
}
