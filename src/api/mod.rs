//! The HTTP layer: decodes a request, calls the domain's method of the same name, encodes what it answers.
//!
//! Here are the state and the table of routes. Statuses and codes are chosen in [`error`] alone; how JSON is read and
//! written is in [`decode`] and [`json`].

mod account;
mod accounts;
mod answers;
mod clock;
mod decode;
mod docs;
mod error;
mod extract;
mod json;
mod keys;
mod layers;
mod load;
pub mod ops;
mod org;
mod origin;
mod pricing;
mod schedule;
mod types;
mod usage;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

pub use accounts::{Accounts, Cloud};
pub use error::Error;
pub use keys::Keys;
pub use load::Limits;
pub use origin::Origins;

use crate::domain::refs::OrgName;
use crate::domain::{Domain, FeatureUsage};
use crate::metrics::Metrics;

/// What every handler can reach.
#[derive(Clone)]
pub struct App {
    /// Whose Stripe account requests act on.
    pub accounts: Accounts,
    /// Who may call.
    pub keys: Keys,
    /// From which web pages.
    pub origins: Origins,
    /// How much, and how much at once.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether `/metrics` is served here, and not at a listener of its own.
    pub shows_metrics: bool,
    places: load::Places,
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
        Self {
            accounts,
            keys: Keys::default(),
            origins: Origins::default(),
            limits: Limits::default(),
            metrics,
            shows_metrics: true,
            places: load::Places::default(),
            readiness: ops::Readiness::default(),
        }
    }
}

/// Every path of the API that acts on an account, and so may need a key.
fn account_routes() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/v1/whoami", get(account::whoami)),
        ("/v1/whois", get(org::whois)),
        ("/v1/payment_methods", get(org::payment_methods)),
        ("/v1/pull", get(pricing::pull)),
        ("/v1/push", post(pricing::push)),
        ("/v1/subscribe", post(schedule::subscribe)),
        ("/v1/checkout", post(schedule::checkout)),
        ("/v1/phase", get(schedule::phase)),
        ("/v1/phases", get(schedule::phases)),
        ("/v1/limits", get(usage::limits)),
        ("/v1/report", post(usage::report)),
        ("/v1/clock", get(clock::get).post(clock::change)),
    ]
}

/// Every path that is about the server itself.
fn server_routes() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/healthz", get(ops::healthz)),
        ("/readyz", get(ops::readyz)),
        ("/v1/schema", get(pricing::model_schema)),
        ("/docs", get(docs::page)),
        ("/openapi.yaml", get(ops::openapi_yaml)),
        ("/openapi.json", get(ops::openapi_json)),
    ]
}

/// What only the operator may see.
fn operator_routes() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![("/metrics", get(ops::metrics))]
}

/// All paths; the methods of each are in the `Allow` of a 405.
pub fn paths() -> impl Iterator<Item = &'static str> {
    static PATHS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let tables = [account_routes(), server_routes(), operator_routes()];
        let routes = tables.into_iter().flatten();
        routes.map(|(path, _)| path).collect()
    });
    PATHS.iter().copied()
}

/// The API over `app`.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    let mut router = table(account_routes())
        .route_layer(from_fn_with_state(app.clone(), keys::authorize))
        .route_layer(from_fn_with_state(app.clone(), load::limit))
        .merge(table(server_routes()));
    if app.shows_metrics {
        let own_key = from_fn_with_state(app.clone(), keys::own_key);
        router = router.merge(table(operator_routes()).route_layer(own_key));
    }
    finished(router, app)
}

/// What `--admin-addr` serves: the server's state, without a key.
pub fn admin_router(app: App) -> Router {
    let app = Arc::new(app);
    let probes = table(vec![
        ("/healthz", get(ops::healthz)),
        ("/readyz", get(ops::readyz)),
    ]);
    finished(probes.merge(table(operator_routes())), app)
}

fn finished(router: Router<Shared>, app: Shared) -> Router {
    let mut router = router
        .fallback(layers::unknown_path)
        .method_not_allowed_fallback(layers::unknown_method)
        .layer(DefaultBodyLimit::max(app.limits.body));
    if !app.origins.allowed.is_empty() {
        router = router.layer(app.origins.cors());
    }
    router
        .layer(from_fn_with_state(app.origins.clone(), origin::guard))
        .layer(from_fn_with_state(app.metrics.clone(), layers::observe))
        .with_state(app)
}

fn table(routes: Vec<(&'static str, MethodRouter<Shared>)>) -> Router<Shared> {
    routes
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
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
