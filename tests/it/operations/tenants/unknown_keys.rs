//! Callers whose key Stripe has not accepted yet.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Method};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{basic, cloud, cloud_of};
use crate::harness::{Answer, TestApp};
use crate::web::Web;

/// A server over a Stripe that accepts every key. Stripe holds back its answers for one key until a test releases them.
struct HoldingStripe {
    app: TestApp,
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    _stripe: Web,
}

const HELD: &str = "Bearer sk_test_held";

impl HoldingStripe {
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

    /// Sends a request whose answer Stripe holds back.
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

    /// Lets Stripe answer, and waits for the server's answers.
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
    let stripe = HoldingStripe::start(10).await;
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
    let stripe = HoldingStripe::start(1).await;
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
            // Some of these requests never reach Stripe.
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
    let mut stripe = HoldingStripe::start(10).await;
    stripe.app = stripe.app.clone().adjusted(|app| app.limits.concurrent = 2);
    stripe.whoami("Bearer sk_test_known").await.ok();
    // The server does not know yet whether this key is valid.
    let held = stripe.hold().await;
    let refused = stripe.whoami("Bearer sk_test_new").await;
    let refused = refused.fails(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "10");
    stripe.whoami("Bearer sk_test_known").await.ok();
    stripe.release(held).await;
    stripe.whoami("Bearer sk_test_new").await.ok();
}
