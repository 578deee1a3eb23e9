//! Promotion codes: their discounts, and restrictions on their use.

use serde_json::{Value, json};

use super::checkout::{browse, retrieved, session};
use super::{START, World, number};

const URL: &str = "/v1/promotion_codes";
const SUBSCRIPTIONS: &str = "/v1/subscriptions";

async fn code(world: &World, form: &str) -> Value {
    let coupon = world.coupon("percent_off=50").await;
    world
        .api
        .post(URL, &format!("coupon={coupon}&{form}"))
        .await
        .ok()
}

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

#[tokio::test]
async fn a_code_is_made_found_and_changed() {
    let world = World::new().await;
    let made = code(&world, "code=SPRING&max_redemptions=3&metadata[a]=b").await;
    assert_eq!(
        (&made["object"], &made["code"], &made["active"]),
        (&json!("promotion_code"), &json!("SPRING"), &json!(true))
    );
    assert_eq!(
        (&made["times_redeemed"], &made["max_redemptions"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(made["coupon"]["percent_off"], 50);
    assert_eq!(
        made["restrictions"],
        json!({"first_time_transaction": false, "minimum_amount": null, "minimum_amount_currency": null})
    );
    let path = format!("{URL}/{}", id(&made));
    assert_eq!(world.api.get(&path).await.ok(), made);
    let other = code(&world, "").await;
    assert!(other["code"].as_str().expect("a code").len() >= 8);
    for (query, found) in [
        ("code=spring", vec![id(&made)]),
        ("active=false", vec![]),
        (
            &format!("coupon={}", other["coupon"]["id"].as_str().expect("an id")),
            vec![id(&other)],
        ),
        ("customer=cus_x", vec![]),
    ] {
        assert_eq!(
            world.api.ids(&format!("{URL}?{query}")).await,
            found,
            "{query}"
        );
    }

    let coupon = world.coupon("percent_off=10").await;
    let again = format!("coupon={coupon}&code=spring");
    let (_, taken, _) = world.api.post(URL, &again).await.refused(400);
    assert_eq!(taken, "resource_already_exists");
    let off = world
        .api
        .post(&path, "active=false&metadata[a]=")
        .await
        .ok();
    assert_eq!(
        (&off["active"], &off["metadata"]),
        (&json!(false), &json!({}))
    );
    world.api.post(URL, &again).await.ok();
    let (_, taken, _) = world.api.post(&path, "active=true").await.refused(400);
    assert_eq!(taken, "resource_already_exists");
    for (form, param) in [
        ("code=X", "coupon"),
        ("coupon=none", "coupon"),
        (
            &format!("coupon={coupon}&expires_at={}", START - 1),
            "expires_at",
        ),
        (&format!("coupon={coupon}&customer=cus_x"), "customer"),
        (
            &format!("coupon={coupon}&restrictions[minimum_amount]=1"),
            "restrictions[minimum_amount_currency]",
        ),
    ] {
        assert_eq!(
            world.api.post(URL, form).await.refused(400).2,
            param,
            "{form}"
        );
    }
    assert_eq!(
        world
            .api
            .get("/v1/promotion_codes/promo_x")
            .await
            .error(404)["code"],
        "resource_missing"
    );
}

#[tokio::test]
async fn a_code_discounts_customers_subscriptions_and_checkouts() {
    let world = World::new().await;
    let made = code(&world, "").await;
    let promotion = id(&made);
    let price = world.price("unit_amount=1000").await;
    let customer = world.customer().await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let discounted = format!("{form}&promotion_code={promotion}");
    let subscription = world.api.post(SUBSCRIPTIONS, &discounted).await.ok();
    assert_eq!(subscription["discount"]["promotion_code"], promotion);
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(number(&invoice, "total"), 500);
    assert_eq!(invoice["discount"]["promotion_code"], promotion);

    // An update applies and removes it.
    let plain = world.api.create(SUBSCRIPTIONS, &form).await;
    let path = format!("{SUBSCRIPTIONS}/{plain}");
    let given = format!("promotion_code={promotion}&expand[]=discount.promotion_code");
    let given = world.api.post(&path, &given).await.ok();
    assert_eq!(given["discount"]["promotion_code"]["code"], made["code"]);
    let taken = world.api.post(&path, "promotion_code=").await.ok();
    assert_eq!(taken["discount"], Value::Null);
    let both = format!("promotion_code={promotion}&coupon=x");
    world.api.post(&path, &both).await.refused(400);

    let form = format!("promotion_code={promotion}");
    let person = world.api.post("/v1/customers", &form).await.ok();
    assert_eq!(person["discount"]["promotion_code"], promotion);
    let other = world.customer().await;
    let person = world
        .api
        .post(&format!("/v1/customers/{other}"), &form)
        .await
        .ok();
    assert_eq!(person["discount"]["promotion_code"], promotion);

    let session = format!(
        "customer={customer}&mode=subscription&success_url=http://x.test/&line_items[0][price]={price}&line_items[0][quantity]=1&discounts[0][promotion_code]={promotion}"
    );
    let session = world.api.post("/v1/checkout/sessions", &session).await.ok();
    assert_eq!(
        (
            number(&session, "amount_subtotal"),
            number(&session, "amount_total")
        ),
        (1000, 500)
    );
    let used = world.api.get(&format!("{URL}/{promotion}")).await.ok();
    assert_eq!(used["times_redeemed"], 4);
    assert_eq!(used["coupon"]["times_redeemed"], 4);
}

#[tokio::test]
async fn restrictions_hold() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    let [first, second] = [world.customer().await, world.customer().await];
    let buy = async |customer: &str, code: &Value, quantity: i64| {
        let form = format!(
            "customer={customer}&items[0][price]={price}&items[0][quantity]={quantity}&promotion_code={}",
            id(code)
        );
        world.api.post(SUBSCRIPTIONS, &form).await
    };
    let refused = |reply: crate::Reply, why: &str| {
        let (message, _, param) = reply.refused(400);
        assert!(message.contains(why), "{message}");
        assert_eq!(param, "promotion_code");
    };
    let theirs = code(&world, &format!("customer={first}")).await;
    refused(buy(&second, &theirs, 1).await, "another customer");
    let newcomers = code(&world, "restrictions[first_time_transaction]=true").await;
    buy(&first, &newcomers, 1).await.ok();
    refused(buy(&first, &newcomers, 1).await, "prior transactions");
    buy(&first, &theirs, 1).await.ok();
    let large = "restrictions[minimum_amount]=2000&restrictions[minimum_amount_currency]=usd";
    let large = code(&world, large).await;
    refused(buy(&second, &large, 1).await, "minimum amount");
    buy(&second, &large, 2).await.ok();
    let once = code(&world, "max_redemptions=1").await;
    buy(&second, &once, 1).await.ok();
    refused(buy(&second, &once, 1).await, "redeemed as often");
    let off = code(&world, "active=false").await;
    refused(buy(&second, &off, 1).await, "inactive");
    let form = format!("promotion_code={}", id(&large));
    let (message, ..) = world.api.post("/v1/customers", &form).await.refused(400);
    assert!(message.contains("does not model"), "{message}");
}

/// A session that accepts promotion codes, and a code for half off.
async fn checkout_with_codes(world: &World, customer: &str) -> (String, String) {
    world.coupon("id=half&percent_off=50").await;
    let form = "coupon=half&code=HALF";
    world.api.create("/v1/promotion_codes", form).await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1&allow_promotion_codes=true"
    );
    session(world, &form).await
}

#[tokio::test]
async fn a_customer_types_one_at_checkout() {
    let world = World::new().await;
    let customer = world.customer().await;
    let (id, url) = checkout_with_codes(&world, &customer).await;
    assert!(
        browse(&url, None)
            .await
            .body
            .contains("name=\"promotion_code\"")
    );
    // A wrong code shows an error, and nothing is bought.
    let wrong = browse(&url, Some("card=pm_card_visa&promotion_code=HALV")).await;
    assert_eq!(wrong.status, 409);
    assert!(
        wrong.body.contains("This code is invalid."),
        "{}",
        wrong.body
    );
    let open = retrieved(&world, &id).await;
    assert_eq!(
        (&open["status"], number(&open, "amount_total")),
        (&"open".into(), 1000)
    );
    let bought = browse(&url, Some("card=pm_card_visa&promotion_code=+half+")).await;
    assert_eq!(bought.status, 303);
    let done = retrieved(&world, &id).await;
    assert_eq!(
        (
            number(&done, "amount_subtotal"),
            number(&done, "amount_total"),
            number(&done["total_details"], "amount_discount")
        ),
        (1000, 500, 500)
    );
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(number(&invoice, "amount_paid"), 500);
    let subscription = done["subscription"].as_str().expect("an id");
    let discount = &world.subscription(subscription).await["discount"];
    assert!(discount["promotion_code"].is_string(), "{discount}");
}

#[tokio::test]
async fn a_code_entered_at_checkout_is_checked() {
    let world = World::new().await;
    let (mine, other) = (world.customer().await, world.customer().await);
    let (_, url) = checkout_with_codes(&world, &mine).await;
    for code in [
        format!("coupon=half&code=THEIRS&customer={other}"),
        "coupon=half&code=OVER&active=false".to_owned(),
        "coupon=half&code=MUCH&restrictions[minimum_amount]=1001&restrictions[minimum_amount_currency]=usd".to_owned(),
    ] {
        world.api.create("/v1/promotion_codes", &code).await;
    }
    for code in ["THEIRS", "OVER", "MUCH"] {
        let form = format!("promotion_code={code}");
        assert_eq!(browse(&url, Some(&form)).await.status, 409, "{code}");
    }
    // No code was entered.
    assert_eq!(browse(&url, Some("promotion_code=")).await.status, 303);
    assert_eq!(number(&world.invoices(&mine).await[0], "amount_paid"), 1000);

    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "mode=subscription&customer={other}&line_items[0][price]={price}&line_items[0][quantity]=1"
    );
    let (_, url) = session(&world, &form).await;
    assert!(!browse(&url, None).await.body.contains("promotion_code"));
    let page = browse(&url, Some("promotion_code=HALF")).await;
    assert_eq!(page.status, 409);
}

#[tokio::test]
async fn a_rest_too_small_to_be_charged_needs_no_good_card_at_checkout() {
    let world = World::new().await;
    world.coupon("id=most&amount_off=951&currency=usd").await;
    world.coupon("id=much&amount_off=950&currency=usd").await;
    for form in ["coupon=most&code=MOST", "coupon=much&code=MUCH"] {
        world.api.create(URL, form).await;
    }
    let price = world.price("unit_amount=1000").await;
    let customer = world.customer().await;
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1&allow_promotion_codes=true"
    );
    let (id, url) = session(&world, &form).await;
    let pay = async |code: &str| {
        let form = format!("card=pm_card_chargeCustomerFail&promotion_code={code}");
        browse(&url, Some(&form)).await
    };
    // 50 cents are charged.
    let declined = pay("MUCH").await;
    assert!(declined.body.contains("declined"), "{}", declined.body);
    assert_eq!(pay("MOST").await.status, 303);
    assert_eq!(number(&retrieved(&world, &id).await, "amount_total"), 49);
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (
            number(&invoice, "total"),
            number(&invoice, "amount_due"),
            &invoice["status"]
        ),
        (49, 0, &json!("paid"))
    );
    let customer = world
        .api
        .get(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    assert_eq!(number(&customer, "balance"), 49);
}
