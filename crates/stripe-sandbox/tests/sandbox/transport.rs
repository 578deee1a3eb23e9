//! Keys, accounts, headers, and the places of parameters.

use serde_json::json;

use super::{Api, START};

#[tokio::test]
async fn a_key_is_needed_and_must_be_a_test_key() {
    let api = Api::start().await;
    for (header, part) in [
        ("", "You did not provide an API key"),
        ("Bearer nonsense", "Invalid API Key provided: ****ense"),
        ("Bearer sk_test_", "Invalid API Key provided"),
        ("Bearer sk_live_abcdefgh", "test keys only"),
        ("Basic !!!", "You did not provide an API key"),
    ] {
        let reply = api
            .header("authorization", header)
            .get("/v1/customers")
            .await;
        let (message, ..) = reply.refused(401);
        assert!(message.contains(part), "{message}");
        assert!(!message.contains("abcdefgh"), "{message}");
    }
}

#[tokio::test]
async fn the_key_may_come_as_basic_or_bearer() {
    let api = Api::start().await;
    let id = api.create("/v1/customers", "").await;
    // `sk_test_one:` in base64.
    let basic = api.header("authorization", "Basic c2tfdGVzdF9vbmU6");
    assert_eq!(basic.ids("/v1/customers").await, [id]);
}

#[tokio::test]
async fn each_key_is_an_account_of_its_own() {
    let api = Api::start().await;
    let other = api.key("rk_test_two");
    let id = api.create("/v1/customers", "").await;
    assert!(other.ids("/v1/customers").await.is_empty());
    let (message, code, param) = other.get(&format!("/v1/customers/{id}")).await.refused(404);
    assert_eq!(message, format!("No such customer: '{id}'"));
    assert_eq!((code.as_str(), param.as_str()), ("resource_missing", "id"));
    let own = api.get("/v1/account").await.ok();
    assert_eq!(own["id"], json!(api.sandbox().account_id("sk_test_one")));
    assert_ne!(other.get("/v1/account").await.ok()["id"], own["id"]);
}

#[tokio::test]
async fn connected_accounts_are_made_used_and_deleted() {
    let api = Api::start().await;
    let made = api
        .post(
            "/v1/accounts",
            "type=standard&business_profile[name]=Acme&metadata[k]=v&email=a@b.co",
        )
        .await
        .ok();
    assert_eq!(made["business_profile"]["name"], "Acme");
    assert_eq!(made["created"], START);
    let id = made["id"].as_str().expect("an id");
    let connected = api.header("stripe-account", id);
    let customer = connected.post("/v1/customers", "").await;
    assert_eq!(customer.header("stripe-account"), id);
    assert!(api.ids("/v1/customers").await.is_empty());
    assert_eq!(connected.get("/v1/account").await.ok()["email"], "a@b.co");
    let by_context = api.header("stripe-context", id);
    assert_eq!(by_context.get("/v1/account").await.ok()["email"], "a@b.co");
    assert_eq!(api.ids("/v1/accounts").await, [id]);
    let gone = api.delete(&format!("/v1/accounts/{id}")).await.ok();
    assert_eq!(
        gone,
        json!({"id": id, "object": "account", "deleted": true})
    );
    let (message, code, _) = connected.get("/v1/customers").await.refused(403);
    assert_eq!(code, "account_invalid");
    assert!(
        message.contains(id) && message.contains("does not have access"),
        "{message}"
    );
    // A connected account can only be used with its platform's key.
    let id = api.create("/v1/accounts", "type=standard").await;
    let stranger = api.key("sk_test_two").header("stripe-account", &id);
    stranger.get("/v1/customers").await.error(403);
}

#[tokio::test]
async fn answers_carry_stripes_headers() {
    let api = Api::start().await;
    let reply = api.once("k1").post("/v1/customers", "").await;
    assert!(reply.header("request-id").starts_with("req_"));
    assert_eq!(reply.header("stripe-version"), "2022-11-15");
    assert_eq!(reply.header("idempotency-key"), "k1");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("stripe-account"), "");
}

#[tokio::test]
async fn other_api_versions_are_refused() {
    let api = Api::start().await;
    for version in ["2022-11-15", ""] {
        let played = match version {
            "" => api.clone(),
            version => api.header("stripe-version", version),
        };
        played.get("/v1/customers").await.ok();
    }
    for version in ["2023-08-16", "2020-08-27", "2025-03-31.basil", "latest"] {
        let other = api.header("stripe-version", version);
        let refused = other.once(version).post("/v1/customers", "").await;
        assert_eq!(refused.header("stripe-version"), "2022-11-15");
        assert_eq!(
            refused.refused(400).0,
            format!(
                "The sandbox only supports the API versions `2022-11-15` and `2026-10-28.endive`, not `{version}`: send one of these as `Stripe-Version`, or leave the header out for `2022-11-15`."
            )
        );
    }
    assert!(api.ids("/v1/customers").await.is_empty());
    // Authentication errors come first.
    let stranger = api.key("sk_test_").header("stripe-version", "latest");
    stranger.get("/v1/customers").await.error(401);
}

#[tokio::test]
async fn parameters_are_read_from_query_and_body_on_any_method() {
    let api = Api::start().await;
    for n in 0..3 {
        api.create("/v1/customers", &format!("email=c{n}@b.co"))
            .await;
    }
    let in_body = api.send("GET", "/v1/customers", "limit=2").await.ok();
    assert_eq!(in_body["data"].as_array().map(Vec::len), Some(2));
    let both = api
        .send("GET", "/v1/customers?limit=1", "email=c1@b.co")
        .await
        .ok();
    assert_eq!(both["data"][0]["email"], "c1@b.co");
    let product = api.post("/v1/products?id=p1", "name=N").await.ok();
    assert_eq!(product["id"], "p1");
    let (_, code, param) = api.delete("/v1/coupons/x?foo=1").await.refused(400);
    assert_eq!(
        (code.as_str(), param.as_str()),
        ("parameter_unknown", "foo")
    );
}

#[tokio::test]
async fn nested_names_may_be_unbalanced_as_rack_allows() {
    let api = Api::start().await;
    let price = api
        .post(
            "/v1/prices",
            "currency=usd&unit_amount=1&product_data[name]=N&product_data[metadata[a.b]]=c&metadata[tier.plan]=plan:x@1",
        )
        .await
        .ok();
    assert_eq!(price["metadata"], json!({"tier.plan": "plan:x@1"}));
    let product = price["product"].as_str().expect("an id");
    let product = api.get(&format!("/v1/products/{product}")).await.ok();
    assert_eq!(product["metadata"], json!({"a.b": "c"}));
}

#[tokio::test]
async fn unknown_urls_are_404() {
    let api = Api::start().await;
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/customers"),
        ("GET", "/"),
        ("POST", "/v1/customers/a/b/c"),
        ("GET", "/v2/core/events"),
    ] {
        let (message, ..) = api.send(method, path, "").await.refused(404);
        let start = format!("Unrecognized request URL ({method}: {path}). ");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[tokio::test]
async fn the_same_calls_give_the_same_answers() {
    let run = async || {
        let api = Api::start().await;
        let customer = api
            .post("/v1/customers", "payment_method=pm_card_visa")
            .await
            .ok();
        let events = api.get("/v1/events").await.ok();
        (customer, events)
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test]
async fn calls_are_recorded_and_counted() {
    let api = Api::start().await;
    let id = api.once("k9").create("/v1/customers", "email=a@b.co").await;
    api.get(&format!("/v1/customers/{id}")).await.ok();
    api.key("sk_test_two").get("/v1/nothing").await.error(404);
    let seen = api.sandbox().requests(None);
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].params, json!({"email": "a@b.co"}));
    assert_eq!(seen[0].idempotency_key.as_deref(), Some("k9"));
    assert_eq!(
        (seen[2].status, seen[2].path.as_str()),
        (404, "/v1/nothing")
    );
    let own = api.get("/_sandbox/requests").await.ok();
    assert_eq!(own["requests"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        own["counts"],
        json!({"GET /v1/customers/:id": 1, "POST /v1/customers": 1})
    );
    let all = api
        .header("authorization", "")
        .request("GET", "/_sandbox/requests");
    assert!(all.send().await.is_ok());
    api.sandbox().clear_requests();
    assert!(api.sandbox().counts(None).is_empty());
}

#[tokio::test]
async fn a_reset_with_a_key_empties_its_account_only() {
    let api = Api::start().await;
    let other = api.key("sk_test_two");
    let mine = api.create("/v1/customers", "").await;
    other.create("/v1/customers", "").await;
    api.post("/_sandbox/reset", "").await.ok();
    assert!(api.ids("/v1/customers").await.is_empty());
    assert_eq!(other.ids("/v1/customers").await.len(), 1);
    assert_eq!(
        api.create("/v1/customers", "").await,
        mine,
        "the ids begin anew"
    );
    api.sandbox().reset();
    assert!(other.ids("/v1/customers").await.is_empty());
}
