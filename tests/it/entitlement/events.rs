//! Stripe's events: which events the server accepts, and what it reads again after an event.

use axum::http::Method;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tier::domain::MaxAge;

use super::{SECOND, calls, memory, start_with, stripe, take_stripe_away};
use crate::harness::{Answer, Settings, TestApp};

pub(super) const PATH: &str = "/v1/stripe/webhook";
const SECRET: &str = "whsec_test";

pub(super) async fn start() -> TestApp {
    start_with(Settings {
        webhook_secrets: vec!["whsec_old", SECRET],
        ..Settings::remembering()
    })
    .await
}

pub(super) fn signature(secret: &str, at: i64, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    let mac = mac.chain_update(format!("{at}.{body}")).finalize();
    let hex = |hex: String, byte: &u8| hex + &format!("{byte:02x}");
    let hex = mac.into_bytes().iter().fold(String::new(), hex);
    format!("t={at},v1={hex}")
}

async fn deliver_signed(app: &TestApp, body: &str, signature: &str) -> Answer {
    let delivery = app.request(Method::POST, PATH).body(body.to_owned());
    delivery.header("stripe-signature", signature).send().await
}

pub(super) async fn deliver(app: &TestApp, event: &Value) -> Answer {
    let body = event.to_string();
    let signature = signature(SECRET, app.sandbox().clock().unix(), &body);
    deliver_signed(app, &body, &signature).await
}

pub(super) fn event(kind: &str, object: &Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": kind, "livemode": false, "data": {"object": object}})
}

async fn customer(app: &TestApp) -> String {
    let whois = app.get("/v1/whois?org=org:a").await.ok().json();
    whois["stripe_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn only_signed_events_are_accepted() {
    let app = start().await;
    let now = app.sandbox().clock().unix();
    let body = event(
        "customer.updated",
        &json!({"object": "customer", "id": "cus_1"}),
    )
    .to_string();
    for secret in ["whsec_old", SECRET] {
        let signed = deliver_signed(&app, &body, &signature(secret, now - 300, &body)).await;
        assert_eq!(signed.ok().body, "{}");
    }
    for wrong in [
        String::new(),
        "nonsense".to_owned(),
        signature("whsec_other", now, &body),
        signature(SECRET, now, "{}"),
        signature(SECRET, now - 301, &body),
    ] {
        let refused = deliver_signed(&app, &body, &wrong).await;
        refused.fails(400, "invalid_request");
    }
    for broken in ["", "[]", "{\"id\":1}", "\u{0}"] {
        let refused = deliver_signed(&app, broken, &signature(SECRET, now, broken)).await;
        refused.fails(400, "invalid_request");
    }
    let large = "x".repeat(2 << 20);
    let refused = deliver_signed(&app, &large, &signature(SECRET, now, &large)).await;
    refused.fails(413, "request_too_large");
    app.get(PATH).await.fails(405, "method_not_allowed");

    let without_secret = start_with(Settings::remembering()).await;
    let refused = deliver(&without_secret, &event("customer.updated", &json!(null))).await;
    refused.fails(404, "not_found");
}

#[tokio::test]
async fn an_event_outdates_the_org_of_its_customer() {
    let app = start().await;
    let customer = customer(&app).await;
    calls(&app).await;
    app.second_server()
        .report("org:a", "feature:calls", 5)
        .await;
    for other in [
        event(
            "customer.subscription.updated",
            &json!({"customer": "cus_unknown"}),
        ),
        event("something.new", &json!({"object": "x"})),
        json!({"id": "evt_1", "type": "customer.updated", "livemode": true,
            "data": {"object": {"object": "customer", "id": customer}}}),
        json!({"id": "evt_1", "type": "customer.updated", "account": "acct_other",
            "data": {"object": {"object": "customer", "id": customer}}}),
        event("product.created", &json!({"object": "product"})),
    ] {
        deliver(&app, &other).await.ok();
        assert_eq!(calls(&app).await, memory(0, 0), "{other}");
    }
    let updated = event(
        "customer.subscription.updated",
        &json!({"customer": customer}),
    );
    deliver(&app, &updated).await.ok();
    assert_eq!(calls(&app).await, stripe(5));
    app.second_server()
        .report("org:a", "feature:calls", 5)
        .await;
    app.advance(SECOND);
    deliver(&app, &event("price.updated", &json!({"object": "price"})))
        .await
        .ok();
    app.advance(SECOND);
    assert_eq!(calls(&app).await, stripe(10));
}

#[tokio::test]
async fn answers_may_be_older_while_events_arrive() {
    let app = start().await;
    let nothing = event("something.new", &json!({"object": "x"}));
    calls(&app).await;
    deliver(&app, &nothing).await.ok();
    app.advance(150 * SECOND);
    assert_eq!(calls(&app).await, memory(0, 150));
    app.advance(150 * SECOND);
    assert_eq!(calls(&app).await, stripe(0));
    app.advance(3_300 * SECOND);
    calls(&app).await;
    app.advance(11 * SECOND);
    assert_eq!(calls(&app).await, stripe(0), "no event came for an hour");
}

#[tokio::test]
async fn an_outdated_answer_is_served_during_an_outage() {
    let app = start().await;
    let customer = customer(&app).await;
    calls(&app).await;
    take_stripe_away(&app);
    deliver(
        &app,
        &event(
            "customer.updated",
            &json!({"object": "customer", "id": customer}),
        ),
    )
    .await
    .ok();
    let (used, _, _, stale) = calls(&app).await;
    assert_eq!((used, stale.as_deref()), (0, Some("stripe-unavailable")));
}

#[tokio::test]
async fn a_deleted_customer_is_forgotten_at_once() {
    let app = start().await;
    let customer = customer(&app).await;
    calls(&app).await;
    app.stripe_delete(&format!("/v1/customers/{customer}"))
        .await;
    let deleted = json!({"object": "customer", "id": customer, "deleted": true});
    deliver(&app, &event("customer.deleted", &deleted))
        .await
        .ok();
    app.get("/v1/limits?org=org:a")
        .await
        .fails(400, "org_not_found");
}

/// The server does not read the org after the purchase, and still the first subscription must not be billed any longer.
#[tokio::test]
async fn a_purchase_ends_superseded_subscriptions_without_a_read_of_the_org() {
    for (is_known, max_age) in [
        (true, Settings::remembering().max_age),
        (false, Settings::remembering().max_age),
        (false, MaxAge::default()),
    ] {
        let app = start_with(Settings {
            webhook_secrets: vec![SECRET],
            max_age,
            ..Settings::remembering()
        })
        .await;
        let customer = customer(&app).await;
        let old = app.stripe_get("/v1/subscriptions").await["data"][0].clone();
        let price = old["items"]["data"][0]["price"]["id"]
            .as_str()
            .expect("an id");
        app.advance(60 * SECOND);
        if is_known {
            calls(&app).await;
        }
        let new = [
            ("customer", customer.as_str()),
            ("items[0][price]", price),
            ("metadata[tier.subscription]", "default"),
        ];
        let new = app.stripe_post("/v1/subscriptions", &new).await;
        deliver(&app, &event("customer.subscription.created", &new))
            .await
            .ok();
        app.settled().await;
        let live = app.stripe_get("/v1/subscriptions").await;
        let live = live["data"].as_array().expect("a list");
        assert_eq!(live.len(), 1, "{is_known}");
        assert_eq!(live[0]["id"], new["id"]);
    }
}

/// During the org's first read, the server does not know yet that the customer belongs to the org.
#[tokio::test]
async fn an_event_during_the_first_read_is_not_lost() {
    let app = start().await;
    let customer = customer(&app).await;
    app.slow_down(
        "GET",
        "/v1/invoices/upcoming/lines",
        std::time::Duration::from_secs(600),
    );
    let change = async {
        app.until_slow().await;
        app.second_server_with(&Settings::default())
            .subscribe("org:a", &["plan:pro@1"])
            .await;
        let updated = event(
            "customer.subscription.updated",
            &json!({"customer": customer}),
        );
        deliver(&app, &updated).await.ok();
        app.sandbox().clear_faults();
    };
    futures::join!(app.get("/v1/limits?org=org:a"), change)
        .0
        .ok();
    let limits = app.limits("org:a").await;
    assert!(
        limits.iter().any(|(feature, ..)| feature == "feature:base"),
        "{limits:?}"
    );
}

#[tokio::test]
async fn an_expired_page_does_not_cause_reads_every_second() {
    let app = start().await;
    let customer = customer(&app).await;
    let checkout =
        json!({"org": "org:a", "features": ["plan:pro@1"], "success_url": "https://x.example"});
    app.post_json("/v1/checkout", &checkout).await.ok();
    calls(&app).await;
    app.advance(SECOND);
    assert_eq!(calls(&app).await, stripe(0));
    let expired = json!({"object": "checkout.session", "id": "cs_1", "customer": customer});
    deliver(&app, &event("checkout.session.expired", &expired))
        .await
        .ok();
    assert_eq!(calls(&app).await, stripe(0));
    app.advance(5 * SECOND);
    assert_eq!(calls(&app).await, memory(0, 5));
}
