//! The Stripe client: one place where requests are encoded, signed, timed, retried and decoded.
//!
//! A Stripe is a base URL: the real one, the sandbox, or a test's own router. Everything that is
//! particular to a call (path, parameters, what is read of the answer) belongs to `domain`.

mod error;
mod form;
mod list;
mod request;
mod retry;
mod transport;
pub mod types;

use std::sync::Arc;

use reqwest::Method;

pub use error::{ApiError, Error};
pub use form::Form;
pub use request::Request;
pub use transport::{Options, Transport};

/// The version of Stripe's API that the wire contract of `tier` is pinned to.
pub const API_VERSION: &str = "2022-11-15";

/// Where the real Stripe is.
pub const BASE_URL: &str = "https://api.stripe.com";

/// Whose Stripe objects a call is about: a key, perhaps a connected account, and the prefix that
/// keeps our idempotency keys apart from those of another installation.
#[derive(Clone)]
pub struct Credentials {
    /// The secret or restricted API key. Never logged, never part of an error.
    pub key: String,
    /// The connected account (`acct_…`) that calls act on, as `Stripe-Account`.
    pub account: Option<String>,
    /// What idempotency keys begin with, before a `#`.
    pub key_prefix: Option<String>,
}

impl Credentials {
    /// Credentials for `key` itself: no connected account, no prefix.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            account: None,
            key_prefix: None,
        }
    }

    /// Whether the key moves real money.
    pub fn is_live(&self) -> bool {
        self.key.contains("_live_")
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// A handle for calling Stripe as one account. Cheap to clone; accounts share connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    credentials: Arc<Credentials>,
}

impl Client {
    /// A client that acts with `credentials` over `transport`.
    pub fn new(transport: Transport, credentials: Credentials) -> Self {
        Self {
            transport,
            credentials: Arc::new(credentials),
        }
    }

    /// Whose objects this client's calls are about.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Starts a read of `path`, e.g. `/v1/customers`.
    pub fn get(&self, path: impl Into<String>) -> Request {
        Request::new(self.clone(), Method::GET, path.into())
    }

    /// Starts a write. It carries an idempotency key of its own unless one is given, so that our
    /// retries never double its effect.
    pub fn post(&self, path: impl Into<String>) -> Request {
        Request::new(self.clone(), Method::POST, path.into())
    }

    /// Starts a deletion, which Stripe treats as idempotent by nature.
    pub fn delete(&self, path: impl Into<String>) -> Request {
        Request::new(self.clone(), Method::DELETE, path.into())
    }
}
