//! The list of endpoints, and the different errors for endpoints that the sandbox does not model and that Stripe does
//! not have.

use stripe_sandbox::ApiVersion;

use super::Api;

#[tokio::test]
async fn endpoints_of_stripe_are_refused_as_not_modelled() {
    let api = Api::start().await;
    for (method, path) in [
        ("POST", "/v1/quotes"),
        ("GET", "/v1/quotes/qt_1/line_items"),
        ("POST", "/v1/invoices/in_1/send"),
        ("POST", "/v1/refunds/re_1/cancel"),
        ("GET", "/v1/invoices/search"),
        ("GET", "/v1/customers/cus_1/tax_ids"),
        ("POST", "/v1/customers/cus_1/subscriptions"),
        ("GET", "/v1/plans"),
        ("POST", "/v1/payment_links"),
        ("POST", "/v1/billing_portal/configurations"),
        ("DELETE", "/v1/customers/cus_1/sources/card_1"),
    ] {
        let (message, code, _) = api.send(method, path, "").await.refused(400);
        let named = format!("does not model the endpoint `{method} {path}`");
        assert!(message.contains(&named), "{message}");
        assert_eq!(code, "");
    }
}

#[tokio::test]
async fn unknown_endpoints_are_unrecognized() {
    let api = Api::start().await;
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/customers"),
        ("DELETE", "/v1/quotes/qt_1"),
        ("GET", "/v1/coupons/search"),
        ("GET", "/v2/customers"),
        ("GET", "/v1/customers/"),
        ("GET", "/v1/customers/cus_1/nothing"),
    ] {
        let (message, _, _) = api.send(method, path, "").await.refused(404);
        let start = format!("Unrecognized request URL ({method}: {path})");
        assert!(message.starts_with(&start), "{message}");
    }
    // Without a key, the answer is the same for both.
    let reply = api.key("").send("POST", "/v1/quotes", "").await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn a_product_without_prices_is_deleted() {
    let api = Api::start().await;
    let product = api.create("/v1/products", "id=empty&name=Empty").await;
    let path = format!("/v1/products/{product}");
    let gone = api.delete(&path).await.ok();
    assert_eq!(
        gone,
        serde_json::json!({"id": "empty", "object": "product", "deleted": true})
    );
    api.get(&path).await.error(404);
    api.delete(&path).await.error(404);
    let events = api.get("/v1/events?type=product.deleted").await.ok();
    assert_eq!(events["data"][0]["data"]["object"]["id"], "empty");
    // The id can be used again.
    api.create("/v1/products", "id=empty&name=Again").await;
    let form = "currency=usd&unit_amount=1&product=empty";
    api.post("/v1/prices", form).await.ok();
    let (message, _, _) = api.delete(&path).await.refused(400);
    assert!(message.contains("has one or more user-created prices"));
    api.get(&path).await.ok();
}

#[tokio::test]
async fn the_endpoints_of_a_version_are_listed() {
    let api = Api::start().await;
    let path = "/_sandbox/endpoints";
    for (version, records, meters) in [
        (ApiVersion::V2022_11_15, true, false),
        (ApiVersion::V2026_10_28, false, true),
    ] {
        let query = format!("{path}?api_version={version}");
        let listed = api.get(&query).await.ok()["endpoints"].clone();
        let listed: Vec<String> = serde_json::from_value(listed).expect("names");
        assert_eq!(listed, api.sandbox().endpoints(version));
        let has = |name: &str| listed.iter().any(|one| one == name);
        assert!(has("GET /v1/customers/:id"));
        assert!(!has("POST /v1/quotes"));
        let usage = "POST /v1/subscription_items/:id/usage_records";
        assert_eq!(
            (has(usage), has("POST /v1/billing/meters")),
            (records, meters)
        );
    }
    let by_default = api.get(path).await.ok()["endpoints"].clone();
    let default = api.sandbox().endpoints(ApiVersion::default());
    assert_eq!(by_default, serde_json::json!(default));
    let unknown = format!("{path}?api_version=2024-01-01");
    let (message, _, param) = api.get(&unknown).await.refused(400);
    assert!(message.contains("2022-11-15 and 2026-10-28.endive"));
    assert_eq!(param, "api_version");
}
