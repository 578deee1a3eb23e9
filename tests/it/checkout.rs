//! `checkout`: the session that it opens, and the effect of paying.

use serde_json::{Value, json};
use tower::ServiceExt as _;

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
async fn features_that_are_not_in_the_model_are_refused() {
    let app = start().await;
    let body = json!({"success_url": "https://app.example/ok", "features": ["plan:pro@2"]});
    insta::assert_snapshot!(checkout(&app, body).await.fails(400, "TERR1020").body, @r#"
    {
        "status": 400,
        "code": "TERR1020",
        "message": "feature or plan not found: \"plan:pro@2\""
    }
    "#);
    app.get("/v1/whois?org=org:a")
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn a_checkout_requires_a_success_url() {
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
    // Stripe validates the address.
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
    // One of them reads the org's subscriptions: after a purchase, the page is another one.
    assert!(app.stripe_calls() <= 3, "{:?}", app.sandbox().counts(None));
}

/// Pays on the page of the session. Returns where it leads.
async fn pay(app: &TestApp, answer: &Answer) -> String {
    let url = answer.json()["url"].as_str().expect("a page").to_owned();
    let page = url
        .strip_prefix(app.stripe_url())
        .expect("a page of this sandbox");
    let request = axum::http::Request::post(page).body(axum::body::Body::empty());
    let paid = app
        .sandbox()
        .router()
        .oneshot(request.expect("a request"))
        .await;
    let paid = paid.expect("the router answers everything");
    assert_eq!(paid.status(), 303);
    paid.headers()["location"]
        .to_str()
        .expect("ASCII")
        .to_owned()
}

#[tokio::test]
async fn paying_upgrades_and_the_next_change_ends_the_old_subscription() {
    let app = start().await;
    app.subscribe("org:a", &["feature:seats@plan:pro@1"]).await;
    app.advance(std::time::Duration::from_secs(60));
    let success = "https://app.example/ok?session={CHECKOUT_SESSION_ID}";
    let answer = checkout(
        &app,
        json!({"success_url": success, "features": ["plan:pro@1"]}),
    )
    .await
    .ok();
    assert_eq!(
        app.limits("org:a").await.len(),
        1,
        "nothing is granted before it is paid"
    );
    let location = pay(&app, &answer).await;
    assert!(
        location.starts_with("https://app.example/ok?session=cs_test_"),
        "{location}"
    );
    // Of the two subscriptions, the newer one counts.
    assert_eq!(app.limits("org:a").await.len(), 2);
    app.report("org:a", "feature:calls", 4).await;
    assert_eq!(
        app.limits("org:a").await[0],
        ("feature:calls".to_owned(), 4, 10)
    );
    let methods = app.get("/v1/payment_methods?org=org:a").await.ok().json();
    assert_eq!(methods["methods"].as_array().map(Vec::len), Some(1));

    app.subscribe("org:a", &["plan:pro@1"]).await;
    assert_eq!(
        app.limits("org:a").await[0],
        ("feature:calls".to_owned(), 4, 10)
    );
    let live = app.stripe_get("/v1/subscriptions").await;
    assert_eq!(
        live["data"].as_array().map(Vec::len),
        Some(1),
        "the older one is ended"
    );
}
