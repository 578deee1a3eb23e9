//! A fake of Stripe that costs next to nothing, for measuring the server alone. It forwards each new call to a real
//! sandbox, and from then on replays the sandbox's answer.
//!
//! `cargo run --profile dist --example responder -- SANDBOX_URL` prints `listening on <addr>`. The responder forwards
//! every call until `GET /_record` makes it replay. `GET /_calls` answers with the number of calls since the previous
//! `GET /_calls`. `POST /_latency` delays all further answers by the number of milliseconds in its body. `GET
//! /_constant` answers the bytes that were last posted there, which shows what a plain axum can do at best.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};

/// A recorded answer: its status and its JSON.
type Answer = (StatusCode, Bytes);

struct Responder {
    sandbox: String,
    http: reqwest::Client,
    recorded: RwLock<HashMap<(Method, Uri), Answer>>,
    calls: AtomicU64,
    replays: AtomicBool,
    latency_ms: AtomicU64,
    constant: RwLock<Bytes>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let sandbox = std::env::args()
        .nth(1)
        .context("the sandbox's URL is the argument")?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let responder = Arc::new(Responder {
        sandbox,
        http: reqwest::Client::builder().no_proxy().build()?,
        recorded: RwLock::default(),
        calls: AtomicU64::new(0),
        replays: AtomicBool::new(false),
        latency_ms: AtomicU64::new(0),
        constant: RwLock::default(),
    });
    let router = Router::new()
        .route("/_calls", get(calls))
        .route("/_record", get(record))
        .route("/_latency", post(set_latency))
        .route("/_constant", get(constant).post(set_constant))
        .fallback(respond)
        .with_state(responder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    #[expect(
        clippy::print_stdout,
        reason = "whoever started it waits for this line"
    )]
    {
        println!("listening on {}", listener.local_addr()?);
    }
    axum::serve(listener, router).await?;
    Ok(())
}

async fn calls(State(responder): State<Arc<Responder>>) -> String {
    responder.calls.swap(0, Ordering::Relaxed).to_string()
}

async fn record(State(responder): State<Arc<Responder>>) {
    responder.replays.store(true, Ordering::Relaxed);
}

async fn set_latency(State(responder): State<Arc<Responder>>, body: String) -> StatusCode {
    let Ok(ms) = body.parse() else {
        return StatusCode::BAD_REQUEST;
    };
    responder.latency_ms.store(ms, Ordering::Relaxed);
    StatusCode::OK
}

async fn constant(State(responder): State<Arc<Responder>>) -> impl IntoResponse {
    let answer = responder.constant.read().expect("no writer panics").clone();
    ([(CONTENT_TYPE, "application/json")], answer)
}

async fn set_constant(State(responder): State<Arc<Responder>>, body: Bytes) {
    *responder.constant.write().expect("no writer panics") = body;
}

async fn respond(State(responder): State<Arc<Responder>>, request: Request) -> impl IntoResponse {
    responder.calls.fetch_add(1, Ordering::Relaxed);
    let latency = responder.latency_ms.load(Ordering::Relaxed);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let (head, body) = request.into_parts();
    let name = (head.method, head.uri);
    let recorded = responder
        .recorded
        .read()
        .expect("no writer panics")
        .get(&name)
        .cloned();
    let (status, body) = if let Some(answer) = recorded {
        answer
    } else {
        let body = axum::body::to_bytes(body, usize::MAX).await;
        let answer = responder
            .record(&name, &head.headers, body.unwrap_or_default())
            .await;
        let answer =
            answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string().into()));
        if responder.replays.load(Ordering::Relaxed) {
            let mut recorded = responder.recorded.write().expect("no writer panics");
            recorded.insert(name, answer.clone());
        }
        answer
    };
    (
        status,
        [
            (CONTENT_TYPE, "application/json"),
            ("request-id".parse().expect("a name"), "req_recorded"),
        ],
        body,
    )
}

impl Responder {
    async fn record(
        &self,
        (method, uri): &(Method, Uri),
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let mut call = self
            .http
            .request(method.clone(), format!("{}{uri}", self.sandbox))
            .body(body);
        for name in [AUTHORIZATION, CONTENT_TYPE] {
            if let Some(value) = headers.get(&name) {
                call = call.header(name, value);
            }
        }
        let answer = call.send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }
}
