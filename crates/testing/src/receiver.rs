//! A server that receives and keeps webhooks. Tests choose its answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A receiver of webhooks. It stops when it is dropped.
pub struct Receiver {
    url: String,
    kept: Arc<Kept>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Kept {
    webhooks: Mutex<Vec<Webhook>>,
    answers: Mutex<VecDeque<u16>>,
}

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Webhook {
    /// The event in its body.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("a webhook's body is JSON")
    }

    /// The value of a header, or empty.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("an ASCII header"))
    }
}

impl Receiver {
    /// Starts a receiver that answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let kept = Arc::new(Kept::default());
        let router = Router::new().fallback(receive).with_state(kept.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let result = axum::serve(listener, router).await;
            result.expect("it serves until it is dropped");
        });
        Self {
            url: format!("http://{address}/webhook"),
            kept,
            _server: server,
        }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers the next webhooks with these statuses in turn, and then with 200 again. It never answers a webhook for
    /// which the status is 0.
    pub fn answer(&self, statuses: &[u16]) {
        let mut answers = self.kept.answers.lock();
        let answers = answers.as_mut().expect("no test panics in here");
        answers.extend(statuses);
    }

    /// The webhooks that have arrived, in order.
    pub fn webhooks(&self) -> Vec<Webhook> {
        let webhooks = self.kept.webhooks.lock();
        webhooks.expect("no test panics in here").clone()
    }

    /// The types of the events that have arrived, in order.
    pub fn types(&self) -> Vec<String> {
        let webhooks = self.webhooks();
        let kind = |webhook: &Webhook| webhook.event()["type"].as_str().map(str::to_owned);
        webhooks.iter().filter_map(kind).collect()
    }
}

async fn receive(State(kept): State<Arc<Kept>>, headers: HeaderMap, body: String) -> StatusCode {
    let webhook = Webhook { headers, body };
    let webhooks = kept.webhooks.lock();
    webhooks
        .unwrap_or_else(PoisonError::into_inner)
        .push(webhook);
    let answers = kept.answers.lock();
    let answer = answers
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front()
        .unwrap_or(200);
    if answer == 0 {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(answer).expect("a status")
}
