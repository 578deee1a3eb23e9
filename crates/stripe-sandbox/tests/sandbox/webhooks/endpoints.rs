//! `/v1/webhook_endpoints`: the objects, and refusals.

use serde_json::{Value, json};

use super::super::{Api, START};
use super::endpoint;

const PATH: &str = "/v1/webhook_endpoints";

#[tokio::test]
async fn an_endpoint_is_created_changed_and_deleted() {
    let api = Api::start().await;
    let form = "url=https://example.com/hook&enabled_events[]=invoice.paid&enabled_events[]=*\
        &description=Ours&metadata[a]=1&api_version=2022-11-15";
    let created = api.post(PATH, form).await.ok();
    let id = created["id"].as_str().expect("an id");
    assert!(id.starts_with("we_"));
    let mut shown = json!({
        "id": id,
        "object": "webhook_endpoint",
        "api_version": "2022-11-15",
        "application": null,
        "created": START,
        "description": "Ours",
        "enabled_events": ["invoice.paid", "*"],
        "livemode": false,
        "metadata": {"a": "1"},
        "status": "enabled",
        "url": "https://example.com/hook",
    });
    let mut with_secret = shown.clone();
    with_secret["secret"] = created["secret"].clone();
    assert_eq!(created, with_secret);

    // Only the answer to the creation has the secret.
    let path = format!("{PATH}/{id}");
    assert_eq!(api.get(&path).await.ok(), shown);
    let list = api.get(PATH).await.ok();
    assert_eq!(list["data"], json!([shown]));
    assert_eq!(api.post(&path, "").await.ok(), shown);
    let form = "url=http://127.0.0.1:1/&enabled_events[]=price.created&disabled=true&description=&metadata[b]=2";
    let updated = api.post(&path, form).await.ok();
    shown["url"] = json!("http://127.0.0.1:1/");
    shown["enabled_events"] = json!(["price.created"]);
    shown["status"] = json!("disabled");
    shown["description"] = Value::Null;
    shown["metadata"] = json!({"a": "1", "b": "2"});
    assert_eq!(updated, shown);
    assert_eq!(api.get(&path).await.ok(), shown);

    let deleted = json!({"id": id, "object": "webhook_endpoint", "deleted": true});
    assert_eq!(api.delete(&path).await.ok(), deleted);
    let (message, code, param) = api.get(&path).await.refused(404);
    assert_eq!(message, format!("No such webhook endpoint: '{id}'"));
    assert_eq!((&*code, &*param), ("resource_missing", "id"));
    api.post(&path, "").await.refused(404);
    api.delete(&path).await.refused(404);
}

/// Checks that endpoints are refused: form, beginning of the message, parameter, and code or none.
async fn refused(api: &Api, cases: &[(&str, &str, &str, &str)]) {
    for (form, message, param, code) in cases {
        let (text, error, name) = api.post(PATH, form).await.refused(400);
        assert!(text.starts_with(message), "{text} for {form}");
        assert_eq!((&*name, &*error), (*param, *code), "{form}");
    }
}

#[tokio::test]
async fn an_endpoint_may_want_event_types_of_either_version() {
    let api = Api::start().await;
    for kind in ["invoiceitem.updated", "invoice_payment.paid"] {
        let form = format!("url=https://a.b&enabled_events[]={kind}");
        let made = api.post(PATH, &form).await.ok();
        assert_eq!(made["enabled_events"], json!([kind]));
    }
}

#[tokio::test]
async fn an_endpoint_has_known_event_types() {
    let api = Api::start().await;
    let missing = "parameter_missing";
    refused(
        &api,
        &[
            (
                "url=https://a.b",
                "Missing required param: enabled_events.",
                "enabled_events",
                missing,
            ),
            (
                "url=https://a.b&enabled_events=",
                "You passed an empty string for 'enabled_events'",
                "enabled_events",
                "parameter_invalid_empty",
            ),
            (
                "url=https://a.b&enabled_events=*",
                "Invalid array",
                "enabled_events",
                "",
            ),
            (
                "url=https://a.b&enabled_events[]=invoice.paid&enabled_events[]=customer.*",
                "Invalid enabled_events[1]: must be one of *, account.application.authorized, ",
                "enabled_events[1]",
                "",
            ),
            (
                "url=https://a.b&enabled_events[]=invoice.pay",
                "Invalid enabled_events[0]",
                "enabled_events[0]",
                "",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_has_a_url() {
    let api = Api::start().await;
    let events = "enabled_events[]=*";
    refused(
        &api,
        &[
            (
                events,
                "Missing required param: url.",
                "url",
                "parameter_missing",
            ),
            (
                "enabled_events[]=*&url=",
                "You passed an empty string for 'url'",
                "url",
                "parameter_invalid_empty",
            ),
        ],
    )
    .await;
    let long = format!("https://a.b/{}", "x".repeat(2048));
    for (url, message) in [
        (
            "example.com",
            "An explicit scheme (such as https) must be provided.",
        ),
        ("ftp://example.com", "The scheme must be http or https."),
        ("https://", "The URL cannot be read."),
        ("https://a.b:x/", "The URL cannot be read."),
        (&long, "URL must be 2048 characters or less."),
    ] {
        let message = format!("Invalid URL: {message}");
        let form = format!("{events}&url={url}");
        refused(&api, &[(&form, &message, "url", "url_invalid")]).await;
    }
}

#[tokio::test]
async fn other_parameters_of_an_endpoint_are_checked() {
    let api = Api::start().await;
    for (form, message, code) in [
        (
            "api_version=2020-08-27",
            "The sandbox does not model `2020-08-27` as `api_version`",
            "",
        ),
        (
            "api_version=2025-03-31.basil",
            "The sandbox does not model `2025-03-31.basil`",
            "",
        ),
        (
            "api_version=yesterday",
            "Invalid Stripe API version: yesterday",
            "",
        ),
        ("connect=perhaps", "Invalid boolean: perhaps", ""),
        (
            "disabled=true",
            "Received unknown parameter: disabled",
            "parameter_unknown",
        ),
        (
            "secret=whsec_1",
            "Received unknown parameter: secret",
            "parameter_unknown",
        ),
    ] {
        let (param, _) = form.split_once('=').expect("a parameter");
        let form = format!("url=https://a.b&enabled_events[]=*&{form}");
        refused(&api, &[(&form, message, param, code)]).await;
    }
    let made = endpoint(&api, "https://a.b", &["*"]).await;
    let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
    for (form, param) in [
        ("api_version=2022-11-15", "api_version"),
        ("connect=true", "connect"),
        ("enabled_events=", "enabled_events"),
        ("enabled_events[]=x", "enabled_events[0]"),
        ("url=", "url"),
        ("url=x", "url"),
    ] {
        assert_eq!(api.post(&path, form).await.refused(400).2, param, "{form}");
    }
    assert_eq!(api.get(&path).await.ok()["enabled_events"], json!(["*"]));
}

#[tokio::test]
async fn an_account_has_sixteen_at_most() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    for _ in 0..16 {
        let made = endpoint(&api, "https://a.b", &["*"]).await;
        ids.insert(0, made["id"].as_str().expect("an id").to_owned());
    }
    let form = "url=https://a.b&enabled_events[]=*";
    let (message, ..) = api.post(PATH, form).await.refused(400);
    assert_eq!(
        message,
        "You have reached the maximum of 16 test webhook endpoints."
    );
    assert_eq!(api.ids(&format!("{PATH}?limit=100")).await, ids);
    assert_eq!(api.ids(PATH).await, ids[..10]);
    let after = format!("{PATH}?starting_after={}", ids[9]);
    assert_eq!(api.ids(&after).await, ids[10..]);
    api.key("sk_test_two").post(PATH, form).await.ok();
    api.delete(&format!("{PATH}/{}", ids[3])).await.ok();
    api.post(PATH, form).await.ok();
}
