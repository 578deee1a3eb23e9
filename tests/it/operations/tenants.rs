//! A server with `--cloud`: each caller's key is the Stripe key that its requests use.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clock::Clock;
use stripe_sandbox::{Action, Rule};
use tier::api::{App, Cloud};
use tier::domain::{MaxAge, Memory};
use tier::stripe::RateSettings;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::harness::{Answer, DAY, Settings, TestApp, transport};
use crate::web::Web;

const MODEL: &str = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{"tiers":[{}]}}}}}"#;

/// A server for all keys of the Stripe at `url`, or of its own sandbox.
async fn cloud(url: Option<&str>) -> TestApp {
    cloud_of(100, url).await
}

/// The same, with at most `most` accounts.
async fn cloud_of(most: usize, url: Option<&str>) -> TestApp {
    cloud_with(most, url, Clock::system(), Memory::default()).await
}

async fn cloud_with(most: usize, url: Option<&str>, clock: Clock, memory: Memory) -> TestApp {
    let app = TestApp::start().await;
    let rates = RateSettings {
        total: Some(1000),
        ..RateSettings::default()
    };
    let transport = transport(url.unwrap_or(app.stripe_url()), &Settings::default());
    let transport = transport.with_rates(rates);
    let cloud = Cloud::new(transport, clock, None, most, DAY, memory);
    app.adjusted(|app| *app = App::for_many(cloud))
}

fn basic(key: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")))
}

#[tokio::test]
async fn clients_of_2022_bring_their_stripe_key_too() {
    let app = cloud(None).await;
    for (key, used) in [("sk_test_a", 3), ("sk_test_b", 4)] {
        let authorization = basic(key);
        let send = async |method: Method, path: &str, body: &str| {
            let call = app.request(method, path).body(body.to_owned());
            call.header("authorization", &authorization).send().await
        };
        send(Method::POST, "/api/v1/push", MODEL).await.ok();
        let phase = r#"{"org":"org:a","plan":"plan:p@1"}"#;
        send(Method::POST, "/api/v1/append", phase).await.ok();
        let take = format!(r#"{{"org":"org:a","feature":"feature:f","p":{used},"op":"incr"}}"#);
        let taken = send(Method::POST, "/api/v1/reserve", &take)
            .await
            .ok()
            .json();
        assert_eq!(taken["used"], used);
        let path = "/api/v1/schedule?org=org:a";
        let schedule = send(Method::GET, path, "").await.ok().json();
        assert_eq!(schedule["current"], 0);
        // The publishable key cannot be derived from the secret one.
        let org = r#"{"org":"org:a"}"#;
        let refused = send(Method::POST, "/api/v1/stripe/options", org).await;
        refused.fails(400, "invalid_request");
    }
    app.get("/api/v1/whoami").await.fails(401, "unauthorized");
}

#[tokio::test]
async fn each_key_is_an_account_and_none_sees_another() {
    let app = cloud(None).await;
    for missing in [
        &[][..],
        &[("authorization", "Basic Og==")],
        &[("authorization", "Bearer ")],
    ] {
        let refused = app
            .get_with("/v1/whoami", missing)
            .await
            .fails(401, "unauthorized");
        assert!(refused.header("www-authenticate").starts_with("Basic"));
    }
    assert_eq!(app.stripe_calls(), 0);

    let (one, two) = (basic("sk_test_one"), "Bearer sk_test_two".to_owned());
    let mut ids = Vec::new();
    for key in [&one, &two] {
        let whoami = app
            .get_with("/v1/whoami", &[("authorization", key)])
            .await
            .ok()
            .json();
        assert_eq!(whoami["key_source"], "authorization");
        ids.push(whoami["id"].to_string());
    }
    assert_ne!(ids[0], ids[1]);

    let push = app.request(Method::POST, "/v1/push").body(MODEL);
    push.header("authorization", &one).send().await.ok();
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let post = |key: &str| {
        let post = app.request(Method::POST, "/v1/subscribe").body(subscribe);
        post.header("authorization", key).send()
    };
    post(&one).await.ok();
    post(&two).await.fails(400, "TERR1020");
    let pulled = app
        .get_with("/v1/pull", &[("authorization", &two)])
        .await
        .ok();
    assert_eq!(pulled.json(), serde_json::json!({"plans": {}}));
    app.get_with("/v1/whois?org=org:a", &[("authorization", &one)])
        .await
        .ok();
    app.get_with("/v1/whois?org=org:a", &[("authorization", &two)])
        .await
        .fails(400, "org_not_found");
    app.get_with("/v1/whoami", &[("authorization", "Bearer nonsense")])
        .await
        .fails(401, "invalid_api_key");

    // The idempotency keys of their reports are separate too.
    for (key, org, refused) in [
        (&one, "org:a", None),
        (&one, "org:b", Some("invalid_request")),
        (&two, "org:b", Some("org_not_found")),
    ] {
        let report = format!(r#"{{"org":"{org}","feature":"feature:f","n":1}}"#);
        let post = app.request(Method::POST, "/v1/report").body(report);
        let post = post.header("authorization", key);
        let answer = post.header("idempotency-key", "k").send().await;
        match refused {
            None => answer.ok(),
            Some(code) => answer.fails(400, code),
        };
    }
}

/// A server over a Stripe that accepts every key, and holds back its answers for one key until it is released.
struct Reluctant {
    app: TestApp,
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    _stripe: Web,
}

const HELD: &str = "Bearer sk_test_held";

impl Reluctant {
    async fn start(most: usize) -> Self {
        let (asked, answer) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let (reached, told) = (asked.clone(), answer.clone());
        let stripe = Router::new().fallback(async move |headers: HeaderMap| {
            if headers["authorization"] == basic("sk_test_held") {
                reached.notify_one();
                told.notified().await;
            }
            r#"{"id":"acct_1","object":"account","created":1}"#
        });
        let stripe = Web::start(stripe).await;
        let app = cloud_of(most, Some(stripe.url())).await;
        Self {
            app: app.adjusted(|app| app.limits.concurrent_per_key = 1),
            asked,
            answer,
            _stripe: stripe,
        }
    }

    /// A request whose answer Stripe holds back.
    async fn hold(&self) -> JoinSet<Answer> {
        let app = self.app.clone();
        let mut held = JoinSet::new();
        held.spawn(async move {
            let headers = [("authorization", HELD)];
            app.get_with("/v1/whoami", &headers).await
        });
        self.asked.notified().await;
        held
    }

    /// Lets Stripe answer, and waits for the answers of the server.
    async fn release(&self, mut held: JoinSet<Answer>) {
        self.answer.notify_one();
        let answer = held.join_next().await.expect("one is held");
        answer.expect("without a panic").ok();
    }

    async fn whoami(&self, authorization: &str) -> Answer {
        let headers = [("authorization", authorization)];
        self.app.get_with("/v1/whoami", &headers).await
    }
}

#[tokio::test]
async fn an_account_in_use_is_the_only_one_of_its_key() {
    let stripe = Reluctant::start(10).await;
    let held = stripe.hold().await;
    for i in 0..40 {
        stripe.whoami(&format!("Bearer sk_test_{i}")).await.ok();
    }
    stripe.whoami(HELD).await.fails(429, "rate_limited");
    stripe.release(held).await;
    let again = stripe.hold().await;
    stripe.release(again).await;
}

#[tokio::test]
async fn a_new_key_gets_503_while_all_accounts_are_in_use() {
    let stripe = Reluctant::start(1).await;
    let held = stripe.hold().await;
    let refused = stripe.whoami("Bearer sk_test_new").await;
    let refused = refused.fails(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    stripe.release(held).await;
    stripe.whoami("Bearer sk_test_new").await.ok();
}

#[tokio::test]
async fn accounts_with_refused_keys_are_not_kept() {
    let app = cloud(None).await;
    for _ in 0..2 {
        for i in 0..20 {
            let invented = format!("Bearer invented_{i}");
            // Some never reach Stripe.
            let (path, status, code) = match i % 2 {
                0 => ("/v1/whoami", 401, "invalid_api_key"),
                _ => ("/v1/whois?org=x", 400, "invalid_request"),
            };
            let answer = app.get_with(path, &[("authorization", &invented)]).await;
            answer.fails(status, code);
        }
        let known = [("authorization", "Bearer sk_test_known")];
        app.get_with("/v1/whoami", &known).await.ok();
    }
    let shown = app.admin(true).get("/metrics").await.ok().body;
    for line in [
        "tier_cache_lookups_total{cache=\"accounts\",outcome=\"miss\"} 41",
        "tier_cache_lookups_total{cache=\"accounts\",outcome=\"hit\"} 1",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}:\n{shown}");
    }
    let kept = shown.matches("tier_stripe_rate_headroom_ratio{").count();
    assert_eq!(kept, 1, "{shown}");
}

#[tokio::test]
async fn metrics_show_at_most_a_hundred_accounts() {
    let app = cloud_of(200, None).await;
    for i in 0..120 {
        let bearer = format!("Bearer sk_test_number{i}");
        app.get_with("/v1/whoami", &[("authorization", &bearer)])
            .await
            .ok();
    }
    let shown = app.admin(true).get("/metrics").await.ok().body;
    let kept = shown.matches("tier_stripe_rate_headroom_ratio{").count();
    assert_eq!(kept, 100, "{shown}");
}

#[tokio::test]
async fn invented_keys_reach_stripe_once_and_their_bodies_are_not_read() {
    let app = cloud(None).await;
    for _ in 0..3 {
        for method in [Method::POST, Method::GET] {
            let path = if method == Method::POST {
                "/v1/subscribe"
            } else {
                "/v1/limits?org=org:a"
            };
            // A body that never arrives.
            let body = axum::body::Body::from_stream(futures::stream::pending::<
                Result<&[u8], std::io::Error>,
            >());
            let call = app
                .request(method, path)
                .header("authorization", "Bearer invented");
            call.streamed(body)
                .send()
                .await
                .fails(401, "invalid_api_key");
        }
    }
    assert_eq!(app.stripe_calls(), 1);
}

#[tokio::test]
async fn unknown_callers_are_limited_and_known_ones_are_not_affected() {
    let mut stripe = Reluctant::start(10).await;
    stripe.app = stripe.app.clone().adjusted(|app| app.limits.concurrent = 2);
    stripe.whoami("Bearer sk_test_known").await.ok();
    // Whether this key is valid is not known yet.
    let held = stripe.hold().await;
    let refused = stripe.whoami("Bearer sk_test_new").await;
    let refused = refused.fails(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "10");
    stripe.whoami("Bearer sk_test_known").await.ok();
    stripe.release(held).await;
    stripe.whoami("Bearer sk_test_new").await.ok();
}

#[tokio::test]
async fn metrics_are_for_the_operator_and_name_no_key() {
    let app = cloud(None).await;
    let admin = app.admin(true);
    app.get_with(
        "/v1/whoami",
        &[("authorization", "Bearer sk_test_secretkey")],
    )
    .await
    .ok();
    app.get_with("/metrics", &[("authorization", "Bearer sk_test_secretkey")])
        .await
        .fails(404, "not_found");
    let shown = admin.get("/metrics").await.ok();
    // The beginning of the key's SHA-256.
    assert!(
        shown
            .body
            .contains("tier_stripe_rate_headroom_ratio{account=\""),
        "{}",
        shown.body
    );
    assert!(!shown.body.contains("secretkey"));
    admin.get("/readyz").await.ok();
    admin.get("/v1/whoami").await.fails(404, "not_found");
}

#[tokio::test]
async fn live_and_test_keys_are_passed_on_as_they_are() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let stripe = Router::new().fallback(async move |headers: HeaderMap| {
        let key = headers["authorization"].to_str().expect("ASCII").to_owned();
        noted.lock().expect("no panic").push(key);
        r#"{"id":"acct_1","object":"account","created":1}"#
    });
    let stripe = Web::start(stripe).await;
    let app = cloud(Some(stripe.url())).await;
    for key in ["sk_live_a", "sk_test_a", "rk_live_b"] {
        app.get_with("/v1/whoami", &[("authorization", &basic(key))])
            .await
            .ok();
    }
    let expected = ["sk_live_a", "sk_test_a", "rk_live_b"].map(basic);
    assert_eq!(*seen.lock().expect("no panic"), expected);
}

fn http_client() -> reqwest::Client {
    // The client needs a TLS provider, although nothing here uses TLS. A second caller finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client")
}

/// A Stripe where every key opens the same account.
async fn one_account(app: &TestApp) -> Web {
    let (url, http) = (app.stripe_url().to_owned(), http_client());
    Web::start(
        Router::new().fallback(async move |request: axum::extract::Request| {
            let (head, body) = request.into_parts();
            let path = head.uri.path_and_query().expect("a path").as_str();
            let body = axum::body::to_bytes(body, usize::MAX)
                .await
                .expect("a body");
            let mut headers = head.headers;
            for name in ["authorization", "host", "content-length"] {
                headers.remove(name);
            }
            let call = http.request(head.method, format!("{url}{path}"));
            let call = call
                .headers(headers)
                .bearer_auth(crate::harness::STRIPE_KEY);
            let answer = call.body(body).send().await.expect("an answer");
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.expect("its body");
            let mut copy = axum::response::Response::new(axum::body::Body::from(body));
            *copy.status_mut() = status;
            for name in ["content-type", "idempotent-replayed"] {
                if let Some(value) = headers.get(name) {
                    let name = axum::http::HeaderName::from_static(name);
                    copy.headers_mut().insert(name, value.clone());
                }
            }
            copy
        }),
    )
    .await
}

#[tokio::test]
async fn two_keys_of_one_account_share_its_cached_data() {
    let stripe = TestApp::start().await;
    let web = one_account(&stripe).await;
    let app = cloud(Some(web.url())).await;
    let post = |key: &'static str, path: &'static str, body: String| {
        let call = app.request(Method::POST, path).body(body);
        call.header("authorization", key).send()
    };
    let (one, two) = ("Bearer sk_test_one", "Bearer rk_test_two");
    post(one, "/v1/push", MODEL.to_owned()).await.ok();
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#.to_owned();
    let twice = tokio::join!(
        post(one, "/v1/subscribe", subscribe.clone()),
        post(two, "/v1/subscribe", subscribe)
    );
    twice.0.ok();
    twice.1.ok();
    let live = stripe.stripe_get("/v1/subscriptions").await;
    assert_eq!(live["data"].as_array().map(Vec::len), Some(1), "{live}");

    stripe.forget_calls();
    let set = r#"{"org":"org:a","feature":"feature:f","n":10,"clobber":true}"#.to_owned();
    for key in [one, two, one] {
        post(key, "/v1/report", set.clone()).await.ok();
    }
    let counts = stripe.sandbox().counts(None);
    for endpoint in ["GET /v1/account", "GET /v1/customers/search"] {
        assert_eq!(counts.get(endpoint), None, "it is known: {counts:?}");
    }
    let headers = [("authorization", two)];
    let limits = app.get_with("/v1/limits?org=org:a", &headers).await;
    assert_eq!(limits.ok().json()["usage"][0]["used"], 10);
}

/// Only Stripe knows whether a key may still read.
#[tokio::test]
async fn a_key_gets_another_keys_cached_data_only_after_its_own_read() {
    let stripe = TestApp::start().await;
    let web = one_account(&stripe).await;
    let memory = Memory::new(
        1_000,
        MaxAge {
            usual: DAY,
            in_outage: DAY,
            ..MaxAge::default()
        },
    );
    let clock = stripe.sandbox().clock().clone();
    let app = cloud_with(100, Some(web.url()), clock, memory).await;
    let (one, two) = ("Bearer sk_test_one", "Bearer rk_test_two");
    let push = app.request(Method::POST, "/v1/push").body(MODEL);
    push.header("authorization", one).send().await.ok();
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let subscribe = app.request(Method::POST, "/v1/subscribe").body(subscribe);
    subscribe.header("authorization", one).send().await.ok();
    let source = async |key: &str| {
        let headers = [("authorization", key)];
        let limits = app.get_with("/v1/limits?org=org:a", &headers).await.ok();
        app.settled().await;
        limits.header("tier-source").to_owned()
    };
    for (key, expected) in [
        (one, "stripe"),
        (one, "memory"),
        (two, "stripe"),
        (two, "memory"),
        (one, "memory"),
    ] {
        assert_eq!(source(key).await, expected, "{key}");
    }
    let report = r#"{"org":"org:a","feature":"feature:f","n":3}"#;
    let report = app.request(Method::POST, "/v1/report").body(report);
    report.header("authorization", two).send().await.ok();
    let headers = [("authorization", one)];
    let limits = app.get_with("/v1/limits?org=org:a", &headers).await.ok();
    assert_eq!(limits.json()["usage"][0]["used"], 3);
    assert_eq!(limits.header("tier-source"), "memory");

    // The same holds while Stripe is unavailable.
    let third = "Bearer rk_test_three";
    app.get_with("/v1/whois?org=org:a", &[("authorization", third)])
        .await
        .ok();
    let gone = Rule::new("GET", "/v1/*", Action::Status(503, None));
    stripe.sandbox().add_fault(gone);
    let headers = [("authorization", third)];
    let refused = app.get_with("/v1/limits?org=org:a", &headers).await;
    refused.fails(502, "stripe_unavailable");
}
