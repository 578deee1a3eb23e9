//! Caches that save calls to Stripe. Many accounts may share one memory, so that one limit bounds all of them and an
//! idle account uses no memory. Each account sees only its own entries.

use std::sync::{Arc, OnceLock};

use quick_cache::sync::Cache;

use super::background::Background;
use super::entitlement::{Entitlements, MaxAge};
use super::identity::ActiveAccounts;
use super::org::Customers;
use super::orgs::{Listings, listings};
use super::request_key::KeyedRequests;
use super::revision::{RefusedWrites, refused_writes};
use super::usage::{KeyedReports, SettledPublications};

/// The default capacity, in orgs and in idempotency keys.
const DEFAULT_CAPACITY: usize = 100_000;

/// The maximum number of cached customers. They are valid for a minute, in which an account that may make 100 calls a
/// second cannot look up more than 6,000. All accounts of a process share this.
const MAX_CUSTOMERS: usize = 20_000;

/// The memory of one account or of many. Clones share it.
#[derive(Clone)]
pub struct Memory(Arc<Parts>);

/// Each cache is created on first use, so a server that serves no org yet allocates none.
struct Parts {
    capacity: usize,
    max_age: MaxAge,
    accounts: ActiveAccounts,
    customers: OnceLock<Customers>,
    reports: OnceLock<KeyedReports>,
    requests: OnceLock<KeyedRequests>,
    publications: OnceLock<SettledPublications>,
    refused: OnceLock<RefusedWrites>,
    entitlements: OnceLock<Arc<Entitlements>>,
    listings: OnceLock<Listings>,
    background: Background,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY, MaxAge::default())
    }
}

impl Memory {
    /// Caches for up to `capacity` orgs and as many idempotency keys. Entitlements are remembered for `max_age`.
    pub fn new(capacity: usize, max_age: MaxAge) -> Self {
        Self(Arc::new(Parts {
            capacity,
            max_age,
            accounts: ActiveAccounts::default(),
            customers: OnceLock::new(),
            reports: OnceLock::new(),
            requests: OnceLock::new(),
            publications: OnceLock::new(),
            refused: OnceLock::new(),
            entitlements: OnceLock::new(),
            listings: OnceLock::new(),
            background: Background::default(),
        }))
    }

    /// Forgets everything. This is needed after Stripe's data was replaced.
    pub fn clear(&self) {
        let parts = &self.0;
        if let Some(customers) = parts.customers.get() {
            customers.clear();
        }
        if let Some(entitlements) = parts.entitlements.get() {
            entitlements.clear();
        }
        if let Some(requests) = parts.requests.get() {
            requests.clear();
        }
        if let Some(reports) = parts.reports.get() {
            reports.clear();
        }
        if let Some(publications) = parts.publications.get() {
            publications.clear();
        }
        if let Some(refused) = parts.refused.get() {
            refused.invalidate_all();
        }
    }

    /// The accounts in use.
    pub(super) fn accounts(&self) -> &ActiveAccounts {
        &self.0.accounts
    }

    /// The customers of orgs.
    pub(super) fn customers(&self) -> &Customers {
        let customers = &self.0.customers;
        customers.get_or_init(|| Cache::new(self.0.capacity.min(MAX_CUSTOMERS)))
    }

    /// The limits and usage of orgs.
    pub(super) fn entitlements(&self) -> &Arc<Entitlements> {
        let entitlements = &self.0.entitlements;
        entitlements.get_or_init(|| Arc::new(Entitlements::new(self.0.capacity, self.0.max_age)))
    }

    /// The idempotency keys of subscribe requests.
    pub(super) fn requests(&self) -> &KeyedRequests {
        let requests = &self.0.requests;
        requests.get_or_init(|| KeyedRequests::new(self.0.capacity))
    }

    /// Published additions that have ended.
    pub(super) fn publications(&self) -> &SettledPublications {
        let publications = &self.0.publications;
        publications.get_or_init(|| Cache::new(self.0.capacity))
    }

    /// Writes that Stripe has refused.
    pub(super) fn refused(&self) -> &RefusedWrites {
        self.0.refused.get_or_init(refused_writes)
    }

    /// The lists of orgs that clients are paging through.
    pub(super) fn listings(&self) -> &Listings {
        self.0.listings.get_or_init(listings)
    }

    /// The background tasks.
    pub fn background(&self) -> &Background {
        &self.0.background
    }

    /// The idempotency keys of reports.
    pub(super) fn reports(&self) -> &KeyedReports {
        let reports = &self.0.reports;
        reports.get_or_init(|| KeyedReports::new(self.0.capacity))
    }
}
