//! Customers, their cards, and their search.

use serde_json::{Value, json};
use stripe_sandbox::Options;

use super::{Api, START, with_manual_clock};

#[tokio::test]
async fn customers_are_made_read_changed_and_deleted() {
    let api = Api::start().await;
    let made = api
        .post("/v1/customers", "email=jane@example.com&name=Jane&metadata[tier.org]=org:jane&metadata[none]=&address[country]=DE")
        .await
        .ok();
    assert_eq!(made["created"], START);
    assert_eq!(made["metadata"], json!({"tier.org": "org:jane"}));
    assert_eq!(made["address"]["country"], "DE");
    assert_eq!(made["address"]["city"], Value::Null);
    let id = made["id"].as_str().expect("an id");
    let path = format!("/v1/customers/{id}");
    assert_eq!(
        api.post(&path, "").await.ok(),
        made,
        "an empty update changes nothing"
    );
    let changed = api
        .post(&path, "name=&phone=1&metadata[a]=b&metadata[tier.org]=")
        .await
        .ok();
    assert_eq!(
        (&changed["name"], &changed["phone"]),
        (&Value::Null, &json!("1"))
    );
    assert_eq!(changed["metadata"], json!({"a": "b"}));
    assert_eq!(
        api.post(&path, "metadata=").await.ok()["metadata"],
        json!({})
    );
    let gone = api.delete(&path).await.ok();
    assert_eq!(
        gone,
        json!({"id": id, "object": "customer", "deleted": true})
    );
    assert_eq!(api.get(&path).await.ok(), gone);
    assert!(api.ids("/v1/customers").await.is_empty());
    api.post(&path, "name=x").await.error(404);
    let events = api.get("/v1/events?type=customer.*").await.ok();
    let kinds: Vec<_> = events["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| &event["type"])
        .collect();
    assert_eq!(
        kinds,
        [
            "customer.deleted",
            "customer.updated",
            "customer.updated",
            "customer.created"
        ]
    );
    assert_eq!(
        events["data"][2]["data"]["previous_attributes"]["name"],
        "Jane"
    );
}

#[tokio::test]
async fn emails_are_checked() {
    let api = Api::start().await;
    for bad in ["x", "@b.co", "a@b", "a@", "a b@c.co", "a@b..co", "a@b@c.co"] {
        let (message, code, param) = api
            .post("/v1/customers", &format!("email={bad}"))
            .await
            .refused(400);
        assert_eq!(message, format!("Invalid email address: {bad}"));
        assert_eq!((code.as_str(), param.as_str()), ("email_invalid", "email"));
    }
}

#[tokio::test]
async fn a_test_card_is_attached_on_creation() {
    let api = Api::start().await;
    let made = api
        .post(
            "/v1/customers",
            "payment_method=pm_card_us&invoice_settings[default_payment_method]=pm_card_us",
        )
        .await
        .ok();
    let id = made["id"].as_str().expect("an id");
    let cards = api
        .get(&format!("/v1/customers/{id}/payment_methods"))
        .await
        .ok();
    assert_eq!(cards["data"].as_array().map(Vec::len), Some(1));
    let card = &cards["data"][0];
    assert_eq!(card["customer"], id);
    assert_eq!(card["card"]["last4"], "4242");
    assert_eq!(
        made["invoice_settings"]["default_payment_method"],
        card["id"]
    );
    // Stripe does not have the parameter on updates.
    let (_, code, _) = api
        .post(&format!("/v1/customers/{id}"), "payment_method=pm_card_us")
        .await
        .refused(400);
    assert_eq!(code, "parameter_unknown");
    let setting = "invoice_settings[default_payment_method]";
    let (message, code, param) = api
        .post(
            &format!("/v1/customers/{id}"),
            &format!("{setting}=pm_card_us"),
        )
        .await
        .refused(400);
    assert_eq!(message, "No such PaymentMethod: 'pm_card_us'");
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("resource_missing", setting)
    );
    let (message, code, _) = api
        .post("/v1/customers", "payment_method=pm_card_nope")
        .await
        .refused(400);
    assert_eq!(message, "No such PaymentMethod: 'pm_card_nope'");
    assert_eq!(code, "resource_missing");
}

#[tokio::test]
async fn cards_are_made_attached_and_detached() {
    let api = Api::start().await;
    let number = "type=card&card[number]=4242424242424242&card[exp_month]=1&card[exp_year]=2021&card[cvc]=123";
    let card = api.create("/v1/payment_methods", number).await;
    let customer = api.create("/v1/customers", "").await;
    let attach = format!("/v1/payment_methods/{card}/attach");
    let attached = api
        .post(&attach, &format!("customer={customer}"))
        .await
        .ok();
    assert_eq!(attached["customer"], customer);
    let other = api.create("/v1/customers", "").await;
    api.post(&attach, &format!("customer={other}"))
        .await
        .error(400);
    let second = api
        .post(
            "/v1/payment_methods/pm_card_visa/attach",
            &format!("customer={customer}"),
        )
        .await
        .ok();
    let second = second["id"].as_str().expect("an id");
    let path = format!("/v1/customers/{customer}/payment_methods?type=card");
    assert_eq!(api.ids(&path).await, [second, &card]);
    let update = format!("invoice_settings[default_payment_method]={second}");
    let default = api
        .post(&format!("/v1/customers/{customer}"), &update)
        .await
        .ok();
    assert_eq!(
        default["invoice_settings"]["default_payment_method"],
        second
    );
    api.post(&format!("/v1/payment_methods/{second}/detach"), "")
        .await
        .ok();
    assert_eq!(api.ids(&path).await, [card]);
    let customer = api.get(&format!("/v1/customers/{customer}")).await.ok();
    assert_eq!(
        customer["invoice_settings"]["default_payment_method"],
        Value::Null
    );
    api.post(&format!("/v1/payment_methods/{second}/detach"), "")
        .await
        .error(400);
    api.post(
        "/v1/payment_methods/pm_none/attach",
        &format!("customer={other}"),
    )
    .await
    .error(404);
    let declined = api
        .post(
            "/v1/payment_methods",
            &number.replace("4242424242424242", "1234"),
        )
        .await;
    assert_eq!(declined.error(402)["type"], "card_error");
}

#[tokio::test]
async fn a_setup_intent_attaches_on_confirmation() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    let intent = api
        .post("/v1/setup_intents", &format!("customer={customer}"))
        .await
        .ok();
    assert_eq!(intent["status"], "requires_payment_method");
    let id = intent["id"].as_str().expect("an id");
    let confirm = format!("/v1/setup_intents/{id}/confirm");
    api.post(&confirm, "").await.error(400);
    let done = api.post(&confirm, "payment_method=pm_card_visa").await.ok();
    assert_eq!(done["status"], "succeeded");
    let cards = api
        .ids(&format!("/v1/customers/{customer}/payment_methods"))
        .await;
    assert_eq!(cards, [done["payment_method"].as_str().expect("an id")]);
    assert_eq!(api.get(&format!("/v1/setup_intents/{id}")).await.ok(), done);
    api.post(&confirm, "").await.error(400);
    let at_once = format!("customer={customer}&payment_method=pm_card_mastercard&confirm=true");
    assert_eq!(
        api.post("/v1/setup_intents", &at_once).await.ok()["status"],
        "succeeded"
    );
    let chosen = api
        .post("/v1/setup_intents", "payment_method=pm_card_visa")
        .await
        .ok();
    assert_eq!(chosen["status"], "requires_confirmation");
    assert_eq!(
        api.ids(&format!("/v1/customers/{customer}/payment_methods"))
            .await
            .len(),
        2
    );
}

fn search(query: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("/v1/customers/search?query={query}")
}

#[tokio::test]
async fn customers_are_found_by_metadata_and_email_in_any_case() {
    let api = Api::start().await;
    let a = api
        .create(
            "/v1/customers",
            "email=Jane@Example.com&metadata[tier.org]=org:A",
        )
        .await;
    let b = api
        .create(
            "/v1/customers",
            "email=joe@example.com&metadata[tier.org]=org:b&metadata[x]=y",
        )
        .await;
    let c = api
        .create("/v1/customers", r"metadata[tier.org]=it's \a")
        .await;
    for (query, found) in [
        ("metadata['tier.org']:'org:a'", vec![&a]),
        ("email:'jane@example.COM'", vec![&a]),
        (
            "email:'jane@example.com' OR metadata['x']:\"y\"",
            vec![&b, &a],
        ),
        ("email:'joe@example.com' AND metadata['x']:'y'", vec![&b]),
        ("email:'jane@example.com' AND metadata['x']:'y'", vec![]),
        (r"metadata['tier.org']:'it\'s \\a'", vec![&c]),
        ("metadata['TIER.org']:'org:a'", vec![]),
        ("email:'nobody@example.com'", vec![]),
    ] {
        let ids = api.ids(&search(query)).await;
        assert_eq!(ids.iter().collect::<Vec<_>>(), found, "{query}");
    }
    api.post(&format!("/v1/customers/{a}"), "metadata[tier.org]=org:z")
        .await
        .ok();
    assert!(
        api.ids(&search("metadata['tier.org']:'org:a'"))
            .await
            .is_empty()
    );
    assert_eq!(api.ids(&search("metadata['tier.org']:'org:z'")).await, [a]);
    api.delete(&format!("/v1/customers/{b}")).await.ok();
    assert!(api.ids(&search("metadata['x']:'y'")).await.is_empty());
    for bad in ["name:'x'", "email", "email:'a' AND email:'b' OR email:'c'"] {
        api.get(&search(bad)).await.error(400);
    }
}

#[tokio::test]
async fn the_search_lags_behind() {
    let api = Api::with(with_manual_clock()).await;
    let id = api.create("/v1/customers", "metadata[k]=v").await;
    let query = search("metadata['k']:'v'");
    assert!(api.ids(&query).await.is_empty());
    api.sandbox().clock().set(START + 1);
    assert_eq!(api.ids(&query).await, [id.as_str()]);
    api.post(&format!("/v1/customers/{id}"), "metadata[k]=w")
        .await
        .ok();
    assert_eq!(
        api.ids(&query).await,
        [id.as_str()],
        "the index knows the former value still"
    );
    api.sandbox().clock().set(START + 2);
    assert!(api.ids(&query).await.is_empty());
}

#[tokio::test]
async fn search_results_come_in_pages() {
    let api = Api::with(Options {
        search_lag: std::time::Duration::ZERO,
        ..with_manual_clock()
    })
    .await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.insert(0, api.create("/v1/customers", "metadata[k]=v").await);
    }
    let mut path = search("metadata['k']:'v'") + "&limit=3";
    let mut seen = Vec::new();
    loop {
        let page = api.get(&path).await.ok();
        assert_eq!(page["object"], "search_result");
        for customer in page["data"].as_array().expect("a list") {
            seen.push(customer["id"].as_str().expect("an id").to_owned());
        }
        assert_eq!(page["has_more"], page["next_page"].is_string());
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        path = search("metadata['k']:'v'") + "&limit=3&page=" + next;
    }
    assert_eq!(seen, made);
}

/// Stripe was recorded to hint to a platform that the payment method may belong to a connected account.
#[tokio::test]
async fn a_platform_is_reminded_of_its_connected_accounts() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    let form = format!("customer={customer}");
    let path = "/v1/payment_methods/pm_none/attach";
    let (message, ..) = api.post(path, &form).await.refused(404);
    assert_eq!(message, "No such PaymentMethod: 'pm_none'");
    api.create("/v1/accounts", "type=standard").await;
    let (message, code, param) = api.post(path, &form).await.refused(404);
    assert!(
        message.starts_with("No such PaymentMethod: 'pm_none'; It's possible this PaymentMethod exists on one of your connected accounts"),
        "{message}"
    );
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("resource_missing", "payment_method")
    );
}
