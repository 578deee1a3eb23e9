//! Changes that are refused before anything is written.

use axum::http::StatusCode;
use serde_json::json;

use super::{schedule, start};
use stripe_sandbox::{Action, Rule};

use crate::harness::{Settings, TestApp};
use testing::time::TIMEOUT;

#[tokio::test]
async fn contradictory_requests_are_refused() {
    let app = start().await;
    let pro = json!(["plan:pro@1"]);
    for phases in [
        json!([{"features": pro}, {"features": pro}]),
        json!([{"effective": "2023-03-01T00:00:00Z", "features": pro}, {"effective": "2023-02-01T00:00:00Z", "features": pro}]),
        json!([{"effective": "2023-03-01T00:00:00Z", "features": pro}, {"effective": "2023-03-01T00:00:00Z", "features": pro}]),
        json!([{"trial": true}]),
        json!([{"coupon": "half"}]),
        json!([{"features": pro}, {"effective": "2023-02-01T00:00:00Z", "trial": true}]),
        json!([{}, {"effective": "2023-02-01T00:00:00Z", "features": pro}]),
        json!([{"features": pro}, {"effective": "2023-02-01T00:00:00Z"}, {"effective": "2023-03-01T00:00:00Z", "features": pro}]),
    ] {
        let answer = schedule(&app, phases.clone())
            .await
            .fails(400, "invalid_request");
        assert_ne!(answer.json()["message"], "", "{phases}");
    }
    app.get("/v1/whois?org=org:a")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn references_are_looked_up_before_anything_is_written() {
    let app = start().await;
    for reference in [
        "plan:none@1",
        "plan:pro@2",
        "feature:none@plan:pro@1",
        "feature:calls@1",
    ] {
        let body = json!({"org": "org:a", "info": {"name": "A"}, "phases": [{"features": ["plan:pro@1", reference]}]});
        let answer = app
            .post_json("/v1/subscribe", &body)
            .await
            .fails(400, "TERR1020");
        let message = format!("feature or plan not found: {reference:?}");
        assert_eq!(answer.json()["message"], message);
    }
    app.get("/v1/whois?org=org:a")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn exceeding_stripes_limits_is_refused() {
    let app = TestApp::start().await;
    let features: serde_json::Map<_, _> = (0..21)
        .map(|i| (format!("feature:f{i}"), json!({"base": 1})))
        .collect();
    app.push(&json!({"plans": {"plan:big@1": {"features": features}}}))
        .await;
    let answer = schedule(&app, json!([{"features": ["plan:big@1"]}])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("20"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn plans_that_no_subscription_can_combine_are_refused() {
    let app = TestApp::start().await;
    let plan = |interval, currency| json!({"interval": interval, "currency": currency, "features": {"feature:a": {"base": 100}}});
    app.push(&json!({"plans": {
        "plan:month@1": plan("@monthly", "usd"),
        "plan:year@1": plan("@yearly", "usd"),
        "plan:euro@1": plan("@monthly", "eur"),
    }}))
    .await;
    for (other, field) in [("plan:year@1", "interval"), ("plan:euro@1", "currency")] {
        let answer = schedule(&app, json!([{"features": ["plan:month@1", other]}]))
            .await
            .fails(400, "invalid_request");
        let message = format!(
            "Currency and interval fields must match across all plans on this subscription. Found mismatch in {field} field."
        );
        assert_eq!(answer.json()["message"], message);
    }
}

async fn start_with_coupons() -> TestApp {
    let app = start().await;
    app.push(&json!({"plans": {
        "plan:yearly@1": {"interval": "@yearly", "features": {"feature:y": {"base": 1}}},
        "plan:euro@1": {"currency": "eur", "features": {"feature:e": {"base": 1}}},
    }}))
    .await;
    app.stripe_post(
        "/v1/coupons",
        &[("id", "euros"), ("amount_off", "5"), ("currency", "eur")],
    )
    .await;
    let spent = [
        ("id", "spent"),
        ("percent_off", "5"),
        ("max_redemptions", "1"),
    ];
    app.stripe_post("/v1/coupons", &spent).await;
    let other =
        json!({"org": "org:other", "phases": [{"features": ["plan:pro@1"], "coupon": "spent"}]});
    app.post_json("/v1/subscribe", &other).await.ok();
    app
}

/// The fields of each refused request, and the code of its answer.
fn refused() -> Vec<(serde_json::Value, &'static str)> {
    let phases =
        |features: &[&str], coupon: &str| json!([{"features": features, "coupon": coupon}]);
    let with = |phases: serde_json::Value| json!({"phases": phases});
    vec![
        (with(phases(&["plan:pro@1"], "none")), "invalid_request"),
        (with(phases(&["plan:pro@1"], "../x")), "invalid_request"),
        (with(phases(&["plan:pro@1"], "spent")), "invalid_request"),
        (with(phases(&["plan:pro@1"], "euros")), "invalid_request"),
        (
            with(json!([{"features": ["plan:pro@1"]},
            {"effective": "2023-02-01T00:00:00Z", "features": ["plan:pro@1"], "coupon": "none"}])),
            "invalid_request",
        ),
        (
            with(json!([{"features": ["plan:pro@1", "plan:yearly@1"]}])),
            "invalid_request",
        ),
        (
            with(json!([{"features": ["plan:pro@1", "plan:euro@1"]}])),
            "invalid_request",
        ),
        (
            json!({"payment_method_id": "pm_none", "phases": [{"features": ["plan:pro@1"]}]}),
            "invalid_payment_method",
        ),
        (
            json!({"payment_method_id": "pm_card_us", "phases": [{"features": ["plan:pro@1"]}]}),
            "invalid_payment_method",
        ),
    ]
}

#[tokio::test]
async fn a_refused_sign_up_leaves_no_org() {
    let app = start_with_coupons().await;
    for (mut body, code) in refused() {
        body["org"] = json!("org:a");
        body["info"] = json!({"name": "N"});
        app.post_json("/v1/subscribe", &body).await.fails(400, code);
        app.get("/v1/whois?org=org:a")
            .await
            .fails(400, "org_not_found");
    }
    let body =
        json!({"org": "org:a", "info": {"name": "N"}, "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &body).await.ok();
}

#[tokio::test]
async fn a_refused_change_leaves_everything_as_it_was() {
    let app = start_with_coupons().await;
    let first = json!({"org": "org:a", "info": {"name": "Before", "metadata": {"a": "1"}}, "phases": [{"features": ["plan:free@1"]}]});
    app.post_json("/v1/subscribe", &first).await.ok();
    let state = async || {
        let info = app.get("/v1/whois?org=org:a&include=info").await.ok().body;
        (info, super::subscriptions(&app).await)
    };
    let before = state().await;
    let currency = json!({"phases": [{"features": ["plan:euro@1"]}]});
    for (mut body, code) in refused().into_iter().chain([(currency, "invalid_request")]) {
        body["org"] = json!("org:a");
        body["info"] = json!({"name": "After", "metadata": {"a": "2", "b": "3"}});
        app.post_json("/v1/subscribe", &body).await.fails(400, code);
        assert_eq!(state().await, before, "{body}");
    }
}

/// Stripe may refuse a request that passed all checks.
#[tokio::test]
async fn details_are_restored_when_stripe_refuses_the_rest() {
    let app = start_with_coupons().await;
    let first = json!({"org": "org:a", "info": {"name": "Before", "metadata": {"a": "1"}}, "phases": [{"features": ["plan:free@1"]}]});
    app.post_json("/v1/subscribe", &first).await.ok();
    let before = app.get("/v1/whois?org=org:a&include=info").await.ok().body;
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules*", refusal));
    let body = json!({"org": "org:a", "info": {"name": "After", "phone": "1", "metadata": {"a": "2", "b": "3"}},
        "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &body)
        .await
        .fails(400, "invalid_request");
    app.sandbox().clear_faults();
    let after = app.get("/v1/whois?org=org:a&include=info").await.ok().body;
    assert_eq!(after, before);
}

/// A working subscription is ended only after its replacement exists.
#[tokio::test]
async fn superseded_subscriptions_live_until_the_new_state_is_written() {
    let app = start_with_coupons().await;
    app.subscribe("org:a", &["plan:extra@1"]).await;
    app.advance(crate::harness::DAY);
    super::buy(&app, "feature-calls-plan-free-1", &[]).await;
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules*", refusal));
    app.post_json(
        "/v1/subscribe",
        &json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]}),
    )
    .await
    .fails(400, "invalid_request");
    let all = super::subscriptions(&app).await;
    assert!(all.iter().all(|s| s["status"] != "canceled"), "{all:?}");
}

/// The org's customers, by name.
async fn customers(app: &TestApp) -> usize {
    let all = app.stripe_get("/v1/customers?limit=100").await;
    let all = all["data"].as_array().expect("a list");
    let own = all
        .iter()
        .filter(|one| one["metadata"]["tier.org"] == "org:a");
    own.count()
}

/// The customer is deleted only if Stripe definitely refused the request.
#[tokio::test]
async fn a_customer_created_for_a_refused_request_is_deleted() {
    let subscribe =
        json!({"org": "org:a", "info": {"name": "A"}, "phases": [{"features": ["plan:pro@1"]}]});
    let checkout =
        json!({"org": "org:a", "features": ["plan:pro@1"], "success_url": "https://a.example"});
    for (path, body, call) in [
        ("/v1/subscribe", &subscribe, "/v1/subscription_schedules"),
        ("/v1/checkout", &checkout, "/v1/checkout/sessions"),
    ] {
        for (status, stays) in [(400, false), (404, false), (402, true), (500, true)] {
            let app = start().await;
            let refusal = Action::Status(status, None);
            app.sandbox().add_fault(Rule::new("POST", call, refusal));
            let answer = app.post_json(path, body).await;
            assert_ne!(answer.status, 200, "{call} {status}");
            app.sandbox().clear_faults();
            let case = format!("{call} {status}");
            assert_eq!(customers(&app).await, usize::from(stays), "{case}");
            if !stays {
                app.get("/v1/whois?org=org:a")
                    .await
                    .fails(400, "org_not_found");
            }
            app.post_json(path, body).await.ok();
            assert_eq!(customers(&app).await, 1, "{case}");
            app.get("/v1/whois?org=org:a").await.ok();
        }
    }
}

/// Another server may have created the customer, or use it at the same time.
#[tokio::test]
async fn a_customer_that_another_request_created_or_uses_stays() {
    let body = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    let app = start().await;
    let details = json!({"org": "org:a", "info": {"name": "A"}});
    app.post_json("/v1/subscribe", &details).await.ok();
    let other = app.second_server();
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules", refusal));
    other
        .post_json("/v1/subscribe", &body)
        .await
        .fails(400, "invalid_request");
    assert_eq!(customers(&app).await, 1);
}

#[tokio::test]
async fn a_card_attached_by_a_refused_request_is_detached() {
    let app = start().await;
    app.subscribe("org:a", &["plan:free@1"]).await;
    let cards = async || {
        let cards = app.get("/v1/payment_methods?org=org:a").await.ok().json();
        cards["methods"].as_array().expect("a list").len()
    };
    let phases = json!([{"features": ["plan:pro@1"]}]);
    let card = async || {
        let card = [("type", "card"), ("card[token]", "tok_visa")];
        let card = app.stripe_post("/v1/payment_methods", &card).await;
        card["id"].as_str().expect("an id").to_owned()
    };
    let (first, second) = (card().await, card().await);
    let info = json!({"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}});
    for body in [
        json!({"org": "org:a", "phases": phases, "payment_method_id": first}),
        json!({"org": "org:a", "phases": phases, "info": {"payment_method": second}}),
        json!({"org": "org:a", "phases": phases, "info": info}),
    ] {
        let refusal = Action::Status(400, None);
        app.sandbox()
            .add_fault(Rule::new("POST", "/v1/subscription_schedules*", refusal));
        app.post_json("/v1/subscribe", &body)
            .await
            .fails(400, "invalid_request");
        assert_eq!(cards().await, 0, "{body}");
        app.sandbox().clear_faults();
    }
    // A card that the customer already had stays.
    let had = card().await;
    let body = json!({"org": "org:a", "info": {"payment_method": had}});
    app.post_json("/v1/subscribe", &body).await.ok();
    let refusal = Action::Status(400, None);
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/subscription_schedules*", refusal));
    for body in [
        json!({"org": "org:a", "phases": phases, "payment_method_id": had}),
        json!({"org": "org:a", "phases": phases, "info": {"payment_method": had}}),
    ] {
        app.post_json("/v1/subscribe", &body)
            .await
            .fails(400, "invalid_request");
        assert_eq!(cards().await, 1, "{body}");
    }
}

/// Stripe stores a refusal under the revision's idempotency key, so a corrected request uses the next key at once.
#[tokio::test]
async fn a_corrected_request_does_not_wait_for_the_refused_one() {
    let settings = Settings {
        first_wait: std::time::Duration::from_secs(3600),
        retries: 0,
        ..Settings::default()
    };
    let app = TestApp::with(settings).await;
    app.push(&json!({"plans": {
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": 10}]}}},
        "plan:pro@1": {"features": {"feature:seats": {"base": 1000}}},
        "plan:old@1": {"features": {"feature:old": {"base": 7}}},
    }}))
    .await;
    // The price is active and its product is not, so the server accepts the plan and only Stripe refuses it.
    let product = "/v1/products/tier__feature-old-plan-old-1";
    app.stripe_post(product, &[("active", "false")]).await;
    for first in ["plan:free@1", "plan:pro@1"] {
        for plan in ["plan:old@1", "plan:old@1"] {
            schedule(&app, json!([{"features": [plan]}]))
                .await
                .fails(400, "invalid_request");
        }
        let corrected = schedule(&app, json!([{"features": [first]}]));
        let corrected = tokio::time::timeout(TIMEOUT, corrected).await;
        corrected.expect("the corrected request does not wait").ok();
        app.advance(crate::harness::DAY);
    }
    assert_eq!(
        super::phase(&app).await.ok().json()["plans"],
        json!(["plan:pro@1"])
    );
}
