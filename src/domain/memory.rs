//! What is remembered to save calls to Stripe. Many accounts may share one memory, so that one bound holds for all of
//! them together, and an account that does nothing takes no room; each finds what is its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use moka::future::Cache;

use super::org::Customers;
use super::usage::KeyedReports;

/// How many orgs are remembered, and how many keys of reports, unless said otherwise.
const REMEMBERED: u64 = 100_000;

/// The memory of one account or of many. Clones share it.
#[derive(Clone)]
pub struct Memory(Arc<Parts>);

/// Each is made when it is first used: a server that serves no org yet holds no cache.
struct Parts {
    most: u64,
    accounts: AtomicU64,
    customers: OnceLock<Customers>,
    reports: OnceLock<KeyedReports>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(REMEMBERED)
    }
}

impl Memory {
    /// Room for `most` orgs and as many keys of reports. Each takes some 400 bytes.
    pub fn of(most: u64) -> Self {
        Self(Arc::new(Parts {
            most,
            accounts: AtomicU64::default(),
            customers: OnceLock::new(),
            reports: OnceLock::new(),
        }))
    }

    /// The number of one more account.
    pub(super) fn number(&self) -> u64 {
        self.0.accounts.fetch_add(1, Ordering::Relaxed)
    }

    /// Which customer stands for which org.
    pub(super) fn customers(&self) -> &Customers {
        let customers = &self.0.customers;
        customers.get_or_init(|| Cache::new(self.0.most))
    }

    /// The keys that reports came with.
    pub(super) fn reports(&self) -> &KeyedReports {
        let reports = &self.0.reports;
        reports.get_or_init(|| KeyedReports::new(self.0.most))
    }
}
