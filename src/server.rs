//! Serves a router on a listener that the caller owns, until it is told to stop; then lets what is in flight finish.
//!
//! A connection costs a file descriptor and some memory, so there is a bound on how many there are, and on how long
//! one may go without a request: send it byte by byte, leave its answer unread, or just stay.

mod activity;
mod body;
mod connection;
mod descriptors;
mod frames;
mod open;
mod protocol;
mod refusal;
mod tls;
mod turned_away;
mod watched;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use connection::Connections;
pub use descriptors::connections_that_fit;
pub use tls::Tls;

use crate::metrics::Metrics;
use crate::net::{Peer, Proxies};

/// How long to wait when the machine has no more file descriptors: trying at once again would only burn time.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// How connections are treated.
#[derive(Clone)]
pub struct Options {
    /// Speak TLS, with this certificate.
    pub tls: Option<Tls>,
    /// The largest head of a request, in bytes; at least 8192.
    pub max_head: usize,
    /// How long a head may take to arrive, from its first byte; likewise a TLS handshake, and the opening of HTTP/2.
    pub head_timeout: Duration,
    /// How long a connection may be without a request that is being worked on; so long may its last answer be read.
    pub idle_timeout: Duration,
    /// Connections open at the same time. One more takes the place of one that has not brought a request yet.
    pub connections: usize,
    /// Likewise of one address; none: half of all.
    pub connections_per_peer: Option<usize>,
    /// Proxies, whose connections are not counted by address.
    pub proxies: Proxies,
    /// How long the requests in flight have to finish once the server was told to stop.
    pub drain: Duration,
    /// Where open connections are counted.
    pub metrics: Arc<Metrics>,
    /// Work that goes on when its connection is gone, and is in flight too.
    pub detached: TaskTracker,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            max_head: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            // Longer than what clients keep an unused connection for.
            idle_timeout: Duration::from_secs(75),
            connections: 4096,
            connections_per_peer: None,
            proxies: Proxies::default(),
            drain: Duration::from_secs(30),
            metrics: Arc::default(),
            detached: TaskTracker::new(),
        }
    }
}

/// Answers requests on `listener` until `shutdown` completes; then stops accepting and waits for the requests in
/// flight, as long as [`Options::drain`] says. Never fails: what goes wrong with one connection ends that connection.
pub async fn serve(listener: TcpListener, app: Router, shutdown: impl Future<Output = ()>) {
    serve_with(listener, app, Options::default(), shutdown).await;
}

/// As [`serve`], with connections treated as `options` say.
pub async fn serve_with(
    listener: TcpListener,
    app: Router,
    options: Options,
    shutdown: impl Future<Output = ()>,
) {
    let (drain, detached) = (options.drain, options.detached.clone());
    let connections = Arc::new(Connections::new(app, options));
    let mut open = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            (stream, peer) = accept(&listener) => {
                open.spawn(connections.clone().take(stream, peer));
            }
        }
    }
    drop(listener);
    connections.stopping.cancel();
    let finished = async {
        while open.join_next().await.is_some() {}
        detached.close();
        detached.wait().await;
    };
    if tokio::time::timeout(drain, finished).await.is_err() {
        tracing::warn!(
            seconds = drain.as_secs_f64(),
            connections = open.len(),
            writes = detached.len(),
            "stopped with requests still in flight"
        );
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, Peer) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if let Err(cause) = stream.set_nodelay(true) {
                    tracing::debug!(%cause, "could not turn off Nagle's algorithm");
                }
                let address = address.ip();
                return (stream, Peer { address });
            }
            Err(cause) if is_of_one_connection(&cause) => {}
            Err(cause) => {
                tracing::error!(%cause, "cannot accept connections");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// The peer gave up while its connection waited to be accepted.
fn is_of_one_connection(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Completes at the first SIGTERM (what process managers send) or SIGINT (Ctrl-C).
///
/// # Errors
/// The operating system refuses to register the handlers.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Every SIGHUP: the operator has changed files that are read at the start.
///
/// # Errors
/// The operating system refuses to register the handler.
pub fn reload_signal() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
