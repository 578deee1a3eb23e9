//! Requests that prices with meters do not allow. A refusal leaves nothing behind.

use serde_json::{Value, json};
use tier::domain::{Generation, GenerationSetting};

use crate::harness::{Settings, TestApp};

const BOTH: &str = "feature:x@plan:new@1 has a price with a billing meter, and feature:x@plan:old@1 has not: a subscription cannot have both; push one of the plans again under a new version";
const LATER: &str = "the org's plan is billed by usage records and the new one by billing meters, or the other way round: such a change needs a new subscription, which can begin now or at the end of the billing period, 2023-02-01T00:00:00Z";

fn plan(name: &str) -> Value {
    json!({ "plans": { name: { "features": { "feature:x": { "tiers": [{}] } } } } })
}

/// A server over an account with a classic plan and a plan on meters.
async fn app() -> TestApp {
    let app = TestApp::start().await;
    app.push(&plan("plan:old@1")).await;
    let meters = app.second_server_with(&Settings {
        generation: GenerationSetting::Fixed(Generation::Meters),
        ..Settings::default()
    });
    meters.push(&plan("plan:new@1")).await;
    app
}

#[tokio::test]
async fn a_subscription_is_of_one_generation() {
    let app = app().await;
    app.subscribe("org:has", &["plan:old@1"]).await;
    app.report("org:has", "feature:x", 7).await;
    app.settled().await;
    let now = json!({ "features": ["plan:new@1"] });
    let later = json!({ "features": ["plan:new@1"], "effective": "2023-01-20T00:00:00Z" });
    let old = json!({ "features": ["plan:old@1"] });
    for (path, body, refusal) in [
        (
            "/v1/subscribe",
            json!({ "org": "org:has", "phases": [later] }),
            LATER,
        ),
        (
            "/v1/subscribe",
            json!({ "org": "org:none", "phases": [now, { "features": ["plan:old@1"], "effective": "2023-01-20T00:00:00Z" }] }),
            BOTH,
        ),
        (
            "/v1/subscribe",
            json!({ "org": "org:has", "phases": [old, later] }),
            BOTH,
        ),
        (
            "/v1/subscribe",
            json!({ "org": "org:has", "phases": [{ "features": ["plan:old@1", "plan:new@1"] }] }),
            BOTH,
        ),
        (
            "/v1/checkout",
            json!({ "org": "org:none", "success_url": "https://example.com", "features": ["plan:old@1", "plan:new@1"] }),
            BOTH,
        ),
    ] {
        app.forget_calls();
        let refused = app.post_json(path, &body).await;
        let refused = refused.fails(400, "invalid_request").json();
        assert_eq!(refused["message"], refusal, "{body}");
        let counts = app.sandbox().counts(None);
        let writes: Vec<_> = counts
            .keys()
            .filter(|call| !call.starts_with("GET "))
            .collect();
        assert!(writes.is_empty(), "{body}: {writes:?}");
    }
    app.get("/v1/whois?org=org:none")
        .await
        .fails(400, "org_not_found");
    assert_eq!(
        app.limits("org:has").await,
        [("feature:x".to_owned(), 7, i64::MAX)]
    );
}

#[tokio::test]
async fn plans_on_meters_are_archived_and_priced_like_others() {
    let app = app().await;
    let archive = json!({ "plan": "plan:new@1" });
    app.post_json("/v1/archive", &archive).await.ok();
    let pulled = app.get("/v1/pull").await.ok().json();
    assert!(pulled["plans"]["plan:new@1"].is_null());
    let all = app.get("/v1/pull?archived=true").await.ok().json();
    assert_eq!(all["plans"]["plan:new@1"]["archived"], true);
}
