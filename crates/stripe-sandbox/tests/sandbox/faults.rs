//! Fault rules, limits and latency.

use std::time::Duration;

use stripe_sandbox::{Action, Options, Rule};

use super::{Api, read, with_manual_clock};
use testing::time::{hold_time, until};

/// Adds a fault over HTTP, for the caller's account.
async fn fault(api: &Api, form: &str) {
    api.post("/_sandbox/faults", form).await.ok();
}

#[tokio::test]
async fn an_error_before_the_effect_leaves_the_key_unused() {
    let api = Api::start().await;
    fault(&api, "method=POST&path=/v1/customers&action=500&count=1").await;
    let once = api.once("k");
    let error = once.post("/v1/customers", "").await.error(500);
    assert_eq!(error["type"], "api_error");
    let retried = once.post("/v1/customers", "").await;
    assert_eq!(retried.header("idempotent-replayed"), "");
    retried.ok();
    assert_eq!(api.ids("/v1/customers").await.len(), 1);
}

#[tokio::test]
async fn an_error_after_the_effect_is_kept() {
    let api = Api::start().await;
    fault(
        &api,
        "method=POST&path=/v1/customers&action=500&when=after&count=1",
    )
    .await;
    let once = api.once("k");
    let first = once.post("/v1/customers", "").await.error(500);
    let again = once.post("/v1/customers", "").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.error(500), first);
    assert_eq!(api.ids("/v1/customers").await.len(), 1);
}

#[tokio::test]
async fn dropped_connections_look_like_no_answer() {
    let api = Api::start().await;
    for (when, made) in [("before", 0), ("after", 1)] {
        fault(
            &api,
            &format!("method=POST&action=drop&when={when}&count=1&path=/v1/customers"),
        )
        .await;
        let once = api.once(when);
        let request = once.request("POST", "/v1/customers");
        let error = request.send().await.expect_err("no answer at all");
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert_eq!(api.ids("/v1/customers").await.len(), made);
        let seen = api.sandbox().requests(None);
        assert!(seen.iter().any(|request| request.status == 0));
        let again = once.post("/v1/customers", "").await;
        assert_eq!(
            again.header("idempotent-replayed") == "true",
            when == "after"
        );
        again.ok();
        api.post("/_sandbox/reset", "").await.ok();
    }
}

#[tokio::test]
async fn bodies_are_cut_or_garbled() {
    let api = Api::start().await;
    fault(&api, "path=/v1/cust*&action=cut_body&when=after&count=1").await;
    let response = api
        .request("POST", "/v1/customers")
        .send()
        .await
        .expect("a head");
    assert_eq!(response.status(), 200);
    response.bytes().await.expect_err("half a body");
    assert_eq!(api.ids("/v1/customers").await.len(), 1);
    fault(&api, "action=garbage&count=1&path=/v1/customers").await;
    let response = api
        .request("GET", "/v1/customers")
        .send()
        .await
        .expect("an answer");
    let text = response.text().await.expect("a whole body");
    assert!(
        serde_json::from_str::<serde_json::Value>(&text).is_err(),
        "{text}"
    );
    fault(&api, "action=html&count=1&path=/v1/customers").await;
    let response = api
        .request("GET", "/v1/customers")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["content-type"], "text/html");
}

#[tokio::test]
async fn limits_say_which_limiter_it_was_and_locks_do_not() {
    let api = Api::start().await;
    fault(&api, "action=429&reason=endpoint-rate&count=1").await;
    let limited = api.get("/v1/customers").await;
    assert_eq!(
        limited.header("stripe-rate-limited-reason"),
        "endpoint-rate"
    );
    assert_eq!(limited.error(429)["code"], "rate_limit");
    fault(&api, "action=429&count=1").await;
    let locked = api.get("/v1/customers").await;
    assert!(locked.headers.get("stripe-rate-limited-reason").is_none());
    assert_eq!(locked.header("stripe-should-retry"), "true");
    assert_eq!(locked.error(429)["code"], "lock_timeout");
    fault(&api, "action=409&count=1").await;
    api.get("/v1/customers").await.error(409);
}

#[tokio::test]
async fn faults_belong_to_the_key_that_asked_for_them() {
    let api = Api::start().await;
    let other = api.key("sk_test_two");
    fault(&api, "action=500").await;
    other.get("/v1/customers").await.ok();
    api.get("/v1/customers").await.error(500);
    other.delete("/_sandbox/faults").await.ok();
    api.get("/v1/customers").await.error(500);
    let rules = api.get("/_sandbox/faults").await.ok();
    assert_eq!(rules["faults"][0]["hits"], 2);
    api.delete("/_sandbox/faults").await.ok();
    api.get("/v1/customers").await.ok();
    api.sandbox()
        .add_fault(Rule::new("GET", "/v1/customers", Action::Status(503, None)));
    other.get("/v1/customers").await.error(503);
    api.sandbox().clear_faults();
    other.get("/v1/customers").await.ok();
}

#[tokio::test]
async fn a_delay_ends_when_its_rule_is_deleted() {
    let api = Api::start().await;
    let other = api.key("sk_test_two");
    for api in [&api, &other] {
        fault(api, "action=delay&delay_ms=600000").await;
    }
    let mut kept = Box::pin(other.get("/v1/customers"));
    let delayed = api.get("/v1/customers");
    let deleted = async {
        until("both are delayed", async || {
            assert!(futures::poll!(&mut kept).is_pending());
            (api.sandbox().fault_hits() == 2).then_some(())
        })
        .await;
        api.delete("/_sandbox/faults").await.ok();
    };
    futures::join!(delayed, deleted).0.ok();
    assert!(futures::poll!(&mut kept).is_pending());
    api.sandbox().reset();
    kept.await.ok();
}

#[tokio::test]
async fn probabilities_repeat_with_the_seed() {
    let api = Api::start().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        fault(&api, "action=500&probability=0.5&seed=42").await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(api.get("/v1/customers").await.status.as_u16());
        }
        runs.push(statuses);
        api.delete("/_sandbox/faults").await.ok();
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&200) && runs[0].contains(&500));
}

#[tokio::test]
async fn bad_rules_are_refused() {
    let api = Api::start().await;
    for bad in [
        "",
        "action=explode",
        "action=delay",
        "action=500&count=0",
        "action=500&count=1&probability=1",
        "action=500&foo=1",
        "action=200",
    ] {
        api.post("/_sandbox/faults", bad).await.error(400);
    }
    let reply = read(api.request("POST", "/_sandbox/nothing"))
        .await
        .expect("an answer");
    reply.error(404);
}

#[tokio::test]
async fn calls_per_second_are_limited() {
    let api = Api::with(Options {
        rate_limit: Some(3),
        ..with_manual_clock()
    })
    .await;
    let _time = hold_time();
    for _ in 0..3 {
        api.get("/v1/customers").await.ok();
    }
    let limited = api.get("/v1/customers").await;
    assert_eq!(limited.header("stripe-rate-limited-reason"), "global-rate");
    limited.error(429);
    api.key("sk_test_two").get("/v1/customers").await.ok();
    tokio::time::advance(Duration::from_secs(1)).await;
    api.get("/v1/customers").await.ok();
}
