//! The listener answers over a real socket, and stops without aborting requests in flight.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tier::server::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::web::Web;
use testing::time::until;

/// A server with one slow path, which the test controls.
struct Slow {
    web: Web,
    /// Notified when a request has reached the handler.
    reached: Arc<Notify>,
    /// Notified when the handler may answer.
    release: Arc<Notify>,
}

impl Slow {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let (reached, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (signal, wait) = (Arc::clone(&reached), Arc::clone(&release));
        let slow = get(async move || {
            signal.notify_one();
            wait.notified().await;
            "done"
        });
        let app = Router::new()
            .route("/slow", slow)
            .route("/fast", get(async || "fast"));
        Self {
            web: Web::with(options, app).await,
            reached,
            release,
        }
    }

    async fn send(&self, path: &str, connection: &str) -> TcpStream {
        let mut stream = self.web.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        stream
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .await
        .expect("an orderly end");
    text
}

/// Another test may listen on the port for a while.
async fn until_nobody_listens(web: &Web) {
    until("nobody listens", async || {
        TcpStream::connect(web.address()).await.err()
    })
    .await;
}

#[tokio::test]
async fn answers_until_told_to_stop() {
    let mut server = Slow::start().await;
    let answer = read_to_end(server.send("/fast", "close").await).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("fast"),
        "{answer}"
    );
    server.web.stop();
    server.web.ended().await;
    until_nobody_listens(&server.web).await;
}

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let mut server = Slow::start().await;
    let in_flight = server.send("/slow", "keep-alive").await;
    server.reached.notified().await;
    server.web.stop();
    // The server stops listening at once, and waits for the request in flight.
    until_nobody_listens(&server.web).await;
    assert!(!server.web.has_ended());
    server.release.notify_one();
    let answer = read_to_end(in_flight).await;
    assert!(answer.ends_with("done"), "{answer}");
    server.web.ended().await;
}

#[tokio::test]
async fn requests_in_flight_for_too_long_are_aborted() {
    let mut server = Slow::with(Options {
        drain: Duration::from_millis(50),
        ..Options::default()
    })
    .await;
    let in_flight = server.send("/slow", "keep-alive").await;
    server.reached.notified().await;
    server.web.stop();
    server.web.ended().await;
    assert_eq!(read_to_end(in_flight).await, "");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_shutdown() {
    let mut server = Slow::start().await;
    let mut idle = server.send("/fast", "keep-alive").await;
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    server.web.stop();
    server.web.ended().await;
    assert!(read_to_end(idle).await.ends_with("fast"));
}
