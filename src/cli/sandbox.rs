//! `tier sandbox`: the Stripe simulator alone, or inside `tier serve --sandbox`.

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::output;
use crate::config::{self, ListenAddr, SANDBOX_ADDR};
use crate::server;
use stripe_sandbox::{Options, Sandbox};

/// Serves the simulator until a signal ends it.
pub(super) async fn run(settings: &config::Sandbox) -> anyhow::Result<()> {
    let stop = server::stop_signal()?;
    let listener = bind(&settings.addr).await?;
    let sandbox = Sandbox::new(Options {
        seed: settings.seed,
        search_lag: settings.search_lag.0,
        invoice_draft: settings.invoice_draft.0,
        webhook_backoff: settings.webhook_backoff.0,
        latency: settings.latency.map(Into::into),
        rate_limit: settings.rate_limit,
        loopback_only: is_loopback(&listener)?,
        ..Options::default()
    });
    output::line(format_args!("listening on {}", listener.local_addr()?))?;
    let mut options = server::Options::default();
    options.connections = server::connections_that_fit(options.connections);
    server::serve_with(listener, sandbox.router(), options, stop).await;
    Ok(())
}

/// Listens on `addr`, or says why not.
pub(super) async fn bind(addr: &ListenAddr) -> anyhow::Result<TcpListener> {
    let bound = addr.bind().await;
    bound.with_context(|| format!("cannot listen on {addr}"))
}

/// Whether only this machine can reach it. Then it is called by this machine's own names only, or a web page could give
/// a name of its own this machine's address.
pub(super) fn is_loopback(listener: &TcpListener) -> std::io::Result<bool> {
    let ip = listener.local_addr()?.ip();
    Ok(ip.to_canonical().is_loopback())
}

/// A sandbox that lives as long as the server that uses it. It is served as the API is, with a bound on connections.
pub(super) struct Embedded {
    url: String,
    server: JoinSet<()>,
}

impl Embedded {
    /// Starts it where the settings say, or else on the usual port, or else on a free one.
    pub(super) async fn start(settings: &config::Serve) -> anyhow::Result<Self> {
        let listener = match &settings.sandbox_addr {
            Some(addr) => bind(addr).await?,
            None => bind_default().await?,
        };
        let addr = ListenAddr::from(listener.local_addr()?);
        let url = format!("http://{}", addr.reachable());
        let sandbox = Sandbox::new(Options {
            public_url: settings.sandbox_url.clone(),
            loopback_only: is_loopback(&listener)?,
            invoice_draft: settings.invoice_draft.0,
            webhook_backoff: settings.webhook_backoff.0,
            ..Options::default()
        });
        let mut server = JoinSet::new();
        let until_stopped = std::future::pending();
        server.spawn(server::serve(listener, sandbox.router(), until_stopped));
        Ok(Self { url, server })
    }

    /// Its base URL, for clients on this machine.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it at once: the server had the time to finish its calls, and what others did here ends with the process.
    pub(super) async fn stop(mut self) {
        self.server.shutdown().await;
    }
}

async fn bind_default() -> anyhow::Result<TcpListener> {
    if let Ok(listener) = TcpListener::bind(SANDBOX_ADDR).await {
        return Ok(listener);
    }
    let listener = TcpListener::bind((SANDBOX_ADDR.ip(), 0)).await?;
    let free = listener.local_addr()?;
    output::note(format_args!(
        "port {} is taken; the sandbox listens on {free}",
        SANDBOX_ADDR.port()
    ));
    Ok(listener)
}
