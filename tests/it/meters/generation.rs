//! Which generation of prices a push creates.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Options, When};
use tier::api::{App, Cloud};
use tier::domain::{Domain, Generation, GenerationSetting, Memory, PushOutcome};
use tier::stripe::{Client, Credentials};

use crate::harness::{DAY, Settings, TestApp, transport};
use crate::shop::{Shop, abc, all_are, lines, parse};
use clock::Clock;

const CLASSIC: GenerationSetting = GenerationSetting::Fixed(Generation::Classic);
const METERS: GenerationSetting = GenerationSetting::Fixed(Generation::Meters);

/// A plan with one metered feature.
fn plan(name: &str) -> Value {
    json!({ "plans": { format!("plan:{name}@1"): { "features": { "feature:x": { "tiers": [{}] } } } } })
}

/// Pushes a plan with this name, and returns the generation of its price.
async fn pushed(shop: &Shop, domain: &Domain, name: &str) -> &'static str {
    let results = domain.push(&parse(&plan(name)), |_| ()).await;
    let results = results.expect("a push");
    assert!(
        all_are(&PushOutcome::Created, &results),
        "{}",
        lines(&results)
    );
    let feature = format!("feature:x@plan:{name}@1");
    let all = shop.generations().await;
    all.into_iter()
        .find(|(name, _)| *name == feature)
        .expect("a result of the feature")
        .1
}

/// A server with no memory of what the account's other servers do.
fn another(client: &Client, setting: GenerationSetting) -> Domain {
    let domain = Domain::new(client.clone(), Clock::system(), "sandbox");
    domain.with_generation(setting)
}

#[tokio::test]
async fn auto_goes_on_with_the_newest_metered_price() {
    let shop = Shop::new().await;
    let auto = &another(&shop.client, GenerationSetting::Auto);
    assert_eq!(pushed(&shop, auto, "a").await, "classic");
    let meters = &another(&shop.client, METERS);
    assert_eq!(pushed(&shop, meters, "b").await, "meters");
    assert_eq!(pushed(&shop, auto, "c").await, "meters");
    // Licensed prices, and prices that Tier did not create, do not count.
    let licensed =
        json!({ "plans": { "plan:d@1": { "features": { "feature:x": { "base": 1 } } } } });
    shop.push(&parse(&licensed)).await;
    let stray = [
        ("product_data[name]", "not Tier's"),
        ("currency", "usd"),
        ("unit_amount", "1"),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
    ];
    for _ in 0..101 {
        shop.create("/v1/prices", &stray).await;
    }
    assert_eq!(pushed(&shop, auto, "e").await, "meters");
    let classic = &another(&shop.client, CLASSIC);
    assert_eq!(pushed(&shop, classic, "f").await, "classic");
    assert_eq!(pushed(&shop, auto, "g").await, "classic");
}

/// A server with a ledger supports everything that meters offer, so it begins on meters.
#[tokio::test]
async fn auto_begins_on_meters_with_a_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tier.db");
    let without = TestApp::start().await;
    let app = without.with_ledger(&file).await;
    let generation = async |app: &TestApp| {
        let answer = app.get("/v1/whoami?include=generation").await.ok();
        answer.json()["generation"].clone()
    };
    assert_eq!(generation(&app).await, "meters");
    assert_eq!(generation(&without).await, "classic");
    // A plan without metered features gets the generation of future prices.
    app.push(&json!({"plans": {"plan:base@1": {"features": {"feature:seats": {"base": 1}}}}}))
        .await;
    app.subscribe("org:a", &["plan:base@1"]).await;
    app.push(&plan("metered")).await;
    assert_eq!(generation(&without).await, "meters");
    app.subscribe("org:a", &["plan:base@1", "plan:metered@1"])
        .await;
    let history = app.stripe_get("/v1/subscriptions?status=all").await;
    assert_eq!(history["data"].as_array().expect("a list").len(), 1);
    // An account that has classic prices stays classic.
    let old = TestApp::start().await;
    old.push(&plan("old")).await;
    let old = old.with_ledger(&folder.path().join("old.db")).await;
    assert_eq!(generation(&old).await, "classic");
    old.push(&json!({"plans": {"plan:base@1": {"features": {"feature:seats": {"base": 1}}}}}))
        .await;
    old.subscribe("org:a", &["plan:base@1"]).await;
    let subscriptions = old.stripe_get("/v1/subscriptions").await;
    let metadata = &subscriptions["data"][0]["metadata"];
    assert_eq!(metadata.get("tier.generation"), None);
    // The server finds a single feature without listing all prices.
    let file = folder.path().join("restarted.db");
    let restarted = old.second_server().with_ledger(&file).await;
    restarted
        .subscribe("org:b", &["feature:seats@plan:base@1"])
        .await;
    let subscriptions = old.stripe_get("/v1/subscriptions?limit=1").await;
    let metadata = &subscriptions["data"][0]["metadata"];
    assert_eq!(metadata.get("tier.generation"), None);
}

#[tokio::test]
async fn a_plan_is_of_one_generation() {
    for (first, then, kept) in [(CLASSIC, METERS, "classic"), (METERS, CLASSIC, "meters")] {
        let shop = Shop::new().await;
        shop.fail(
            "POST",
            "/v1/prices",
            Action::Status(500, None),
            When::Before,
            2,
        );
        let model = parse(&abc("1"));
        let results = another(&shop.client, first).push(&model, |_| ()).await;
        assert_eq!(
            results
                .unwrap()
                .iter()
                .filter(|one| one.outcome.is_ok())
                .count(),
            1
        );
        let results = another(&shop.client, then)
            .push(&model, |_| ())
            .await
            .unwrap();
        assert!(
            results.iter().all(|one| one.outcome.is_ok()),
            "{}",
            lines(&results)
        );
        let generations = shop.generations().await;
        assert!(
            generations
                .iter()
                .all(|(_, generation)| *generation == kept),
            "{generations:?}"
        );
    }
}

#[tokio::test]
async fn two_pushes_at_once_agree_on_the_generation() {
    let shop = Shop::with_retries(3).await;
    let model = parse(&abc("1"));
    let settings = [CLASSIC, METERS, CLASSIC, METERS];
    let servers: Vec<Domain> = settings.map(|one| another(&shop.client, one)).into();
    let pushes = servers.iter().map(|server| server.push(&model, |_| ()));
    for results in futures::future::join_all(pushes).await {
        let results = results.unwrap();
        assert!(
            results.iter().all(|one| one.outcome.is_ok()),
            "{}",
            lines(&results)
        );
    }
    let generations = shop.generations().await;
    let [(_, one), (_, other)] = &generations[..] else {
        panic!("{generations:?}");
    };
    assert_eq!(one, other);
}

async fn account_with_meters_only() -> Shop {
    let options = Options {
        meters_only: true,
        ..Options::default()
    };
    Shop::of(options, 0).await
}

#[tokio::test]
async fn auto_uses_meters_where_stripe_refuses_classic_prices() {
    let shop = account_with_meters_only().await;
    let results = shop.push(&parse(&abc("1"))).await;
    assert!(
        all_are(&PushOutcome::Created, &results),
        "{}",
        lines(&results)
    );
    assert_eq!(
        shop.generations().await,
        [
            ("feature:b@plan:a@1".to_owned(), "meters"),
            ("feature:c@plan:a@1".to_owned(), "meters"),
        ]
    );
    assert!(all_are(
        &PushOutcome::Unchanged,
        &shop.push(&parse(&abc("1"))).await
    ));

    // The server remembers the generation, even before a price exists.
    let sandbox = shop.stripe.sandbox();
    sandbox.clear_requests();
    assert_eq!(pushed(&shop, &shop.domain, "b").await, "meters");
    let made = sandbox.requests(None).into_iter();
    let made = made.filter(|call| call.endpoint == "POST /v1/prices");
    assert_eq!(made.count(), 1);
    assert_eq!(shop.domain.generation().await.unwrap(), Generation::Meters);
}

#[tokio::test]
async fn a_plan_whose_move_to_meters_broke_off_is_completed() {
    let shop = account_with_meters_only().await;
    shop.fail(
        "POST",
        "/v1/products/*",
        Action::Status(500, None),
        When::Before,
        2,
    );
    let results = shop.push(&parse(&abc("1"))).await;
    assert_eq!(results.iter().filter(|one| one.outcome.is_ok()).count(), 1);
    let other = another(&shop.client, GenerationSetting::Auto);
    let results = other.push(&parse(&abc("1")), |_| ()).await.unwrap();
    assert!(
        results.iter().all(|one| one.outcome.is_ok()),
        "{}",
        lines(&results)
    );
    assert_eq!(shop.domain.pull().await.unwrap(), parse(&abc("1")));
}

#[tokio::test]
async fn classic_prices_are_not_replaced_against_the_setting() {
    let shop = account_with_meters_only().await.making(Generation::Classic);
    insta::assert_snapshot!(shop.pushed(&abc("1")).await, @r#"
    ok feature:a@plan:a@1 priced created
    failed feature:b@plan:a@1 - the account takes only metered prices with a billing meter: push with --stripe-generation meters, or set TIER_STRIPE_GENERATION=meters; a plan that already has prices without one needs a new version
    failed feature:c@plan:a@1 - the account takes only metered prices with a billing meter: push with --stripe-generation meters, or set TIER_STRIPE_GENERATION=meters; a plan that already has prices without one needs a new version
    "#);
    assert!(shop.meters().await.is_empty());
    // Without the fixed setting, the same plan gets meters.
    let auto = another(&shop.client, GenerationSetting::Auto);
    let results = auto.push(&parse(&abc("1")), |_| ()).await.unwrap();
    assert!(
        results.iter().all(|one| one.outcome.is_ok()),
        "{}",
        lines(&results)
    );
    assert_eq!(shop.meters().await.len(), 2);
}

#[tokio::test]
async fn a_model_without_metered_features_asks_for_no_generation() {
    let shop = Shop::new().await;
    let model = json!({ "plans": { "plan:a@1": { "features": { "feature:x": {} } } } });
    shop.push(&parse(&model)).await;
    let sandbox = shop.stripe.sandbox();
    let endpoints: Vec<String> = (sandbox.requests(None).into_iter())
        .map(|call| call.endpoint)
        .collect();
    assert_eq!(endpoints, ["POST /v1/products", "POST /v1/prices"]);
}

#[tokio::test]
async fn an_answer_says_which_generation() {
    let settings = Settings {
        generation: METERS,
        ..Settings::default()
    };
    let app = TestApp::with(settings).await;
    let of = async |app: &TestApp| {
        let who = app.get("/v1/whoami?include=generation").await.ok().json();
        who["generation"].as_str().map(str::to_owned)
    };
    assert_eq!(of(&app).await.as_deref(), Some("meters"));
    assert_eq!(of(&app.second_server()).await.as_deref(), Some("classic"));
    let pushed = app.post_json("/v1/push", &abc("1")).await.ok().json();
    let warning = "feature:b@plan:a@1 is billed by a billing meter, to which Tier sends its usage";
    let results = pushed["results"].as_array().unwrap();
    let says = |result: &Value| (result["generation"].clone(), result["warnings"].clone());
    assert_eq!(says(&results[0]), (Value::Null, Value::Null));
    assert_eq!(says(&results[1]), (json!("meters"), json!([warning])));
    // A push warns only about prices that it creates.
    let again = app.post_json("/v1/push", &abc("1")).await.ok().json();
    let result = &again["results"][1];
    assert_eq!(says(result), (json!("meters"), Value::Null));
    assert_eq!(of(&app.second_server()).await.as_deref(), Some("meters"));
}

#[tokio::test]
async fn each_account_of_a_cloud_has_its_own() {
    let app = TestApp::start().await;
    let transport = transport(app.stripe_url(), &Settings::default());
    let (clock, memory) = (Clock::system(), Memory::default());
    let cloud = Cloud::new(transport.clone(), clock, None, 10, DAY, memory);
    let cloud = app.adjusted(|app| *app = App::for_many(cloud));
    let later = Client::new(transport, Credentials::new("sk_test_later"));
    let results = another(&later, METERS)
        .push(&parse(&abc("1")), |_| ())
        .await;
    assert!(all_are(&PushOutcome::Created, &results.unwrap()));
    for (key, generation) in [("sk_test_later", "meters"), ("sk_test_new", "classic")] {
        let path = "/v1/whoami?include=generation";
        let bearer = format!("Bearer {key}");
        let who = cloud.get_with(path, &[("authorization", &bearer)]).await;
        assert_eq!(who.ok().json()["generation"], generation, "{key}");
    }
}
