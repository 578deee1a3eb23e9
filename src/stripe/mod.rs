//! The Stripe client. It encodes, authorizes, times, retries and decodes all calls.
//!
//! A Stripe server is a base URL: the real one, the sandbox, or a test's own router. The details of each call (path,
//! parameters, the fields of the answer) belong to `billing`.

mod caller_state;
mod context;
mod error;
mod flights;
mod form;
mod limit;
mod list;
mod path;
mod reads;
mod refusal;
mod request;
mod retry;
mod send;
mod signature;
mod time;
mod transport;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};

use crate::metrics::Metrics;

pub use caller_state::CallerState;
use context::Context;
pub use error::{ApiError, Error};
pub use flights::Flights;
pub use form::Form;
pub use limit::{Lane, RateSettings, Rates};
pub use list::{Identified, Page};
pub use path::Path;
pub use request::{ApiVersion, Request};
pub use send::Answer;
pub use signature::{Signature, SignatureError};
pub use transport::{Options, Transport};

/// The base URL of the real Stripe.
pub const BASE_URL: &str = "https://api.stripe.com";

/// The URL of Stripe's dashboard.
pub const DASHBOARD_URL: &str = "https://dashboard.stripe.com";

/// The credentials of a call: a key, optionally a connected account, and the prefix that separates the idempotency keys
/// of installations.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The secret or restricted API key.
    pub key: SecretString,
    /// The connected account (`acct_…`) that calls act on, as `Stripe-Account`, or as `Stripe-Context` in version 2 of
    /// the API.
    pub account: Option<String>,
    /// The prefix of idempotency keys, before a `#`.
    pub key_prefix: Option<String>,
}

impl Credentials {
    /// Credentials for `key` itself: no connected account, no prefix.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into().into(),
            account: None,
            key_prefix: None,
        }
    }

    /// Whether the key is a live key.
    pub fn is_live(&self) -> bool {
        self.key.expose_secret().contains("_live_")
    }
}

/// A handle for calling Stripe with one key. Cheap to clone. Clones share the account's rate limiter and the key's
/// reads in flight, and belong to the same client request.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    key_state: Arc<KeyState>,
    request: Arc<Context>,
    /// Whether a read may share the answer of an identical read in flight.
    shares_reads: bool,
}

/// The state that all calls with one key share.
#[derive(Debug)]
struct KeyState {
    credentials: Credentials,
    /// Whether Stripe accepted the key when it last answered.
    key_accepted: AtomicBool,
    /// Whether Stripe refused the key when it last answered.
    key_refused: AtomicBool,
    /// The rate limiter to use until the key's account is known.
    own_budget: SharedBudget,
    /// The rate limiter of all keys of the account, once the account is known.
    shared_budget: OnceLock<SharedBudget>,
    reads: reads::Reads,
}

/// A rate limiter, if there is a limit.
type SharedBudget = Option<Arc<limit::Budget>>;

/// The state that calls with any key of one account share.
#[derive(Debug, Default)]
pub struct AccountCalls {
    /// The number of ended writes.
    writes: Arc<AtomicU64>,
    /// The rate limiter of the first key.
    budget: OnceLock<SharedBudget>,
}

impl Client {
    /// A client that acts with `credentials` over `transport`.
    pub fn new(transport: Transport, credentials: Credentials) -> Self {
        let budget = transport
            .rates(credentials.is_live())
            .map(limit::Budget::new);
        let own_budget = budget.map(Arc::new);
        let key_state = KeyState {
            credentials,
            key_accepted: AtomicBool::new(false),
            key_refused: AtomicBool::new(false),
            own_budget,
            shared_budget: OnceLock::new(),
            reads: reads::Reads::default(),
        };
        Self {
            transport,
            key_state: Arc::new(key_state),
            request: Arc::default(),
            shares_reads: true,
        }
    }

    /// A client for one request, whose calls are counted together and wait in `lane`.
    #[must_use]
    pub fn for_request(&self, lane: Lane) -> Self {
        Self {
            request: Arc::new(self.request.for_request(lane)),
            ..self.clone()
        }
    }

    /// A client for one request in `lane`, whose caller may leave before the answer.
    #[must_use]
    pub fn for_caller(&self, lane: Lane, caller: CallerState) -> Self {
        Self {
            transport: self.transport.clone(),
            key_state: self.key_state.clone(),
            request: Arc::new(Context::of_caller(lane, caller)),
            shares_reads: self.shares_reads,
        }
    }

    /// A client for the same request whose reads do not share a read that began earlier.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self {
            shares_reads: false,
            ..self.clone()
        }
    }

    /// A client for background work in `lane`.
    #[must_use]
    pub fn for_background(&self, lane: Lane) -> Self {
        Self {
            request: Arc::new(Context::new(lane)),
            ..self.clone()
        }
    }

    /// The state of this request's caller.
    pub fn caller(&self) -> &CallerState {
        self.request.caller()
    }

    /// A client for work that several requests may wait for.
    fn for_work(&self) -> Self {
        self.for_background(self.request.ticket.lane())
    }

    fn context(&self) -> &Arc<Context> {
        &self.request
    }

    /// Stripe's request ids of this request's calls, in the order of their answers; `None` for a call without an
    /// answer.
    pub fn calls(&self) -> Vec<Option<String>> {
        self.request.calls()
    }

    /// Records from an answer whether Stripe accepts the key.
    fn note_key<T>(&self, answer: &Result<T, Error>) {
        let accepted = match answer.as_ref().map_err(Error::api) {
            Ok(_) => true,
            Err(Some(refusal)) if refusal.status == 401 => false,
            // Stripe knows the key if it refuses the request for another reason. Other answers may come from before it
            // checks the key.
            Err(Some(refusal)) if (400..429).contains(&refusal.status) => true,
            Err(_) => return,
        };
        self.key_state
            .key_accepted
            .store(accepted, Ordering::Relaxed);
        self.key_state
            .key_refused
            .store(!accepted, Ordering::Relaxed);
    }

    /// Whether Stripe accepted the key in its last answer.
    pub fn is_key_accepted(&self) -> bool {
        self.key_state.key_accepted.load(Ordering::Relaxed)
    }

    /// Assigns the key to its account. From then on all keys of the account share one rate limiter, since Stripe
    /// counts their calls together, and a read that began before a write with any of them ended is not shared with a
    /// later read.
    pub fn belongs_to(&self, account: &AccountCalls) {
        self.key_state.reads.share_writes(account.writes.clone());
        let own = || self.key_state.own_budget.clone();
        let budget = account.budget.get_or_init(own).clone();
        // A key never changes its account, so the first assignment stays.
        let _ = self.key_state.shared_budget.set(budget);
    }

    fn budget(&self) -> Option<&limit::Budget> {
        let of_account = self.key_state.shared_budget.get();
        let budget = of_account.unwrap_or(&self.key_state.own_budget);
        budget.as_deref()
    }

    /// Whether Stripe refused the key when it last answered.
    pub fn is_key_refused(&self) -> bool {
        self.key_state.key_refused.load(Ordering::Relaxed)
    }

    /// The fraction of the account's rate that is free, between 0 and 1; `None` if there is no limit.
    pub fn headroom(&self) -> Option<f64> {
        self.budget().map(limit::Budget::headroom)
    }

    /// Stripe's time in Unix seconds; `None` if it has not answered recently.
    pub fn server_time(&self) -> Option<i64> {
        self.transport.time.now()
    }

    /// The metrics that count this client's calls.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.transport.options.metrics
    }

    /// The credentials of this client's calls.
    pub fn credentials(&self) -> &Credentials {
        &self.key_state.credentials
    }

    /// The wait before a call's first retry.
    pub fn first_wait(&self) -> Duration {
        self.transport.options.first_wait
    }

    /// Whether Stripe is called over TLS. A simulator may not be.
    pub fn uses_tls(&self) -> bool {
        self.transport.base_url().starts_with("https:")
    }

    /// The URL of the dashboard for this client's objects, without a trailing slash; `None` if there is none.
    pub fn dashboard_url(&self) -> Option<&str> {
        self.transport.options.dashboard_url.as_deref()
    }

    /// The account in dashboard links, if it is known.
    pub fn dashboard_account(&self) -> Option<&str> {
        let connected = self.key_state.credentials.account.as_deref();
        connected.or(self.transport.options.dashboard_account.as_deref())
    }

    /// Begins a read with a version of the API.
    pub fn get(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        Request::new(self.clone(), version, Method::GET, path.into())
    }

    /// Begins a write. It carries a random idempotency key unless one is given, so that retries never repeat its
    /// effect.
    pub fn post(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        Request::new(self.clone(), version, Method::POST, path.into())
    }

    /// Begins a read whose parameters are sent as a form, such as a preview.
    pub fn query(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        self.post(version, path).into_read()
    }

    /// Begins a deletion, which is idempotent.
    pub fn delete(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        Request::new(self.clone(), version, Method::DELETE, path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_keys_of_an_account_share_one_budget() {
        let rates = RateSettings {
            total: Some(10),
            ..RateSettings::default()
        };
        let transport = Transport::new(Options::default()).expect("a URL");
        let transport = transport.with_rates(rates);
        let client = |key| Client::new(transport.clone(), Credentials::new(key));
        let (one, other) = (client("sk_test_one"), client("rk_test_other"));
        let stranger = client("sk_test_stranger");
        let account = AccountCalls::default();
        one.belongs_to(&account);
        other.belongs_to(&account);
        stranger.belongs_to(&AccountCalls::default());
        let budget = one.budget().expect("there is a limit");
        let _permit = budget.acquire("GET /v1/x", &one.request.ticket).await;
        let free = one.headroom().expect("there is a limit");
        assert!(free < 1.0, "{free}");
        assert_eq!(other.headroom(), Some(free));
        assert_eq!(stranger.headroom(), Some(1.0));
    }
}
