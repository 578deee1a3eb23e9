//! Requests that are too many, too large, too slow or malformed are refused at once, and do not affect other requests.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Method;
use futures::stream;
use serde_json::Value;
use stripe_sandbox::{Action, Rule};
use tier::api::Keys;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::harness::{Settings, TestApp};
use crate::web::Web;
use testing::time::{hold_time, until};

/// Sends a report whose body never arrives. Signals when the server reads the body, and hangs up on a signal.
async fn report_endlessly(
    app: TestApp,
    key: &str,
    reached: Arc<Notify>,
    hang_up: Arc<Notify>,
) -> u16 {
    let body = stream::once(async move {
        reached.notify_one();
        hang_up.notified().await;
        Err::<&[u8], _>(std::io::Error::other("the client is gone"))
    });
    let report = app.request(Method::POST, "/v1/report");
    let report = report.header("authorization", format!("Bearer {key}"));
    let answer = report.streamed(Body::from_stream(body)).send().await;
    answer.status.as_u16()
}

#[tokio::test]
async fn one_request_too_many_is_503_at_once() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.limits.concurrent = 1);
    let (reached, hang_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut in_flight = JoinSet::new();
    in_flight.spawn(report_endlessly(
        app.clone(),
        "x",
        reached.clone(),
        hang_up.clone(),
    ));
    reached.notified().await;
    let refused = app.get("/v1/whoami").await.fails(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    // Probes are answered under any load.
    app.get("/healthz").await.ok();
    hang_up.notify_one();
    assert_eq!(in_flight.join_all().await, [400]);
    app.get("/v1/whoami").await.ok();
}

#[tokio::test]
async fn one_key_cannot_take_all_slots() {
    let app = TestApp::start().await.adjusted(|app| {
        app.keys = Keys::new(["one", "two"]);
        app.limits.concurrent_per_key = 1;
    });
    let (reached, hang_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut in_flight = JoinSet::new();
    in_flight.spawn(report_endlessly(
        app.clone(),
        "one",
        reached.clone(),
        hang_up.clone(),
    ));
    reached.notified().await;
    let refused = app
        .get_with("/v1/whoami", &[("authorization", "Bearer one")])
        .await;
    assert_eq!(
        refused.fails(429, "rate_limited").header("retry-after"),
        "1"
    );
    app.get_with("/v1/whoami", &[("authorization", "Bearer two")])
        .await
        .ok();
    hang_up.notify_one();
    assert_eq!(in_flight.join_all().await, [400]);
    app.get_with("/v1/whoami", &[("authorization", "Bearer one")])
        .await
        .ok();
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.limits.body_timeout = Duration::from_millis(10));
    let status = report_endlessly(app, "x", Arc::default(), Arc::default()).await;
    assert_eq!(status, 408);
}

/// A body that announces its size and never arrives.
struct Promised(u64);

impl hyper::body::Body for Promised {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_not_read() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.limits.body = 100);
    for path in ["/v1/report", "/v1/push"] {
        let promised = Body::new(Promised(101));
        let answer = app.request(Method::POST, path).streamed(promised).send();
        answer.await.fails(413, "request_too_large");
    }
}

#[tokio::test]
async fn the_bytes_of_all_bodies_are_limited() {
    let app = TestApp::start().await.adjusted(|app| {
        app.limits.body = 100;
        app.limits.bodies = 400;
    });
    let mut unfinished = JoinSet::new();
    for _ in 0..5 {
        let app = app.clone();
        unfinished.spawn(async move {
            let report = app.request(Method::POST, "/v1/report");
            report.streamed(Body::new(Promised(100))).send().await
        });
    }
    let refused = unfinished.join_next().await.expect("one is too many");
    refused.expect("no panic").fails(503, "overloaded");
    drop(unfinished);
    while app.post("/v1/report", vec![b' '; 100]).await.status == 503 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.limits.request_timeout = Duration::from_millis(50));
    let slow = Rule::new("*", "*", Action::Delay(Duration::from_secs(600)));
    app.sandbox().add_fault(slow);
    app.get("/v1/whoami").await.fails(504, "stripe_unavailable");
}

/// The server completes a write that it answered with 504, and then frees the slot.
#[tokio::test]
async fn a_write_that_takes_too_long_is_504_and_is_completed() {
    let patience = Duration::from_secs(2);
    let app = TestApp::start().await.adjusted(|app| {
        app.limits.request_timeout = patience;
        app.limits.concurrent = 1;
    });
    let slow = Action::Delay(Duration::from_secs(600));
    app.sandbox()
        .add_fault(Rule::new("POST", "/v1/customers", slow));
    let _time = hold_time();
    let late = app.post("/v1/subscribe", r#"{"org": "org:a", "info": {}}"#);
    let time_passes = async {
        app.until_slow().await;
        // The test waits longer than the time-out, since timers round up.
        tokio::time::advance(patience * 2).await;
    };
    let (late, ()) = tokio::join!(late, time_passes);
    late.fails(504, "stripe_unavailable");
    let whois = async || app.get("/v1/whois?org=org:a").await;
    whois().await.fails(503, "overloaded");
    app.sandbox().clear_faults();
    until("its slot is free", async || {
        (whois().await.status != 503).then_some(())
    })
    .await;
    whois().await.ok();
}

/// The lines of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The fields of the lines about requests.
    fn requests(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("no panic").clone();
        let text = String::from_utf8(bytes).expect("text");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let fields = lines.map(|mut line| line["fields"].take());
        fields
            .filter(|fields| fields["message"] == "request")
            .collect()
    }
}

#[tokio::test]
async fn a_panic_is_a_500_for_its_request_alone_and_is_counted_and_logged() {
    let app = TestApp::start().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone());
    // All requests of this test run on its own thread.
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let body = stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<&'static [u8], std::io::Error>>> {
            panic!("a fault that was asked for")
        },
    );
    let report = app.request(Method::POST, "/v1/report");
    let answer = report.streamed(Body::from_stream(body)).send().await;
    let answer = answer.fails(500, "internal_error");
    assert_eq!(answer.json()["message"], "Internal Server Error");
    assert_eq!(app.metrics().panics.get(), 1);
    assert_eq!(app.metrics().in_flight.get(), 0);
    let logged = log.requests();
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0]["status"], 500);
    assert_eq!(logged[0]["cause"], "a fault that was asked for");
    assert_eq!(logged[0]["request_id"], answer.header("x-request-id"));
    app.get("/v1/whoami").await.ok();
}

#[tokio::test]
async fn a_shared_call_is_in_the_log_line_of_each_request() {
    let app = TestApp::start().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let slow = Action::Delay(Duration::from_millis(100));
    app.sandbox()
        .add_fault(Rule::new("GET", "/v1/account", slow));
    tokio::join!(app.get("/v1/whoami"), app.get("/v1/whoami"));
    assert_eq!(app.stripe_calls(), 1);
    let logged = log.requests();
    assert_eq!(logged.len(), 2, "{logged:?}");
    let id = &logged[0]["stripe_request_ids"];
    assert!(
        id.is_string() && *id == logged[1]["stripe_request_ids"],
        "{logged:?}"
    );
}

#[tokio::test]
async fn an_endless_answer_does_not_exhaust_memory() {
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
    let stripe = Web::start(stripe).await;
    let app = TestApp::with(Settings {
        stripe_url: Some(stripe.url().to_owned()),
        retries: 0,
        ..Settings::default()
    })
    .await;
    let answer = app.get("/v1/whoami").await;
    answer.fails(502, "stripe_unavailable");
    assert!(megabytes.load(Ordering::Relaxed) < 100);
}
