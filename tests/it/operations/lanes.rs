//! Calls to Stripe wait in lanes. A call for which a person waits goes first, and a request that would wait too long is
//! refused.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tier::stripe::RateSettings;
use tokio::task::JoinSet;

use crate::harness::{Answer, Settings, TestApp};
use testing::time::{HeldTime, hold_time, until};

/// Settings that allow one call to Stripe at a time.
fn settings() -> Settings {
    let rates = RateSettings {
        total: Some(10_000),
        endpoint: Some(10_000),
        search: Some(10_000),
        concurrent: Some(1),
    };
    Settings {
        rates,
        timeout: Duration::from_secs(6000),
        ..Settings::default()
    }
}

/// A server with subscribed orgs.
async fn start() -> TestApp {
    let app = TestApp::with(settings()).await;
    let model = json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}}}}});
    app.push(&model).await;
    for number in 1..=8 {
        app.subscribe(&format!("org:{number}"), &["plan:p@1"]).await;
    }
    app
}

async fn send(app: TestApp, method: Method, path: &'static str, body: &'static str) -> Answer {
    app.request(method, path).body(body).send().await
}

/// Occupies the only slot for calls to Stripe until the faults are cleared, and pauses time.
async fn occupy_the_only_slot(
    app: &TestApp,
    requests: &mut JoinSet<(&'static str, Answer)>,
) -> HeldTime {
    let clocks = "/v1/test_helpers/test_clocks*";
    app.slow_down("GET", clocks, Duration::from_secs(6000));
    let first = send(app.clone(), Method::GET, "/v1/clock?id=clock_first", "");
    requests.spawn(async { ("first", first.await) });
    let time = hold_time();
    app.until_slow().await;
    // A check waits longer if a push was made in the last second, so let that time pass.
    tokio::time::advance(Duration::from_secs(2)).await;
    time
}

/// Lets every task run as far as it can without time passing.
async fn run_tasks_until_blocked() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

// Each request is about a different org, since requests about one org share calls or wait for each other.
const CHECKOUT: &str = r#"{"org": "org:1", "success_url": "https://app.example"}"#;
const SUBSCRIBE: &str = r#"{"org": "org:2", "phases": [{"features": ["plan:p@1"]}]}"#;
const REPORT: &str = r#"{"org": "org:3", "feature": "feature:f", "n": 1}"#;
const CLOCK: &str = r#"{"name": "x", "present": "2030-01-01T00:00:00Z"}"#;
const MODEL: &str = r#"{"plans": {"plan:q@1": {"features": {"feature:f": {"tiers": [{}]}}}}}"#;

const CHECK: [(Method, &str, &str); 10] = [
    (Method::GET, "/v1/whoami", ""),
    (Method::GET, "/v1/whois?org=org:4&include=info", ""),
    (Method::GET, "/v1/payment_methods?org=org:5", ""),
    (Method::GET, "/v1/invoices?org=org:3", ""),
    (Method::GET, "/v1/phase?org=org:6", ""),
    (Method::GET, "/v1/phases?org=org:7", ""),
    (Method::GET, "/v1/limits?org=org:8", ""),
    (Method::POST, "/v1/report", REPORT),
    (Method::GET, "/v1/clock?id=clock_x", ""),
    (Method::POST, "/v1/clock", CLOCK),
];
const PATIENT: [(Method, &str, &str); 4] = [
    (Method::POST, "/v1/subscribe", SUBSCRIBE),
    (Method::POST, "/v1/checkout", CHECKOUT),
    (Method::GET, "/v1/pull", ""),
    (Method::POST, "/v1/push", MODEL),
];

#[tokio::test]
async fn checks_are_refused_at_once_and_the_others_wait() {
    let app = start().await;
    let mut requests = JoinSet::new();
    let _time = occupy_the_only_slot(&app, &mut requests).await;
    for (method, path, body) in CHECK.into_iter().chain(PATIENT) {
        let request = send(app.clone(), method.clone(), path, body);
        requests.spawn(async move { (path, request.await) });
    }
    run_tasks_until_blocked().await;
    // The longest wait of a check, plus the resolution of timers.
    tokio::time::advance(Duration::from_millis(25 + 2)).await;
    let mut refused = BTreeSet::new();
    until("all checks are refused", async || {
        while let Some(ended) = requests.try_join_next() {
            let (path, answer) = ended.expect("no panic");
            let answer = answer.fails(429, "rate_limited");
            assert_eq!(answer.header("retry-after"), "1", "{path}");
            refused.insert(path);
        }
        (requests.len() <= PATIENT.len() + 1).then_some(())
    })
    .await;
    assert_eq!(refused, CHECK.map(|(_, path, _)| path).into());
    app.sandbox().clear_faults();
    for (path, answer) in requests.join_all().await {
        assert!(
            path == "first" || answer.status == 200,
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_checkout_goes_before_a_pull_that_came_first() {
    let app = start().await;
    let mut requests = JoinSet::new();
    let _time = occupy_the_only_slot(&app, &mut requests).await;
    app.forget_calls();
    let [_, checkout, pull, _] = PATIENT;
    for (method, path, body) in [pull, checkout] {
        let request = send(app.clone(), method, path, body);
        requests.spawn(async move { (path, request.await) });
        run_tasks_until_blocked().await;
    }
    app.sandbox().clear_faults();
    for (path, answer) in requests.join_all().await {
        assert!(
            path == "first" || answer.status == 200,
            "{path}: {answer:?}"
        );
    }
    let calls = app.sandbox().requests(None);
    let calls: Vec<_> = calls.iter().map(|call| call.endpoint.as_str()).collect();
    let first = |end: &str| calls.iter().position(|call| call.ends_with(end));
    let (of_checkout, of_pull) = (first("/v1/subscriptions"), first("/v1/prices"));
    assert!(of_checkout.is_some() && of_checkout < of_pull, "{calls:?}");
}

/// More checks arrive than may wait. Requests for which a person waits go before all of them.
#[tokio::test]
async fn checks_that_fill_every_queue_leave_room_for_a_checkout_and_a_subscribe() {
    let app = start().await;
    let mut requests = JoinSet::new();
    let _time = occupy_the_only_slot(&app, &mut requests).await;
    let check = async |number: usize| {
        let path = format!("/v1/clock?id=clock_{number}");
        let answer = app.request(Method::GET, &path).send().await;
        (number, answer)
    };
    let mut checks: FuturesUnordered<_> = (0..1000).map(check).collect();
    for _ in 0..100 {
        assert!(futures::poll!(checks.next()).is_pending());
        tokio::task::yield_now().await;
    }
    let refused = app.get("/v1/clock?id=clock_last").await;
    refused.fails(429, "rate_limited");
    let [subscribe, checkout, ..] = PATIENT;
    for (method, path, body) in [checkout, subscribe] {
        let request = send(app.clone(), method, path, body);
        requests.spawn(async move { (path, request.await) });
        run_tasks_until_blocked().await;
    }
    assert_eq!(requests.len(), 3, "nobody is refused");
    app.sandbox().clear_faults();
    let (mut checks_before, mut answers) = (0, Vec::new());
    while answers.len() < 3 {
        tokio::select! {
            Some(ended) = requests.join_next() => answers.push(ended.expect("no panic")),
            Some((number, answer)) = checks.next() => {
                assert_ne!(answer.status, 429, "{number}: {answer:?}");
                checks_before += 1;
            }
        }
    }
    for (path, answer) in answers {
        assert!(
            path == "first" || answer.status == 200,
            "{path}: {answer:?}"
        );
    }
    // Checks are served only while neither of these requests has a call to make.
    assert!(checks_before < 100, "{checks_before}");
    while let Some((number, answer)) = checks.next().await {
        assert_ne!(answer.status, 429, "{number}: {answer:?}");
    }
}

/// A shared look-up is as urgent as its most urgent request, even if a less urgent request began the look-up.
#[tokio::test]
async fn a_checkout_that_joins_the_look_up_of_a_check_is_not_refused_with_it() {
    join_a_check(&[]).await;
}

#[tokio::test]
async fn checks_that_cannot_join_are_refused_meanwhile() {
    join_a_check(&["/v1/whois?org=org:4", "/v1/whois?org=org:5"]).await;
}

/// Sends a check and a checkout of an unknown org, and `others`.
async fn join_a_check(others: &[&'static str]) {
    let known = start().await;
    // The new server has read no org yet, so both requests need a look-up.
    let app = known.second_server_with(&settings());
    let mut requests = JoinSet::new();
    let time = occupy_the_only_slot(&app, &mut requests).await;
    app.forget_calls();
    let [_, checkout, ..] = PATIENT;
    let whois = (Method::GET, "/v1/whois?org=org:1", "");
    for (method, path, body) in [whois, checkout] {
        let request = send(app.clone(), method, path, body);
        requests.spawn(async move { (path, request.await) });
        run_tasks_until_blocked().await;
    }
    for path in others.iter().copied() {
        let request = send(app.clone(), Method::GET, path, "");
        requests.spawn(async move { ("other", request.await) });
    }
    run_tasks_until_blocked().await;
    // This is longer than a check may wait, and shorter than a request for which a person waits may.
    tokio::time::advance(Duration::from_secs(5)).await;
    run_tasks_until_blocked().await;
    app.sandbox().clear_faults();
    drop(time);
    for (path, answer) in requests.join_all().await {
        match path {
            "first" => {}
            "other" => assert_eq!(answer.status, 429, "{answer:?}"),
            _ => assert_eq!(answer.status, 200, "{path}: {answer:?}"),
        }
    }
    let searches = app.sent("GET /v1/customers/search");
    assert_eq!(searches.len(), 1, "the look-up was shared: {searches:?}");
}
