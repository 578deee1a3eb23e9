//! A Stripe that fits in memory: API version 2022-11-15, stateful, deterministic, with a clock that can be held.
//!
//! [`Sandbox`] is the whole of it, cheap to clone; [`Sandbox::start`] puts it on a loopback port and
//! [`Sandbox::serve`] on any listener. Any Stripe client works against it. Its README has a test that uses it.
//!
//! # Map
//!
//! | room | what it knows |
//! |---|---|
//! | [`money`] | the arithmetic of billing |
//! | [`params`] | forms, and the typed reading of them, with Stripe's own errors |
//! | [`store`] | ids, tables and pages of them; an account with all its tables, and all accounts |
//! | [`resource`] | a folder for each resource: its state, how it is shown (`view`), what is read of a request (`input`), its endpoints (`routes`) |
//! | [`engine`] | what happens to resources, and between them: billing, payment, the passing of time |
//! | [`http`] | how a call comes in and is answered: keys, routes, faults, limits, idempotency |
//! | [`pages`] | the checkout pages |
//! | [`webhook`] | how events are delivered to the endpoints that want them |
//! | [`version`] | the API version of a call |
//!
//! How a call goes: [`http`] reads it and finds the account and the [route](resource::route::Route); the [fault rules](http::rule),
//! limits and [`idempotency`](store::idempotency) keys have their say. Of the route's two functions, one reads the
//! parameters and checks everything, with a [`Ctx`](store::context::Ctx); the other then changes the
//! [`Account`](store::account::Account). [`expand`](resource::expand) adds what was asked for. Each
//! [account](store::accounts) has a lock of its own, held for that moment only.
//!
//! The direction of imports is money and params, then store, then the state of resources, accounts, views, the engine,
//! inputs and routes, http and pages: each names only what is before it. `tests/walls.rs` reads them.
//!
//! It shares no code with clients that call it: an error in common would be invisible.

mod engine;
mod error;
mod http;
#[doc(hidden)]
pub mod internals;
mod money;
mod pages;
mod params;
#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "endpoints have one shape: they are given their input, and may fail"
)]
mod resource;
mod store;
mod version;
mod webhook;

pub use self::http::record::Request;
pub use self::http::rule::Action;
pub use self::http::rule::Amount;
pub use self::http::rule::Rule;
pub use self::http::rule::Subject;
pub use self::http::rule::When;
pub use self::version::API_VERSION;
pub use self::webhook::Deliveries;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::Clock;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::http::{fault, limit, record};
use self::resource::event::Event;
use self::resource::webhook_endpoint;
use self::store::accounts::Accounts;
use self::store::{ids, locked};
use self::webhook::Webhooks;

/// How a sandbox behaves; the default is real time, seed 0, no delays and no limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time of everything that is on no test clock.
    pub clock: Clock,
    /// What ids and random faults are made from.
    pub seed: u64,
    /// How long a new or changed customer takes to reach the search.
    pub search_lag: Duration,
    /// How long renewals and the first invoices of schedules are drafts before they are finalized and charged; with
    /// Stripe, about an hour.
    pub invoice_draft: Duration,
    /// How long after a webhook's first try the second is, if the first has failed; each wait after that is twice as
    /// long as the one before. Like Stripe in test mode, the sandbox tries three times more, within a few hours.
    pub webhook_backoff: Duration,
    /// How long every call takes at least.
    pub latency: Option<Duration>,
    /// How many calls an account may make in a second.
    pub rate_limit: Option<u32>,
    /// Where people reach the sandbox, for the links to its checkout pages; by default, the address that the
    /// call was sent to.
    pub public_url: Option<String>,
    /// Only this machine can reach it. Its controls and checkout pages then answer to names of this machine only: a web
    /// page could give a name of its own this machine's address.
    pub loopback_only: bool,
}

impl Options {
    /// How long invoices are drafts, in seconds.
    fn invoice_draft_seconds(&self) -> i64 {
        i64::try_from(self.invoice_draft.as_secs()).unwrap_or(i64::MAX / 2)
    }

    /// The search's lag in milliseconds.
    fn search_lag_millis(&self) -> i64 {
        i64::try_from(self.search_lag.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            seed: 0,
            search_lag: Duration::from_secs(1),
            invoice_draft: Duration::ZERO,
            webhook_backoff: Duration::from_secs(30 * 60),
            latency: None,
            rate_limit: None,
            public_url: None,
            loopback_only: true,
        }
    }
}

/// See the [crate](self). Clones are the same sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    accounts: Accounts,
    faults: Mutex<fault::Faults>,
    record: Mutex<record::Record>,
    limits: Mutex<limit::Limits>,
    webhooks: Webhooks,
    /// The calls under way.
    tasks: TaskTracker,
}

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
    /// An empty sandbox.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            accounts: Accounts::new(options.seed),
            faults: Mutex::default(),
            record: Mutex::default(),
            limits: Mutex::default(),
            webhooks: Webhooks::new(options.clock.clone(), options.webhook_backoff),
            tasks: TaskTracker::new(),
            options,
        }))
    }

    /// The API, the controls under `/_sandbox/` and the checkout pages under `/c/`.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// Serves on the listener until `shutdown` is done and the calls under way are answered.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        serve(listener, self.router(), shutdown).await
    }

    /// A sandbox on a loopback port of its own, until the result is dropped or stopped.
    pub async fn start(options: Options) -> std::io::Result<Running> {
        Self::start_with(options, |router| router).await
    }

    /// The same, with layers of the caller's around its [router](Self::router), to watch what is answered.
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

    /// The account that a secret key opens.
    pub fn account_id(&self, key: &str) -> String {
        self.0.accounts.id_of_key(key).to_string()
    }

    /// The last calls, at most 1,000, oldest first: of one account, or of all.
    pub fn requests(&self, account: Option<&str>) -> Vec<Request> {
        locked(&self.0.record).requests(account)
    }

    /// What has happened, as Stripe's events: the last 10,000 of every account, an account's in order.
    pub fn events(&self) -> Vec<Value> {
        let accounts = self.0.accounts.all();
        let events = accounts.iter().flat_map(|account| {
            let account = account.account();
            let events = account.events.iter().map(Event::to_json);
            events.collect::<Vec<_>>()
        });
        events.collect()
    }

    /// How often each endpoint (`GET /v1/customers/:id`) was called: by one account, or by all.
    pub fn counts(&self, account: Option<&str>) -> BTreeMap<String, u64> {
        locked(&self.0.record).counts(account)
    }

    /// Forgets the calls so far, and nothing else.
    pub fn clear_requests(&self) {
        locked(&self.0.record).clear(None);
    }

    /// Adds a fault; see [`Rule`].
    pub fn add_fault(&self, rule: Rule) {
        let seed = self.0.options.seed;
        locked(&self.0.faults).add(rule, seed);
    }

    /// How many calls and webhooks the faults that are in force have applied to.
    pub fn fault_hits(&self) -> u64 {
        locked(&self.0.faults).hits()
    }

    /// Deletes all faults, which ends their delays: webhooks that wait for their first try are sent.
    pub fn clear_faults(&self) {
        self.clear_faults_of(None);
    }

    fn clear_faults_of(&self, account: Option<&str>) {
        locked(&self.0.faults).clear(account);
        self.0.webhooks.release(account);
    }

    /// Back to an empty sandbox without faults.
    pub fn reset(&self) {
        self.reset_only(None);
    }

    fn reset_only(&self, account: Option<&ids::Id>) {
        for forgotten in self.0.accounts.reset(account) {
            self.0.webhooks.forget(forgotten.webhook_endpoints());
        }
        locked(&self.0.faults).clear(account.map(|id| &**id));
        locked(&self.0.record).clear(account.map(|id| &**id));
    }

    /// Gives the account of a secret key a webhook endpoint, which it also has after every [reset](Self::reset), and
    /// says what the secret of its signatures is (`whsec_…`). `events` are types of events, or `*`. The account's ids
    /// are those that it would have without the endpoint, and with the same seed the secret is the same in every run.
    pub fn webhook_endpoint(
        &self,
        key: &str,
        url: &str,
        events: &[&str],
    ) -> Result<String, BadEndpoint> {
        let account = self.0.accounts.id_of_key(key);
        let now = self.0.options.clock.unix();
        let endpoint = webhook_endpoint::input::fixed(url, events, now);
        let endpoint = endpoint.map_err(|error| BadEndpoint(error.message))?;
        Ok(self.0.accounts.fix_endpoint(&account, endpoint))
    }

    /// Waits until every webhook that was to be sent is settled: answered 2xx, or given up. What waits for another try
    /// waits by the sandbox's clock.
    pub async fn deliveries_settled(&self) {
        self.0.webhooks.settled().await;
    }

    /// What has become of the webhooks so far.
    pub fn deliveries(&self) -> Deliveries {
        self.0.webhooks.counts()
    }

    /// The sandbox's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.options.clock
    }

    fn faults_json(&self, account: Option<&str>) -> Value {
        locked(&self.0.faults).to_json(account)
    }
}

/// Why there cannot be a webhook endpoint, in Stripe's words.
#[derive(Debug)]
pub struct BadEndpoint(String);

impl std::fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadEndpoint {}

/// A sandbox that listens on a loopback port. It stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    url: String,
    sandbox: Sandbox,
    stop: CancellationToken,
    server: JoinSet<std::io::Result<()>>,
}

impl Running {
    /// Where it is, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The sandbox itself, for looking at and controlling it without HTTP.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Stops, and waits for the calls under way. Webhooks that are under way end at once.
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
