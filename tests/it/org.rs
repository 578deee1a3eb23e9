//! `whois` and `payment_methods`, and the Stripe customers of orgs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Settings, TestApp};

/// Creates the org's customer.
async fn create(app: &TestApp, org: &str) {
    app.post_json("/v1/subscribe", &json!({"org": org, "info": {}}))
        .await
        .ok();
}

async fn whois(app: &TestApp, org: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(org.as_bytes()).collect();
    let answer = app.get(&format!("/v1/whois?org={query}")).await.ok().json();
    assert_eq!(answer["org"], org);
    answer["stripe_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn whois_to_the_byte() {
    let app = TestApp::start().await;
    create(&app, "org:acme").await;
    let id = whois(&app, "org:acme").await;
    app.forget_calls();
    let answer = app.get("/v1/whois?org=org:acme").await.ok();
    assert_eq!(answer.header("content-type"), "application/json");
    insta::assert_snapshot!(answer.body.replace(&id, "cus_1"), @r#"
    {
    	"org": "org:acme",
    	"stripe_id": "cus_1"
    }
    "#);
    assert_eq!(
        app.stripe_calls(),
        1,
        "a cached customer is read only to see whether it still exists"
    );
}

#[tokio::test]
async fn whois_with_info_to_the_byte() {
    let app = TestApp::start().await;
    create(&app, "org:bare").await;
    let id = whois(&app, "org:bare").await;
    let bare = app.get("/v1/whois?org=org:bare&include=info").await.ok();
    insta::assert_snapshot!(bare.body.replace(&id, "cus_1"), @r#"
    {
    	"email": "",
    	"name": "",
    	"description": "",
    	"phone": "",
    	"created": "2023-01-01T00:00:00Z",
    	"metadata": {},
    	"payment_method": "",
    	"invoice_settings": {
    		"default_payment_method": ""
    	},
    	"org": "org:bare",
    	"stripe_id": "cus_1"
    }
    "#);

    let request = json!({"org": "org:full", "info": {
        "email": "jo@acme.example", "name": "Acme \"&<>\" Ltd", "description": "größe", "phone": "+49 1",
        "created": "2001-01-01T00:00:00Z", "metadata": {"region": "eu", "a": "b"},
    }});
    app.post_json("/v1/subscribe", &request).await.ok();
    let id = whois(&app, "org:full").await;
    app.forget_calls();
    let full = app.get("/v1/whois?include=info&org=org%3Afull").await.ok();
    insta::assert_snapshot!(full.body.replace(&id, "cus_1"), @r#"
    {
    	"email": "jo@acme.example",
    	"name": "Acme \"&<>\" Ltd",
    	"description": "größe",
    	"phone": "+49 1",
    	"created": "2023-01-01T00:00:00Z",
    	"metadata": {
    		"a": "b",
    		"region": "eu"
    	},
    	"payment_method": "",
    	"invoice_settings": {
    		"default_payment_method": ""
    	},
    	"org": "org:full",
    	"stripe_id": "cus_1"
    }
    "#);
    assert_eq!(app.stripe_calls(), 1, "info is read fresh");
}

#[tokio::test]
async fn an_org_that_was_never_created_is_unknown() {
    let app = TestApp::start().await;
    for path in [
        "whois",
        "limits",
        "phase",
        "phases",
        "payment_methods",
        "invoices",
    ] {
        let answer = app.get(&format!("/v1/{path}?org=org:nobody")).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.fails(400, "org_not_found").body, @r#"
            {
                "status": 400,
                "code": "org_not_found",
                "message": "org not found"
            }
            "#);
        }
    }
    let report = r#"{"org":"org:nobody","feature":"feature:f"}"#;
    app.post("/v1/report", report)
        .await
        .fails(400, "org_not_found");
}

#[tokio::test]
async fn names_are_compared_byte_for_byte() {
    let app = TestApp::start().await;
    let orgs = [
        "org:Acme",
        "org:acme",
        "org:ACME",
        "org:it's",
        "org:a\\b",
        "org:a\\'b",
        "org:a\"b",
        "org:a b",
        "org:a&b=c",
        "org:a+b",
        "org:größe",
        "org:' OR email:'x",
        "org:\u{1f600}",
        "org:org:x",
        "org:a:b:c",
        "org:a\nb",
        "org:\u{7f}\0",
    ];
    for org in orgs {
        create(&app, org).await;
    }
    let mut ids = Vec::new();
    for org in orgs {
        ids.push(whois(&app, org).await);
    }
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), orgs.len());
}

#[tokio::test]
async fn a_name_has_a_maximum_length() {
    let app = TestApp::start().await;
    let longest = format!("org:{}", "x".repeat(496));
    create(&app, &longest).await;
    whois(&app, &longest).await;
    app.forget_calls();
    let answer = app
        .get(&format!("/v1/whois?org={longest}x"))
        .await
        .fails(400, "invalid_request");
    assert_eq!(
        answer.json()["message"],
        "org must not exceed 500 characters"
    );
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn info_is_written_and_read() {
    let app = TestApp::start().await;
    let write = async |info: Value| {
        app.post_json("/v1/subscribe", &json!({"org": "org:a", "info": info}))
            .await
    };
    let read = async || {
        app.get("/v1/whois?org=org:a&include=info")
            .await
            .ok()
            .json()
    };

    write(json!({"email": "a@x.example", "name": "A", "metadata": {"keep": "1", "drop": "2"}}))
        .await
        .ok();
    let info = read().await;
    assert_eq!(
        (&info["email"], &info["name"]),
        (&json!("a@x.example"), &json!("A"))
    );
    assert_eq!(info["metadata"], json!({"drop": "2", "keep": "1"}));

    write(json!({"email": "", "name": null, "phone": "7", "metadata": {"drop": "", "keep": null, "new": "3"}})).await.ok();
    let info = read().await;
    assert_eq!(
        (&info["email"], &info["name"], &info["phone"]),
        (&json!("a@x.example"), &json!("A"), &json!("7"))
    );
    assert_eq!(info["metadata"], json!({"keep": "1", "new": "3"}));

    let reserved = write(json!({"name": "B", "metadata": {"tier.org": "org:b"}})).await;
    insta::assert_snapshot!(reserved.fails(400, "invalid_metadata").body, @r#"
    {
        "status": 400,
        "code": "invalid_metadata",
        "message": "metadata keys must not use reserved prefix ('tier.')"
    }
    "#);
    let email = write(json!({"email": "not an address"})).await;
    insta::assert_snapshot!(email.fails(400, "invalid_email").body, @r#"
    {
        "status": 400,
        "code": "invalid_email",
        "message": "invalid email"
    }
    "#);
    assert_eq!(read().await["name"], "A");
}

#[tokio::test]
async fn neither_info_nor_phases_does_nothing() {
    let app = TestApp::start().await;
    for body in [
        r#"{"org":"org:a"}"#,
        r#"{"org":"org:a","phases":[]}"#,
        r#"{"org":"org:a","info":null,"phases":null}"#,
    ] {
        let answer = app.post("/v1/subscribe", body).await.ok();
        assert_eq!(
            (answer.body.as_str(), answer.header("content-type")),
            ("{}", "text/plain; charset=utf-8")
        );
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn payment_methods_are_stripes_objects() {
    let app = TestApp::start().await;
    create(&app, "org:a").await;
    let none = app.get("/v1/payment_methods?org=org:a").await.ok();
    insta::assert_snapshot!(none.body, @r#"
    {
    	"org": "org:a",
    	"methods": []
    }
    "#);

    let info = json!({"org": "org:a", "info": {"payment_method": "pm_card_visa"}});
    app.post_json("/v1/subscribe", &info).await.ok();
    let customer = whois(&app, "org:a").await;
    app.forget_calls();
    let one = app.get("/v1/payment_methods?org=org:a").await.ok().json();
    let card = &one["methods"][0];
    assert_eq!(
        (&card["object"], &card["card"]["last4"]),
        (&json!("payment_method"), &json!("4242"))
    );
    assert_eq!(card["customer"], json!(customer));
    assert_eq!(app.stripe_calls(), 1);
}

#[tokio::test]
async fn an_unknown_payment_method_is_refused() {
    let app = TestApp::start().await;
    create(&app, "org:a").await;
    let info = json!({"org": "org:a", "info": {"payment_method": "pm_card_us_not"}});
    let answer = app.post_json("/v1/subscribe", &info).await;
    insta::assert_snapshot!(answer.fails(400, "invalid_payment_method").body, @r#"
    {
        "status": 400,
        "code": "invalid_payment_method",
        "message": "No such PaymentMethod: 'pm_card_us_not'"
    }
    "#);
}

#[tokio::test]
async fn a_new_org_is_found_although_search_lags() {
    let app = TestApp::with(Settings {
        search_lag: Duration::from_secs(60),
        ..Settings::default()
    })
    .await;
    create(&app, "org:new").await;
    let id = whois(&app, "org:new").await;
    // Another server does not have the new org in memory.
    let cold = app.second_server();
    cold.forget_calls();
    assert_eq!(whois(&cold, "org:new").await, id);
    assert!(cold.stripe_calls() <= 3, "{} calls", cold.stripe_calls());
    cold.forget_calls();
    assert_eq!(whois(&cold, "org:new").await, id);
    assert_eq!(cold.stripe_calls(), 1, "the customer is checked");
}
