//! Links that contain a model, and the validation of models without Stripe.

use axum::http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};
use crate::models;

const HOST: &str = "tier.example";

/// The `accept` header of browsers.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

async fn upload(app: &TestApp, path: &str, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = [&[("host", HOST)][..], headers].concat();
    let call = app.request(Method::POST, path).body(body.to_owned());
    call.headers(&headers).send().await
}

/// The path of the link in an answer.
fn path(uploaded: &Answer) -> String {
    let url = uploaded.json()["url"].as_str().expect("a link").to_owned();
    let path = url.strip_prefix("http://tier.example");
    path.expect("a link to the host that was called").to_owned()
}

#[tokio::test]
async fn any_model_comes_back_from_its_link() {
    let app = TestApp::start().await;
    let runtime = tokio::runtime::Handle::current();
    let tested = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config {
            cases: 64,
            ..Config::with_source_file(file!())
        });
        let outcome = runner.run(&models::models(3, 4), |model| {
            let shown = runtime.block_on(async {
                let uploaded = upload(&app, "/upload", &[], &model.to_string()).await.ok();
                app.get(&path(&uploaded)).await.ok()
            });
            prop_assert_eq!(shown.json(), models::as_pulled(&model));
            Ok(())
        });
        outcome.unwrap();
        assert_eq!(app.stripe_calls(), 0);
    });
    tested.await.unwrap();
}

#[tokio::test]
async fn a_program_gets_json_and_a_browser_a_page_on_which_nothing_runs() {
    let app = TestApp::start().await;
    let evil = "</title><script>alert(1)</script>\"'&";
    let model =
        json!({"plans": {"plan:a@1": {"title": evil, "features": {"feature:x": {"title": evil}}}}});
    let from = [("tier-origin", "https://app.example/pricing.json?<script>")];
    let title: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    let uploaded = upload(
        &app,
        &format!("/upload?title={title}"),
        &from,
        &model.to_string(),
    )
    .await;
    let link = path(&uploaded.ok());
    // The original command line and curl send these headers.
    for accept in ["application/json", "*/*", ""] {
        let shown = app.get_with(&link, &[("accept", accept)]).await.ok();
        assert_eq!(shown.json(), models::as_pulled(&model), "{accept}");
        assert_eq!(shown.header("vary"), "accept");
    }
    let page = app.get_with(&link, &[BROWSER, ("host", HOST)]).await.ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-robots-tag"), "noindex");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"));
    let title = r#"data-title="&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;""#;
    assert!(
        page.body.contains(title) && !page.body.contains("<script>"),
        "{}",
        page.body
    );
    let from = r#"data-from="https://app.example/pricing.json?&lt;script&gt;""#;
    assert!(page.body.contains(from), "{}", page.body);
}

#[tokio::test]
async fn links_without_a_valid_model_are_refused() {
    let app = TestApp::start().await;
    for text in [
        "x",
        "AAAA",
        "q1YqyEnMK1ayqq6tBQ",
        "%ff",
        "%00",
        &"A".repeat(12_289),
    ] {
        let link = format!("/m/{text}");
        app.get(&link).await.fails(400, "invalid_request");
        let page = app.get_with(&link, &[BROWSER]).await;
        assert_eq!(page.status, 400, "{text}");
        assert!(page.body.starts_with("<!DOCTYPE html>"), "{}", page.body);
    }
    app.get("/m/").await.fails(404, "not_found");
}

#[tokio::test]
async fn invalid_uploads_are_refused() {
    let app = TestApp::start().await;
    let upload = async |path: &str, headers: &[(&'static str, &str)], body: &str| {
        upload(&app, path, headers, body).await
    };
    for body in [
        "{",
        r#"{"plans":{"plan:a":{}}}"#,
        r#"{"title":"x","plans":{}}"#,
        "\u{0}",
    ] {
        upload("/upload", &[], body)
            .await
            .fails(400, "invalid_request");
    }
    for from in ["javascript:alert(1)", "app.example", "\u{e9}"] {
        let from = [("tier-origin", from)];
        let refused = upload("/upload", &from, "{}").await;
        refused.fails(400, "invalid_request");
    }
    let long = format!("/upload?title={}", "x".repeat(201));
    upload(&long, &[], "{}").await.fails(400, "invalid_request");
    let features = (0..4_000_u32).map(|i| (format!("feature:f{i}"), json!({"base": i * 7919})));
    let features: serde_json::Map<String, Value> = features.collect();
    let large = json!({"plans": {"plan:a@1": {"features": features}}}).to_string();
    let refused = upload("/upload", &[], &large).await;
    let refused = refused.fails(413, "request_too_large").json();
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("share its file"), "{message}");
    let larger = " ".repeat((256 << 10) + 1);
    for path in ["/upload", "/v1/validate", "/v1/preview"] {
        let refused = upload(path, &[], &larger).await;
        refused.fails(413, "request_too_large");
    }
    // The server needs a host name to build a link.
    let nameless = app.post("/upload", "{}").await;
    nameless.fails(400, "invalid_request");
}

#[tokio::test]
async fn a_model_is_checked_without_a_key_and_without_stripe() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.keys = tier::api::Keys::new(["secret"]));
    let valid = app
        .post("/v1/validate", r#"{"plans":{}} // none"#)
        .await
        .ok();
    assert_eq!(valid.json(), json!({"valid": true, "faults": []}));
    let text = "{\"plans\":{\"plan:a@1\":{\"currency\":\"USD\",\"features\":{\n\"feature:x\":{\"tiers\":[{\"upto\":1},{\"upto\":0,\"price\":-1}]},\"feature:y\":{\"base\":\"1\"}}},\"b\":{}}}";
    let invalid = app.post("/v1/validate", text).await.ok().json();
    assert_eq!(invalid["valid"], false);
    let faults = invalid["faults"].as_array().expect("faults").iter();
    let faults: Vec<Value> = faults
        .map(|fault| json!([fault["line"], fault["path"], fault["message"]]))
        .collect();
    let of_x = |rest: Value| {
        let start = json!(["plans", "plan:a@1", "features", "feature:x"]);
        let mut path = start.as_array().expect("a path").clone();
        path.extend(rest.as_array().expect("a path").clone());
        Value::Array(path)
    };
    assert_eq!(
        faults,
        [
            json!([
                1,
                ["plans", "plan:a@1", "currency"],
                "currency must be three lower-case letters: \"USD\""
            ]),
            json!([
                2,
                of_x(json!(["tiers", 1, "upto"])),
                "upto must be greater than zero"
            ]),
            json!([
                2,
                of_x(json!(["tiers", 1, "price"])),
                "price must be positive"
            ]),
            json!([
                2,
                ["plans", "plan:a@1", "features", "feature:y", "base"],
                "expected a number, got a string"
            ]),
            json!([
                2,
                ["plans", "b"],
                "plan name must start with 'plan:': \"b\""
            ]),
            json!([2, ["plans", "b"], "plans must have at least one feature"]),
        ]
    );
    let broken = app.post("/v1/validate", "{\"plans\":").await.ok().json();
    assert_eq!(broken["faults"][0]["path"], json!([]));
    let warned = r#"{"plans":{"plan:a-b@1":{"features":{"feature:x":{}}}}}"#;
    let warned = app.post("/v1/validate", warned).await.ok().json();
    assert_eq!(warned["valid"], true);
    assert!(warned["warnings"][0].is_string(), "{warned}");
    assert_eq!(app.stripe_calls(), 0);
}
