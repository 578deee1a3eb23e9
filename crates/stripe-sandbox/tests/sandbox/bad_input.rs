//! Bad input gets a Stripe-shaped answer below 500, and nothing changes.

use serde_json::Value;

use super::{Api, read};

async fn everything(api: &Api) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "products",
        "prices",
        "customers",
        "coupons",
        "test_helpers/test_clocks",
        "events",
    ] {
        all.push(api.get(&format!("/v1/{path}?limit=100")).await.ok());
    }
    all
}

/// Sends raw bytes and expects a refusal that changes nothing.
async fn refused(api: &Api, path: &str, body: Vec<u8>, kind: &str) -> Value {
    let before = everything(api).await;
    let request = api
        .request("POST", path)
        .header("content-type", kind)
        .body(body);
    let reply = read(request).await.expect("an answer");
    assert!(reply.status.is_client_error(), "{path}: {}", reply.status);
    let status = reply.status.as_u16();
    let error = reply.error(status);
    assert_eq!(everything(api).await, before);
    error
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn malformed_bodies() {
    let api = Api::start().await;
    let deep = format!("metadata{}=1", "[a]".repeat(200));
    let long = format!("metadata[{}]=1", "k".repeat(100_000));
    let many = "a[]=1&".repeat(50_000);
    for body in [
        b"=".to_vec(),
        b"\xff\xfe=1".to_vec(),
        b"email=%ff%fe".to_vec(),
        b"metadata=1".to_vec(),
        b"metadata[]=1".to_vec(),
        b"metadata[a]=1&metadata[a][b]=2".to_vec(),
        b"email[]=a".to_vec(),
        b"email[a]=b".to_vec(),
        b"expand=a".to_vec(),
        b"expand[]=nothing".to_vec(),
        b"[[[]]]=1".to_vec(),
        b"\0=1".to_vec(),
        deep.into_bytes(),
        long.into_bytes(),
        many.into_bytes(),
    ] {
        refused(&api, "/v1/customers", body, FORM).await;
    }
    let error = refused(
        &api,
        "/v1/customers",
        b"{\"email\": 1}".to_vec(),
        "application/json",
    )
    .await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| message.contains("form-urlencoded"))
    );
}

#[tokio::test]
async fn ten_megabytes() {
    let api = Api::start().await;
    let body = format!("description={}", "x".repeat(10 << 20));
    refused(&api, "/v1/customers", body.into_bytes(), FORM).await;
}

#[tokio::test]
async fn numbers_out_of_range() {
    let api = Api::start().await;
    let price = "currency=usd&product_data[name]=N&";
    let tiers = "recurring[interval]=month&billing_scheme=tiered&tiers_mode=graduated&";
    for (path, form) in [
        ("customers", "balance=99999999999999999999".to_owned()),
        ("customers", "balance=9223372036854775807".to_owned()),
        ("customers", "balance=1.5".to_owned()),
        ("customers", "next_invoice_sequence=-1".to_owned()),
        ("prices", format!("{price}unit_amount=-1")),
        ("prices", format!("{price}unit_amount=1e3")),
        ("prices", format!("{price}unit_amount_decimal=-0.1")),
        (
            "prices",
            format!("{price}unit_amount_decimal=0.0000000000001"),
        ),
        (
            "prices",
            format!("{price}unit_amount_decimal=99999999999999999999999999999999"),
        ),
        ("prices", format!("{price}unit_amount_decimal=NaN")),
        (
            "prices",
            format!("{price}unit_amount=1&recurring[interval]=month&recurring[interval_count]=13"),
        ),
        (
            "prices",
            format!("{price}unit_amount=1&recurring[interval]=month&recurring[interval_count]=0"),
        ),
        (
            "prices",
            format!(
                "{price}unit_amount=1&transform_quantity[divide_by]=0&transform_quantity[round]=up"
            ),
        ),
        (
            "prices",
            format!("{price}{tiers}tiers[0][up_to]=-5&tiers[0][unit_amount]=1"),
        ),
        (
            "prices",
            format!("{price}{tiers}tiers[0][up_to]=99999999999999999999&tiers[0][unit_amount]=1"),
        ),
        (
            "prices",
            format!(
                "{price}{tiers}tiers[99999999999999999999999][up_to]=inf&tiers[0][unit_amount]=1"
            ),
        ),
        ("coupons", "percent_off=0".to_owned()),
        ("coupons", "percent_off=100.1".to_owned()),
        ("coupons", "amount_off=0&currency=usd".to_owned()),
        (
            "coupons",
            "amount_off=9223372036854775807&currency=usd".to_owned(),
        ),
        (
            "coupons",
            "percent_off=5&duration=repeating&duration_in_months=99999999".to_owned(),
        ),
        ("coupons", "percent_off=5&redeem_by=1".to_owned()),
        ("test_helpers/test_clocks", "frozen_time=-1".to_owned()),
        (
            "test_helpers/test_clocks",
            "frozen_time=9223372036854775807".to_owned(),
        ),
        ("test_helpers/test_clocks", "frozen_time=now".to_owned()),
    ] {
        refused(&api, &format!("/v1/{path}"), form.into_bytes(), FORM).await;
    }
}

#[tokio::test]
async fn strange_paths() {
    let api = Api::start().await;
    for path in [
        "/v1/customers/%00",
        "/v1/customers/%F0%9F%92%A9",
        "/v1/customers/..%2f",
        "/v1/prices/'",
        "/v1/events/x",
    ] {
        let (_, code, _) = api.get(path).await.refused(404);
        assert_eq!(code, "resource_missing", "{path}");
    }
    api.get("/v1/customers/%ff").await.error(404);
    api.get("/v1/customers?limit=%ff").await.error(400);
    api.get("/v1/customers?created[gt]=x").await.error(400);
    api.get("/v1/customers?created[foo]=1").await.error(400);
}

#[tokio::test]
async fn parameters_that_are_not_modelled_are_refused_by_name() {
    let api = Api::start().await;
    let (message, _, param) = api
        .post("/v1/customers", "source=tok_visa")
        .await
        .refused(400);
    assert_eq!(param, "source");
    assert!(message.contains("does not model"), "{message}");
    let (message, code, param) = api.post("/v1/customers", "foo[bar]=1").await.refused(400);
    assert_eq!(message, "Received unknown parameter: foo");
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("parameter_unknown", "foo")
    );
    let (message, ..) = api
        .post("/v1/products", "name=N&package_dimensions[height]=1")
        .await
        .refused(400);
    assert!(message.contains("does not model"), "{message}");
}
