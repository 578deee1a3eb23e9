//! How an org's customer is found: by few calls, by all callers together, and never another org's.

use futures::future::join_all;
use serde_json::json;
use tier::sandbox::{Action, Rule};

use crate::harness::TestApp;

const SEARCH: &str = "GET /v1/customers/search";
const LIST: &str = "GET /v1/customers";

/// How often Stripe was searched, and its customers listed.
fn look_ups(app: &TestApp) -> (u64, u64) {
    let counts = app.sandbox().counts(None);
    let count = |endpoint| counts.get(endpoint).copied().unwrap_or(0);
    (count(SEARCH), count(LIST))
}

async fn create(app: &TestApp, org: &str) -> String {
    let customer = app
        .stripe_post("/v1/customers", &[("metadata[tier.org]", org)])
        .await;
    customer["id"].as_str().expect("an id").to_owned()
}

async fn whois(app: &TestApp, org: &str) -> String {
    let answer = app.get(&format!("/v1/whois?org={org}")).await.ok().json();
    answer["stripe_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_cold_look_up_is_two_calls_however_many_customers_there_are() {
    let app = TestApp::start().await;
    let id = create(&app, "org:old").await;
    app.advance(std::time::Duration::from_secs(3600));
    for i in 0..250 {
        create(&app, &format!("org:{i}")).await;
    }
    app.forget_calls();
    assert_eq!(whois(&app, "org:old").await, id);
    assert_eq!(look_ups(&app), (1, 1));
    assert_eq!(whois(&app, "org:old").await, id);
    assert_eq!(app.stripe_calls(), 2, "a warm one is none");
}

#[tokio::test]
async fn callers_share_one_look_up() {
    let app = TestApp::start().await;
    let id = create(&app, "org:acme").await;
    app.forget_calls();
    let found = join_all((0..500).map(|_| whois(&app, "org:acme"))).await;
    assert!(found.iter().all(|found| *found == id));
    assert_eq!(look_ups(&app), (1, 1));
}

#[tokio::test]
async fn where_stripe_refuses_search_customers_are_listed_once() {
    let app = TestApp::start().await;
    let mut orgs = Vec::new();
    for i in 0..120 {
        let org = format!("org:{i}");
        orgs.push((create(&app, &org).await, org));
    }
    app.sandbox().add_fault(Rule::new(
        "GET",
        "/v1/customers/search",
        Action::Status(403, None),
    ));
    app.forget_calls();
    for (id, org) in &orgs {
        assert_eq!(whois(&app, org).await, *id);
    }
    let (searched, listed) = look_ups(&app);
    assert_eq!(searched, 1, "a refusal is not asked for again");
    assert!(
        listed <= 3,
        "two pages, and the list beside the search: {listed}"
    );
    app.get("/v1/whois?org=org:nobody")
        .await
        .fails(400, "org_not_found");
    let later = create(&app, "org:later").await;
    assert_eq!(
        whois(&app, "org:later").await,
        later,
        "one that was made since"
    );
}

#[tokio::test]
async fn an_org_is_not_remembered_as_unknown() {
    let app = TestApp::start().await;
    app.get("/v1/whois?org=org:soon")
        .await
        .fails(400, "org_not_found");
    let id = create(&app, "org:soon").await;
    assert_eq!(whois(&app, "org:soon").await, id);
}

#[tokio::test]
async fn a_customer_that_is_gone_is_forgotten() {
    let app = TestApp::start().await;
    let first = create(&app, "org:acme").await;
    assert_eq!(whois(&app, "org:acme").await, first);
    app.stripe_delete(&format!("/v1/customers/{first}")).await;
    app.get("/v1/whois?org=org:acme&include=info")
        .await
        .fails(400, "org_not_found");
    let second = create(&app, "org:acme").await;
    assert_eq!(whois(&app, "org:acme").await, second);

    app.stripe_delete(&format!("/v1/customers/{second}")).await;
    let third = create(&app, "org:acme").await;
    let methods = app
        .get("/v1/payment_methods?org=org:acme")
        .await
        .ok()
        .json();
    assert_eq!(methods["methods"], json!([]));
    assert_eq!(
        whois(&app, "org:acme").await,
        third,
        "found again in the same request"
    );
}

#[tokio::test]
async fn an_org_that_stripe_made_and_lost_is_said_so() {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {"plan:p@1": {"features": {"feature:x": {}}}}}))
        .await;
    app.subscribe("org:acme", &[]).await;
    let id = whois(&app, "org:acme").await;
    app.stripe_delete(&format!("/v1/customers/{id}")).await;
    let request = json!({"org": "org:acme", "phases": [{"features": ["plan:p@1"]}]});
    app.post_json("/v1/subscribe", &request)
        .await
        .fails(500, "TERR1050");
    // With other particulars the idempotency key of the lost one is in the way, and is passed by.
    let request = json!({"org": "org:acme", "info": {"name": "Acme"},
        "phases": [{"features": ["plan:p@1"]}]});
    app.post_json("/v1/subscribe", &request).await.ok();
}

#[tokio::test]
async fn two_servers_make_one_customer() {
    let app = TestApp::start().await;
    let twin = app.twin();
    let request = |name: &str| json!({"org": "org:acme", "info": {"name": name}});
    let (one, other) = (request("One"), request("Other"));
    let (one, other) = tokio::join!(
        app.post_json("/v1/subscribe", &one),
        twin.post_json("/v1/subscribe", &other)
    );
    one.ok();
    other.ok();
    let customers = app.stripe_get("/v1/customers").await;
    assert_eq!(customers["data"].as_array().map(Vec::len), Some(1));
}
