//! A web server for tests: a fake, or the server's own listener.

use std::net::SocketAddr;

use axum::Router;
use tier::server::{Options, serve_with};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A server that runs until it is stopped or dropped.
pub(crate) struct Web {
    address: SocketAddr,
    url: String,
    stop: CancellationToken,
    server: JoinSet<()>,
}

impl Web {
    /// Starts a server on a free port.
    pub(crate) async fn start(router: Router) -> Self {
        Self::with(Options::default(), router).await
    }

    /// Starts a server with these options.
    pub(crate) async fn with(options: Options, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self::on(listener.expect("a free port"), options, |_| router)
    }

    /// Starts a server whose answers contain its own address.
    pub(crate) async fn knowing_itself(router: impl FnOnce(&str) -> Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self::on(listener.expect("a free port"), Options::default(), router)
    }

    fn on(listener: TcpListener, options: Options, router: impl FnOnce(&str) -> Router) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let url = format!("http://{address}");
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let mut server = JoinSet::new();
        server.spawn(serve_with(listener, router(&url), options, stopped));
        Self {
            address,
            url,
            stop,
            server,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let connected = TcpStream::connect(self.address).await;
        connected.expect("it listens")
    }

    /// Makes the server stop, and does not wait until it has ended.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.server.try_join_next().is_some()
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(&mut self) {
        let ended = self.server.join_next().await;
        ended.expect("it runs").expect("without a panic");
    }
}
