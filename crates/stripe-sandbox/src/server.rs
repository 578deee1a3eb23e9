//! Serving a sandbox on a listener, or on its own loopback port.

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::http;
use crate::sandbox::{Options, Sandbox};

async fn serve(
    listener: TcpListener,
    router: axum::Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
}

impl Sandbox {
    /// The API, the controls under `/_sandbox/`, the checkout pages under `/c/`, and the viewer at `/`.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// Serves on the listener until `shutdown` completes and all calls in progress are answered.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        serve(listener, self.router(), shutdown).await
    }

    /// Starts a sandbox on a loopback port of its own. It runs until the result is dropped or stopped.
    pub async fn start(options: Options) -> std::io::Result<Running> {
        Self::start_with(options, |router| router).await
    }

    /// Like [`start`](Self::start), with layers around the [router](Self::router) that can watch the answers.
    pub async fn start_with(
        options: Options,
        layers: impl FnOnce(axum::Router) -> axum::Router,
    ) -> std::io::Result<Running> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let sandbox = Self::new(options);
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(
            listener,
            layers(sandbox.router()),
            stop.clone().cancelled_owned(),
        ));
        Ok(Running {
            url,
            sandbox,
            stop,
            server,
        })
    }
}

/// A sandbox that listens on a loopback port. It stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    url: String,
    sandbox: Sandbox,
    stop: CancellationToken,
    server: JoinSet<std::io::Result<()>>,
}

impl Running {
    /// Its base URL, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The sandbox itself, to inspect and control it without HTTP.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Stops and waits for the calls in progress. Webhooks in progress end at once.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.sandbox.0.webhooks.stop();
        while self.server.join_next().await.is_some() {}
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.sandbox.0.webhooks.stop();
    }
}
