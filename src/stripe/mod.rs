//! The Stripe client: one place where requests are encoded, signed, timed, retried and decoded.
//!
//! A Stripe is a base URL: the real one, the sandbox, or a test's own router. Everything that is
//! particular to a call (path, parameters, what is read of the answer) belongs to `billing`.

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
pub use request::{Answer, ApiVersion, Request};
pub use signature::{Signature, SignatureError};
pub use transport::{Options, Transport};

/// Where the real Stripe is.
pub const BASE_URL: &str = "https://api.stripe.com";

/// Where people look at what is in Stripe.
pub const DASHBOARD_URL: &str = "https://dashboard.stripe.com";

/// Whose Stripe objects a call is about: a key, perhaps a connected account, and the prefix that
/// keeps our idempotency keys apart from those of another installation.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The secret or restricted API key.
    pub key: SecretString,
    /// The connected account (`acct_…`) that calls act on, as `Stripe-Account`.
    pub account: Option<String>,
    /// What idempotency keys begin with, before a `#`.
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

    /// Whether the key moves real money.
    pub fn is_live(&self) -> bool {
        self.key.expose_secret().contains("_live_")
    }
}

/// A handle for calling Stripe with one key. Cheap to clone: clones share the account's budget
/// and the key's reads in flight, and belong to the same request of a client's.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    account: Arc<Account>,
    request: Arc<Context>,
    /// Its reads may be answered by those of others that are under way.
    shares_reads: bool,
}

/// What all calls with one key share.
#[derive(Debug)]
struct Account {
    credentials: Credentials,
    /// Whether Stripe accepted the key when it last answered.
    key_accepted: AtomicBool,
    /// Whether Stripe refused the key when it last answered.
    key_refused: AtomicBool,
    /// The budget until it is known whose the key is.
    own_budget: SharedBudget,
    /// That of all keys of its account, from then on.
    shared_budget: OnceLock<SharedBudget>,
    reads: reads::Reads,
}

/// A budget, if there is a limit.
type SharedBudget = Option<Arc<limit::Budget>>;

/// What the calls with all keys of one account share.
#[derive(Debug, Default)]
pub struct AccountCalls {
    /// Counts the writes.
    writes: Arc<AtomicU64>,
    /// That of the first key.
    budget: OnceLock<SharedBudget>,
}

impl Client {
    /// A client that acts with `credentials` over `transport`.
    pub fn new(transport: Transport, credentials: Credentials) -> Self {
        let budget = transport
            .rates(credentials.is_live())
            .map(limit::Budget::new);
        let own_budget = budget.map(Arc::new);
        let account = Account {
            credentials,
            key_accepted: AtomicBool::new(false),
            key_refused: AtomicBool::new(false),
            own_budget,
            shared_budget: OnceLock::new(),
            reads: reads::Reads::default(),
        };
        Self {
            transport,
            account: Arc::new(account),
            request: Arc::default(),
            shares_reads: true,
        }
    }

    /// The same account's client, for one request whose calls are to be counted together and wait
    /// in `lane`.
    #[must_use]
    pub fn for_request(&self, lane: Lane) -> Self {
        Self {
            request: Arc::new(self.request.for_request(lane)),
            ..self.clone()
        }
    }

    /// The same account's client, for one request in `lane` whose caller may leave before the answer.
    #[must_use]
    pub fn for_caller(&self, lane: Lane, caller: CallerState) -> Self {
        Self {
            transport: self.transport.clone(),
            account: self.account.clone(),
            request: Arc::new(Context::of_caller(lane, caller)),
            shares_reads: self.shares_reads,
        }
    }

    /// The same request's client, for reads that must not have begun before it.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self {
            shares_reads: false,
            ..self.clone()
        }
    }

    /// The same account's client, for work that nobody waits for, in `lane`.
    #[must_use]
    pub fn for_background(&self, lane: Lane) -> Self {
        Self {
            request: Arc::new(Context::new(lane)),
            ..self.clone()
        }
    }

    /// Whether the caller of this request still waits.
    pub fn caller(&self) -> &CallerState {
        self.request.caller()
    }

    /// The same account's client, for work that several requests may come to wait for.
    fn for_work(&self) -> Self {
        self.for_background(self.request.ticket.lane())
    }

    fn context(&self) -> &Arc<Context> {
        &self.request
    }

    /// The ids that Stripe gave the calls made for this request, in order of their answers; none
    /// for one without an answer.
    pub fn calls(&self) -> Vec<Option<String>> {
        self.request.calls()
    }

    fn note_key<T>(&self, answer: &Result<T, Error>) {
        let accepted = match answer.as_ref().map_err(Error::api) {
            Ok(_) => true,
            Err(Some(refusal)) if refusal.status == 401 => false,
            // Whoever may do something wrong is known. Other answers may come from before the key was looked at.
            Err(Some(refusal)) if (400..429).contains(&refusal.status) => true,
            Err(_) => return,
        };
        self.account.key_accepted.store(accepted, Ordering::Relaxed);
        self.account.key_refused.store(!accepted, Ordering::Relaxed);
    }

    /// Whether Stripe has answered with this key, and did not refuse it when it last did.
    pub fn is_key_accepted(&self) -> bool {
        self.account.key_accepted.load(Ordering::Relaxed)
    }

    /// Says whose the key is. From now on all keys of the account keep to one budget, as Stripe counts their calls
    /// together, and a read that began before a write with any of them ended is not shared with a later one.
    pub fn belongs_to(&self, account: &AccountCalls) {
        self.account.reads.share_writes(account.writes.clone());
        let own = || self.account.own_budget.clone();
        let budget = account.budget.get_or_init(own).clone();
        // The first account that a key opens is the only one.
        let _ = self.account.shared_budget.set(budget);
    }

    fn budget(&self) -> Option<&limit::Budget> {
        let of_account = self.account.shared_budget.get();
        let budget = of_account.unwrap_or(&self.account.own_budget);
        budget.as_deref()
    }

    /// Whether Stripe refused the key when it last answered.
    pub fn is_key_refused(&self) -> bool {
        self.account.key_refused.load(Ordering::Relaxed)
    }

    /// The share of the account's rate that is free, between 0 and 1; none if there is no limit.
    pub fn headroom(&self) -> Option<f64> {
        self.budget().map(limit::Budget::headroom)
    }

    /// What time it is at this Stripe, in Unix seconds; none if it has not answered lately.
    pub fn server_time(&self) -> Option<i64> {
        self.transport.time.now()
    }

    /// Where this client's calls are counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.transport.options.metrics
    }

    /// Whose objects this client's calls are about.
    pub fn credentials(&self) -> &Credentials {
        &self.account.credentials
    }

    /// The wait before a call is tried for the second time.
    pub fn first_wait(&self) -> Duration {
        self.transport.options.first_wait
    }

    /// Where people look at this client's objects, without a trailing slash; none if they cannot be looked at.
    pub fn dashboard_url(&self) -> Option<&str> {
        self.transport.options.dashboard_url.as_deref()
    }

    /// Whose objects these are, if that is known.
    pub fn dashboard_account(&self) -> Option<&str> {
        let connected = self.account.credentials.account.as_deref();
        connected.or(self.transport.options.dashboard_account.as_deref())
    }

    /// Starts a read, in a version of the API.
    pub fn get(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        Request::new(self.clone(), version, Method::GET, path.into())
    }

    /// Starts a write. It carries an idempotency key of its own unless one is given, so that our
    /// retries never double its effect.
    pub fn post(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        Request::new(self.clone(), version, Method::POST, path.into())
    }

    /// Starts a deletion, which Stripe treats as idempotent by nature.
    pub fn delete(&self, version: ApiVersion, path: impl Into<Path>) -> Request {
        Request::new(self.clone(), version, Method::DELETE, path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_keys_of_an_account_keep_to_one_budget() {
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
