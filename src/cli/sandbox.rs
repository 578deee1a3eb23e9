//! `tier sandbox`: the Stripe simulator, alone or inside `tier serve --sandbox`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::dev::WatchedModel;
use super::output;
use super::session::SANDBOX_KEY;
use crate::api;
use crate::background::Tasks;
use crate::config::{self, ListenAddr, SANDBOX_ADDR};
use crate::domain::{Domain, METER_ERROR_EVENTS, Memory};
use crate::server;
use stripe_sandbox::{Options, Sandbox};

/// Serves the sandbox until a signal stops it.
pub(super) async fn run(settings: &config::Sandbox) -> anyhow::Result<()> {
    let stop = server::stop_signal()?;
    let listener = bind(&settings.addr).await?;
    let sandbox = Sandbox::new(Options {
        api_version: settings.api_version,
        seed: settings.seed,
        search_lag: settings.search_lag.0,
        meter_lag: settings.meter_lag.0,
        meters_only: settings.meters_only,
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

/// Listens on `addr`.
pub(super) async fn bind(addr: &ListenAddr) -> anyhow::Result<TcpListener> {
    let bound = addr.bind().await;
    bound.with_context(|| format!("cannot listen on {addr}"))
}

/// Whether only this machine can reach the listener. If so, only loopback names are accepted as `Host`, since a web
/// page could point its own host name at this machine.
pub(super) fn is_loopback(listener: &TcpListener) -> std::io::Result<bool> {
    let ip = listener.local_addr()?.ip();
    Ok(ip.to_canonical().is_loopback())
}

/// A sandbox inside a server. It has the same limits on connections as the API.
pub(super) struct Embedded {
    url: String,
    pages: Option<String>,
    sandbox: Sandbox,
    host: Arc<Host>,
    server: JoinSet<()>,
}

impl Embedded {
    /// Starts a sandbox on the address of the settings. Without one, it listens on the default port, or else on a free
    /// one.
    pub(super) async fn start(settings: &config::EmbeddedSandbox) -> anyhow::Result<Self> {
        let listener = match &settings.sandbox_addr {
            Some(addr) => bind(addr).await?,
            None => bind_default().await?,
        };
        let addr = ListenAddr::from(listener.local_addr()?);
        let url = format!("http://{}", addr.reachable());
        output::aside(format_args!(
            "the sandbox is at {url}: open it in a browser, or call it with the key {SANDBOX_KEY}"
        ));
        let sandbox = Sandbox::new(Options {
            public_url: settings.sandbox_url.clone(),
            loopback_only: is_loopback(&listener)?,
            api_version: settings.api_version,
            meter_lag: settings.meter_lag.0,
            meters_only: settings.meters_only,
            invoice_draft: settings.invoice_draft.0,
            webhook_backoff: settings.webhook_backoff.0,
            ..Options::default()
        });
        let mut server = JoinSet::new();
        let until_stopped = std::future::pending();
        let host = Arc::<Host>::default();
        let deliver_first = from_fn_with_state((sandbox.clone(), host.clone()), deliver_first);
        let router = sandbox.router().layer(deliver_first);
        server.spawn(server::serve(listener, router, until_stopped));
        Ok(Self {
            url,
            pages: settings.sandbox_url.clone(),
            sandbox,
            host,
            server,
        })
    }

    /// The sandbox's base URL, for clients on this machine.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The base URL of the sandbox's pages, for browsers.
    pub(super) fn pages(&self) -> &str {
        self.pages.as_deref().unwrap_or(&self.url)
    }

    /// Makes the sandbox deliver its events, and its meters' errors, to the API at `listener`. Returns the signing
    /// secrets.
    pub(super) fn deliver_to(&self, listener: &TcpListener) -> anyhow::Result<[SecretString; 2]> {
        let addr = ListenAddr::from(listener.local_addr()?);
        let url = format!("http://{}{}", addr.reachable(), api::WEBHOOK_PATH);
        let sandbox = &self.sandbox;
        let secret = sandbox.webhook_endpoint(SANDBOX_KEY, &url, &["*"])?;
        let thin = sandbox.event_destination(SANDBOX_KEY, &url, &METER_ERROR_EVENTS)?;
        self.host.webhook.get_or_init(|| url);
        Ok([secret.into(), thin.into()])
    }

    /// Clears the server's memory whenever the sandbox is reset.
    pub(super) fn clear_on_reset(&self, memory: &Memory) {
        self.host.memory.get_or_init(|| memory.clone());
    }

    /// Pushes a file's model into the sandbox, now and whenever the file changes.
    pub(super) fn push_on_change(&self, model: WatchedModel, tasks: &mut Tasks, domain: &Domain) {
        let memory = self.host.memory.get().cloned().unwrap_or_default();
        model.push_on_change(tasks, domain, &self.sandbox, &memory);
    }

    /// Stops the sandbox at once. The server has already finished its calls to it.
    pub(super) async fn stop(mut self) {
        self.server.shutdown().await;
    }
}

/// How long a write waits for the delivery of its events.
const DELIVERY_WAIT: Duration = Duration::from_millis(100);

/// The server that the sandbox is embedded in, once it has started.
#[derive(Default)]
struct Host {
    /// The URL that receives the sandbox's events.
    webhook: OnceLock<String>,
    memory: OnceLock<Memory>,
}

/// Answers a write only after its events were delivered to the server, so that a change in the sandbox shows in the
/// server's next answer.
async fn deliver_first(
    State((sandbox, host)): State<(Sandbox, Arc<Host>)>,
    request: Request,
    next: Next,
) -> Response {
    let writes = !request.method().is_safe();
    let resets = writes && request.uri().path() == "/_sandbox/reset";
    let response = next.run(request).await;
    if writes && let Some(webhook) = host.webhook.get() {
        // A fault rule may delay the delivery.
        let delivered = sandbox.deliveries_settled_at(webhook);
        let _ = tokio::time::timeout(DELIVERY_WAIT, delivered).await;
    }
    if resets && let Some(memory) = host.memory.get() {
        memory.clear();
    }
    response
}

async fn bind_default() -> anyhow::Result<TcpListener> {
    if let Ok(listener) = TcpListener::bind(SANDBOX_ADDR).await {
        return Ok(listener);
    }
    let listener = TcpListener::bind((SANDBOX_ADDR.ip(), 0)).await?;
    let free = listener.local_addr()?;
    output::note(format_args!(
        "port {} is taken; the sandbox listens on {free}; TIER_SANDBOX_URL=http://{free} lets `tier --sandbox` find it",
        SANDBOX_ADDR.port()
    ));
    Ok(listener)
}
