//! The HTTP layer: decodes a request, calls the domain's method of the same name, encodes what it answers.
//!
//! Here are the state and the router. Each noun in [`v1`] has its requests, answers, handlers and [`Operation`]s
//! together. What surrounds the handlers is in [`layers`]; statuses and codes are chosen in [`error`] alone; how JSON is
//! read and written is in [`decode`] and [`json`].

mod accounts;
mod audit;
mod decode;
mod docs;
mod error;
mod extract;
mod freshness;
mod json;
mod keys;
mod layers;
mod not_json;
mod operation;
pub mod ops;
mod roster;
mod v1;
mod values;
mod webhook;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio_util::task::TaskTracker;

pub use accounts::{Accounts, Cloud};
pub use audit::Audit;
pub use error::Error;
pub use keys::{ApiKey, Keys, Role};
pub use layers::load::Limits;
pub use layers::origin::Origins;
pub use operation::{Access, Operation};
pub use v1::pricing::PushProgress;
pub use webhook::{WEBHOOK_PATH, WebhookSecrets};

use layers::{auth, observe};

use crate::admission::{Places, Share};
use crate::domain::refs::OrgName;
use crate::domain::{Background, Domain, FeatureUsage};
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
    /// What deliveries of Stripe's events are signed with, if they are taken.
    pub webhook: Option<WebhookSecrets>,
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
            webhook: None,
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

/// Every operation of the API, sorted by path.
pub fn operations() -> &'static [Operation] {
    static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
        let mut operations: Vec<_> = v1::operations()
            .chain(webhook::operations())
            .chain(ops::operations())
            .collect();
        operations.sort_by_key(|operation| operation.path);
        operations
    });
    &OPERATIONS
}

/// The operations of a path.
fn operations_at(path: &str) -> &'static [Operation] {
    let by_path = operations().chunk_by(|one, next| one.path == next.path);
    let mut found = by_path.filter(|of_path| of_path[0].path == path);
    found.next().unwrap_or_default()
}

/// The API over `app`.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    let audit = app.audit.clone();
    app.background
        .observe(Arc::new(move |superseded| audit.superseded(superseded)));
    let mut served: Vec<_> = operations().iter().collect();
    if !app.shows_metrics {
        served.retain(|operation| operation.access != Access::Operator);
    }
    let own_key = from_fn_with_state(app.clone(), auth::own_key);
    let admit = from_fn_with_state(app.clone(), layers::admit);
    let router = served.into_iter().fold(Router::new(), |router, operation| {
        let handler = operation.handler.clone();
        let handler = match operation.access {
            Access::Account(..) => handler.route_layer(admit.clone()),
            Access::Operator => handler.route_layer(own_key.clone()),
            Access::Probe | Access::Everybody => handler,
        };
        router.route(operation.path, handler)
    });
    finished(router, app)
}

/// What `--admin-addr` serves: the server's state, without a key. Where only this machine can reach it, web pages that
/// are visited there are kept out by `loopback_only`, whatever holds for the API.
pub fn admin_router(mut app: App, loopback_only: bool) -> Router {
    app.origins.loopback_only = loopback_only;
    let served = operations().iter();
    let served =
        served.filter(|operation| matches!(operation.access, Access::Probe | Access::Operator));
    let add = |router: Router<Shared>, operation: &Operation| {
        router.route(operation.path, operation.handler.clone())
    };
    finished(served.fold(Router::new(), add), Arc::new(app))
}

fn finished(router: Router<Shared>, app: Shared) -> Router {
    let mut router = router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method);
    if !app.origins.allowed.is_empty() {
        router = router.layer(app.origins.cors());
    }
    let observe = from_fn_with_state(app.clone(), observe::observe);
    router.layer(observe).with_state(app)
}

/// Paths that nobody serves, a known one with a slash at its end included.
async fn unknown_path() -> Error {
    Error::not_found()
}

/// A method that a path is not served for; the router adds `Allow`.
async fn unknown_method() -> Error {
    Error::method_not_allowed()
}

/// Reads `body` as each kind of request, for fuzzing.
pub(crate) fn decode_all(body: &[u8]) {
    v1::decode_all(body);
}

/// The body of `/v1/limits`, for benchmarks.
pub(crate) fn limits_answer(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    v1::usage::limits_body(org, rows)
}

/// A `/v1/whois` that asks nobody, behind one more layer at a time, for benchmarks.
pub(crate) fn layered(app: App) -> Vec<(&'static str, Router)> {
    let app = Arc::new(app);
    let constant = || get(async || v1::org::whois_of_nobody("org:00".parse().expect("an org")));
    let authorize = from_fn_with_state(app.clone(), layers::authorize_alone);
    let admit = from_fn_with_state(app.clone(), layers::admit);
    let handlers = [
        ("context, origin, metrics", constant()),
        ("the caller", constant().route_layer(authorize)),
        ("place, time-out", constant().route_layer(admit.clone())),
        (
            "account, org",
            get(v1::org::whois_without_stripe).route_layer(admit),
        ),
    ];
    let behind = |(name, handler)| {
        let router = Router::new().route("/v1/whois", handler);
        (name, finished(router, app.clone()))
    };
    handlers.into_iter().map(behind).collect()
}
