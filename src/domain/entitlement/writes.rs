//! Tracks writes that affect remembered orgs while they are in flight.

use std::sync::Arc;

use super::store::{ChangeWrite, PriorSubscription, Purchase, UsageWrite};
use super::{MemoryLookup, UsageSnapshot};
use crate::domain::Domain;
use crate::domain::identity::SharedState;
use crate::domain::refs::OrgName;

/// How long a Checkout page stays open, in milliseconds.
const CHECKOUT_OPEN_FOR: i64 = 24 * 60 * 60 * 1000;

impl Domain {
    /// Begins a change of the org, which ends when the guard is dropped.
    pub(in crate::domain) fn changing(
        &self,
        shared: &SharedState,
        org: &OrgName,
    ) -> Option<ChangeWrite> {
        let store = self.entitlements(shared)?;
        let caller = self.stripe().caller().clone();
        Some(store.begin_change(shared.key(org), caller))
    }

    /// Begins a report of usage, which ends when the value is dropped. The org's plan must not change meanwhile.
    pub(in crate::domain) fn reporting(
        &self,
        shared: &SharedState,
        org: &OrgName,
    ) -> Option<Reporting> {
        let store = self.entitlements(shared)?;
        let key = shared.key(org);
        Some(Reporting {
            usage: match self.remembered::<UsageSnapshot>(store, &key) {
                MemoryLookup::Fresh(entry) | MemoryLookup::Ageing(entry) => Some(entry.value),
                MemoryLookup::Old(_) | MemoryLookup::Missing => None,
            },
            write: store.begin_usage(key),
        })
    }

    /// Notes that a Checkout page of the org is open.
    pub(in crate::domain) fn expect_purchase(
        &self,
        shared: &SharedState,
        org: &OrgName,
        prior: PriorSubscription,
    ) {
        if let Some(store) = self.entitlements(shared) {
            let until = self.account.clock.millis() + CHECKOUT_OPEN_FOR;
            let key = shared.key(org);
            store.expect_purchase(&key, Purchase { until, prior });
        }
    }
}

/// A report of usage in flight.
pub(in crate::domain) struct Reporting {
    /// The remembered limits and usage, if any.
    pub(in crate::domain) usage: Option<Arc<UsageSnapshot>>,
    pub(in crate::domain) write: UsageWrite,
}
