//! What makes a server fit to be exposed: who may call and from where, how much at once, and what operators see.

mod load;
mod origins;
mod tenants;
mod watching;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use tier::api::{App, router};
use tier::clock::Clock;
use tier::domain::Domain;
use tier::metrics::Metrics;
use tier::sandbox::{self, Running, Sandbox};
use tier::stripe::{Client, Credentials, Options, Transport};
use tower::ServiceExt as _;

/// A server over a sandbox of its own.
struct Service {
    router: Router,
    stripe: Running,
    metrics: Arc<Metrics>,
}

/// What it said.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn sandbox() -> Running {
    crate::logs::watch();
    let started = Sandbox::start(sandbox::Options::default()).await;
    started.expect("a free port")
}

fn transport(base_url: &str) -> Transport {
    let options = Options {
        base_url: base_url.to_owned(),
        retries: 0,
        debug: true,
        ..Options::default()
    };
    Transport::new(options).expect("a URL")
}

impl Service {
    /// One account, with what `adjust` changes.
    async fn start(adjust: impl FnOnce(&mut App)) -> Self {
        let stripe = sandbox().await;
        let client = Client::new(transport(stripe.url()), Credentials::new("sk_test_service"));
        let mut app = App::new(Domain::new(client, Clock::system(), "sandbox"));
        adjust(&mut app);
        Self::of(app, stripe)
    }

    fn of(app: App, stripe: Running) -> Self {
        let metrics = app.metrics.clone();
        Self {
            router: router(app),
            stripe,
            metrics,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// A GET with headers.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(build("GET", path, headers, "")).await
    }

    fn stripe_calls(&self) -> u64 {
        self.stripe.sandbox().counts(None).values().sum()
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }

    #[track_caller]
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Checks status and code.
    #[track_caller]
    fn is(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        if status >= 400 {
            assert_eq!(self.json()["code"], code, "{}", self.body);
        }
        self
    }
}

fn build(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Body::from(body.to_owned()))
        .expect("well formed")
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let answered = router.clone().oneshot(request).await;
    let (head, body) = answered
        .expect("the router answers everything")
        .into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("it is in memory");
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.into()).expect("answers are text"),
    }
}
