//! The HTTP layer: decodes a request, calls the domain's method of the same name, encodes what it answers.
//!
//! Here are the state and the table of routes. Statuses and codes are chosen in [`error`] alone; how JSON is read and
//! written is in [`decode`] and [`json`].

mod account;
mod answers;
mod audit;
mod checkout;
mod clock;
mod decode;
mod docs;
mod error;
mod extract;
mod json;
mod keys;
mod layers;
mod load;
mod not_json;
pub mod ops;
mod org;
mod origin;
mod peer;
mod phases;
mod pricing;
mod roster;
mod schedule;
mod strangers;
mod tenants;
mod types;
mod usage;

use std::sync::{Arc, LazyLock};

use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use tokio_util::task::TaskTracker;

pub use audit::Audit;
pub use error::Error;
pub use keys::{ApiKey, Keys, Role};
pub use load::Limits;
pub use origin::Origins;
pub use pricing::PushProgress;
pub use tenants::{Accounts, Cloud};

use crate::admission::{Places, Share};
use crate::domain::refs::OrgName;
use crate::domain::{Background, Domain, FeatureUsage, Lane};
use crate::metrics::Metrics;
pub use crate::net::{Network, Proxies};

/// What every handler can reach.
#[derive(Clone)]
pub struct App {
    /// Whose Stripe account requests act on.
    pub accounts: Accounts,
    /// Who may call.
    pub keys: Keys,
    /// From which web pages.
    pub origins: Origins,
    /// Whose word counts about where requests come from.
    pub proxies: Proxies,
    /// Where writes are noted.
    pub audit: Audit,
    /// How much, and how much at once.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether `/metrics` is served here, and not at a listener of its own.
    pub shows_metrics: bool,
    /// Writes in flight, which nobody may be waiting for any more, and work that nobody ever waited for.
    pub writes: TaskTracker,
    /// The latter alone.
    pub background: Background,
    /// The places for requests in flight.
    pub places: Places,
    /// The share of all callers of a server without keys.
    everybody: Share,
    readiness: ops::Readiness,
}

/// What is handed around: a layer that takes it copies a pointer.
type Shared = Arc<App>;

impl App {
    /// The API over one account: open to everybody who can reach it, but not to web pages.
    pub fn new(domain: Domain) -> Self {
        let metrics = domain.stripe().metrics().clone();
        Self::over(Accounts::One(domain), metrics)
    }

    /// The API over many callers' accounts, each found by its key.
    pub fn for_many(cloud: Cloud) -> Self {
        let metrics = cloud.metrics().clone();
        let mut app = Self::over(Accounts::Many(cloud), metrics);
        // One caller's numbers are none of another's business.
        app.shows_metrics = false;
        app
    }

    fn over(accounts: Accounts, metrics: Arc<Metrics>) -> Self {
        let background = accounts.background();
        Self {
            accounts,
            keys: Keys::default(),
            origins: Origins::default(),
            proxies: Proxies::default(),
            audit: Audit::default(),
            limits: Limits::default(),
            metrics,
            shows_metrics: true,
            writes: background.tasks().clone(),
            background,
            places: Places::default(),
            everybody: Share::default(),
            readiness: ops::Readiness::default(),
        }
    }
}

/// A path, and what answers each of its methods.
type Route = (&'static str, MethodRouter<Shared>);

/// Every path of the API that acts on an account, and so may need a key. The lane says who goes first when calls to
/// Stripe have to wait: what a person waits for, before checks, before bulk, which is given more time in turn.
fn account_routes() -> Vec<(Route, Lane)> {
    let [bulk, check, interactive] = [Lane::Bulk, Lane::Check, Lane::Interactive];
    vec![
        (("/v1/whoami", get(account::whoami)), check),
        (("/v1/whois", get(org::whois)), check),
        (("/v1/payment_methods", get(org::payment_methods)), check),
        (("/v1/pull", get(pricing::pull)), bulk),
        (("/v1/push", post(pricing::push)), bulk),
        (("/v1/subscribe", post(schedule::subscribe)), interactive),
        (("/v1/checkout", post(checkout::checkout)), interactive),
        (("/v1/phase", get(phases::phase)), check),
        (("/v1/phases", get(phases::phases)), check),
        (("/v1/limits", get(usage::limits)), check),
        (("/v1/report", post(usage::report)), check),
        (("/v1/clock", get(clock::get).post(clock::change)), check),
    ]
}

/// What machines ask to learn how the server is: of everybody, under any name, on every listener.
fn probe_routes() -> Vec<Route> {
    vec![
        ("/healthz", get(ops::healthz)),
        ("/readyz", get(ops::readyz)),
    ]
}

/// Every other path that is about the server itself.
fn server_routes() -> Vec<Route> {
    vec![
        ("/v1/schema", get(pricing::model_schema)),
        ("/docs", get(docs::page)),
        ("/openapi.yaml", get(ops::openapi_yaml)),
        ("/openapi.json", get(ops::openapi_json)),
    ]
}

/// What only the operator may see.
fn operator_routes() -> Vec<Route> {
    vec![("/metrics", get(ops::metrics))]
}

fn paths_of(routes: Vec<Route>) -> Vec<&'static str> {
    routes.into_iter().map(|(path, _)| path).collect()
}

/// All paths; the methods of each are in the `Allow` of a 405.
pub fn paths() -> impl Iterator<Item = &'static str> {
    static PATHS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let account = account_routes().into_iter().map(|(route, _)| route);
        let others = [probe_routes(), server_routes(), operator_routes()];
        paths_of(account.chain(others.into_iter().flatten()).collect())
    });
    PATHS.iter().copied()
}

/// Whether the path is a probe's.
fn is_probe(path: &str) -> bool {
    static PROBES: LazyLock<Vec<&'static str>> = LazyLock::new(|| paths_of(probe_routes()));
    PROBES.contains(&path)
}

/// The API over `app`.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    let audit = app.audit.clone();
    app.background
        .observe(Arc::new(move |superseded| audit.superseded(superseded)));
    let mut router = account_table(&app)
        .merge(table(probe_routes()))
        .merge(table(server_routes()));
    if app.shows_metrics {
        let own_key = from_fn_with_state(app.clone(), keys::own_key);
        router = router.merge(table(operator_routes()).route_layer(own_key));
    }
    finished(router, app)
}

/// What `--admin-addr` serves: the server's state, without a key. Where only this machine can reach it, web pages that
/// are visited there are kept out by `loopback_only`, whatever holds for the API.
pub fn admin_router(mut app: App, loopback_only: bool) -> Router {
    app.origins.loopback_only = loopback_only;
    let routes = table(probe_routes()).merge(table(operator_routes()));
    finished(routes, Arc::new(app))
}

fn finished(router: Router<Shared>, app: Shared) -> Router {
    let mut router = router
        .fallback(layers::unknown_path)
        .method_not_allowed_fallback(layers::unknown_method);
    if !app.origins.allowed.is_empty() {
        router = router.layer(app.origins.cors());
    }
    router
        .layer(from_fn_with_state(app.origins.clone(), origin::guard))
        .layer(from_fn_with_state(app.metrics.clone(), layers::observe))
        .with_state(app)
}

fn table(routes: Vec<Route>) -> Router<Shared> {
    let add = |router: Router<Shared>, (path, methods)| router.route(path, methods);
    routes.into_iter().fold(Router::new(), add)
}

/// The routes that act on an account: each request is told its lane, its caller is found, and then it gets a place.
fn account_table(app: &Shared) -> Router<Shared> {
    let authorize = from_fn_with_state(app.clone(), keys::authorize);
    let limit = from_fn_with_state(app.clone(), load::limit);
    let prepared = |(route, lane): (Route, Lane)| {
        table(vec![route])
            .route_layer(limit.clone())
            .route_layer(authorize.clone())
            .route_layer(Extension(lane))
    };
    account_routes()
        .into_iter()
        .map(prepared)
        .fold(Router::new(), Router::merge)
}

/// Reads `body` as each kind of request, for fuzzing.
pub(crate) fn decode_all(body: &[u8]) {
    fn read<T: serde::de::DeserializeOwned>(body: &[u8]) {
        if let Err(fault) = decode::from_slice::<T>(body) {
            assert!(!fault.to_string().is_empty(), "a fault says what to do");
        }
    }
    read::<types::SubscribeRequest>(body);
    read::<types::CheckoutRequest>(body);
    read::<types::ReportRequest>(body);
    read::<types::ClockRequest>(body);
}

/// The body of `/v1/limits`, for benchmarks.
pub(crate) fn limits_answer(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    let usage = rows
        .iter()
        .cloned()
        .map(answers::FeatureUsage::from)
        .collect();
    let org = org.clone();
    json::indented(&answers::Limits { org, usage }, "\t").unwrap_or_default()
}
