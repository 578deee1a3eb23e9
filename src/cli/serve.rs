//! `tier serve`: serves the API, over Stripe or its own sandbox, for one account or many.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::HeaderValue;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::dev::WatchedModel;
use super::sandbox::{Embedded, bind, is_loopback};
use super::session::Session;
use super::{Global, output};
use crate::api::{
    self, Accounts, App, Audit, Cloud, DeviceLogin, Keys, ListedPages, Proxies, RequestLimits,
    WebhookSecrets,
};
use crate::background::Tasks;
use crate::config::{self, ApiKeys, Environment, ListenAddr};
use crate::domain::{
    self, Domain, Lane, LedgerHandle, LedgerSettings, MaxAge, Memory, PricingPages,
};
use crate::server::{self, Tls};
use crate::stripe::RateSettings;
use clock::Clock;

/// The length of a month, for costs per month.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often the opening of the ledger is tried again, if Stripe could not confirm its account at the start.
const OPEN_EVERY: Duration = Duration::from_secs(15);

/// How often due totals of the ledger are delivered.
const DELIVER_EVERY: Duration = Duration::from_secs(1);

/// How often ended periods of the ledger are settled, and undelivered usage is counted.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

/// How often expired reservations are removed from the ledger. They do not count even before that.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// How often expired device logins are removed from memory, with keys that were not fetched.
const EXPIRE_LOGINS_EVERY: Duration = Duration::from_secs(60);

/// The maximum number of connections to the listener of `--admin-addr`. They use the reserved file descriptors.
const ADMIN_CONNECTIONS: usize = 64;

/// What a server is started for.
pub(super) enum Purpose {
    /// To be called.
    Api,
    /// To be called, with a model that is pushed into its sandbox whenever it changes.
    Dev(WatchedModel),
    /// For the Model Builder.
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
        Some(Embedded::start(settings).await?)
    } else {
        None
    };
    let ledger = ledger(settings)?;
    let (stripe_url, mut app) =
        app(global, settings, environment, sandbox.as_ref(), ledger).await?;
    for danger in settings.dangers(&stripe_url, app.accounts.is_live()) {
        tracing::warn!("{danger}");
    }
    app.keys = accepted.clone();
    app.origins.allowed = origins(settings);
    app.proxies = Proxies(settings.trusted_proxy.clone().into());
    app.audit = audit(settings)?;
    app.limits = limits(&settings.load);
    app.https = tls.is_some();
    app.listed_pages = pages.listed.clone();
    app.shows_metrics &= settings.admin_addr.is_none();
    let listener = bind(&settings.addr).await?;
    if let Some(sandbox) = sandbox
        .as_ref()
        .filter(|_| tls.is_none() && !settings.cloud)
    {
        webhook_secrets.push(sandbox.deliver_to(&listener)?);
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
        let every = settings.freshness.reconcile.0;
        let domain = domain.clone();
        let swept = domain.clone();
        tasks.repeat("sweep", every, move || {
            sweep(swept.in_background(Lane::Bulk), every)
        });
        keep_ledger(&mut tasks, &domain).await?;
        if let Purpose::Builder = purpose {
            let addr = ListenAddr::from(listener.local_addr()?);
            let url = format!("http://{}/builder", addr.reachable());
            output::note(format_args!(
                "the Model Builder is at {url}: open it in a browser"
            ));
        }
        if let (Purpose::Dev(model), Some(sandbox)) = (purpose, &sandbox) {
            sandbox.keep_pushed(model, &mut tasks, &domain);
        }
    }
    let mut background = JoinSet::new();
    background.spawn(reload_at(reload, keys, accepted, tls.clone(), pages));
    listen(settings, listener, app, tls, stop).await?;
    background.shutdown().await;
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
        sandbox.clears_on_reset(&memory);
    }
    if settings.cloud {
        let url = sandbox.map_or(environment.stripe_base_url.as_str(), Embedded::url);
        let transport = Session::without_key(environment, url)?
            .with_rates(rates)
            .transport();
        let prefix = Some(environment.key_prefix.clone()).filter(|prefix| !prefix.is_empty());
        let (most, idle) = (settings.load.max_accounts, settings.load.account_idle.0);
        let cloud = Cloud::new(transport, Clock::system(), prefix, most, idle, memory);
        return Ok((url.to_owned(), App::for_many(cloud)));
    }
    let session = match sandbox {
        // This sandbox is new, so it does not have the account of `tier.state`.
        Some(sandbox) => Session::of_sandbox(environment, sandbox.url(), sandbox.pages())?,
        None => Session::open(global, environment).await?,
    };
    let session = session.with_rates(rates);
    let url = session.stripe_url().to_owned();
    let publishable_key = session.publishable_key();
    let mut domain = session.domain_with(memory);
    if let Some(ledger) = ledger {
        domain = domain.with_ledger(ledger);
    }
    let mut app = App::new(domain);
    app.publishable_key = publishable_key;
    Ok((url, app))
}

fn ledger(settings: &config::Serve) -> anyhow::Result<Option<LedgerHandle>> {
    let Some(file) = settings.ledger_file()? else {
        return Ok(None);
    };
    let kept = LedgerSettings {
        deliver_after: settings.ledger.deliver_after.0,
        keep: settings.ledger.ledger_keep.0,
    };
    let ledger = LedgerHandle::new(file.to_owned(), kept);
    let ledger = ledger.with_context(|| format!("cannot use --ledger {}", file.display()))?;
    Ok(Some(ledger))
}

/// Opens the ledger, if there is one, and starts its deliveries.
async fn keep_ledger(tasks: &mut Tasks, domain: &Domain) -> anyhow::Result<()> {
    if !domain.has_ledger() {
        return Ok(());
    }
    match domain.open_ledger().await {
        Ok(()) => {}
        Err(error @ domain::Error::LedgerUnavailable(_)) => {
            return Err(error).context("cannot use --ledger");
        }
        Err(error) => tracing::warn!(
            %error,
            "the account of the ledger cannot be confirmed, because Stripe cannot be reached: no usage is accepted until it is"
        ),
    }
    let unopened = domain.clone();
    tasks.repeat("open-ledger", OPEN_EVERY, move || {
        let domain = unopened.in_background(Lane::Bulk);
        async move { domain.open_ledger().await }
    });
    let sender = domain.clone();
    tasks.repeat("deliver", DELIVER_EVERY, move || {
        deliver(sender.in_background(Lane::Bulk))
    });
    let reserving = domain.clone();
    tasks.repeat("expire-reservations", EXPIRE_EVERY, move || {
        let domain = reserving.in_background(Lane::Bulk);
        async move { domain.expire_reservations().await }
    });
    let domain = domain.clone();
    tasks.repeat("maintain-ledger", MAINTAIN_EVERY, move || {
        let domain = domain.in_background(Lane::Bulk);
        async move { domain.maintain_ledger().await }
    });
    Ok(())
}

async fn deliver(domain: Domain) -> Result<(), domain::Error> {
    if domain.has_open_ledger() {
        domain.deliver().await?;
    }
    Ok(())
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
        metrics: app.metrics.clone(),
        detached: app.writes.clone(),
    };
    let for_admin = server::Options {
        tls: None,
        connections: ADMIN_CONNECTIONS,
        connections_per_peer: None,
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

/// Finds changes that no event reported, and logs what that costs. Stripe allows about 500 reads per payment, and at
/// least 10,000 a month.
async fn sweep(domain: Domain, every: Duration) -> Result<(), domain::Error> {
    let found = domain.sweep().await?;
    let sweeps_a_month = MONTH.as_millis().div_ceil(every.as_millis().max(1));
    let calls_a_month = sweeps_a_month.saturating_mul(found.calls.try_into().unwrap_or(u128::MAX));
    tracing::info!(
        subscriptions = found.subscriptions,
        drifted = found.drifted,
        unsettled = found.unsettled,
        calls = found.calls,
        calls_a_month,
        "swept"
    );
    Ok(())
}

/// The file of pricing pages, and those that are in force.
struct Pages {
    file: Option<PathBuf>,
    listed: ListedPages,
}

impl Pages {
    /// Reads the file, if there is one. Returns whether there is.
    fn read(&self) -> anyhow::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let cannot = || format!("cannot use --pricing-pages {}", file.display());
        let text = std::fs::read_to_string(file).with_context(cannot)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        self.listed
            .replace(PricingPages::parse(text).with_context(cannot)?);
        Ok(true)
    }
}

/// Reads keys, certificate and pricing pages again after each SIGHUP. If that fails, the old ones stay in use.
async fn reload_at(
    mut signal: Signal,
    source: ApiKeys,
    keys: Keys,
    tls: Option<Tls>,
    pages: Pages,
) {
    while signal.recv().await.is_some() {
        match source.read() {
            // Without a file the keys cannot have changed, and a server without keys stays open.
            Ok(new) if new.is_empty() => {}
            Ok(new) => {
                keys.replace(new);
                tracing::info!("API keys reloaded");
            }
            Err(error) => tracing::error!(%error, "API keys not reloaded"),
        }
        match tls.as_ref().map(Tls::reload) {
            None => {}
            Some(Ok(())) => tracing::info!("certificate reloaded"),
            Some(Err(error)) => tracing::error!(%error, "certificate not reloaded"),
        }
        match pages.read() {
            Ok(false) => {}
            Ok(true) => tracing::info!("pricing pages reloaded"),
            Err(error) => tracing::error!("pricing pages not reloaded: {error:#}"),
        }
    }
}

fn origins(settings: &config::Serve) -> Arc<[HeaderValue]> {
    let header = |origin: &config::WebOrigin| {
        HeaderValue::from_str(origin.as_str()).expect("an origin is visible ASCII")
    };
    settings.cors_origin.iter().map(header).collect()
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
