//! Serves a router on a listener that the caller owns. Once told to stop, it lets the requests in flight finish.
//!
//! A connection costs a file descriptor and some memory, so their number is limited, and so is the time that one may be
//! open without a request: because its client sends one byte by byte, does not read an answer, or does nothing.

mod activity;
mod body;
mod connection;
mod connection_table;
mod descriptors;
mod frames;
mod protocol;
mod refusal;
mod rejected;
mod tls;
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
pub use refusal::RefusalPage;
pub use tls::Tls;

use crate::metrics::Metrics;
use crate::net::{Peer, Proxies};

/// How long to wait before accepting again when the machine has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The limits and settings of a server.
#[derive(Clone)]
pub struct Options {
    /// Serve TLS with this certificate.
    pub tls: Option<Tls>,
    /// The largest head of a request, in bytes. At least 8192.
    pub max_head: usize,
    /// How long a request's head, a TLS handshake, or the opening of HTTP/2 may take.
    pub head_timeout: Duration,
    /// How long a connection may be open without a request in flight. The client has as long to read the last answer.
    pub idle_timeout: Duration,
    /// How many connections may be open. A new one evicts one that has no request in flight.
    pub connections: usize,
    /// How many connections may be open from one address. None: half of all.
    pub connections_per_peer: Option<usize>,
    /// Trusted proxies. Their connections are not counted by address.
    pub proxies: Proxies,
    /// How long requests in flight have to finish once the server is told to stop.
    pub drain: Duration,
    /// Writes refusals as pages for browsers. None: every client gets JSON.
    pub refusal_page: Option<RefusalPage>,
    /// The metrics that count connections.
    pub metrics: Arc<Metrics>,
    /// Tasks that continue after their connection is closed. The server waits for them before it ends.
    pub detached: TaskTracker,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            max_head: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            // Longer than clients keep an unused connection.
            idle_timeout: Duration::from_secs(75),
            connections: 4096,
            connections_per_peer: None,
            proxies: Proxies::default(),
            drain: Duration::from_secs(30),
            refusal_page: None,
            metrics: Arc::default(),
            detached: TaskTracker::new(),
        }
    }
}

/// Answers requests on `listener` until `shutdown` completes. Then it stops accepting, and waits for the requests in
/// flight for at most [`Options::drain`]. It never fails: an error on a connection ends only that connection.
pub async fn serve(listener: TcpListener, app: Router, shutdown: impl Future<Output = ()>) {
    serve_with(listener, app, Options::default(), shutdown).await;
}

/// Like [`serve`], with `options`.
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
            Err(cause) if concerns_one_connection(&cause) => {}
            Err(cause) => {
                tracing::error!(%cause, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error is about one connection only: its peer closed it before it was accepted.
fn concerns_one_connection(cause: &io::Error) -> bool {
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

/// A stream of SIGHUPs, which tell the server to read keys, certificates and pricing pages again.
///
/// # Errors
/// The operating system refuses to register the handler.
pub fn reload_signal() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
