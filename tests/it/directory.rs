//! Finding an org's customer takes few calls, which all callers share. A server never finds another org's customer.

mod listing;

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use stripe_sandbox::{Action, Rule};
use tier::stripe::RateSettings;

use crate::harness::{Settings, TestApp};

const SEARCH: &str = "GET /v1/customers/search";
const LIST: &str = "GET /v1/customers";

/// How many searches and how many listings of customers Stripe received.
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
    app.advance(Duration::from_secs(3600));
    for i in 0..250 {
        create(&app, &format!("org:{i}")).await;
    }
    app.forget_calls();
    assert_eq!(whois(&app, "org:old").await, id);
    assert_eq!(look_ups(&app), (1, 1));
    assert_eq!(whois(&app, "org:old").await, id);
    assert_eq!(look_ups(&app), (1, 1), "a warm cache needs no look-up");
    assert_eq!(
        app.stripe_calls(),
        4,
        "each call checks whether the customer still exists"
    );
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
async fn an_unknown_org_is_two_calls_however_many_customers_are_new() {
    let app = TestApp::start().await;
    for i in 0..250 {
        create(&app, &format!("org:{i}")).await;
    }
    app.forget_calls();
    let unknown = app.get("/v1/limits?org=org:nobody").await;
    unknown.fails(400, "org_not_found");
    assert_eq!((look_ups(&app), app.stripe_calls()), ((1, 1), 2));
}

/// The check alone would be refused after 25 ms. The checkout waits until there is room.
#[tokio::test]
async fn a_checkout_that_joins_the_look_up_of_a_check_is_not_refused_with_it() {
    let rates = RateSettings {
        total: Some(1000),
        concurrent: Some(1),
        ..RateSettings::default()
    };
    let app = TestApp::with(Settings {
        rates,
        ..Settings::default()
    })
    .await;
    create(&app, "org:a").await;
    let slow = Action::Delay(Duration::from_millis(300));
    app.sandbox()
        .add_fault(Rule::new("GET", "/v1/account", slow));
    let checkout = json!({"org": "org:a", "success_url": "https://app.example"});
    let (_, check, checkout) = tokio::join!(
        app.get("/v1/whoami"),
        app.get("/v1/whois?org=org:a"),
        app.post_json("/v1/checkout", &checkout)
    );
    checkout.ok();
    assert!(matches!(check.status.as_u16(), 200 | 429), "{check:?}");
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
async fn a_deleted_customer_is_forgotten() {
    let app = TestApp::start().await;
    let first = create(&app, "org:acme").await;
    assert_eq!(whois(&app, "org:acme").await, first);
    app.stripe_delete(&format!("/v1/customers/{first}")).await;
    for query in ["", "&include=info"] {
        app.get(&format!("/v1/whois?org=org:acme{query}"))
            .await
            .fails(400, "org_not_found");
    }
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
        "the customer is found again in the same request"
    );
}

/// Stripe would replay its answer about the deleted customer, and search would still find that customer.
#[tokio::test]
async fn an_org_whose_customer_was_deleted_within_a_day_gets_a_new_one() {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {"plan:p@1": {"features": {"feature:x": {}}}}}))
        .await;
    app.subscribe("org:acme", &[]).await;
    let id = whois(&app, "org:acme").await;
    app.stripe_delete(&format!("/v1/customers/{id}")).await;
    let plain = json!({"org": "org:acme", "phases": [{"features": ["plan:p@1"]}]});
    let named = json!({"org": "org:acme", "info": {"name": "Acme"},
        "phases": [{"features": ["plan:p@1"]}]});
    let info = json!({"org": "org:acme", "info": {"name": "Acme"}});
    let empty = json!({"org": "org:acme", "info": {}});
    let mut ids = vec![id];
    for request in [&plain, &named, &info, &info, &empty, &plain] {
        for server in [&app, &app.second_server()] {
            server.post_json("/v1/subscribe", request).await.ok();
            let id = whois(server, "org:acme").await;
            assert!(!ids.contains(&id), "{request}");
            app.stripe_delete(&format!("/v1/customers/{id}")).await;
            ids.push(id);
        }
    }
}

/// Two servers that know different customers of one org come to agree again.
#[tokio::test]
async fn a_customer_is_remembered_for_a_while() {
    let app = TestApp::start().await;
    let other_server = app.second_server();
    let first = create(&app, "org:acme").await;
    assert_eq!(whois(&app, "org:acme").await, first);
    app.advance(std::time::Duration::from_secs(5));
    let second = create(&app, "org:acme").await;
    assert_eq!(whois(&other_server, "org:acme").await, second);
    assert_eq!(whois(&app, "org:acme").await, first);
    app.advance(std::time::Duration::from_secs(60));
    assert_eq!(whois(&app, "org:acme").await, second);
}

#[tokio::test]
async fn a_stored_failure_does_not_block_the_creation() {
    let app = TestApp::start().await;
    let creations = "/v1/customers";
    let failure = || Rule::new("POST", creations, Action::Status(500, None)).after();
    app.sandbox().add_fault(failure().times(1));
    let request = json!({"org": "org:acme", "info": {"name": "Acme"}});
    for server in [&app, &app.second_server()] {
        server.post_json("/v1/subscribe", &request).await.ok();
    }
    let customers = app.stripe_get("/v1/customers").await;
    assert_eq!(customers["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn two_servers_create_one_customer() {
    let app = TestApp::start().await;
    let other_server = app.second_server();
    let request = |name: &str| json!({"org": "org:acme", "info": {"name": name}});
    let (one, other) = (request("One"), request("Other"));
    let (one, other) = tokio::join!(
        app.post_json("/v1/subscribe", &one),
        other_server.post_json("/v1/subscribe", &other)
    );
    one.ok();
    other.ok();
    let customers = app.stripe_get("/v1/customers").await;
    assert_eq!(customers["data"].as_array().map(Vec::len), Some(1));
}
