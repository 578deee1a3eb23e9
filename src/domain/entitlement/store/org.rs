//! One remembered org.

use std::sync::Arc;

use smol_str::SmolStr;

use super::{Entitlements, Reads};
use crate::domain::entitlement::CachedPhase;
use crate::domain::entitlement::terms::{IdDigest, Terms};
use crate::domain::entitlement::usage::UsageSnapshot;
use crate::ledger::values::PlanNumber;

/// One remembered org: two parts, each read on first use.
#[derive(Default)]
pub(in crate::domain) struct RememberedOrg {
    pub(super) customer: Option<SmolStr>,
    pub(super) usage: Option<Entry<UsageSnapshot>>,
    pub(super) phase: Option<Entry<CachedPhase>>,
    pub(super) purchase: Option<Box<Purchase>>,
    /// The subscription that is known to have no pending work, or the customer if there is no subscription.
    pub(super) settled: Option<IdDigest>,
    /// The number of changes of the org in progress in this process.
    pub(super) changes: u32,
    /// Exclusive reads are skipped until this time, in Unix milliseconds.
    pub(super) no_exclusive_read_until: i64,
}

impl RememberedOrg {
    /// Stores a part that was read for a customer. Returns the previous customer if it differs.
    pub(super) fn remember<T: Part>(&mut self, customer: &str, entry: Entry<T>) -> Option<SmolStr> {
        let subscription = entry.terms.map(|terms| terms.subscription);
        self.purchase
            .take_if(|purchase| !purchase.is_pending(subscription, entry.read_at));
        *T::of(self) = Some(entry);
        self.outdate_older_part();
        let before = self.customer.replace(customer.into());
        before.filter(|before| before != customer)
    }

    /// Forgets both parts.
    pub(super) fn forget(&mut self) {
        (self.usage, self.phase) = (None, None);
    }

    /// Outdates the older part if the two parts were read from subscriptions with different terms.
    fn outdate_older_part(&mut self) {
        if let (Some(usage), Some(phase)) = (&mut self.usage, &mut self.phase)
            && usage.terms != phase.terms
        {
            usage.is_outdated |= usage.read_at < phase.read_at;
            phase.is_outdated |= phase.read_at < usage.read_at;
        }
    }
}

/// An open Checkout page, after which the org will have another subscription.
pub(in crate::domain::entitlement) struct Purchase {
    /// Unix milliseconds.
    pub(in crate::domain::entitlement) until: i64,
    pub(in crate::domain::entitlement) prior: PriorSubscription,
}

/// The org's subscription when a Checkout page was opened.
pub(in crate::domain) enum PriorSubscription {
    /// Unknown until the org is read next.
    Unknown,
    /// This subscription; `None` if none granted anything.
    Known(Option<IdDigest>),
}

impl Purchase {
    /// Whether the purchase is still pending at `now` (Unix milliseconds), given the org's current subscription.
    fn is_pending(&mut self, subscription: Option<IdDigest>, now: i64) -> bool {
        if matches!(self.prior, PriorSubscription::Unknown) {
            self.prior = PriorSubscription::Known(subscription);
        }
        let is_another =
            matches!(self.prior, PriorSubscription::Known(prior) if prior != subscription);
        now < self.until && (subscription.is_none() || !is_another)
    }
}

/// A remembered part.
pub(in crate::domain) struct Entry<T> {
    pub(in crate::domain::entitlement) value: Arc<T>,
    /// When the read began, in Unix milliseconds.
    pub(in crate::domain::entitlement) read_at: i64,
    /// When the value expires because time passes, in Unix seconds.
    pub(in crate::domain::entitlement) until: Option<i64>,
    /// The terms of the subscription that grants something, if any.
    pub(in crate::domain::entitlement) terms: Option<Terms>,
    /// Whether the org was changed after it was read.
    pub(in crate::domain::entitlement) is_outdated: bool,
    /// The number of the org's plan before it was read.
    pub(in crate::domain::entitlement) plan: PlanNumber,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            ..*self
        }
    }
}

/// A part of a remembered org.
pub(in crate::domain) trait Part: Sized + Send + Sync + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// Whether reports of usage change it.
    const HAS_USAGE: bool;

    /// The field of a remembered org that holds the part.
    fn of(remembered: &mut RememberedOrg) -> &mut Option<Entry<Self>>;

    /// The shared reads of the part.
    fn reads(store: &Entitlements) -> &Reads<Self>;
}

impl Part for UsageSnapshot {
    const NAME: &'static str = "limits";
    const HAS_USAGE: bool = true;

    fn of(remembered: &mut RememberedOrg) -> &mut Option<Entry<Self>> {
        &mut remembered.usage
    }

    fn reads(store: &Entitlements) -> &Reads<Self> {
        &store.usage_reads
    }
}

impl Part for CachedPhase {
    const NAME: &'static str = "phase";
    const HAS_USAGE: bool = false;

    fn of(remembered: &mut RememberedOrg) -> &mut Option<Entry<Self>> {
        &mut remembered.phase
    }

    fn reads(store: &Entitlements) -> &Reads<Self> {
        &store.phase_reads
    }
}
