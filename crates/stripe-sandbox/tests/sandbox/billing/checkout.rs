//! Checkout: the session in the API, and its page.

use reqwest::redirect::Policy;
use serde_json::Value;

use super::{DAY, START, World, lines, number};

/// The answer for a browser, without following redirects.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) location: String,
    pub(super) body: String,
}

pub(super) async fn browse(url: &str, form: Option<&str>) -> Page {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("a client");
    let request = match form {
        None => client.get(url),
        Some(form) => client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned()),
    };
    let response = request.send().await.expect("an answer");
    let location = response.headers().get("location");
    let policy = response.headers().get("content-security-policy").cloned();
    let page = Page {
        status: response.status().as_u16(),
        location: location.map_or(String::new(), |to| to.to_str().expect("ASCII").to_owned()),
        body: response.text().await.expect("a text"),
    };
    if page.status != 303 {
        assert!(
            policy
                .expect("a policy")
                .to_str()
                .expect("ASCII")
                .contains("default-src 'none'")
        );
        assert!(!page.body.contains("<script"), "{}", page.body);
    }
    page
}

const ENDS: &str = "success_url=https://app.test/done%3Fs%3D{CHECKOUT_SESSION_ID}&cancel_url=https://app.test/back%3Fa%3D1%26b%3D2";

pub(super) async fn session(world: &World, form: &str) -> (String, String) {
    let made = world
        .api
        .post("/v1/checkout/sessions", &format!("{ENDS}&{form}"))
        .await
        .ok();
    assert_eq!(made["status"], "open");
    let text = |key: &str| made[key].as_str().expect(key).to_owned();
    (text("id"), text("url"))
}

pub(super) async fn retrieved(world: &World, id: &str) -> Value {
    world
        .api
        .get(&format!("/v1/checkout/sessions/{id}"))
        .await
        .ok()
}

#[tokio::test]
async fn a_subscription_is_bought_with_one_click() {
    let world = World::new().await;
    let customer = world
        .api
        .create(
            "/v1/customers",
            &format!("test_clock={}&email=a%2Bb@c.test", world.clock),
        )
        .await;
    let licensed = world.price("unit_amount=1500").await;
    let metered = world.metered("billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=10&tiers[0][unit_amount]=0&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=2.5&tiers[1][flat_amount]=300").await;
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={licensed}&line_items[0][quantity]=2&line_items[1][price]={metered}&subscription_data[metadata][tier.subscription]=default"
    );
    let (id, url) = session(&world, &form).await;
    assert!(url.ends_with(&format!("/c/pay/{id}")) && id.starts_with("cs_test_"));

    let page = browse(&url, None).await;
    assert_eq!(page.status, 200);
    for part in [
        "Name",
        "$15.00 / month",
        "2 of them",
        "$0.025",
        "11 and more",
        "$3.00",
        "Pay $30.00",
        "a+b@c.test",
        "href=\"https://app.test/back?a=1&amp;b=2\"",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    let paid = browse(&url, Some("card=pm_card_visa")).await;
    assert_eq!(
        (paid.status, paid.location),
        (303, format!("https://app.test/done?s={id}"))
    );

    let done = retrieved(&world, &id).await;
    assert_eq!(
        (&done["status"], &done["payment_status"]),
        (&"complete".into(), &"paid".into())
    );
    assert!(done["url"].is_null());
    let subscription = world
        .subscription(done["subscription"].as_str().expect("made"))
        .await;
    assert_eq!(subscription["status"], "active");
    assert_eq!(subscription["metadata"]["tier.subscription"], "default");
    let methods = world
        .api
        .ids(&format!("/v1/customers/{customer}/payment_methods"))
        .await;
    assert_eq!(subscription["default_payment_method"], methods[0].as_str());
    let invoices = world.invoices(&customer).await;
    assert_eq!(invoices[0]["status"], "paid");
    assert_eq!(lines(&invoices[0]), [(2, 3000), (0, 0)]);

    let again = browse(&url, Some("")).await;
    assert_eq!(again.status, 409);
    assert!(again.body.contains("complete") && !again.body.contains("<form"));
    assert_eq!(world.invoices(&customer).await.len(), 1);
}

#[tokio::test]
async fn a_trial_begins_when_it_is_paid() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1500").await;
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1&subscription_data[trial_period_days]=14"
    );
    let (id, url) = session(&world, &form).await;
    let page = browse(&url, None).await;
    for part in [
        "Free for 14 days",
        "Due today: <strong>$0.00",
        "Start trial",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    world.advance_to(START + DAY).await;
    assert_eq!(browse(&url, Some("")).await.status, 303);
    let done = retrieved(&world, &id).await;
    let subscription = world
        .subscription(done["subscription"].as_str().expect("made"))
        .await;
    assert_eq!(subscription["status"], "trialing");
    assert_eq!(number(&subscription, "trial_end"), START + 15 * DAY);
}

#[tokio::test]
async fn a_declined_card_changes_nothing() {
    let world = World::new().await;
    let customer = world.api.create("/v1/customers", "").await;
    let price = world.price("unit_amount=1500").await;
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1"
    );
    let (id, url) = session(&world, &form).await;
    let page = browse(&url, Some("card=pm_card_chargeCustomerFail")).await;
    assert_eq!(page.status, 409);
    assert!(page.body.contains("declined") && page.body.contains("<form"));
    assert_eq!(retrieved(&world, &id).await["status"], "open");
    for bad in ["card=pm_x", "card[a]=1", "card=%ff", "other=1"] {
        assert_eq!(browse(&url, Some(bad)).await.status, 409, "{bad}");
    }
    assert!(
        world
            .api
            .ids(&format!("/v1/customers/{customer}/payment_methods"))
            .await
            .is_empty()
    );
    assert_eq!(
        browse(&url, Some("card=pm_card_mastercard")).await.status,
        303
    );
}

#[tokio::test]
async fn a_card_can_be_saved_for_later() {
    let world = World::new().await;
    let customer = world.api.create("/v1/customers", "").await;
    let (id, url) = session(&world, &format!("mode=setup&payment_method_types[]=card&customer={customer}&automatic_tax[enabled]=false")).await;
    assert!(browse(&url, None).await.body.contains("Save card"));
    assert_eq!(browse(&url, Some("")).await.status, 303);
    let done = world
        .api
        .get(&format!(
            "/v1/checkout/sessions/{id}?expand[]=setup_intent.payment_method"
        ))
        .await
        .ok();
    assert_eq!(done["status"], "complete");
    assert_eq!(done["setup_intent"]["status"], "succeeded");
    assert_eq!(
        done["setup_intent"]["payment_method"]["customer"],
        customer.as_str()
    );
}

#[tokio::test]
async fn a_session_without_a_customer_makes_one() {
    let world = World::new().await;
    let price = world.metered("unit_amount=5").await;
    let (id, url) = session(
        &world,
        &format!("mode=subscription&customer_email=new@c.test&line_items[0][price]={price}"),
    )
    .await;
    assert_eq!(browse(&url, Some("")).await.status, 303);
    let done = world
        .api
        .get(&format!(
            "/v1/checkout/sessions/{id}?expand[]=customer&expand[]=line_items"
        ))
        .await
        .ok();
    assert_eq!(done["customer"]["email"], "new@c.test");
    assert_eq!(done["customer_details"]["email"], "new@c.test");
    assert_eq!(done["line_items"]["data"][0]["price"]["id"], price.as_str());
    let path = format!("/v1/checkout/sessions/{id}/line_items");
    assert_eq!(
        world.api.get(&path).await.ok()["data"],
        done["line_items"]["data"]
    );
}

#[tokio::test]
async fn sessions_expire_by_themselves_and_on_request() {
    let world = World::new().await;
    let (first, url) = session(&world, "mode=setup").await;
    let path = format!("/v1/checkout/sessions/{first}/expire");
    assert_eq!(world.api.post(&path, "").await.ok()["status"], "expired");
    let (message, ..) = world.api.post(&path, "").await.refused(400);
    assert!(message.contains("a status of expired"), "{message}");
    assert!(browse(&url, None).await.body.contains("has expired"));
    assert_eq!(browse(&url, Some("")).await.status, 409);

    let (second, url) = session(&world, "mode=setup").await;
    world.api.sandbox().clock().set(START + DAY);
    assert!(browse(&url, None).await.body.contains("has expired"));
    assert_eq!(retrieved(&world, &second).await["status"], "expired");
    assert_eq!(
        world.api.ids("/v1/checkout/sessions").await,
        [second, first]
    );
    let root = url.split("/c/pay/").next().expect("a root");
    assert_eq!(
        browse(&format!("{root}/c/pay/cs_test_none"), None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn untrusted_text_is_escaped() {
    let world = World::new().await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E%22%27";
    let price = world
        .api
        .create(
            "/v1/prices",
            &format!(
                "currency=usd&recurring[interval]=month&unit_amount=100&product_data[name]={evil}"
            ),
        )
        .await;
    let (_, url) = session(
        &world,
        &format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1"),
    )
    .await;
    let page = browse(&url, None).await;
    assert!(
        page.body
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'"),
        "{}",
        page.body
    );
    let page = browse(&url, Some(&format!("card={evil}"))).await;
    assert!(
        page.body.contains("No such PaymentMethod: '&lt;script&gt;"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn bad_sessions_are_refused() {
    let world = World::new().await;
    let customer = world.customer().await;
    let metered = world.metered("unit_amount=5").await;
    let licensed = world.price("unit_amount=5").await;
    let subscribe = |rest: &str| format!("mode=subscription&success_url=https://a.test&{rest}");
    for (form, message, param) in [
        (
            "success_url=https://a.test".to_owned(),
            "Missing required param: mode.",
            "mode",
        ),
        (
            "mode=setup".to_owned(),
            "Missing required param: success_url.",
            "success_url",
        ),
        (
            "mode=setup&success_url=javascript:alert(1)".to_owned(),
            "Not a valid URL",
            "success_url",
        ),
        (
            "mode=payment&success_url=https://a.test".to_owned(),
            "The sandbox models checkout",
            "mode",
        ),
        (
            subscribe(""),
            "Missing required param: line_items.",
            "line_items",
        ),
        (
            subscribe(&format!(
                "line_items[0][price]={metered}&line_items[0][quantity]=1"
            )),
            "Quantity should not be specified where usage_type is `metered`. Remove quantity from `line_items[0]`",
            "line_items[0][quantity]",
        ),
        (
            subscribe(&format!("line_items[0][price]={licensed}")),
            "Quantity is required.",
            "line_items[0][quantity]",
        ),
        (
            subscribe(&format!(
                "line_items[0][price]={metered}&customer_update[name]=auto"
            )),
            "`customer_update` can only be used with `customer`.",
            "customer_update",
        ),
        (
            subscribe(&format!(
                "line_items[0][price]={metered}&customer={customer}&tax_id_collection[enabled]=true"
            )),
            "Tax ID collection requires",
            "customer_update[name]",
        ),
        (
            subscribe(&format!(
                "line_items[0][price]={metered}&customer={customer}&automatic_tax[enabled]=true"
            )),
            "Automatic tax calculation in Checkout requires a valid address",
            "",
        ),
        (
            subscribe(&format!("line_items[0][price]={metered}&customer=cus_x")),
            "No such customer: 'cus_x'",
            "customer",
        ),
        (
            subscribe(&format!("line_items[0][price]={metered}&colour=red")),
            "Received unknown parameter: colour",
            "colour",
        ),
    ] {
        let (text, _, name) = world
            .api
            .post("/v1/checkout/sessions", &form)
            .await
            .refused(400);
        assert!(text.starts_with(message), "{text} for {form}");
        assert_eq!(name, param, "{form}");
    }
    assert!(world.api.ids("/v1/checkout/sessions").await.is_empty());
}
