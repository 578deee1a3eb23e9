//! The store of remembered orgs.

mod activity;
mod org;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use smol_str::SmolStr;

use super::plans::SharedPlanData;
use super::terms::{IdDigest, Terms};
use super::usage::UsageSnapshot;
use super::{CachedPhase, MaxAge};
use crate::domain::refs::OrgName;
use crate::domain::{Error, Result};
use crate::stripe::Flights;

use activity::Activity;
use org::RememberedOrg;

pub(super) use activity::{ChangeResult, Overtaken, Reader};
pub(in crate::domain) use activity::{ChangeWrite, UsageWrite};
pub(in crate::domain) use org::PriorSubscription;
pub(super) use org::{Entry, Part, Purchase};

/// The number of an account, and one of its orgs.
pub(in crate::domain) type OrgKey = (u64, OrgName);

/// Shared reads, by org, number of known writes, and identity of the API key.
type Reads<T> = Flights<(OrgKey, u64, usize), Result<Entry<T>, Error>>;

/// The remembered orgs of one or more accounts.
pub(in crate::domain) struct Entitlements {
    pub(in crate::domain) max_age: MaxAge,
    orgs: Orgs,
    plans: SharedPlanData,
    /// The org of each customer, because Stripe's events name customers.
    by_customer: Arc<Mutex<ByCustomer>>,
    in_flight: Mutex<HashMap<OrgKey, Activity>>,
    usage_reads: Reads<UsageSnapshot>,
    phase_reads: Reads<CachedPhase>,
    /// When the last verified event arrived, in Unix milliseconds.
    last_event: AtomicI64,
    /// Everything read up to this time is outdated, in Unix milliseconds.
    outdated_until: AtomicI64,
    /// The newest event that a sweep has processed.
    last_swept_event: tokio::sync::Mutex<Option<String>>,
}

/// The remembered orgs.
type Orgs = Cache<OrgKey, SharedOrg, UnitWeighter, DefaultHashBuilder, Unindex>;
type SharedOrg = Arc<Mutex<RememberedOrg>>;

/// Orgs by account and customer.
///
/// Customer ids have 18 characters, for which a [`SmolStr`] has room without an allocation.
type ByCustomer = HashMap<(u64, SmolStr), OrgName>;

/// Removes the customers of evicted orgs from the index.
#[derive(Clone)]
struct Unindex(Arc<Mutex<ByCustomer>>);

impl Lifecycle<OrgKey, SharedOrg> for Unindex {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), (account, _): OrgKey, remembered: SharedOrg) {
        let customer = locked(&remembered).customer.take();
        if let Some(customer) = customer {
            locked(&self.0).remove(&(account, customer));
        }
    }
}

impl Entitlements {
    /// A store for up to `capacity` orgs.
    pub(in crate::domain) fn new(capacity: usize, max_age: MaxAge) -> Self {
        let by_customer = Arc::<Mutex<ByCustomer>>::default();
        Self {
            max_age,
            orgs: Cache::with(
                capacity,
                u64::try_from(capacity).unwrap_or(u64::MAX),
                UnitWeighter,
                DefaultHashBuilder::default(),
                Unindex(Arc::clone(&by_customer)),
            ),
            plans: SharedPlanData::default(),
            by_customer,
            in_flight: Mutex::default(),
            usage_reads: Flights::default(),
            phase_reads: Flights::default(),
            last_event: AtomicI64::new(i64::MIN),
            outdated_until: AtomicI64::new(i64::MIN),
            last_swept_event: tokio::sync::Mutex::default(),
        }
    }

    /// The remembered part, and whether a purchase is pending, at `now` in Unix milliseconds.
    pub(super) fn get<T: Part>(&self, key: &OrgKey, now: i64) -> Option<(Entry<T>, bool)> {
        let remembered = self.orgs.get(key)?;
        let mut remembered = locked(&remembered);
        let is_expected = remembered
            .purchase
            .as_ref()
            .is_some_and(|purchase| now < purchase.until);
        let mut entry = T::of(&mut remembered).clone()?;
        let until = self.outdated_until.load(Ordering::Relaxed);
        entry.is_outdated |= remembered.changes > 0 || entry.read_at <= until;
        Some((entry, is_expected))
    }

    /// The remembered usage of an org at any age, unless it is known to be outdated.
    pub(super) fn remembered_usage(&self, key: &OrgKey) -> Option<Entry<UsageSnapshot>> {
        let remembered = self.orgs.get(key)?;
        let entry = locked(&remembered).usage.clone()?;
        let until = self.outdated_until.load(Ordering::Relaxed);
        Some(entry).filter(|entry| !entry.is_outdated && entry.read_at > until)
    }

    /// Adds an org's customer to the index, and removes its previous customer `before`.
    fn index(&self, (account, org): &OrgKey, customer: &str, before: Option<SmolStr>) {
        let mut by_customer = locked(&self.by_customer);
        if let Some(before) = before {
            by_customer.remove(&(*account, before));
        }
        by_customer.insert((*account, customer.into()), org.clone());
    }

    /// Records the arrival of an event at `now`, in Unix milliseconds.
    pub(super) fn note_event(&self, now: i64) {
        self.last_event.store(now, Ordering::Relaxed);
    }

    /// When the last event arrived, in Unix milliseconds.
    pub(super) fn last_event(&self) -> i64 {
        self.last_event.load(Ordering::Relaxed)
    }

    /// The entry of an org, created if missing.
    fn org(&self, key: &OrgKey) -> SharedOrg {
        let new = || Ok::<SharedOrg, Infallible>(Arc::default());
        let Ok(org) = self.orgs.get_or_insert_with(key, new);
        org
    }

    /// The data that orgs share by plan.
    pub(in crate::domain) fn plans(&self) -> &SharedPlanData {
        &self.plans
    }

    /// The newest event that a sweep has processed, locked by one sweep at a time.
    pub(super) fn last_swept_event(&self) -> &tokio::sync::Mutex<Option<String>> {
        &self.last_swept_event
    }

    /// The remembered org of a customer.
    pub(super) fn org_of(&self, account: u64, customer: &str) -> Option<OrgName> {
        let by_customer = locked(&self.by_customer);
        by_customer.get(&(account, customer.into())).cloned()
    }

    /// The customers of an account's remembered orgs, with the orgs.
    pub(super) fn customers_of(&self, account: u64) -> Vec<(SmolStr, OrgName)> {
        let by_customer = locked(&self.by_customer);
        let of_account = by_customer.iter().filter(|(key, _)| key.0 == account);
        of_account
            .map(|(key, org)| (key.1.clone(), org.clone()))
            .collect()
    }

    /// Outdates an org that was read before `before` (Unix milliseconds) and whose remembered terms differ from
    /// `granted`. Returns whether it did.
    pub(super) fn outdate_if_changed(
        &self,
        key: &OrgKey,
        granted: Option<Terms>,
        before: i64,
    ) -> bool {
        let Some((entry, _)) = self.get::<UsageSnapshot>(key, before) else {
            return false;
        };
        if entry.is_outdated || entry.read_at >= before || entry.terms == granted {
            return false;
        }
        self.outdate(key);
        true
    }

    /// Outdates everything that was read until `now`, in Unix milliseconds.
    pub(super) fn outdate_all(&self, now: i64) {
        self.outdated_until.fetch_max(now, Ordering::Relaxed);
    }

    /// Forgets all orgs, and discards reads in flight.
    pub(in crate::domain) fn clear(&self) {
        self.overtake_reads();
        self.orgs.clear();
        locked(&self.by_customer).clear();
    }

    /// Records that a subscription of the org, or its customer if there is none, has no pending work.
    pub(in crate::domain) fn note_settled(&self, key: &OrgKey, id: &str) {
        let remembered = self.org(key);
        locked(&remembered).settled = Some(IdDigest::of(id));
    }

    /// Whether a subscription of the org, or its customer if there is none, is known to have no pending work.
    pub(in crate::domain) fn is_settled(&self, key: &OrgKey, id: &str) -> bool {
        let remembered = self.orgs.get(key);
        remembered.is_some_and(|remembered| locked(&remembered).settled == Some(IdDigest::of(id)))
    }

    /// Forgets that the org's customer is known to have no pending work. What is known of a subscription stays.
    pub(in crate::domain) fn forget_settled(&self, key: &OrgKey, customer: &str) {
        if let Some(remembered) = self.orgs.get(key) {
            let customer = IdDigest::of(customer);
            locked(&remembered)
                .settled
                .take_if(|settled| *settled == customer);
        }
    }

    /// Records that no Checkout page of the org is open.
    pub(super) fn expect_no_purchase(&self, key: &OrgKey) {
        if let Some(remembered) = self.orgs.get(key) {
            locked(&remembered).purchase = None;
        }
    }

    /// Forgets an org.
    pub(super) fn forget(&self, key: &OrgKey) {
        if let Some(remembered) = self.orgs.get(key) {
            locked(&remembered).forget();
        }
    }

    /// Whether an exclusive read of the org must be skipped at `now`, in Unix milliseconds.
    pub(super) fn skips_exclusive_read(&self, key: &OrgKey, now: i64) -> bool {
        let remembered = self.orgs.get(key);
        remembered.is_some_and(|remembered| now < locked(&remembered).no_exclusive_read_until)
    }

    /// Skips exclusive reads of the org until `until`.
    pub(super) fn skip_exclusive_reads(&self, key: &OrgKey, until: i64) {
        let remembered = self.org(key);
        locked(&remembered).no_exclusive_read_until = until;
    }

    /// Records that a Checkout page of the org is open.
    pub(super) fn expect_purchase(&self, key: &OrgKey, purchase: Purchase) {
        let remembered = self.org(key);
        locked(&remembered).purchase = Some(Box::new(purchase));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
