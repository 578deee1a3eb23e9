//! Several servers over one Stripe account. Concurrent requests take effect once.

mod keys;
mod late;
mod usage;

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use crate::harness::{Answer, Settings, TestApp};
use testing::time::until;

/// Two servers that share nothing but their sandbox, which has plans.
async fn two() -> (TestApp, TestApp) {
    let one = TestApp::with(patient()).await;
    one.push(&json!({"plans": {
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": 10}]}}},
        "plan:pro@1": {"features": {
            "feature:calls": {"tiers": [{"upto": 100}]}, "feature:seats": {"base": 1000}}},
    }}))
    .await;
    let two = one.second_server_with(&patient());
    (one, two)
}

/// Settings of a server that waits for another server's call, but not as long as in production.
fn patient() -> Settings {
    Settings {
        search_lag: Duration::ZERO,
        retries: 8,
        first_wait: Duration::from_millis(10),
        ..Settings::default()
    }
}

/// Runs both requests, and delays the next call of this kind until the other request meets it: either Stripe refuses a
/// call because of it, or the other request waits for its turn.
async fn meeting<A, B>(
    [one, two]: [&TestApp; 2],
    (method, path): (&str, &str),
    both: (impl Future<Output = A>, impl Future<Output = B>),
) -> (A, B) {
    one.forget_calls();
    one.slow_down(method, path, Duration::from_secs(600));
    let meet = async {
        until("both meet", async || {
            let calls = one.sandbox().requests(None);
            let is_refused = calls.iter().any(|call| [400, 409].contains(&call.status));
            let waits = one.slots().waiting() + two.slots().waiting() > 0;
            (is_refused || waits).then_some(())
        })
        .await;
        one.sandbox().clear_faults();
    };
    let (first, second, ()) = tokio::join!(both.0, both.1, meet);
    (first, second)
}

async fn subscribe(app: &TestApp, org: &str, features: &[&str]) -> Answer {
    let body = json!({"org": org, "phases": [{"features": features}]});
    app.post_json("/v1/subscribe", &body).await
}

/// The live subscriptions of all customers.
async fn live(app: &TestApp) -> Vec<Value> {
    let page = app.stripe_get("/v1/subscriptions?limit=100").await;
    page["data"].as_array().expect("a list").clone()
}

/// The bare names of the features that the org may use.
async fn features(app: &TestApp, org: &str) -> Vec<String> {
    let rows = app.limits(org).await.into_iter();
    rows.map(|(feature, ..)| feature).collect()
}

#[tokio::test]
async fn the_same_subscribe_on_two_servers_takes_effect_once() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &[]).await.ok();
    two.get("/v1/whois?org=org:a").await.ok();
    let pro = &["plan:pro@1"];
    let both = (subscribe(&one, "org:a", pro), subscribe(&two, "org:a", pro));
    let (first, second) = meeting([&one, &two], ("POST", "/v1/subscription_schedules"), both).await;
    first.ok();
    second.ok();
    assert_eq!(live(&one).await.len(), 1);
    let invoices = one.stripe_get("/v1/invoices").await;
    assert_eq!(invoices["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn different_subscribes_at_once_are_serialised() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &[]).await.ok();
    two.get("/v1/whois?org=org:a").await.ok();
    let both = (
        subscribe(&one, "org:a", &["plan:pro@1"]),
        subscribe(&two, "org:a", &["plan:free@1"]),
    );
    let (first, second) = meeting([&one, &two], ("POST", "/v1/subscription_schedules"), both).await;
    first.ok();
    second.ok();
    assert_eq!(live(&one).await.len(), 1);
    assert_eq!(features(&one, "org:a").await, features(&two, "org:a").await);
}

/// Another server's plan change removes the items while the server reads their usage.
#[tokio::test]
async fn a_change_overtaken_while_it_reads_usage_is_decided_again() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    one.report("org:a", "feature:calls", 3).await;
    one.advance(Duration::from_secs(60));
    let lines = "/v1/invoices/upcoming/lines";
    one.slow_down("GET", lines, Duration::from_secs(600));
    let slow = subscribe(&one, "org:a", &["plan:free@1"]);
    let meanwhile = async {
        one.until_slow().await;
        let other = subscribe(&two, "org:a", &["plan:free@1"]).await;
        one.sandbox().clear_faults();
        other
    };
    let (first, second) = tokio::join!(slow, meanwhile);
    first.ok();
    second.ok();
    let calls = ("feature:calls".to_owned(), 3, 10);
    assert_eq!(one.limits("org:a").await, [calls]);
    assert_eq!(live(&one).await.len(), 1);
}

/// Neither request is lost, since the second is decided on the outcome of the first.
#[tokio::test]
async fn a_change_and_a_cancellation_at_once_leave_one_of_the_two() {
    let (one, two) = two().await;
    for round in 0..5 {
        let org = format!("org:{round}");
        subscribe(&one, &org, &["plan:free@1"]).await.ok();
        two.get(&format!("/v1/whois?org={org}")).await.ok();
        let (changed, ended) = tokio::join!(
            subscribe(&one, &org, &["plan:pro@1"]),
            subscribe(&two, &org, &[])
        );
        changed.ok();
        ended.ok();
    }
    let customers: Vec<_> = live(&one)
        .await
        .iter()
        .map(|s| s["customer"].to_string())
        .collect();
    let mut distinct = customers.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), customers.len(), "{customers:?}");
}

/// Stripe remembers the first creation for a day, but each of these is a new request.
#[tokio::test]
async fn an_org_that_returns_within_a_day_gets_a_new_subscription() {
    let (one, two) = two().await;
    for server in [&one, &two, &one] {
        subscribe(server, "org:a", &["plan:pro@1"]).await.ok();
        assert_eq!(live(&one).await.len(), 1);
        subscribe(server, "org:a", &[]).await.ok();
        assert_eq!(live(&one).await.len(), 0);
    }
    let later = json!({"org": "org:b", "phases": [
        {"effective": "2023-02-01T00:00:00Z", "features": ["plan:pro@1"]}]});
    for server in [&one, &two, &one] {
        server.post_json("/v1/subscribe", &later).await.ok();
        let phases = one.get("/v1/phases?org=org:b").await.ok().json();
        assert_eq!(
            phases["phases"].as_array().map(Vec::len),
            Some(1),
            "{phases}"
        );
        subscribe(server, "org:b", &[]).await.ok();
        let phases = one.get("/v1/phases?org=org:b").await.ok().json();
        assert_eq!(phases["phases"], json!([]));
    }
}

/// The revision grows with every write, even when Stripe copies the metadata of a phase that begins.
#[tokio::test]
async fn the_revision_never_goes_back() {
    let (one, two) = two().await;
    let mut seen = Vec::new();
    let mut note = async || {
        let subscription = live(&one).await.remove(0);
        let revision = subscription["metadata"]["tier.rev"]
            .as_str()
            .expect("a revision");
        seen.push(revision.parse::<u64>().expect("a number"));
    };
    subscribe(&one, "org:a", &["plan:free@1"]).await.ok();
    note().await;
    let phases = json!({"org": "org:a", "phases": [
        {"features": ["plan:pro@1"]},
        {"effective": "2023-01-20T00:00:00Z", "features": ["plan:free@1"]},
    ]});
    two.post_json("/v1/subscribe", &phases).await.ok();
    note().await;
    one.advance(Duration::from_hours(24 * 25));
    note().await;
    subscribe(&one, "org:a", &["plan:pro@1"]).await.ok();
    note().await;
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen[0] < seen[1] && seen[2] < seen[3], "{seen:?}");
}

/// Stripe stores a failure under its key. No server may take that failure for the answer to the next attempt.
#[tokio::test]
async fn a_stored_failure_does_not_block_later_requests() {
    let (one, two) = two().await;
    subscribe(&one, "org:a", &[]).await.ok();
    let sudden = |count| {
        let rule = Rule::new(
            "POST",
            "/v1/subscription_schedules",
            Action::Status(402, None),
        );
        one.sandbox().add_fault(rule.after().times(count));
    };
    // These calls take effect although they fail. The server finds the effect afterwards.
    for server in [&one, &two] {
        sudden(1);
        let first = subscribe(server, "org:a", &["plan:pro@1"]).await;
        assert!([200, 400].contains(&first.status.as_u16()), "{first:?}");
        subscribe(server, "org:a", &["plan:pro@1"]).await.ok();
        assert_eq!(live(&one).await.len(), 1);
        subscribe(server, "org:a", &[]).await.ok();
    }
    let unknown =
        json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"], "coupon": "none"}]});
    for server in [&one, &two] {
        let refused = server.post_json("/v1/subscribe", &unknown).await;
        refused.fails(400, "invalid_request");
    }
    subscribe(&two, "org:a", &["plan:free@1"]).await.ok();
    assert_eq!(features(&one, "org:a").await, ["feature:calls"]);
}

/// At a sign-up, the app writes details and opens Checkout while Stripe is slow to create the customer.
#[tokio::test]
async fn two_requests_that_create_an_org_make_one_customer() {
    let checkout = json!({"org": "org:a", "success_url": "https://app.example/ok", "features": ["plan:pro@1"]});
    let named = json!({"org": "org:a", "info": {"email": "jo@acme.example"},
        "phases": [{"features": ["plan:pro@1"]}]});
    let plain = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    for first in [&named, &plain] {
        for same_server in [true, false] {
            let (one, two) = two().await;
            let other = if same_server { &one } else { &two };
            let opened = async {
                one.until_slow().await;
                other.post_json("/v1/checkout", &checkout).await
            };
            let both = (one.post_json("/v1/subscribe", first), opened);
            let call = ("POST", "/v1/customers");
            let (subscribed, opened) = meeting([&one, other], call, both).await;
            subscribed.ok();
            opened.ok();
            let customers = one.stripe_get("/v1/customers").await;
            assert_eq!(
                customers["data"].as_array().map(Vec::len),
                Some(1),
                "{first} {same_server}"
            );
        }
    }
}

#[tokio::test]
async fn two_servers_push_one_model() {
    let (one, two) = two().await;
    let model = json!({"plans": {"plan:new@1": {"features": {
        "feature:a": {"tiers": [{}]}, "feature:b": {"base": 5}}}}});
    let (first, second) = tokio::join!(
        one.post_json("/v1/push", &model),
        two.post_json("/v1/push", &model)
    );
    for pushed in [first, second] {
        let pushed = pushed.ok().json();
        let results = pushed["results"].as_array().expect("a list");
        assert!(
            results.iter().all(|result| result["status"] == "ok"),
            "{pushed:#}"
        );
    }
}

#[tokio::test]
async fn details_written_by_two_servers_at_once_are_all_kept() {
    let (one, two) = two().await;
    let info = |name: &str| json!({"org": "org:a", "info": {"metadata": {name: "x"}}});
    for round in 0..3 {
        let (a, b) = (info(&format!("a{round}")), info(&format!("b{round}")));
        let (a, b) = tokio::join!(
            one.post_json("/v1/subscribe", &a),
            two.post_json("/v1/subscribe", &b)
        );
        a.ok();
        b.ok();
    }
    let known = two
        .get("/v1/whois?org=org:a&include=info")
        .await
        .ok()
        .json();
    assert_eq!(
        known["metadata"].as_object().map(serde_json::Map::len),
        Some(6),
        "{known}"
    );
}
