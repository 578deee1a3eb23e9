//! `whoami`.

use crate::harness::{STRIPE_KEY, Settings, TestApp};

#[tokio::test]
async fn whoami_to_the_byte() {
    let app = TestApp::start().await;
    let account = app.sandbox().account_id(STRIPE_KEY);
    let answer = app.get("/v1/whoami").await.ok();
    assert_eq!(answer.header("content-type"), "application/json");
    insta::assert_snapshot!(answer.body.replace(&account, "acct_1"), @r#"
    {
    	"id": "acct_1",
    	"email": "sandbox@example.com",
    	"created": "2023-01-01T00:00:00Z",
    	"key_source": "sandbox",
    	"isolated": false,
    	"url": "https://dashboard.stripe.com/acct_1"
    }
    "#);
    assert!(answer.body.ends_with("}\n"));
    assert_eq!(app.stripe_calls(), 1);
}

#[tokio::test]
async fn a_key_that_stripe_refuses() {
    let app = TestApp::with(Settings {
        stripe_key: "nonsense".to_owned(),
        ..Settings::default()
    })
    .await;
    let answer = app.get("/v1/whoami").await.fails(401, "invalid_api_key");
    insta::assert_snapshot!(answer.body, @r#"
    {
        "status": 401,
        "code": "invalid_api_key",
        "message": "invalid api key"
    }
    "#);
    assert_eq!(answer.header("www-authenticate"), "");
    assert!(!answer.body.contains("nonsense"));
}
