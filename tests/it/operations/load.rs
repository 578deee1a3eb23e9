//! What is too much, too slow or broken is told so at once, and hurts nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::stream;
use tier::api::{App, Keys, router};
use tier::clock::Clock;
use tier::domain::Domain;
use tier::sandbox::{Action, Rule};
use tier::stripe::{Client, Credentials};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Service, send};

/// A report whose body never ends; tells when it is waited for.
fn endless(key: &str) -> (Request<Body>, Arc<Notify>) {
    let reached = Arc::new(Notify::new());
    let signal = reached.clone();
    let body = stream::poll_fn(move |_| {
        signal.notify_one();
        std::task::Poll::<Option<Result<&'static [u8], std::io::Error>>>::Pending
    });
    let request = Request::post("/v1/report").header("authorization", format!("Bearer {key}"));
    (
        request.body(Body::from_stream(body)).expect("well formed"),
        reached,
    )
}

#[tokio::test]
async fn one_request_too_many_is_503_at_once() {
    let service = Service::start(|app| app.limits.concurrent = 1).await;
    let (request, reached) = endless("x");
    let mut in_flight = JoinSet::new();
    let router = service.router.clone();
    in_flight.spawn(async move { send(&router, request).await.status });
    reached.notified().await;
    let refused = service.get("/v1/whoami", &[]).await.is(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    // Probes are answered whatever the load.
    service.get("/healthz", &[]).await.is(200, "");
    in_flight.shutdown().await;
    service.get("/v1/whoami", &[]).await.is(200, "");
}

#[tokio::test]
async fn one_key_cannot_take_all_places() {
    let service = Service::start(|app| {
        app.keys = Keys::new(["one", "two"]);
        app.limits.concurrent_per_key = 1;
    })
    .await;
    let (request, reached) = endless("one");
    let mut in_flight = JoinSet::new();
    let router = service.router.clone();
    in_flight.spawn(async move { send(&router, request).await.status });
    reached.notified().await;
    let refused = service
        .get("/v1/whoami", &[("authorization", "Bearer one")])
        .await;
    assert_eq!(refused.is(429, "rate_limited").header("retry-after"), "1");
    service
        .get("/v1/whoami", &[("authorization", "Bearer two")])
        .await
        .is(200, "");
    in_flight.shutdown().await;
    service
        .get("/v1/whoami", &[("authorization", "Bearer one")])
        .await
        .is(200, "");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let service = Service::start(|app| app.limits.body_timeout = Duration::from_millis(10)).await;
    let (request, _) = endless("x");
    service.send(request).await.is(408, "request_timeout");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let service =
        Service::start(|app| app.limits.request_timeout = Duration::from_millis(50)).await;
    let slow = Rule::new("*", "*", Action::Delay(Duration::from_secs(600)));
    service.stripe.sandbox().add_fault(slow);
    service
        .get("/v1/whoami", &[])
        .await
        .is(504, "stripe_unavailable");
}

#[tokio::test]
async fn a_panic_is_a_500_for_its_request_alone_and_is_counted() {
    let service = Service::start(|_| ()).await;
    let body = stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<&'static [u8], std::io::Error>>> {
            panic!("a fault that was asked for")
        },
    );
    let request = Request::post("/v1/report").body(Body::from_stream(body));
    let answer = service
        .send(request.expect("well formed"))
        .await
        .is(500, "internal_error");
    assert_eq!(answer.json()["message"], "Internal Server Error");
    assert_eq!(service.metrics.panics.get(), 1);
    assert_eq!(service.metrics.in_flight.get(), 0);
    service.get("/v1/whoami", &[]).await.is(200, "");
}

#[tokio::test]
async fn an_answer_without_end_does_not_use_up_the_memory() {
    let megabytes = Arc::new(AtomicUsize::new(0));
    let counted = megabytes.clone();
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let stripe = Router::new().fallback(async move || {
        let body = stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(chunk.clone())
        });
        Body::from_stream(body)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let mut server = JoinSet::new();
    server.spawn(tier::server::serve(
        listener,
        stripe,
        std::future::pending(),
    ));
    let client = Client::new(super::transport(&url), Credentials::new("sk_test_x"));
    let app = App::new(Domain::new(client, Clock::system(), "sandbox"));
    let request = super::build("GET", "/v1/whoami", &[], "");
    send(&router(app), request)
        .await
        .is(502, "stripe_unavailable");
    assert!(megabytes.load(Ordering::Relaxed) < 100);
}
