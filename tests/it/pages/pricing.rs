//! The pricing table: which plans are public, what the table says, and whether its prices agree with Stripe's bills.

use axum::http::{HeaderValue, Method};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tier::api::{App, Keys};
use tier::domain::PricingPages;

use crate::harness::{DAY, TestApp};
use crate::models;

const PAGES: &str = r#"{"pages":{
    "default":{"title":"Our <plans>","signup_url":"https://app.example/signup","plans":["plan:free","plan:pro@1"],
        "promoted":"plan:pro","features":["feature:seat","feature:convert"]},
    "japan":{"plans":["plan:jp"]}}}"#;

fn model() -> Value {
    json!({"plans": {
        "plan:free@1": {"title": "Free", "features": {"feature:convert": {"tiers": [{"upto": 10}]}}},
        "plan:pro@1": {"title": "Pro", "features": {
            "feature:seat": {"title": "<b>Seats</b>", "base": 1000},
            "feature:hidden": {"base": 1},
            "feature:convert": {"tiers": [{"upto": 1000}, {"price": 0.5}]},
        }},
        "plan:jp@1": {"currency": "jpy", "features": {"feature:convert": {"tiers": [{"price": 0.000_000_000_001}]}}},
        "plan:custom-for-acme@1": {"features": {"feature:seat": {"base": 1}}},
    }})
}

fn listed(app: &mut App, pages: &str) {
    app.keys = Keys::new(["secret"]);
    app.listed_pages
        .replace(PricingPages::parse(pages).expect("a definition"));
}

async fn start(pages: &str) -> TestApp {
    let app = TestApp::start().await;
    app.push(&model()).await;
    app.adjusted(|app| listed(app, pages))
}

fn ids(page: &Value) -> Vec<&str> {
    let plans = page["plans"].as_array().expect("plans").iter();
    plans
        .map(|plan| plan["id"].as_str().expect("an id"))
        .collect()
}

const KEY: (&str, &str) = ("authorization", "Bearer secret");

#[tokio::test]
async fn what_is_listed_is_public_and_nothing_else() {
    let app = start(PAGES).await;
    let page = app.get("/v1/pricing").await.ok();
    assert_eq!(ids(&page.json()), ["plan:free@1", "plan:pro@1"]);
    assert!(!page.body.contains("acme") && !page.body.contains("hidden"));
    assert_eq!(page.json()["plans"][1]["price"], 1001);
    assert_eq!(page.json()["plans"][1]["text"], "$10.01 a month");
    assert_eq!(page.json()["plans"][1]["promoted"], true);
    let signup = "https://app.example/signup?plan=plan:pro@1";
    assert_eq!(page.json()["plans"][1]["signup_url"], signup);
    assert_eq!(app.get("/v1/pricing/default").await.ok().body, page.body);
    let japan = app.get("/v1/pricing/japan").await.ok().json();
    assert_eq!(ids(&japan), ["plan:jp@1"]);
    let terms = &japan["plans"][0]["features"][0];
    assert_eq!(terms["text"], "¥0.000000000001 each");
    for path in ["/v1/pricing/none", "/pricing/none"] {
        app.get(path).await.fails(401, "unauthorized");
        app.get_with(path, &[KEY]).await.fails(404, "not_found");
    }
    // A private plan is visible only with a key.
    let only = start(r#"{"pages":{"japan":{"plans":["plan:jp"]}}}"#).await;
    for path in ["/v1/pricing", "/v1/pricing/default", "/pricing"] {
        only.get(path).await.fails(401, "unauthorized");
    }
    let all = only.get_with("/v1/pricing", &[KEY]).await.ok();
    assert_eq!(ids(&all.json()).len(), 4);
    assert_eq!(all.header("access-control-allow-origin"), "");
    assert_eq!(all.header("cache-control"), "private, max-age=60");
}

#[tokio::test]
async fn every_site_may_read_a_listed_page_and_no_other_answer() {
    let app = start(PAGES).await;
    let app = app.adjusted(|app| {
        app.origins.allowed = [HeaderValue::from_static("https://app.example")].into();
    });
    let other = ("origin", "https://other.example");
    let page = app.get_with("/v1/pricing", &[other]).await.ok();
    assert_eq!(page.header("access-control-allow-origin"), "*");
    assert_eq!(page.header("cache-control"), "public, max-age=60");
    for path in ["/v1/pull", "/v1/pricing/none"] {
        let refused = app.get_with(path, &[other, KEY]).await;
        refused.fails(403, "forbidden");
    }
    let own = [("origin", "https://app.example")];
    let own = app.get_with("/v1/pricing", &own).await.ok();
    assert_eq!(
        own.header("access-control-allow-origin"),
        "https://app.example"
    );
}

#[tokio::test]
async fn a_public_page_asks_stripe_once_a_minute_and_after_a_change() {
    let app = start(PAGES).await;
    let before = app.stripe_calls();
    let first = app.get("/v1/pricing").await.ok();
    assert_eq!(app.stripe_calls(), before + 1);
    for path in ["/v1/pricing/japan", "/pricing", "/v1/pricing"] {
        app.get(path).await.ok();
    }
    let tag = [("if-none-match", first.header("etag"))];
    assert_eq!(app.get_with("/v1/pricing", &tag).await.status, 304);
    assert_eq!(app.stripe_calls(), before + 1);
    let newer = json!({"plans": {"plan:free@2": {"title": "Free", "features": {"feature:convert": {"tiers": [{"upto": 20}]}}}}});
    let push = app
        .request(Method::POST, "/v1/push")
        .body(newer.to_string());
    push.headers(&[KEY]).send().await.ok();
    let second = app.get_with("/v1/pricing", &tag).await.ok();
    assert_eq!(ids(&second.json())[0], "plan:free@2");
    let archive = app
        .request(Method::POST, "/v1/archive")
        .body(r#"{"plan":"plan:free@2"}"#);
    archive.headers(&[KEY]).send().await.ok();
    let third = app.get("/v1/pricing").await.ok();
    assert_eq!(ids(&third.json())[0], "plan:free@1");
}

#[tokio::test]
async fn the_page_for_people_has_no_script_and_may_be_framed() {
    let app = start(PAGES).await;
    let page = app.get("/pricing").await.ok();
    assert!(
        page.body.contains("Our &lt;plans&gt;") && page.body.contains("&lt;b&gt;Seats&lt;/b&gt;")
    );
    assert!(page.body.contains("1,000 included, then $0.005 each"));
    assert!(
        page.body
            .contains(r#"href="https://app.example/signup?plan=plan:pro@1""#)
    );
    assert!(!page.body.contains("<script") && !page.body.contains("acme"));
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with("frame-ancestors *") && !policy.contains("script-src"));
    assert_eq!(page.header("x-frame-options"), "");
}

#[tokio::test]
async fn clients_of_2022_get_the_listed_pages_too() {
    let app = start(PAGES).await;
    let page = app
        .get_with("/web/pricing-page/-/", &[KEY])
        .await
        .ok()
        .json();
    assert_eq!(ids(&page), ["plan:free@1", "plan:pro@1"]);
    assert_eq!(page["signupURL"], "https://app.example/signup");
    let named = app.get_with("/web/pricing-page/-/japan", &[KEY]).await.ok();
    assert_eq!(named.json()["name"], "japan");
    app.get_with("/web/pricing-page/-/none", &[KEY])
        .await
        .fails(404, "not_found");
    app.get("/web/pricing-page/-/")
        .await
        .fails(401, "unauthorized");
}

#[tokio::test]
async fn the_script_for_other_pages_is_public() {
    let app = start("{\"pages\":{}}").await;
    let script = app.get("/tier.js").await.ok();
    assert_eq!(
        script.header("content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(script.header("cache-control"), "public, max-age=3600");
    assert!(script.body.contains("tier-pricing"));
}

#[tokio::test]
async fn a_preview_needs_no_key_and_reads_its_usage_strictly() {
    let app = start(PAGES).await;
    let before = app.stripe_calls();
    let path = "/v1/preview?usage=feature:convert=1500&usage=feature%3Aother%3D7";
    let preview = app.post_json(path, &model()).await.ok().json();
    assert_eq!(ids(&preview).len(), 4);
    let pro = &preview["plans"][3];
    assert_eq!(pro["bill"]["text"], "$12.51");
    assert_eq!(pro["bill"]["lines"][0]["used"], 1500);
    for usage in [
        "x",
        "feature:x",
        "feature:x=-1",
        "feature:x=1.5",
        "plan:x@1=1",
        "feature:x=",
    ] {
        let path = format!("/v1/preview?usage={usage}");
        app.post(&path, "{}").await.fails(400, "invalid_request");
    }
    app.post("/v1/preview", "{")
        .await
        .fails(400, "invalid_request");
    for (features, status) in [(1000, 200), (1001, 413)] {
        let answer = app.post_json("/v1/preview", &with_features(features)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(app.stripe_calls(), before);
}

fn with_features(number: usize) -> Value {
    let features = (0..number).map(|i| (format!("feature:f{i}"), json!({})));
    let features: serde_json::Map<String, Value> = features.collect();
    json!({"plans": {"plan:a@1": {"features": features}}})
}

/// Previews compute the same amounts as Stripe. The sandbox stands for Stripe, and shares no code with previews.
#[test]
fn a_preview_is_what_stripe_bills() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 48,
        max_shrink_iters: 50,
        ..Config::with_source_file(file!())
    });
    let cases = (models::feature(), 0_i64..50_000);
    let outcome = runner.run(&cases, |(feature, used)| {
        runtime.block_on(async {
            let app = TestApp::start().await;
            billed_as_previewed(&app, &feature, used).await
        })
    });
    outcome.unwrap();
}

async fn billed_as_previewed(
    app: &TestApp,
    feature: &Value,
    used: i64,
) -> Result<(), TestCaseError> {
    let model = json!({"plans": {"plan:a@1": {"features": {"feature:x": feature}}}});
    app.push(&model).await;
    let org = r#"{"org":"org:a","phases":[{"features":["plan:a@1"]}],"info":{"payment_method":"pm_card_visa"}}"#;
    let org = app.post("/v1/subscribe", org).await;
    if org.status != 200 {
        // The fixed price is an amount that a card cannot pay.
        return Err(TestCaseError::reject("not billed at once"));
    }
    let is_metered = feature["tiers"].is_array();
    if is_metered && used > 0 {
        let report = json!({"org": "org:a", "feature": "feature:x", "n": used});
        app.post_json("/v1/report", &report).await.ok();
    }
    let path = format!("/v1/preview?usage=feature:x={used}");
    let preview = app.post_json(&path, &model).await.ok().json();
    let previewed = preview["plans"][0]["bill"]["amount"].as_i64();
    let whois = app.get("/v1/whois?org=org:a").await.ok().json();
    let customer = whois["stripe_id"].as_str().expect("a customer").to_owned();
    app.advance(DAY * 32);
    let invoices = app
        .stripe_get(&format!("/v1/invoices?customer={customer}&limit=100"))
        .await;
    let invoices = invoices["data"].as_array().expect("invoices").iter();
    let lines = invoices.flat_map(|invoice| invoice["lines"]["data"].as_array().expect("lines"));
    let start = crate::harness::START;
    let billed = lines
        .filter(|line| line["period"]["start"] == start)
        .map(|line| line["amount"].as_i64().expect("an amount"))
        .fold(0_i64, i64::saturating_add);
    prop_assert_eq!(previewed, Some(billed), "{} × {}", used, feature);
    Ok(())
}
