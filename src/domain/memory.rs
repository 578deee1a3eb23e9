//! What is remembered to save calls to Stripe. Many accounts may share one memory, so that one bound holds for all of
//! them together, and an account that does nothing takes no room; each finds what is its own.

use std::sync::{Arc, OnceLock};

use quick_cache::sync::Cache;

use super::background::Background;
use super::entitlement::{Entitlements, MaxAge};
use super::identity::Known;
use super::org::Customers;
use super::orgs::{Listings, listings};
use super::request_key::KeyedRequests;
use super::revision::{RefusedWrites, refused_writes};
use super::usage::{KeyedReports, SettledPublications};

/// How many orgs are remembered, and how many keys of reports, unless said otherwise.
const REMEMBERED: usize = 100_000;

/// Subscriptions, and customers, each with the number of its account.
type Settled = Cache<(u64, Box<str>), ()>;

/// The memory of one account or of many. Clones share it.
#[derive(Clone)]
pub struct Memory(Arc<Parts>);

/// Each is made when it is first used: a server that serves no org yet holds no cache.
struct Parts {
    most: usize,
    max_age: MaxAge,
    accounts: Known,
    customers: OnceLock<Customers>,
    reports: OnceLock<KeyedReports>,
    requests: OnceLock<KeyedRequests>,
    settled: OnceLock<Settled>,
    publications: OnceLock<SettledPublications>,
    refused: OnceLock<RefusedWrites>,
    entitlements: OnceLock<Arc<Entitlements>>,
    listings: OnceLock<Listings>,
    background: Background,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(REMEMBERED, MaxAge::default())
    }
}

impl Memory {
    /// Room for `most` orgs and as many keys of reports. What orgs may use is remembered for as long as `max_age` says.
    pub fn new(most: usize, max_age: MaxAge) -> Self {
        Self(Arc::new(Parts {
            most,
            max_age,
            accounts: Known::default(),
            customers: OnceLock::new(),
            reports: OnceLock::new(),
            requests: OnceLock::new(),
            settled: OnceLock::new(),
            publications: OnceLock::new(),
            refused: OnceLock::new(),
            entitlements: OnceLock::new(),
            listings: OnceLock::new(),
            background: Background::default(),
        }))
    }

    /// Forgets everything: Stripe is not the same any more.
    pub fn clear(&self) {
        let parts = &self.0;
        if let Some(customers) = parts.customers.get() {
            customers.clear();
        }
        if let Some(entitlements) = parts.entitlements.get() {
            entitlements.clear();
        }
        if let Some(settled) = parts.settled.get() {
            settled.clear();
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

    /// The accounts that are in use.
    pub(super) fn accounts(&self) -> &Known {
        &self.0.accounts
    }

    /// Which customer stands for which org.
    pub(super) fn customers(&self) -> &Customers {
        let customers = &self.0.customers;
        customers.get_or_init(|| Cache::new(self.0.most))
    }

    /// What orgs may use and have used.
    pub(super) fn entitlements(&self) -> &Arc<Entitlements> {
        let entitlements = &self.0.entitlements;
        entitlements.get_or_init(|| Arc::new(Entitlements::new(self.0.most, self.0.max_age)))
    }

    /// The keys that subscribes came with.
    pub(super) fn requests(&self) -> &KeyedRequests {
        let requests = &self.0.requests;
        requests.get_or_init(|| KeyedRequests::new(self.0.most))
    }

    /// Subscriptions, and customers without one, for which nothing waits to be done, as somebody has looked; each with the
    /// number of its account.
    pub(super) fn settled(&self) -> &Settled {
        let settled = &self.0.settled;
        settled.get_or_init(|| Cache::new(self.0.most))
    }

    /// Additions to totals that are published, and of which nothing more can come.
    pub(super) fn publications(&self) -> &SettledPublications {
        let publications = &self.0.publications;
        publications.get_or_init(|| Cache::new(self.0.most))
    }

    /// Writes that Stripe has refused.
    pub(super) fn refused(&self) -> &RefusedWrites {
        self.0.refused.get_or_init(refused_writes)
    }

    /// Lists of orgs of which somebody reads page after page.
    pub(super) fn listings(&self) -> &Listings {
        self.0.listings.get_or_init(listings)
    }

    /// The work that nobody waits for.
    pub fn background(&self) -> &Background {
        &self.0.background
    }

    /// The keys that reports came with.
    pub(super) fn reports(&self) -> &KeyedReports {
        let reports = &self.0.reports;
        reports.get_or_init(|| KeyedReports::new(self.0.most))
    }
}
