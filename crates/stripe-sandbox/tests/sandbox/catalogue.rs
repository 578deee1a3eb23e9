//! Products, prices and coupons.

use serde_json::{Value, json};

use super::{Api, START};

const PRICE: &str = "currency=usd&product_data[id]=p1&product_data[name]=One";

#[tokio::test]
async fn products_are_made_read_changed_and_listed() {
    let api = Api::start().await;
    let made = api
        .post(
            "/v1/products",
            "id=p1&name=One&active=false&images[]=https://a.b/c",
        )
        .await
        .ok();
    assert_eq!(made["active"], false);
    assert_eq!(made["type"], "service");
    assert_eq!(made["created"], START);
    assert_eq!(made["images"], json!(["https://a.b/c"]));
    let (message, code, param) = api
        .post("/v1/products", "id=p1&name=Two")
        .await
        .refused(400);
    assert_eq!(message, "Product already exists.");
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("resource_already_exists", "id")
    );
    let changed = api
        .post("/v1/products/p1", "active=true&description=D&metadata[a]=b")
        .await
        .ok();
    assert_eq!(
        (&changed["active"], &changed["description"]),
        (&json!(true), &json!("D"))
    );
    assert_eq!(api.get("/v1/products/p1").await.ok(), changed);
    let auto = api.create("/v1/products", "name=Two").await;
    assert!(auto.starts_with("prod_"));
    assert_eq!(api.ids("/v1/products").await, [auto, "p1".to_owned()]);
    assert_eq!(api.ids("/v1/products?ids[]=p1&ids[]=x").await, ["p1"]);
    let (message, code, _) = api.post("/v1/products", "").await.refused(400);
    assert_eq!(message, "Missing required param: name.");
    assert_eq!(code, "parameter_missing");
}

#[tokio::test]
async fn a_price_creates_its_product_and_keeps_its_lookup_key() {
    let api = Api::start().await;
    let form = format!(
        "{PRICE}&unit_amount_decimal=12.5&lookup_key=k1&recurring[interval]=month&metadata[empty]="
    );
    let price = api.post("/v1/prices", &form).await.ok();
    assert_eq!(price["product"], "p1");
    assert_eq!(price["unit_amount"], Value::Null);
    assert_eq!(price["unit_amount_decimal"], "12.5");
    assert_eq!(price["metadata"], json!({}));
    assert_eq!(
        price["recurring"],
        json!({"aggregate_usage": null, "interval": "month", "interval_count": 1, "trial_period_days": null, "usage_type": "licensed"})
    );
    // The product is checked first: a client takes that error to mean "already pushed".
    let (message, code, param) = api.post("/v1/prices", &form).await.refused(400);
    assert_eq!(message, "Product already exists.");
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("resource_already_exists", "product_data[id]")
    );
    let second = "currency=usd&product=p1&unit_amount=1&lookup_key=k1";
    let (message, code, param) = api.post("/v1/prices", second).await.refused(400);
    let id = price["id"].as_str().expect("an id");
    assert_eq!(
        message,
        format!("A price (`{id}`) already uses that lookup key.")
    );
    assert_eq!((code.as_str(), param.as_str()), ("", "lookup_key"));
    // Inactive prices keep their lookup key, too, until it is transferred.
    api.post(&format!("/v1/prices/{id}"), "active=false")
        .await
        .ok();
    api.post("/v1/prices", second).await.error(400);
    let moved = api
        .create("/v1/prices", &format!("{second}&transfer_lookup_key=true"))
        .await;
    assert_eq!(
        api.get(&format!("/v1/prices/{id}")).await.ok()["lookup_key"],
        Value::Null
    );
    assert_eq!(api.ids("/v1/prices?lookup_keys[]=k1").await, [moved]);
}

#[tokio::test]
async fn a_refused_price_leaves_no_product_behind() {
    let api = Api::start().await;
    let (message, ..) = api
        .post("/v1/prices", &format!("{PRICE}&foo=1&unit_amount=1"))
        .await
        .refused(400);
    assert_eq!(message, "Received unknown parameter: foo");
    api.post("/v1/prices", PRICE).await.error(400);
    assert!(api.ids("/v1/products").await.is_empty());
    assert!(api.ids("/v1/events").await.is_empty());
}

#[tokio::test]
async fn tiers_are_shown_when_expanded() {
    let api = Api::start().await;
    let form = format!(
        "{PRICE}&billing_scheme=tiered&tiers_mode=graduated&recurring[interval]=month&recurring[usage_type]=metered\
         &tiers[0][up_to]=1000&tiers[0][unit_amount_decimal]=0&tiers[0][flat_amount]=900\
         &tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=3.60"
    );
    let price = api.post("/v1/prices", &form).await.ok();
    assert!(price.get("tiers").is_none());
    assert_eq!(
        (&price["unit_amount"], &price["unit_amount_decimal"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(price["recurring"]["aggregate_usage"], "sum");
    let id = price["id"].as_str().expect("an id");
    let shown = api
        .get(&format!("/v1/prices/{id}?expand[]=tiers"))
        .await
        .ok();
    assert_eq!(
        shown["tiers"],
        json!([
            {"flat_amount": 900, "flat_amount_decimal": "900", "unit_amount": 0, "unit_amount_decimal": "0", "up_to": 1000},
            {"flat_amount": null, "flat_amount_decimal": null, "unit_amount": null, "unit_amount_decimal": "3.6", "up_to": null},
        ])
    );
    let listed = api
        .get("/v1/prices?expand[]=data.tiers&expand[]=data.product")
        .await
        .ok();
    assert_eq!(listed["data"][0]["tiers"], shown["tiers"]);
    assert_eq!(listed["data"][0]["product"]["name"], "One");
}

#[tokio::test]
async fn invalid_prices_are_refused() {
    let api = Api::start().await;
    let monthly = "recurring[interval]=month";
    let tiered = "billing_scheme=tiered&tiers_mode=graduated";
    for (form, part, param) in [
        (
            String::new(),
            "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.",
            "",
        ),
        (
            format!("{tiered}&tiers[0][up_to]=inf&tiers[0][unit_amount]=1"),
            "Prices with `type=one_time` are not supported with tiered billing.",
            "interval",
        ),
        (
            format!("{monthly}&{tiered}&tiers[0][up_to]=1&tiers[0][unit_amount]=1"),
            "set to `inf`",
            "tiers[0][up_to]",
        ),
        (
            format!(
                "{monthly}&{tiered}&tiers[0][up_to]=2&tiers[0][unit_amount]=1&tiers[1][up_to]=2&tiers[1][unit_amount]=1&tiers[2][up_to]=inf&tiers[2][unit_amount]=1"
            ),
            "greater",
            "tiers[1][up_to]",
        ),
        (
            format!("{monthly}&{tiered}&tiers[0][up_to]=inf"),
            "requires",
            "tiers[0][unit_amount]",
        ),
        (
            format!(
                "{monthly}&{tiered}&tiers[0][up_to]=inf&tiers[0][unit_amount]=1&transform_quantity[divide_by]=2&transform_quantity[round]=up"
            ),
            "combined",
            "transform_quantity",
        ),
        (
            "unit_amount=1&recurring[interval]=hour".to_owned(),
            "Invalid recurring[interval]: must be one of day, week, month, or year",
            "recurring[interval]",
        ),
        (
            format!("{monthly}&unit_amount=1&recurring[aggregate_usage]=max"),
            "usage_type",
            "recurring[aggregate_usage]",
        ),
        (
            "unit_amount=1&unit_amount_decimal=1".to_owned(),
            "only specify one",
            "unit_amount",
        ),
        (
            "unit_amount=1&product=p2".to_owned(),
            "only specify one",
            "product",
        ),
        (
            "unit_amount=1&lookup_key=".to_owned() + &"k".repeat(201),
            "at most 200",
            "lookup_key",
        ),
    ] {
        let (message, _, named) = api
            .post("/v1/prices", &format!("{PRICE}&{form}"))
            .await
            .refused(400);
        assert!(message.contains(part), "{form}: {message}");
        assert_eq!(named, param, "{form}");
    }
    let (_, code, param) = api
        .post("/v1/prices", "currency=usd&product=nope&unit_amount=1")
        .await
        .refused(400);
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("resource_missing", "product")
    );
    let (message, _, param) = api.get("/v1/prices/nope").await.refused(404);
    assert_eq!(
        (message.as_str(), param.as_str()),
        ("No such price: 'nope'", "price")
    );
}

#[tokio::test]
async fn lookup_keys_give_a_stable_order() {
    let api = Api::start().await;
    api.create("/v1/products", "id=p&name=P").await;
    for key in ["c", "a", "b"] {
        api.create(
            "/v1/prices",
            &format!("currency=usd&product=p&unit_amount=1&lookup_key={key}"),
        )
        .await;
    }
    let keys = async |query: &str| {
        let list = api.get(&format!("/v1/prices?{query}")).await.ok();
        let data = list["data"].as_array().expect("a list");
        data.iter()
            .map(|price| price["lookup_key"].as_str().expect("a key").to_owned())
            .collect::<String>()
    };
    assert_eq!(keys("").await, "bac");
    assert_eq!(
        keys("lookup_keys[]=b&lookup_keys[]=c&lookup_keys[]=a&lookup_keys[]=x").await,
        "abc"
    );
    assert_eq!(keys("lookup_keys[]=c&lookup_keys[]=a&limit=1").await, "a");
    let eleven = "lookup_keys[]=k&".repeat(11);
    api.get(&format!("/v1/prices?{eleven}")).await.error(400);
}

#[tokio::test]
async fn coupons_take_an_amount_or_a_percentage() {
    let api = Api::start().await;
    let amount = api
        .post(
            "/v1/coupons",
            "id=c1&amount_off=500&currency=USD&duration=once",
        )
        .await
        .ok();
    assert_eq!(
        (&amount["amount_off"], &amount["currency"]),
        (&json!(500), &json!("usd"))
    );
    assert_eq!(
        (&amount["valid"], &amount["times_redeemed"]),
        (&json!(true), &json!(0))
    );
    let percent = api
        .post(
            "/v1/coupons",
            "percent_off=12.5&duration=repeating&duration_in_months=3&max_redemptions=1",
        )
        .await
        .ok();
    assert_eq!(
        (&percent["percent_off"], &percent["duration_in_months"]),
        (&json!(12.5), &json!(3))
    );
    let (_, code, _) = api
        .post("/v1/coupons", "id=c1&percent_off=5")
        .await
        .refused(400);
    assert_eq!(code, "resource_already_exists");
    for bad in [
        "",
        "amount_off=1",
        "amount_off=1&percent_off=1&currency=usd",
        "percent_off=1&duration=repeating",
        "percent_off=1&duration=once&duration_in_months=2",
    ] {
        api.post("/v1/coupons", bad).await.error(400);
    }
    // It can be redeemed once.
    let id = percent["id"].as_str().expect("an id");
    let customer = api
        .post("/v1/customers", &format!("coupon={id}"))
        .await
        .ok();
    assert_eq!(customer["discount"]["coupon"]["id"], id);
    assert_eq!(customer["discount"]["start"], START);
    let (_, code, _) = api
        .post("/v1/customers", &format!("coupon={id}"))
        .await
        .refused(400);
    assert_eq!(code, "coupon_expired");
    assert_eq!(api.ids("/v1/coupons").await, [id, "c1"]);
    let gone = api.delete("/v1/coupons/c1").await.ok();
    assert_eq!(
        gone,
        json!({"id": "c1", "object": "coupon", "deleted": true})
    );
    api.get("/v1/coupons/c1").await.error(404);
}
