//! The HTTP layer: decodes a request, calls the domain's method of the same name, and encodes its result.
//!
//! This module has the state and the router. Each noun in [`v1`] has its requests, answers, handlers and [`Operation`]s
//! together; [`legacy`] has those of the API of 2022, and [`pages`] those of web pages. [`layers`] has the
//! middleware, only [`error`] chooses statuses and codes, and [`decode`] and [`json`] read and write JSON.

mod accept;
mod accounts;
mod anonymous;
mod audit;
mod checkout_link;
mod decode;
mod docs;
mod error;
mod extract;
mod freshness;
mod json;
mod keys;
mod layers;
mod legacy;
mod listed_pages;
mod not_json;
mod operation;
pub mod ops;
mod pages;
mod pinned_cache;

mod v1;
mod values;
mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::routing::get;
use tokio_util::task::TaskTracker;

pub use accounts::{Accounts, Cloud};
pub use audit::Audit;
pub use checkout_link::CheckoutLinks;
pub use error::Error;
pub use extract::TEST_CLOCK;
pub use keys::{ApiKey, Keys, Role};
pub use layers::load::RequestLimits;
pub use layers::origin::Origins;
pub use legacy::DeviceLogin;
pub use listed_pages::ListedPages;
pub use operation::{Access, Operation};
pub use pages::refusal_page;
pub use v1::diff::{ModelDiff, Status as DiffStatus, reason as diff_reason};
pub use v1::pricing::PushProgress;
pub use v1::validation::Validation;
pub use webhook::{WEBHOOK_PATH, WebhookSecrets};

use layers::{auth, layer, observe};

use crate::admission::{CallerSlots, RequestSlots};
use crate::domain::pricing::Model;
use crate::domain::refs::OrgName;
use crate::domain::{self, Background, Domain, FeatureUsage, PricingPage};
use crate::metrics::Metrics;
pub use crate::net::{Network, Proxies};

/// The state of the API.
#[derive(Clone)]
pub struct App {
    /// The Stripe account, or accounts, that requests act on.
    pub accounts: Accounts,
    /// The API keys of callers.
    pub keys: Keys,
    /// The web pages that may call.
    pub origins: Origins,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: Proxies,
    /// The audit log.
    pub audit: Audit,
    /// Limits on requests.
    pub limits: RequestLimits,
    /// The secrets that sign Stripe's events, if events are accepted.
    pub webhook: Option<WebhookSecrets>,
    /// Device logins, if they are enabled.
    pub login: Option<DeviceLogin>,
    /// Checkout links, if they are enabled.
    pub checkout_links: Option<CheckoutLinks>,
    /// Whether the server's own listener speaks HTTPS.
    pub https: bool,
    /// The pricing pages that are public.
    pub listed_pages: ListedPages,
    /// The publishable key, with which browsers call Stripe, if it is known.
    pub publishable_key: Option<String>,
    /// The script that pages load in place of Stripe.js, if there is a simulator in place of Stripe.
    pub stripe_js: Option<String>,
    /// The server's metrics.
    pub metrics: Arc<Metrics>,
    /// Whether `/metrics` is served with the API, and not only on a separate listener.
    pub shows_metrics: bool,
    /// Tasks that run without a caller: writes whose caller has left, and background work.
    pub writes: TaskTracker,
    /// Only background work.
    pub background: Background,
    /// Slots for requests in flight.
    pub slots: RequestSlots,
    /// The slots that all callers share if the server has no keys.
    everybody: CallerSlots,
    /// The slots that callers of operations without a key share.
    anonymous: CallerSlots,
    readiness: ops::Readiness,
}

/// The state, behind a pointer that is cheap to clone.
type Shared = Arc<App>;

impl App {
    /// The API over one account. It needs no key, and refuses web pages.
    pub fn new(domain: Domain) -> Self {
        let metrics = domain.stripe().metrics().clone();
        Self::over(Accounts::One(domain), metrics)
    }

    /// The API over the accounts of many callers, found by their keys.
    pub fn for_many(cloud: Cloud) -> Self {
        let metrics = cloud.metrics().clone();
        let mut app = Self::over(Accounts::Many(cloud), metrics);
        // One caller must not see another's numbers.
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
            limits: RequestLimits::default(),
            webhook: None,
            login: None,
            checkout_links: None,
            https: false,
            listed_pages: ListedPages::default(),
            publishable_key: None,
            stripe_js: None,
            metrics,
            shows_metrics: true,
            writes: background.tasks().clone(),
            background,
            slots: RequestSlots::default(),
            everybody: CallerSlots::default(),
            anonymous: CallerSlots::default(),
            readiness: ops::Readiness::default(),
        }
    }

    /// Whether everybody may see `path`, because it is a listed pricing page.
    fn shows_everybody(&self, path: &str) -> bool {
        self.listed_pages.is_public(path, &self.accounts)
    }

    /// The listed pricing page of that name.
    async fn listed_page(&self, name: &str) -> Result<Option<PricingPage>, Error> {
        let Accounts::One(domain) = &self.accounts else {
            return Ok(None);
        };
        let page = self.listed_pages.page(name, domain);
        let page = tokio::time::timeout(self.limits.request_timeout, page).await;
        Ok(page.unwrap_or(Err(domain::Error::TimedOut { source: None }))?)
    }

    /// The model for a page that offers its plans. It may be a minute old.
    async fn recent_model(&self, domain: &Domain) -> domain::Result<Arc<Model>> {
        match &self.accounts {
            Accounts::One(_) => self.listed_pages.model(domain).await,
            Accounts::Many(_) => domain.pull().await.map(Arc::new),
        }
    }

    /// Whether callers need a key.
    fn needs_key(&self) -> bool {
        matches!(self.accounts, Accounts::Many(_)) || !self.keys.is_open()
    }
}

/// Every operation of the API, sorted by path.
pub fn operations() -> &'static [Operation] {
    static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
        let mut operations: Vec<_> = v1::operations()
            .chain(legacy::operations())
            .chain(webhook::operations())
            .chain(ops::operations())
            .chain(pages::operations())
            .collect();
        operations.sort_by_key(|operation| operation.path);
        operations
    });
    &OPERATIONS
}

/// The operations of a path.
fn operations_at(path: &str) -> &'static [Operation] {
    static BY_PATH: LazyLock<HashMap<&str, &[Operation]>> = LazyLock::new(|| {
        let by_path = operations().chunk_by(|one, next| one.path == next.path);
        by_path.map(|of_path| (of_path[0].path, of_path)).collect()
    });
    BY_PATH.get(path).copied().unwrap_or_default()
}

/// The router of the API.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    let audit = app.audit.clone();
    app.background
        .observe(Arc::new(move |superseded| audit.superseded(superseded)));
    let mut served: Vec<_> = operations().iter().collect();
    if !app.shows_metrics {
        served.retain(|operation| operation.access != Access::Operator);
    }
    let require_api_key = layer(&app, auth::require_api_key);
    let admit = layer(&app, layers::admit);
    let admit_unless_listed = layer(&app, layers::admit_unless_listed);
    let admit_link = layer(&app, layers::admit_link);
    let router = served.into_iter().fold(Router::new(), |router, operation| {
        let handler = operation.handler.clone();
        let handler = match operation.access {
            Access::Account(..) => handler.route_layer(admit.clone()),
            Access::Listed(..) => handler.route_layer(admit_unless_listed.clone()),
            Access::Link(_) => handler.route_layer(admit_link.clone()),
            Access::Operator => handler.route_layer(require_api_key.clone()),
            Access::Probe | Access::Everybody => handler,
        };
        router.route(operation.path, handler)
    });
    finished(router, app)
}

/// The router of `--admin-addr`: probes and metrics, without a key. With `loopback_only`, it accepts only loopback
/// names, whatever the API allows.
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
    let observe = layer(&app, observe::observe);
    router.layer(observe).with_state(app)
}

/// Answers an unknown path. A known path with a slash at its end counts as unknown.
async fn unknown_path() -> Error {
    Error::not_found()
}

/// Answers an unknown method of a known path. The router adds `Allow`.
async fn unknown_method() -> Error {
    Error::method_not_allowed()
}

/// Decodes `body` as each kind of request, for fuzzing.
pub(crate) fn decode_all(body: &[u8]) {
    v1::decode_all(body);
    legacy::decode_all(body);
}

/// The body of `/v1/limits`, for benchmarks.
pub(crate) fn limits_answer(org: &OrgName, rows: &[FeatureUsage]) -> Vec<u8> {
    v1::usage::limits_body(org, rows)
}

/// Routers with a `/v1/whois` that makes no calls, each with one more layer than the one before, for benchmarks.
pub(crate) fn layered(app: App) -> Vec<(&'static str, Router)> {
    let app = Arc::new(app);
    let constant = || get(async || v1::org::whois_of_nobody("org:00".parse().expect("an org")));
    let authorize = layer(&app, layers::authorize_alone);
    let admit = layer(&app, layers::admit);
    let handlers = [
        ("context, origin, metrics", constant()),
        ("the caller", constant().route_layer(authorize)),
        ("slot, time-out", constant().route_layer(admit.clone())),
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
