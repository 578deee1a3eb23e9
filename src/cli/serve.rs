//! `tier serve`: serves the API, over Stripe or its own sandbox, for one account or many.

mod background;
mod reload;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::HeaderValue;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::dev::WatchedModel;
use super::sandbox::{Embedded, bind, is_loopback};
use super::session::{Session, setting};
use super::{Global, output};
use crate::api::{
    self, Accounts, App, Audit, CheckoutLinks, Cloud, DeviceLogin, Keys, ListedPages, Proxies,
    RequestLimits, WebhookSecrets,
};
use crate::background::Tasks;
use crate::config::{self, Environment, ListenAddr};
use crate::domain::{LedgerHandle, MaxAge, Memory};
use crate::server::{self, Tls};
use crate::stripe::RateSettings;
use clock::Clock;
use reload::{Pages, reload_at};

/// How often expired device logins are removed from memory, with keys that no device fetched.
const EXPIRE_LOGINS_EVERY: Duration = Duration::from_secs(60);

/// The maximum number of connections to the listener of `--admin-addr`. They use the reserved file descriptors.
const ADMIN_CONNECTIONS: usize = 64;

/// The command that starts a server.
pub(super) enum Purpose {
    /// `tier serve`.
    Api,
    /// `tier dev`: the model is pushed into the sandbox whenever its file changes.
    Dev(WatchedModel),
    /// `tier builder`: the URL of the Model Builder is printed.
    Builder,
}

/// Serves until a signal stops it.
pub(super) async fn run(
    global: &Global,
    settings: &config::Serve,
    environment: &Environment,
) -> anyhow::Result<()> {
    run_for(global, settings, environment, Purpose::Api).await
}

/// Like [`run`], for a purpose.
pub(super) async fn run_for(
    global: &Global,
    settings: &config::Serve,
    environment: &Environment,
    purpose: Purpose,
) -> anyhow::Result<()> {
    let stop = server::stop_signal()?;
    let reload = server::reload_signal()?;
    let keys = settings.api_keys(environment);
    let accepted = Keys::new(keys.read()?);
    settings.check_exposure(!accepted.is_open())?;
    let mut webhook_secrets = settings.webhook_secrets(environment)?;
    let link_secrets = settings.link_secrets(environment)?;
    let tls = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::load(cert.clone(), key.clone())?),
        _ => None,
    };
    let pages = Pages {
        file: settings.pricing_pages.clone(),
        listed: ListedPages::default(),
    };
    pages.read()?;
    let sandbox = if global.sandbox {
        Some(Embedded::start(&settings.sandbox).await?)
    } else {
        None
    };
    let ledger = background::ledger(settings)?;
    let (stripe_url, mut app) =
        app(global, settings, environment, sandbox.as_ref(), ledger).await?;
    for danger in settings.dangers(&stripe_url, app.accounts.is_live()) {
        tracing::warn!("{danger}");
    }
    if app.accounts.is_live() && env!("TIER_OPT_LEVEL") == "0" {
        tracing::warn!(
            "this program is slow, since it is not optimised: build it with `--profile dist`"
        );
    }
    app.keys = accepted.clone();
    app.origins.allowed = origins(settings);
    app.proxies = Proxies(settings.trusted_proxy.clone().into());
    app.audit = audit(settings)?;
    app.limits = limits(&settings.load);
    app.https = tls.is_some();
    app.listed_pages = pages.listed.clone();
    app.checkout_links = CheckoutLinks::new(link_secrets, link_origin(settings), Clock::system());
    app.shows_metrics &= settings.admin_addr.is_none();
    let listener = bind(&settings.addr).await?;
    if let Some(sandbox) = sandbox
        .as_ref()
        .filter(|_| tls.is_none() && !settings.cloud)
    {
        webhook_secrets.extend(sandbox.deliver_to(&listener)?);
    }
    app.webhook = WebhookSecrets::new(webhook_secrets, Clock::system());

    let mut tasks = Tasks::new(Clock::system(), app.metrics.clone());
    if settings.login {
        let login = DeviceLogin::new(Clock::system());
        app.login = Some(login.clone());
        tasks.repeat("expire-logins", EXPIRE_LOGINS_EVERY, move || {
            login.remove_expired();
            std::future::ready(Ok::<_, Infallible>(()))
        });
    }
    if let Accounts::One(domain) = &app.accounts {
        background::start(&mut tasks, domain, settings).await?;
        if let Purpose::Builder = purpose {
            let addr = ListenAddr::from(listener.local_addr()?);
            let url = format!("http://{}/builder", addr.reachable());
            output::note(format_args!(
                "the Model Builder is at {url}: open it in a browser"
            ));
        }
        if let (Purpose::Dev(model), Some(sandbox)) = (purpose, &sandbox) {
            sandbox.push_on_change(model, &mut tasks, domain);
        }
    }
    let mut reloading = JoinSet::new();
    reloading.spawn(reload_at(reload, keys, accepted, tls.clone(), pages));
    listen(settings, listener, app, tls, stop).await?;
    reloading.shutdown().await;
    tasks.stop().await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    Ok(())
}

/// The API over the account or accounts of the settings, and the URL of Stripe.
async fn app(
    global: &Global,
    settings: &config::Serve,
    environment: &Environment,
    sandbox: Option<&Embedded>,
    ledger: Option<LedgerHandle>,
) -> anyhow::Result<(String, App)> {
    let rates = rates(&settings.stripe);
    let memory = memory(&settings.freshness);
    if let Some(sandbox) = sandbox {
        sandbox.clear_on_reset(&memory);
    }
    if settings.cloud {
        let url = sandbox.map_or(environment.stripe_base_url.as_str(), Embedded::url);
        let transport = Session::without_key(environment, url)?
            .with_rates(rates)
            .transport();
        let prefix = Some(environment.key_prefix.clone()).filter(|prefix| !prefix.is_empty());
        let (max, idle) = (settings.load.max_accounts, settings.load.account_idle.0);
        let cloud = Cloud::new(transport, Clock::system(), prefix, max, idle, memory)
            .with_generation(setting(settings.stripe_generation));
        return Ok((url.to_owned(), App::for_many(cloud)));
    }
    let session = match sandbox {
        // This sandbox is new, so it does not have the account of `tier.state`.
        Some(sandbox) => Session::of_sandbox(environment, sandbox.url(), sandbox.pages())?,
        None => Session::open(global, environment).await?,
    };
    let session = session
        .with_rates(rates)
        .with_generation(settings.stripe_generation);
    let url = session.stripe_url().to_owned();
    let publishable_key = session.publishable_key();
    let mut domain = session.domain_with(memory);
    if let Some(ledger) = ledger {
        domain = domain.with_ledger(ledger);
    }
    // Pages over a simulator cannot use Stripe.js, so they load the simulator's script.
    let simulator = sandbox.map_or(url.as_str(), Embedded::pages);
    let mut app = App::new(domain);
    app.publishable_key = publishable_key;
    app.stripe_js = url.starts_with("http:").then(|| format!("{simulator}/v3/"));
    Ok((url, app))
}

/// Prints the addresses, and serves the API and the listener of `--admin-addr`.
async fn listen(
    settings: &config::Serve,
    listener: TcpListener,
    mut app: App,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let open = app.keys.is_open() && !settings.cloud;
    app.origins.loopback_only = open && is_loopback(&listener)?;
    let admin = match &settings.admin_addr {
        Some(addr) => {
            let listener = bind(addr).await?;
            let loopback_only = is_loopback(&listener)?;
            Some((listener, api::admin_router(app.clone(), loopback_only)))
        }
        None => None,
    };
    let mut addresses = format!("listening on {}", listener.local_addr()?);
    if let Some((listener, _)) = &admin {
        write!(
            addresses,
            "\noperator's pages on {}",
            listener.local_addr()?
        )?;
    }
    output::line(addresses)?;
    let options = server::Options {
        tls,
        max_head: settings.load.max_head,
        head_timeout: settings.load.head_timeout.0,
        idle_timeout: settings.load.idle_timeout.0,
        connections: server::connections_that_fit(settings.load.max_connections),
        connections_per_peer: settings.load.max_connections_per_peer,
        proxies: app.proxies.clone(),
        drain: settings.load.drain_timeout.0,
        refusal_page: Some(api::refusal_page),
        metrics: app.metrics.clone(),
        detached: app.writes.clone(),
    };
    let for_admin = server::Options {
        tls: None,
        connections: ADMIN_CONNECTIONS,
        connections_per_peer: None,
        refusal_page: None,
        metrics: Arc::default(),
        detached: TaskTracker::new(),
        ..options.clone()
    };
    let stopping = app.slots.stopping.clone();
    let background = app.background.clone();
    let pages = async {
        if let Some((listener, router)) = admin {
            server::serve_with(listener, router, for_admin, stopping.cancelled()).await;
        }
    };
    let stop = async {
        stop.await;
        stopping.cancel();
        background.stop();
    };
    let serving = server::serve_with(listener, api::router(app), options, stop);
    tokio::join!(serving, pages);
    Ok(())
}

fn origins(settings: &config::Serve) -> Arc<[HeaderValue]> {
    let header = |origin: &config::WebOrigin| {
        HeaderValue::from_str(origin.as_str()).expect("an origin is visible ASCII")
    };
    settings.cors_origin.iter().map(header).collect()
}

fn link_origin(settings: &config::Serve) -> Option<String> {
    let origin = settings.link_origin.as_ref();
    origin.map(|origin| origin.as_str().to_owned())
}

fn audit(settings: &config::Serve) -> anyhow::Result<Audit> {
    let Some(path) = &settings.audit else {
        return Ok(Audit::default());
    };
    if path.as_os_str() == "stderr" {
        return Ok(Audit::to(std::io::stderr()));
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    let file = file.with_context(|| format!("cannot write --audit {}", path.display()))?;
    Ok(Audit::to(file))
}

fn limits(load: &config::Load) -> RequestLimits {
    RequestLimits {
        body: load.max_body,
        bodies: load.max_bodies,
        body_timeout: load.body_timeout.0,
        request_timeout: load.request_timeout.0,
        concurrent: load.max_requests,
        concurrent_per_key: load.max_requests_per_key,
    }
}

fn memory(freshness: &config::Freshness) -> Memory {
    let max_age = MaxAge {
        usual: freshness.max_age.0,
        with_events: freshness.max_age_with_events.0,
        in_outage: freshness.max_stale.0,
    };
    Memory::new(freshness.max_orgs, max_age)
}

fn rates(budget: &config::StripeBudget) -> RateSettings {
    RateSettings {
        total: budget.stripe_rate,
        endpoint: budget.stripe_endpoint_rate,
        search: budget.stripe_search_rate,
        concurrent: budget.stripe_concurrency.map(Into::into),
    }
}
