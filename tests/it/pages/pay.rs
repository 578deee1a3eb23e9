//! Checkout links. A caller with a key creates them, and anybody who has a link can open it.

mod problems;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tier::api::{Audit, CheckoutLinks, Keys};
use tower::ServiceExt as _;

use crate::harness::{Answer, DAY, TestApp};

const HOST: (&str, &str) = ("host", "pay.example");
const KEY: (&str, &str) = ("authorization", "Bearer back-end");
const SECRET: &str = "a secret of more than 32 characters";

fn links(app: &TestApp, secret: &str, origin: Option<&str>) -> CheckoutLinks {
    let clock = app.sandbox().clock().clone();
    let links = CheckoutLinks::new(vec![secret.into()], origin.map(str::to_owned), clock);
    links.expect("there is a secret")
}

/// A server with API keys and Checkout links.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    let model = json!({"plans": {
        "plan:pro@1": {"title": "Pro", "features": {"feature:seats": {"base": 1000}}},
        "plan:team@1": {"features": {"feature:seats": {"base": 5000}}},
    }});
    app.push(&model).await;
    let links = links(&app, SECRET, None);
    app.adjusted(|app| {
        app.keys = Keys::new(["back-end"]);
        app.checkout_links = Some(links);
    })
}

async fn checkout(app: &TestApp, body: &Value) -> Answer {
    let call = app
        .request(Method::POST, "/v1/checkout")
        .headers(&[HOST, KEY]);
    call.body(body.to_string()).send().await
}

fn pro() -> Value {
    json!({"org": "org:acme", "success_url": "https://app.example/ok", "features": ["plan:pro@1"], "link": true})
}

/// Creates a link, and returns its path.
async fn link(app: &TestApp, body: &Value) -> String {
    let url = checkout(app, body).await.ok().json()["url"].clone();
    let path = url
        .as_str()
        .and_then(|url| url.strip_prefix("http://pay.example"));
    path.expect("a link to the host that was asked").to_owned()
}

/// Presses the button on the link's page, as a browser does.
async fn press(app: &TestApp, link: &str) -> Answer {
    let origin = ("origin", "http://pay.example");
    let call = app.request(Method::POST, link).headers(&[HOST, origin]);
    call.send().await
}

/// Presses the button, and returns the path of the Checkout page.
async fn page(app: &TestApp, link: &str) -> String {
    let pressed = press(app, link).await;
    assert_eq!(pressed.status, 303, "{}", pressed.body);
    let page = pressed.header("location").strip_prefix(app.stripe_url());
    page.expect("a page of this sandbox").to_owned()
}

async fn pay(app: &TestApp, page: &str) {
    let request = axum::http::Request::post(page).body(axum::body::Body::empty());
    let paid = app.sandbox().router().oneshot(request.expect("a request"));
    assert_eq!(paid.await.expect("an answer").status(), 303);
    app.advance(Duration::from_secs(60));
}

fn sessions(app: &TestApp) -> usize {
    app.sent("POST /v1/checkout/sessions").len()
}

async fn status_of(app: &TestApp, page: &str) -> Value {
    let id = page.rsplit('/').next().expect("an id");
    app.stripe_get(&format!("/v1/checkout/sessions/{id}")).await["status"].clone()
}

#[tokio::test]
async fn a_link_opens_a_new_page_at_each_visit_and_none_when_it_is_looked_at() {
    let app = start().await;
    let mut body = pro();
    body["trial_days"] = json!(14);
    let made = checkout(&app, &body).await.ok();
    assert_eq!(made.json()["expires"], "2023-01-31T00:00:00Z");
    let link = link(&app, &body).await;
    app.get_with("/v1/whois?org=org:acme", &[KEY])
        .await
        .fails(400, "org_not_found");

    app.forget_calls();
    let head = app
        .request(Method::HEAD, &link)
        .headers(&[HOST])
        .send()
        .await;
    assert_eq!(head.status, 200);
    let looked = app.get_with(&link, &[HOST]).await.ok();
    assert!(looked.body.contains("org:acme") && looked.body.contains("plan:pro@1"));
    assert!(
        looked.body.contains("The first 14 days are free."),
        "{}",
        looked.body
    );
    assert_eq!(looked.header("referrer-policy"), "same-origin");
    assert_eq!(looked.header("cache-control"), "no-store");
    assert_eq!(looked.header("x-robots-tag"), "noindex");
    let policy = looked.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' http:; frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(app.stripe_calls(), 0);

    let first = page(&app, &link).await;
    assert_eq!(
        page(&app, &link).await,
        first,
        "a second click opens no other page"
    );
    app.advance(DAY);
    let second = page(&app, &link).await;
    assert_ne!(second, first);
    assert_eq!(status_of(&app, &first).await, "expired");
    assert_eq!(status_of(&app, &second).await, "open");
    let sent = app
        .sent("POST /v1/checkout/sessions")
        .pop()
        .expect("a session");
    assert_eq!(sent["subscription_data"]["trial_period_days"], "14");
    pay(&app, &second).await;
    let phase = app
        .get_with("/v1/phase?org=org:acme", &[KEY])
        .await
        .ok()
        .json();
    assert_eq!(phase["plans"], json!(["plan:pro@1"]));
}

#[tokio::test]
async fn a_link_ends() {
    let app = start().await;
    let refused = async |link: &str| {
        let accept = ("accept", "text/html");
        let looked = app.get_with(link, &[HOST, accept]).await;
        let pressed = press(&app, link).await;
        assert_eq!(
            (looked.status.as_u16(), pressed.status.as_u16()),
            (410, 410),
            "{link}"
        );
        assert!(
            looked.body.contains("This link cannot be used"),
            "{}",
            looked.body
        );
    };
    let mut body = pro();
    body["link_days"] = json!(2);
    let made = link(&app, &body).await;
    body["org"] = json!("org:other");
    let other = link(&app, &body).await;
    app.forget_calls();
    let (other, _) = other.split_once('.').expect("two parts");
    let (_, mac) = made.split_once('.').expect("two parts");
    refused(&format!("{other}.{mac}")).await;
    refused(&made[..made.len() - 1]).await;
    refused("/pay/x").await;
    app.advance((2 * DAY).saturating_sub(Duration::from_secs(1)));
    app.get_with(&made, &[HOST]).await.ok();
    app.advance(Duration::from_secs(1));
    refused(&made).await;
    assert_eq!(app.stripe_calls(), 0);

    // A server with another secret refuses these links, and a server without a secret has no links.
    let made = link(&app, &pro()).await;
    let other = links(&app, "another secret of 32 characters or more", None);
    let other = app.clone().adjusted(|app| app.checkout_links = Some(other));
    assert_eq!(press(&other, &made).await.status, 410);
    let off = app.clone().adjusted(|app| app.checkout_links = None);
    assert_eq!(press(&off, &made).await.status, 404);
    let refused = checkout(&off, &pro()).await.fails(400, "invalid_request");
    assert!(
        refused.body.contains("TIER_LINK_SECRET"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn a_link_ends_when_the_org_has_what_it_sells() {
    let app = start().await;
    let made = link(&app, &pro()).await;
    let first = page(&app, &made).await;
    pay(&app, &first).await;
    assert_eq!(press(&app, &made).await.status, 410);
    // A link to another plan is an upgrade, and still opens.
    let mut team = pro();
    team["features"] = json!(["plan:team@1"]);
    let team = link(&app, &team).await;
    let upgrade = page(&app, &team).await;
    pay(&app, &upgrade).await;
    assert_eq!(press(&app, &team).await.status, 410);
    // An org that has left a plan may return to it.
    page(&app, &made).await;

    let archived = json!({"plan": "plan:pro@1", "archived": true}).to_string();
    let call = app.request(Method::POST, "/v1/archive").headers(&[KEY]);
    call.body(archived).send().await.ok();
    assert_eq!(press(&app, &made).await.status, 410);
}

#[tokio::test]
async fn a_trial_begins_once() {
    let app = start().await;
    let mut trial = pro();
    trial["trial_days"] = json!(14);
    let made = link(&app, &trial).await;
    let first = page(&app, &made).await;
    pay(&app, &first).await;
    assert_eq!(press(&app, &made).await.status, 410);
    app.advance(13 * DAY);
    let cancel = json!({"org": "org:acme", "phases": [{}]}).to_string();
    let call = app.request(Method::POST, "/v1/subscribe").headers(&[KEY]);
    call.body(cancel).send().await.ok();
    app.advance(DAY);
    assert_eq!(
        press(&app, &made).await.status,
        410,
        "not even after the end"
    );
}

#[tokio::test]
async fn a_card_can_be_entered_again() {
    let app = start().await;
    let card = json!({"org": "org:acme", "success_url": "https://app.example/ok", "link": true});
    let made = link(&app, &card).await;
    let looked = app.get_with(&made, &[HOST]).await.ok();
    assert!(looked.body.contains("Enter a card"), "{}", looked.body);
    for _ in 0..2 {
        let opened = page(&app, &made).await;
        pay(&app, &opened).await;
    }
}

#[tokio::test]
async fn only_the_links_own_page_has_its_button() {
    let app = start().await;
    let made = link(&app, &pro()).await;
    app.forget_calls();
    for origin in ["https://evil.example", "null"] {
        let call = app.request(Method::POST, &made);
        let call = call.headers(&[HOST, ("origin", origin)]);
        assert_eq!(call.send().await.status, 403);
    }
    assert_eq!(app.stripe_calls(), 0);
    // A visitor cannot move the org to a test clock by a header.
    let call = app.request(Method::POST, &made);
    let call = call.headers(&[HOST, ("tier-clock", "clock_none")]);
    assert_eq!(call.send().await.status, 303);
}

#[tokio::test]
async fn an_org_stays_on_its_test_clock() {
    let app = start().await;
    let clock = json!({"name": "x", "present": "2023-01-01T00:00:00Z"}).to_string();
    let call = app.request(Method::POST, "/v1/clock").headers(&[KEY]);
    let clock = call.body(clock).send().await.ok().json()["id"].clone();
    let clock = clock.as_str().expect("an id");
    let call = app.request(Method::POST, "/v1/checkout");
    let call = call.headers(&[HOST, KEY, ("tier-clock", clock)]);
    let made = call.body(pro().to_string()).send().await.ok().json();
    let made = made["url"].as_str().expect("a link").to_owned();
    page(
        &app,
        made.strip_prefix("http://pay.example").expect("a path"),
    )
    .await;
    let sent = app.sent("POST /v1/customers").pop().expect("a customer");
    assert_eq!(sent["test_clock"], clock);
}

#[tokio::test]
async fn a_link_that_could_not_be_opened_is_not_made() {
    let app = start().await;
    for (field, value, code) in [
        ("success_url", json!(""), "invalid_request"),
        (
            "success_url",
            json!("javascript:alert(1)"),
            "invalid_request",
        ),
        ("cancel_url", json!("nowhere"), "invalid_request"),
        ("features", json!(["plan:none@1"]), "TERR1020"),
        ("link_days", json!(0), "invalid_request"),
        ("link_days", json!(367), "invalid_request"),
        ("link", json!(false), "invalid_request"),
        (
            "cancel_url",
            json!(format!("https://a.example/{}", "x".repeat(5000))),
            "invalid_request",
        ),
    ] {
        let mut body = pro();
        body["link_days"] = json!(1);
        body[field] = value;
        checkout(&app, &body).await.fails(400, code);
    }
    assert_eq!(sessions(&app), 0);
    let nameless = app.request(Method::POST, "/v1/checkout").headers(&[KEY]);
    let nameless = nameless.body(pro().to_string()).send().await;
    nameless.fails(400, "invalid_request");
    let origin = links(&app, SECRET, Some("https://pay.example"));
    let behind_proxy = app
        .clone()
        .adjusted(|app| app.checkout_links = Some(origin));
    let call = behind_proxy.request(Method::POST, "/v1/checkout");
    let call = call
        .headers(&[("host", "tier:8080"), KEY])
        .body(pro().to_string());
    let url = call.send().await.ok().json()["url"].clone();
    assert!(
        url.as_str()
            .is_some_and(|url| url.starts_with("https://pay.example/pay/")),
        "{url}"
    );
}

/// The lines of the audit log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_audit_log_has_links_and_their_visits() {
    let lines = Lines::default();
    let audit = Audit::to(lines.clone());
    let app = start().await.adjusted(|app| app.audit = audit);
    let made = link(&app, &pro()).await;
    app.get_with(&made, &[HOST]).await.ok();
    page(&app, &made).await;
    press(&app, "/pay/x").await;
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let shown = lines.map(|line: Value| {
        json!([
            line["endpoint"],
            line["key"].is_string(),
            line["org"],
            line["change"],
            line["status"]
        ])
    });
    let change = json!({"features": ["plan:pro@1"], "trial_days": 0});
    let mut of_link = change.clone();
    of_link["link"] = json!(true);
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            json!(["/v1/checkout", true, "org:acme", of_link, 200]),
            json!(["/pay/{name}", true, "org:acme", change, 303]),
        ]
    );
}
