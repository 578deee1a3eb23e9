//! Writes that change what is remembered of an org: each is noted while it is under way.

use std::sync::Arc;

use super::store::{Before, ChangeWrite, Purchase, UsageWrite};
use super::{Remembered, UsageSnapshot};
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
                Remembered::Fresh(entry) | Remembered::Ageing(entry) => Some(entry.value),
                Remembered::Old(_) | Remembered::Nothing => None,
            },
            write: store.begin_usage(key),
        })
    }

    /// Notes that a Checkout page of the org is open.
    pub(in crate::domain) fn expect_purchase(
        &self,
        shared: &SharedState,
        org: &OrgName,
        before: Before,
    ) {
        if let Some(store) = self.entitlements(shared) {
            let until = self.account.clock.millis() + CHECKOUT_OPEN_FOR;
            let key = shared.key(org);
            store.expect_purchase(&key, Purchase { until, before });
        }
    }
}

/// A report of usage in flight.
pub(in crate::domain) struct Reporting {
    /// The remembered limits and usage, if any.
    pub(in crate::domain) usage: Option<Arc<UsageSnapshot>>,
    pub(in crate::domain) write: UsageWrite,
}
