//! An account to push models to: Tier's domain and a plain Stripe client over one account of a sandbox.

use clock::Clock;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Frequency, Rule, Running, When};
use tier::billing::CLASSIC;
use tier::domain::pricing::Model;
use tier::domain::{Domain, Generation, GenerationSetting, PushOutcome, PushResult};
use tier::stripe::{Client, Credentials, Form, Options, Transport};

use crate::harness::any_path;

use testing::observed::{self, Observed};

/// One account in a sandbox, with access through Tier and through a plain Stripe client.
pub(crate) struct Shop {
    /// The sandbox.
    pub(crate) stripe: Observed,
    /// A plain client.
    pub(crate) client: Client,
    /// Tier's domain.
    pub(crate) domain: Domain,
}

impl Shop {
    /// An account whose calls are not retried, so that each fault shows.
    pub(crate) async fn new() -> Self {
        Self::with_retries(0).await
    }

    pub(crate) async fn with_retries(retries: usize) -> Self {
        Self::of(stripe_sandbox::Options::default(), retries).await
    }

    /// An account of a sandbox with these options.
    pub(crate) async fn of(options: stripe_sandbox::Options, retries: usize) -> Self {
        let stripe = observed::start(options).await;
        let client = client(&stripe, "sk_test_shop", retries);
        let domain = Domain::new(client.clone(), Clock::system(), "sandbox");
        Self {
            stripe,
            client,
            domain,
        }
    }

    /// The same account, but pushes create metered prices of this generation.
    pub(crate) fn making(self, generation: Generation) -> Self {
        let setting = GenerationSetting::Fixed(generation);
        Self {
            domain: self.domain.with_generation(setting),
            ..self
        }
    }

    pub(crate) async fn push(&self, model: &Model) -> Vec<PushResult> {
        self.domain
            .push(model, |_| ())
            .await
            .expect("the sandbox answers")
    }

    /// Pushes a model. Returns a line for each feature.
    pub(crate) async fn pushed(&self, model: &Value) -> String {
        lines(&self.push(&parse(model)).await)
    }

    pub(crate) async fn create(&self, path: &str, params: &[(&'static str, &str)]) -> Value {
        let mut form = Form::new();
        for (key, value) in params {
            form.push(*key, value);
        }
        self.client
            .post(CLASSIC, any_path(path))
            .form(form)
            .send()
            .await
            .expect("the sandbox takes it")
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        self.client
            .get(CLASSIC, any_path(path))
            .send()
            .await
            .expect("the sandbox takes it")
    }

    pub(crate) async fn count(&self, path: &str) -> usize {
        let all: Value = self
            .client
            .get(CLASSIC, any_path(path))
            .param("limit", 100)
            .send()
            .await
            .expect("the sandbox takes it");
        all["data"].as_array().expect("it is well formed").len()
    }

    pub(crate) fn fail(&self, method: &str, path: &str, action: Action, when: When, times: u32) {
        let mut rule = Rule::new(method, path, action);
        rule.when = when;
        rule.frequency = Frequency::Count(times);
        self.stripe.sandbox().add_fault(rule);
    }
}

/// A transport that retries each call up to `retries` times.
pub(crate) fn transport(stripe: &Running, retries: usize) -> Transport {
    let options = Options {
        base_url: stripe.url().to_owned(),
        retries,
        ..Options::default()
    };
    Transport::new(options).expect("the sandbox has a URL")
}

pub(crate) fn client(stripe: &Running, key: &str, retries: usize) -> Client {
    Client::new(transport(stripe, retries), Credentials::new(key))
}

pub(crate) fn parse(model: &Value) -> Model {
    Model::parse(&model.to_string()).expect("it is well formed")
}

pub(crate) fn lines(results: &[PushResult]) -> String {
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

pub(crate) fn all_are(outcome: &PushOutcome, results: &[PushResult]) -> bool {
    results.iter().all(|result| result.outcome == *outcome)
}

/// A plan with three features.
pub(crate) fn abc(version: &str) -> Value {
    json!({ "plans": { format!("plan:a@{version}"): { "features": {
        "feature:a": { "base": 100 },
        "feature:b": { "tiers": [{ "upto": 10 }] },
        "feature:c": { "tiers": [{ "upto": 10, "price": 0.5 }, { "base": 7 }], "aggregate": "max" },
    } } } })
}

/// `plan:a@1` as the original Tier pushes it: without a hash, and with the metadata of the original's version.
pub(crate) async fn pushed_by_the_original(shop: &Shop) {
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

/// The plan's first two features, as the original Tier creates them. The first feature is licensed.
pub(crate) async fn prices_of_the_original(shop: &Shop) {
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
