//! `checkout`: the session that it opens, and what a payment changes.

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

/// Reads the answer's session from Stripe.
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
    // One call reads the org's subscriptions, since the page differs once the org has bought a plan.
    assert!(app.stripe_calls() <= 3, "{:?}", app.sandbox().counts(None));
}

/// Pays on the session's page. Returns the URL to which the page redirects.
pub(crate) async fn pay(app: &TestApp, answer: &Answer) -> String {
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
        "nothing is granted before the payment"
    );
    let location = pay(&app, &answer).await;
    assert!(
        location.starts_with("https://app.example/ok?session=cs_test_"),
        "{location}"
    );
    // Both subscriptions have the feature, and the newer subscription counts.
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
        "the older subscription is ended"
    );
}

#[tokio::test]
async fn if_two_pages_are_paid_the_second_counts() {
    let app = start().await;
    let page = async |feature: &str| {
        let body = json!({"success_url": "https://app.example/ok", "features": [feature]});
        checkout(&app, body).await.ok()
    };
    let first = page("feature:seats@plan:pro@1").await;
    let second = page("plan:pro@1").await;
    for answer in [first, second] {
        pay(&app, &answer).await;
        app.advance(std::time::Duration::from_secs(60));
    }
    let live = async || {
        let live = app.stripe_get("/v1/subscriptions").await;
        live["data"].as_array().map(Vec::len)
    };
    assert_eq!(live().await, Some(2), "Stripe has made both");
    assert_eq!(app.limits("org:a").await.len(), 2, "plan:pro@1 is in force");
    app.settled().await;
    assert_eq!(live().await, Some(1), "the older subscription is ended");
    assert_eq!(app.limits("org:a").await.len(), 2);
}

/// An org on the plan, with settings that somebody made in Stripe.
async fn with_settings_of_its_own(app: &TestApp) -> String {
    app.push(&json!({"plans": {"plan:pro@2": {"features": {
        "feature:calls": {"tiers": [{"upto": 10, "price": 4}]},
        "feature:seats": {"base": 2000},
    }}}}))
    .await;
    let coupon = [
        ("id", "half"),
        ("percent_off", "50"),
        ("duration", "repeating"),
    ];
    let coupon = [&coupon[..], &[("duration_in_months", "6")]].concat();
    app.stripe_post("/v1/coupons", &coupon).await;
    let phases = json!([{"features": ["plan:pro@1"], "coupon": "half"}]);
    let body = json!({"org": "org:a", "phases": phases});
    app.post_json("/v1/subscribe", &body).await.ok();
    let live = app.stripe_get("/v1/subscriptions").await;
    let subscription = &live["data"][0];
    let items = subscription["items"]["data"].as_array().expect("items");
    let seats = items
        .iter()
        .find(|item| item["price"]["recurring"]["usage_type"] == "licensed");
    let seats = seats.expect("seats")["id"].as_str().expect("an id");
    let path = format!("/v1/subscription_items/{seats}");
    app.stripe_post(&path, &[("quantity", "5")]).await;
    let id = subscription["id"].as_str().expect("an id").to_owned();
    let customer = subscription["customer"].as_str().expect("an id");
    let path = format!("/v1/customers/{customer}");
    app.stripe_post(&path, &[("address[country]", "DE")]).await;
    let path = format!("/v1/subscriptions/{id}");
    let settings = [("metadata[app]", "7"), ("automatic_tax[enabled]", "true")];
    app.stripe_post(&path, &settings).await;
    app.advance(std::time::Duration::from_secs(60));
    id
}

async fn subscriptions(app: &TestApp) -> Vec<Value> {
    app.limits("org:a").await;
    app.settled().await;
    let live = app.stripe_get("/v1/subscriptions").await;
    live["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn an_upgrade_keeps_what_it_does_not_mention() {
    let app = start().await;
    let before = with_settings_of_its_own(&app).await;
    let upgrade = json!({"success_url": "https://app.example/ok", "features": ["plan:pro@2"],
        "require_billing_address": true});
    let opened = checkout(&app, upgrade).await.ok();
    pay(&app, &opened).await;
    let [upgraded] = &subscriptions(&app).await[..] else {
        panic!("one live subscription")
    };
    assert_ne!(upgraded["id"], before);
    let items = upgraded["items"]["data"].as_array().expect("items").iter();
    let mut quantities = items.map(|item| {
        let feature = item["price"]["metadata"]["tier.feature"].as_str();
        (feature.expect("a feature"), item["quantity"].as_i64())
    });
    assert!(quantities.any(|item| item == ("feature:seats@plan:pro@2", Some(5))));
    assert_eq!(upgraded["discount"]["coupon"]["id"], "half");
    assert_eq!(upgraded["automatic_tax"]["enabled"], true);
    assert_eq!(upgraded["metadata"]["app"], "7");
}

#[tokio::test]
async fn an_upgrade_may_turn_tax_off() {
    let app = start().await;
    with_settings_of_its_own(&app).await;
    let upgrade = json!({"success_url": "https://app.example/ok", "features": ["plan:pro@2"],
        "tax": {"automatic": false}});
    let session = session(&app, &checkout(&app, upgrade).await.ok()).await;
    assert_eq!(session["automatic_tax"]["enabled"], false);
}

#[tokio::test]
async fn a_coupon_that_cannot_be_redeemed_again_is_kept() {
    for key in [None, Some("k")] {
        let app = start().await;
        with_settings_of_its_own(&app).await;
        app.stripe_delete("/v1/coupons/half").await;
        let upgrade = json!({"org": "org:a", "success_url": "https://app.example/ok",
            "features": ["plan:pro@2"]});
        let open = async || {
            let call = app.request(axum::http::Method::POST, "/v1/checkout");
            let call = call.body(upgrade.to_string());
            let answer = match key {
                Some(key) => call.header("idempotency-key", key).send().await,
                None => call.send().await,
            };
            session(&app, &answer.ok()).await
        };
        let session = open().await;
        assert_eq!(session["amount_total"], 5 * 2000, "{session}");
        assert_eq!(open().await["id"], session["id"]);
    }
}

/// A page that only saves a card buys nothing.
#[tokio::test]
async fn a_page_that_takes_a_card_leaves_the_subscription_alone() {
    let app = start().await;
    with_settings_of_its_own(&app).await;
    let body = json!({"success_url": "https://app.example/ok"});
    let session = session(&app, &checkout(&app, body).await.ok()).await;
    assert_eq!(session["mode"], "setup");
    assert_eq!(session["automatic_tax"]["enabled"], false);
}
