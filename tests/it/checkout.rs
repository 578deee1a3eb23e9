//! `checkout`: what the session asks for, and what paying does.

use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};

async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.push(&json!({"plans": {"plan:pro@1": {"features": {
        "feature:calls": {"tiers": [{"upto": 10, "price": 3}]},
        "feature:seats": {"base": 1000},
    }}}}))
    .await;
    app
}

async fn checkout(app: &TestApp, mut body: Value) -> Answer {
    body["org"] = json!("org:a");
    app.post_json("/v1/checkout", &body).await
}

/// The session behind the answer, as Stripe has it.
async fn session(app: &TestApp, answer: &Answer) -> Value {
    let url = answer.json()["url"].as_str().expect("a page").to_owned();
    let id = url.rsplit('/').next().expect("an id").to_owned();
    app.stripe_get(&format!("/v1/checkout/sessions/{id}")).await
}

#[tokio::test]
async fn a_page_that_takes_a_card() {
    let app = start().await;
    let body =
        json!({"success_url": "https://app.example/ok", "cancel_url": "https://app.example/no"});
    let answer = checkout(&app, body).await.ok();
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    assert_eq!(answer.body, format!("{{\n\t\"url\": \"{url}\"\n}}\n"));
    let session = session(&app, &answer).await;
    assert_eq!(
        (&session["mode"], &session["status"]),
        (&json!("setup"), &json!("open"))
    );
    assert_eq!(session["success_url"], "https://app.example/ok");
    assert_eq!(session["cancel_url"], "https://app.example/no");
    assert_eq!(
        session["customer"],
        app.get("/v1/whois?org=org:a").await.ok().json()["stripe_id"]
    );
}

#[tokio::test]
async fn a_page_that_subscribes() {
    let app = start().await;
    app.subscribe("org:warm", &["plan:pro@1"]).await;
    let body = json!({"success_url": "https://app.example/ok", "features": ["plan:pro@1"], "trial_days": 14,
        "require_billing_address": true, "tax": {"automatic": true, "collect_id": true}});
    let session = session(&app, &checkout(&app, body).await.ok()).await;
    assert_eq!(session["mode"], "subscription");
    assert_eq!(session["billing_address_collection"], "required");
    assert_eq!(session["automatic_tax"]["enabled"], true);
    assert_eq!(session["tax_id_collection"]["enabled"], true);
    let [sent] = &app.sent("POST /v1/checkout/sessions")[..] else {
        panic!("one session was made")
    };
    let data = json!({"metadata": {"tier.subscription": "default"}, "trial_period_days": "14"});
    assert_eq!(sent["subscription_data"], data);
    assert_eq!(
        sent["customer_update"],
        json!({"name": "auto", "address": "auto"})
    );
    // A metered price has no quantity.
    assert_eq!(sent["line_items"]["0"]["quantity"], Value::Null);
    assert_eq!(sent["line_items"]["1"]["quantity"], "1");
}

#[tokio::test]
async fn nobody_pays_for_what_is_not_in_the_model() {
    let app = start().await;
    let body = json!({"success_url": "https://app.example/ok", "features": ["plan:pro@2"]});
    insta::assert_snapshot!(checkout(&app, body).await.fails(400, "TERR1020").body, @r#"
    {
        "status": 400,
        "code": "TERR1020",
        "message": "feature or plan not found"
    }
    "#);
    app.get("/v1/whois?org=org:a")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn what_a_page_cannot_do_without() {
    let app = start().await;
    app.forget_calls();
    for (body, message) in [
        (
            json!({}),
            "success_url is required: where to go after the payment",
        ),
        (
            json!({"success_url": ""}),
            "success_url is required: where to go after the payment",
        ),
        (
            json!({"success_url": "https://x.example", "trial_days": -1}),
            "trial_days must not be negative",
        ),
    ] {
        assert_eq!(
            checkout(&app, body)
                .await
                .fails(400, "invalid_request")
                .json()["message"],
            message
        );
    }
    assert_eq!(app.stripe_calls(), 0);
    // Stripe has a say in what an address is.
    checkout(&app, json!({"success_url": "nowhere"}))
        .await
        .fails(400, "invalid_request");
}

#[tokio::test]
async fn calls_to_stripe_with_a_warm_cache() {
    let app = start().await;
    let body = json!({"success_url": "https://app.example/ok", "features": ["plan:pro@1"]});
    checkout(&app, body.clone()).await.ok();
    app.forget_calls();
    checkout(&app, body).await.ok();
    assert!(app.stripe_calls() <= 2, "{:?}", app.sandbox().counts(None));
}
