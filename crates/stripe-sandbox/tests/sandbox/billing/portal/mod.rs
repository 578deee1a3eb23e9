//! The customer portal: its session in the API, and its page.

mod endings;

use serde_json::{Value, json};

use super::checkout::{Page, browse};
use super::{START, World};

const PATH: &str = "/v1/billing_portal/sessions";

/// The URL of a new session.
async fn portal(world: &World, customer: &str) -> String {
    let form = format!("customer={customer}&return_url=https://app.test/back%3Fa%3D1%26b%3D2");
    let made = world.api.post(PATH, &form).await.ok();
    made["url"].as_str().expect("a URL").to_owned()
}

/// Presses a button of the page.
async fn press(url: &str, button: &str, subscription: &str) -> Page {
    browse(url, Some(&format!("{button}={subscription}"))).await
}

/// The fields about a subscription's end: `cancel_at`, `canceled_at`, `cancel_at_period_end`, and the reason.
fn end(subscription: &Value) -> Value {
    json!([
        subscription["cancel_at"],
        subscription["cancel_at_period_end"],
        subscription["canceled_at"],
        subscription["cancellation_details"]["reason"],
    ])
}

/// The same fields of a subscription that is not to end.
fn no_end() -> Value {
    json!([null, false, null, null])
}

#[tokio::test]
async fn a_session_leads_a_customer_to_the_portal() {
    let world = World::new().await;
    let customer = world.customer().await;
    let form = format!("customer={customer}&return_url=https://app.test/&locale=en-GB");
    let mut made = world.api.post(PATH, &form).await.ok();
    let id = made["id"].as_str().expect("an id").to_owned();
    let url = made["url"].take();
    let url = url.as_str().expect("a URL");
    assert!(id.starts_with("bps_") && url.ends_with(&format!("/c/portal/{id}")));
    let configuration = made["configuration"].as_str().expect("an id").to_owned();
    assert!(configuration.starts_with("bpc_"), "{configuration}");
    let whole = json!({
        "id": id,
        "object": "billing_portal.session",
        "configuration": configuration,
        "created": START,
        "customer": customer,
        "flow": null,
        "livemode": false,
        "locale": "en-GB",
        "on_behalf_of": null,
        "return_url": "https://app.test/",
        "url": null,
    });
    assert_eq!(made, whole);
    let events = world.api.get("/v1/events?limit=1").await.ok();
    assert_eq!(events["data"][0]["type"], "billing_portal.session.created");
    assert_eq!(events["data"][0]["data"]["object"]["url"], url);

    let later = crate::versions::later(&world.api);
    let form = format!("customer={customer}&configuration={configuration}&expand[]=configuration");
    let made = later.post(PATH, &form).await.ok();
    let shown = &made["configuration"];
    assert_eq!(shown["id"], configuration.as_str());
    assert_eq!(shown["is_default"], true);
    let cancels = &shown["features"]["subscription_cancel"];
    assert_eq!(
        (&cancels["enabled"], &cancels["mode"]),
        (&true.into(), &"at_period_end".into())
    );
    assert_eq!(made.get("customer_account"), Some(&Value::Null));
    assert!(made["return_url"].is_null() && made["locale"].is_null());
    let page = browse(made["url"].as_str().expect("a URL"), None).await;
    assert!(page.body.contains("There are none.") && !page.body.contains("Back"));
    world.api.get(&format!("{PATH}/{id}")).await.error(404);
}

#[tokio::test]
async fn a_customer_changes_only_its_own_subscriptions() {
    let world = World::new().await;
    let customer = world.customer().await;
    let other = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}");
    let (theirs, _) = world.subscribe(&other, &form).await;
    let url = portal(&world, &customer).await;
    assert!(!browse(&url, None).await.body.contains(&theirs));
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E";
    for (form, message) in [
        (
            format!("cancel={theirs}"),
            format!("No such subscription: '{theirs}'"),
        ),
        (
            format!("cancel={evil}"),
            "No such subscription: '&lt;script&gt;".to_owned(),
        ),
        (
            format!("cancel={theirs}&renew={theirs}"),
            "Choose one subscription".to_owned(),
        ),
        (String::new(), "Choose one subscription".to_owned()),
        ("other=1".to_owned(), "unknown parameter: other".to_owned()),
    ] {
        let page = browse(&url, Some(&form)).await;
        assert_eq!(page.status, 409, "{form}");
        assert!(page.body.contains(&message), "{message} in {}", page.body);
    }
    assert_eq!(end(&world.subscription(&theirs).await), no_end());
}

#[tokio::test]
async fn the_link_expires() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}");
    let (subscription, _) = world.subscribe(&customer, &form).await;
    let clock = world.api.sandbox().clock();
    let (unused, used) = (
        portal(&world, &customer).await,
        portal(&world, &customer).await,
    );
    let open = |page: Page| page.body.contains("Cancel subscription");
    assert!(open(browse(&used, None).await));
    clock.set(START + 299);
    assert!(open(browse(&used, None).await));
    clock.set(START + 300);
    let page = browse(&unused, None).await;
    assert!(page.body.contains("has expired") && page.body.contains("Back"));
    // Each visit keeps the page open for another hour.
    clock.set(START + 299 + 3599);
    assert!(open(browse(&used, None).await));
    clock.set(START + 299 + 3599 + 3600);
    assert!(browse(&used, None).await.body.contains("has expired"));
    for url in [&unused, &used] {
        let pressed = press(url, "cancel", &subscription).await;
        assert_eq!(pressed.status, 409);
        assert!(pressed.body.contains("has expired"));
    }
    assert_eq!(end(&world.subscription(&subscription).await), no_end());

    let root = used.split("/c/portal/").next().expect("a root");
    for path in ["/c/portal/bps_none", "/c/portal/%3Cb%3E"] {
        let page = browse(&format!("{root}{path}"), None).await;
        assert_eq!(page.status, 404);
        let pressed = browse(&format!("{root}{path}"), Some("cancel=x")).await;
        assert_eq!(pressed.status, 404);
    }
    // Deleting the test clock deletes everything of the customer.
    let url = portal(&world, &customer).await;
    let path = format!("/v1/test_helpers/test_clocks/{}", world.clock);
    world.api.delete(&path).await.ok();
    assert_eq!(browse(&url, None).await.status, 404);
}

#[tokio::test]
async fn untrusted_text_in_the_portal_is_escaped() {
    let world = World::new().await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E%22";
    let form = format!(
        "email={evil}@c.test&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa"
    );
    let customer = world.api.create("/v1/customers", &form).await;
    let form =
        format!("currency=usd&recurring[interval]=month&unit_amount=100&product_data[name]={evil}");
    let price = world.api.create("/v1/prices", &form).await;
    let form = format!("items[0][price]={price}");
    world.subscribe(&customer, &form).await;
    let form = format!("customer={customer}&return_url=https://app.test/{evil}");
    let made = world.api.post(PATH, &form).await.ok();
    let page = browse(made["url"].as_str().expect("a URL"), None).await;
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;";
    for text in [
        format!("<h2>{escaped}</h2>"),
        format!("For {escaped}@c.test"),
        format!("href=\"https://app.test/{escaped}\""),
    ] {
        assert!(page.body.contains(&text), "{text} in {}", page.body);
    }
}

#[tokio::test]
async fn bad_sessions_of_the_portal_are_refused() {
    let world = World::new().await;
    let customer = world.customer().await;
    let deleted = world.customer().await;
    world
        .api
        .delete(&format!("/v1/customers/{deleted}"))
        .await
        .ok();
    let refused = async |form: &str, message: &str, param: &str| {
        let (text, _, name) = world.api.post(PATH, form).await.refused(400);
        assert!(text.starts_with(message), "{text} for {form}");
        assert_eq!(name, param, "{form}");
    };
    refused("", "Missing required param: customer.", "customer").await;
    refused("customer=cus_x", "No such customer: 'cus_x'", "customer").await;
    let form = format!("customer={deleted}");
    refused(&form, "No such customer", "customer").await;
    let unmodelled = "The sandbox does not model the parameter";
    for (more, message, param) in [
        (
            "return_url=javascript:alert(1)",
            "Not a valid URL",
            "return_url",
        ),
        ("return_url=/back", "Not a valid URL", "return_url"),
        ("locale=xx", "Invalid locale", "locale"),
        ("configuration=bpc_x", unmodelled, "configuration"),
        ("on_behalf_of=acct_x", unmodelled, "on_behalf_of"),
        (
            "flow_data[type]=subscription_cancel",
            unmodelled,
            "flow_data",
        ),
        ("colour=red", "Received unknown parameter: colour", "colour"),
        (
            "customer_account=acct_x",
            "Received unknown parameter: customer_account",
            "customer_account",
        ),
    ] {
        refused(&format!("customer={customer}&{more}"), message, param).await;
    }
    let later = crate::versions::later(&world.api);
    for param in ["after_expiration[type]", "customer_account"] {
        let form = format!("customer={customer}&{param}=customer_login");
        let (text, _, _) = later.post(PATH, &form).await.refused(400);
        assert!(text.starts_with(unmodelled), "{text}");
    }
    let events = world
        .api
        .get("/v1/events?type=billing_portal.session.created")
        .await;
    assert_eq!(events.ok()["data"], json!([]));
}
