//! Cards that are added by set-up intents, for the clients of 2022 and for present ones.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::append;
use crate::harness::{Answer, TestApp};

const KEY: &str = "pk_test_tests";

async fn start() -> TestApp {
    let app = super::server().await;
    app.adjusted(|app| app.publishable_key = Some(KEY.to_owned()))
}

async fn options(app: &TestApp, org: &str) -> Answer {
    let body = json!({ "org": org });
    app.post_json("/api/v1/stripe/options", &body).await
}

/// Creates a set-up intent for the org, and returns its id.
async fn intent(app: &TestApp, org: &str) -> String {
    let options = options(app, org).await.ok().json();
    let secret = options["clientSecret"].as_str().expect("a secret");
    secret.split("_secret_").next().expect("an id").to_owned()
}

async fn setup(app: &TestApp, org: &str, intent: &str) -> Answer {
    let body = json!({"org": org, "setup_intent": intent});
    app.post_json("/api/v1/stripe/setup", &body).await
}

async fn confirm(app: &TestApp, org: &str, intent: &str) -> Answer {
    let body = json!({"org": org, "setup_intent": intent});
    app.post_json("/v1/setup/confirm", &body).await
}

/// Confirms a set-up intent with a card, as a browser does.
async fn enter(app: &TestApp, intent: &str, card: &'static str) -> Value {
    let path = format!("/v1/setup_intents/{intent}/confirm");
    let params = [
        ("payment_method", card),
        ("return_url", "http://app.test/account"),
    ];
    app.stripe_post(&path, &params).await
}

/// Authenticates on the bank's page, as a person does.
async fn authenticate(app: &TestApp, url: &str, outcome: &str) {
    let page = url
        .strip_prefix(app.stripe_url())
        .expect("a page of this sandbox");
    let request = Request::post(page).header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(Body::from(format!("outcome={outcome}")));
    let answered = app
        .sandbox()
        .router()
        .oneshot(request.expect("a request"))
        .await;
    assert_eq!(answered.expect("an answer").status(), 303);
}

async fn details(app: &TestApp, org: &str) -> Value {
    app.get(&format!("/api/v1/org?org={org}")).await.ok().json()
}

#[tokio::test]
async fn a_card_that_was_set_up_pays_for_the_org() {
    let app = start().await;
    let org = "org:acme";
    let got = options(&app, org).await.ok().json();
    assert_eq!(got["publishableKey"], KEY);
    let account = app.get("/v1/whoami").await.ok().json()["id"].clone();
    assert_eq!(got["accountID"], account);
    let id = intent(&app, org).await;
    let entered = enter(&app, &id, "pm_card_visa").await;
    assert_eq!(details(&app, org).await.get("default_payment_method"), None);
    for _ in 0..2 {
        let done = setup(&app, org, &id).await.ok().json();
        let expected = json!({
            "id": id, "status": "succeeded", "payment_method": entered["payment_method"],
            "last_setup_error": {}, "next_action": {"redirect_to_url": {}},
        });
        assert_eq!(done, expected);
    }
    let shown = details(&app, org).await;
    assert_eq!(
        shown["default_payment_method"]["id"],
        entered["payment_method"]
    );
    let card = &shown["default_payment_method"]["card"];
    assert_eq!(
        (&card["brand"], &card["last4"]),
        (&json!("visa"), &json!("4242"))
    );
    assert!(card["exp_month"].is_i64() && card["exp_year"].is_i64());
    append(&app, org, "plan:free@1", None).await.ok();
    // The org can enter another card, even if the subscription has a card of its own.
    let next = intent(&app, org).await;
    let entered = enter(&app, &next, "pm_card_mastercard").await;
    let done = confirm(&app, org, &next).await.ok().json();
    let expected = json!({"setup_intent": next, "status": "succeeded", "payment_method": entered["payment_method"]});
    assert_eq!(done, expected);
    let shown = details(&app, org).await;
    assert_eq!(
        shown["default_payment_method"]["card"]["brand"],
        "mastercard"
    );
}

#[tokio::test]
async fn incomplete_intents_have_a_form_that_clients_recognise() {
    let app = start().await;
    let org = "org:acme";
    let id = intent(&app, org).await;
    let open = setup(&app, org, &id).await;
    assert_eq!(open.status, 400);
    let nothing = json!({
        "id": id, "status": "requires_payment_method", "last_setup_error": {},
        "next_action": {"redirect_to_url": {}},
    });
    assert_eq!(open.json(), nothing);

    let waits = enter(&app, &id, "pm_card_authenticationRequiredOnSetup").await;
    let url = waits["next_action"]["redirect_to_url"]["url"]
        .as_str()
        .expect("a page");
    let answer = setup(&app, org, &id).await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(body["status"], "requires_action");
    assert_eq!(body["next_action"]["redirect_to_url"]["url"], url);
    assert_eq!(
        body["next_action"]["redirect_to_url"]["return_url"],
        "http://app.test/account"
    );
    assert_eq!(body["redirect_to_url"]["url"], url);
    let today = confirm(&app, org, &id).await.ok().json();
    assert_eq!(
        (&today["status"], &today["redirect_url"]),
        (&json!("requires_action"), &json!(url))
    );

    authenticate(&app, url, "fail").await;
    let failed = setup(&app, org, &id).await;
    assert_eq!(failed.status, 400);
    let body = failed.json();
    assert_eq!(body["status"], "requires_payment_method");
    let code = "setup_intent_authentication_failure";
    assert_eq!(body["last_setup_error"]["code"], code);
    assert_eq!(body.get("redirect_to_url"), None);
    let today = confirm(&app, org, &id).await.ok().json();
    assert_eq!(today["error"]["code"], code);
    assert_eq!(details(&app, org).await.get("default_payment_method"), None);

    let waits = enter(&app, &id, "pm_card_authenticationRequiredOnSetup").await;
    let url = waits["next_action"]["redirect_to_url"]["url"]
        .as_str()
        .expect("a page");
    authenticate(&app, url, "complete").await;
    assert_eq!(
        setup(&app, org, &id).await.ok().json()["status"],
        "succeeded"
    );
    assert!(details(&app, org).await["default_payment_method"].is_object());
}

#[tokio::test]
async fn a_set_up_intent_of_another_org_is_not_found() {
    let app = start().await;
    let id = intent(&app, "org:acme").await;
    enter(&app, &id, "pm_card_visa").await;
    intent(&app, "org:other").await;
    let ours = app
        .stripe_post("/v1/setup_intents", &[("payment_method_types[]", "card")])
        .await;
    let nobodys = ours["id"].as_str().expect("an id");
    for (org, intent) in [
        ("org:other", id.as_str()),
        ("org:nobody", id.as_str()),
        ("org:acme", "seti_gone"),
        ("org:acme", nobodys),
        ("org:acme", ""),
        ("org:acme", "pm_card_visa"),
        ("org:acme", "seti_"),
        ("org:acme", "seti_../customers"),
        ("org:acme", "seti_x?expand[]=customer"),
    ] {
        setup(&app, org, intent).await.fails(404, "not_found");
        let code = if org == "org:nobody" {
            "org_not_found"
        } else {
            "setup_intent_not_found"
        };
        confirm(&app, org, intent).await.fails(400, code);
    }
    assert_eq!(
        details(&app, "org:other")
            .await
            .get("default_payment_method"),
        None
    );
    for body in [
        "{}",
        "[]",
        r#"{"org":"acme","setup_intent":"seti_x"}"#,
        r#"{"org":"org:acme","setup_intent":1}"#,
    ] {
        app.post("/api/v1/stripe/setup", body)
            .await
            .fails(400, "invalid_request");
        app.post("/v1/setup/confirm", body)
            .await
            .fails(400, "invalid_request");
    }
}

#[tokio::test]
async fn without_a_publishable_key_nothing_is_created() {
    let app = super::server().await;
    app.forget_calls();
    let refused = options(&app, "org:acme")
        .await
        .fails(400, "invalid_request")
        .json();
    let message = refused["message"].as_str().expect("a message");
    assert!(
        message.contains("STRIPE_PUBLISHABLE_KEY") && message.contains("tier connect"),
        "{message}"
    );
    assert_eq!(app.stripe_calls(), 0);
    // The page may know the publishable key, so the present API does not need one.
    let started = app
        .post_json("/v1/setup", &json!({"org": "org:acme"}))
        .await
        .ok()
        .json();
    assert_eq!(started.get("publishable_key"), None);
    let secret = started["client_secret"].as_str().expect("a secret");
    let id = started["setup_intent"].as_str().expect("an id");
    assert!(secret.starts_with(id));
    app.get("/v1/whois?org=org:acme").await.ok();
    for body in ["{}", r#"{"org":"acme"}"#, r#"{"org":"org:a","x":1}"#] {
        app.post("/v1/setup", body)
            .await
            .fails(400, "invalid_request");
        app.post("/api/v1/stripe/options", body)
            .await
            .fails(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_page_is_told_what_to_load_and_which_account_to_name() {
    let app = start().await;
    let today = async |app: &TestApp| {
        let org = json!({"org": "org:acme"});
        app.post_json("/v1/setup", &org).await.ok().json()
    };
    // With the real Stripe, the page loads Stripe.js, and no connected account is named.
    let (legacy, started) = (
        options(&app, "org:acme").await.ok().json(),
        today(&app).await,
    );
    assert_eq!(
        (&legacy["connected"], &started["connected"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        (legacy.get("stripeJS"), started.get("stripe_js")),
        (None, None)
    );
    let script = format!("{}/v3/", app.stripe_url());
    let simulated = app
        .clone()
        .adjusted(|app| app.stripe_js = Some(script.clone()));
    let (legacy, started) = (
        options(&simulated, "org:acme").await.ok().json(),
        today(&simulated).await,
    );
    assert_eq!(legacy["stripeJS"], script);
    assert_eq!(started["stripe_js"], script);
}

#[tokio::test]
async fn concurrent_set_ups_create_one_customer() {
    let app = start().await;
    let other_server = app.second_server();
    let body = json!({"org": "org:acme"});
    let (one, other) = tokio::join!(
        app.post_json("/v1/setup", &body),
        other_server.post_json("/v1/setup", &body),
    );
    assert_ne!(
        one.ok().json()["setup_intent"],
        other.ok().json()["setup_intent"]
    );
    let customers = app.stripe_get("/v1/customers").await;
    assert_eq!(customers["data"].as_array().map(Vec::len), Some(1));
}
