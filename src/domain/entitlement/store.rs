//! What is remembered of orgs, and what moves it.
//!
//! A figure that was read from Stripe while usage was being written is neither right with that usage nor without it. So
//! every write and every read is listed while it is under way: a read whose answer a write may have overtaken is not kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::usage::{Counted, Plans, UsageSnapshot};
use super::{InForce, MaxAge};
use crate::domain::refs::OrgName;
use crate::domain::{Error, Result};
use crate::stripe::Flights;

/// An org of the account with that number.
pub(super) type Key = (u64, OrgName);

/// Reads that several callers wait for, by org and by the writes that they know of.
type Reads<T> = Flights<(Key, u64), Result<Entry<T>, Error>>;

/// What is remembered of the orgs of one or more accounts.
pub(in crate::domain) struct Entitlements {
    pub(super) max_age: MaxAge,
    orgs: Cache<Key, Arc<Mutex<Remembered>>>,
    plans: Plans,
    /// Which of these orgs a customer stands for: Stripe's events name customers.
    by_customer: Arc<Mutex<ByCustomer>>,
    under_way: Mutex<HashMap<Key, Activity>>,
    usage_reads: Reads<UsageSnapshot>,
    phase_reads: Reads<InForce>,
    /// When the last genuine event of Stripe's came, in Unix milliseconds.
    last_event: AtomicI64,
    /// What was read up to then, in Unix milliseconds, is outdated.
    outdated_until: AtomicI64,
    /// The newest event that a sweep has seen.
    last_swept_event: tokio::sync::Mutex<Option<String>>,
}

/// Orgs by the customers of an account.
type ByCustomer = HashMap<(u64, Arc<str>), OrgName>;

/// What is remembered of one org: two parts, each read when it is first asked for.
#[derive(Default)]
pub(in crate::domain) struct Remembered {
    customer: Option<Arc<str>>,
    usage: Option<Entry<UsageSnapshot>>,
    phase: Option<Entry<InForce>>,
    purchase: Option<Purchase>,
}

/// A Checkout page that is open, after which the org will have another subscription.
pub(super) struct Purchase {
    /// Unix milliseconds.
    pub(super) until: i64,
    pub(super) before: Before,
}

/// What an org had when a Checkout page was opened.
pub(in crate::domain) enum Before {
    /// What it has when it is next looked at.
    Unknown,
    /// No subscription that grants anything, or this one.
    Known(Option<Arc<str>>),
}

impl Purchase {
    /// Whether it is still to come, when the org has this subscription at a time in Unix milliseconds.
    fn is_to_come(&mut self, subscription: Option<&Arc<str>>, now: i64) -> bool {
        if matches!(self.before, Before::Unknown) {
            self.before = Before::Known(subscription.cloned());
        }
        let is_another =
            matches!(&self.before, Before::Known(before) if before.as_ref() != subscription);
        now < self.until && (subscription.is_none() || !is_another)
    }
}

/// A part of what is remembered, as it was read.
pub(in crate::domain) struct Entry<T> {
    pub(super) value: Arc<T>,
    /// When the read began, in Unix milliseconds.
    pub(super) read_at: i64,
    /// When time itself makes it another, in Unix seconds.
    pub(super) until: Option<i64>,
    /// The subscription, if one grants something.
    pub(super) subscription: Option<Arc<str>>,
    /// Somebody has changed it since.
    pub(super) is_outdated: bool,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            subscription: self.subscription.clone(),
            ..*self
        }
    }
}

/// A part of what is remembered of an org.
pub(in crate::domain) trait Part: Sized + Send + Sync + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// Whether reports of usage change it.
    const HAS_USAGE: bool;

    /// Where it is kept.
    fn of(remembered: &mut Remembered) -> &mut Option<Entry<Self>>;

    /// Where reads of it are shared.
    fn reads(store: &Entitlements) -> &Reads<Self>;
}

impl Part for UsageSnapshot {
    const NAME: &'static str = "limits";
    const HAS_USAGE: bool = true;

    fn of(remembered: &mut Remembered) -> &mut Option<Entry<Self>> {
        &mut remembered.usage
    }

    fn reads(store: &Entitlements) -> &Reads<Self> {
        &store.usage_reads
    }
}

impl Part for InForce {
    const NAME: &'static str = "phase";
    const HAS_USAGE: bool = false;

    fn of(remembered: &mut Remembered) -> &mut Option<Entry<Self>> {
        &mut remembered.phase
    }

    fn reads(store: &Entitlements) -> &Reads<Self> {
        &store.phase_reads
    }
}

/// The reads and writes of an org that are under way. Listed while there are any.
#[derive(Default)]
struct Activity {
    readers: u32,
    usage: Moves,
    changes: Moves,
}

/// Writes of one kind.
#[derive(Clone, Copy, Default)]
struct Moves {
    under_way: u32,
    /// How many have begun, ended, or become known while the org is listed.
    count: u64,
}

impl Moves {
    fn begin(&mut self) {
        self.under_way += 1;
        self.count += 1;
    }

    fn end(&mut self) {
        self.under_way -= 1;
        self.count += 1;
    }
}

impl Activity {
    fn is_over(&self) -> bool {
        self.readers == 0 && self.usage.under_way == 0 && self.changes.under_way == 0
    }
}

/// What a read may have been overtaken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overtaken {
    /// By nothing.
    No,
    /// By a report of usage.
    ByUsage,
    /// By a change of the org's plan or particulars.
    ByChange,
}

impl Entitlements {
    pub(in crate::domain) fn new(most: u64, max_age: MaxAge) -> Self {
        let by_customer = Arc::<Mutex<ByCustomer>>::default();
        let forget = {
            let by_customer = Arc::clone(&by_customer);
            move |key: Arc<Key>, remembered: Arc<Mutex<Remembered>>, _| {
                let customer = locked(&remembered).customer.take();
                if let Some(customer) = customer {
                    locked(&by_customer).remove(&(key.0, customer));
                }
            }
        };
        let orgs = Cache::builder().max_capacity(most);
        Self {
            max_age,
            orgs: orgs.eviction_listener(forget).build(),
            plans: Plans::default(),
            by_customer,
            under_way: Mutex::default(),
            usage_reads: Flights::default(),
            phase_reads: Flights::default(),
            last_event: AtomicI64::new(i64::MIN),
            outdated_until: AtomicI64::new(i64::MIN),
            last_swept_event: tokio::sync::Mutex::default(),
        }
    }

    /// What is remembered, and whether a purchase is expected, at a time in Unix milliseconds.
    pub(super) fn get<T: Part>(&self, key: &Key, now: i64) -> Option<(Entry<T>, bool)> {
        let remembered = self.orgs.get(key)?;
        let mut remembered = locked(&remembered);
        let is_expected = remembered
            .purchase
            .as_ref()
            .is_some_and(|purchase| now < purchase.until);
        let mut entry = T::of(&mut remembered).clone()?;
        entry.is_outdated |= entry.read_at <= self.outdated_until.load(Ordering::Relaxed);
        Some((entry, is_expected))
    }

    /// Notes that an event came, at a time in Unix milliseconds.
    pub(super) fn note_event(&self, now: i64) {
        self.last_event.store(now, Ordering::Relaxed);
    }

    /// When the last one came, in Unix milliseconds.
    pub(super) fn last_event(&self) -> i64 {
        self.last_event.load(Ordering::Relaxed)
    }

    /// What prices sell.
    pub(in crate::domain) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The newest event that a sweep has seen, which one sweep at a time holds.
    pub(super) fn last_swept_event(&self) -> &tokio::sync::Mutex<Option<String>> {
        &self.last_swept_event
    }

    /// The org that a customer stands for, if anything is remembered of it.
    pub(super) fn org_of(&self, account: u64, customer: &str) -> Option<OrgName> {
        let by_customer = locked(&self.by_customer);
        by_customer.get(&(account, customer.into())).cloned()
    }

    /// The customers of an account of which something is remembered, and the orgs that they stand for.
    pub(super) fn customers_of(&self, account: u64) -> Vec<(Arc<str>, OrgName)> {
        let by_customer = locked(&self.by_customer);
        let own = by_customer.iter().filter(|(key, _)| key.0 == account);
        own.map(|(key, org)| (key.1.clone(), org.clone())).collect()
    }

    /// Whether something else than `granted` is remembered of an org that was read before a time in Unix milliseconds: a
    /// subscription and the fingerprint of its terms. Then it is outdated.
    pub(super) fn outdate_if_other(
        &self,
        key: &Key,
        granted: Option<(&Arc<str>, u64)>,
        before: i64,
    ) -> bool {
        let Some((entry, _)) = self.get::<UsageSnapshot>(key, before) else {
            return false;
        };
        let known = entry.subscription.as_ref();
        let known = known.map(|subscription| (subscription, entry.value.terms()));
        if entry.is_outdated || entry.read_at >= before || known == granted {
            return false;
        }
        self.outdate(key);
        true
    }

    /// Lists a reader.
    pub(super) fn enter(&self, key: &Key) -> Reader<'_> {
        self.activities().entry(key.clone()).or_default().readers += 1;
        Reader {
            store: self,
            key: key.clone(),
        }
    }

    /// A report of usage begins.
    pub(super) fn begin_usage(self: &Arc<Self>, key: Key) -> UsageWrite {
        let mut activities = self.activities();
        activities.entry(key.clone()).or_default().usage.begin();
        drop(activities);
        UsageWrite {
            store: Arc::clone(self),
            key,
            counted: None,
        }
    }

    /// A change of an org begins.
    pub(super) fn begin_change(self: &Arc<Self>, key: Key) -> ChangeWrite {
        let mut activities = self.activities();
        activities.entry(key.clone()).or_default().changes.begin();
        drop(activities);
        ChangeWrite {
            store: Arc::clone(self),
            key,
        }
    }

    /// Somebody has changed the org in Stripe: what is remembered only serves while Stripe cannot be asked.
    pub(super) fn outdate(&self, key: &Key) {
        let mut activities = self.activities();
        if let Some(activity) = activities.get_mut(key) {
            activity.changes.count += 1;
        }
        if let Some(remembered) = self.orgs.get(key) {
            let mut remembered = locked(&remembered);
            if let Some(entry) = &mut remembered.usage {
                entry.is_outdated = true;
            }
            if let Some(entry) = &mut remembered.phase {
                entry.is_outdated = true;
            }
        }
    }

    /// The same for all orgs, at a time in Unix milliseconds.
    pub(super) fn outdate_all(&self, now: i64) {
        self.outdated_until.fetch_max(now, Ordering::Relaxed);
    }

    /// A Checkout page of the org is open.
    pub(super) fn expect_purchase(&self, key: &Key, purchase: Purchase) {
        let remembered = self.orgs.get_with(key.clone(), Arc::default);
        locked(&remembered).purchase = Some(purchase);
    }

    fn activities(&self) -> MutexGuard<'_, HashMap<Key, Activity>> {
        locked(&self.under_way)
    }

    /// Takes a guard off the list.
    fn leave(&self, key: &Key, leave: impl FnOnce(&mut Activity, Option<&mut Remembered>)) {
        let mut activities = self.activities();
        let remembered = self.orgs.get(key);
        let Some(activity) = activities.get_mut(key) else {
            return;
        };
        let mut remembered = remembered.as_deref().map(locked);
        leave(activity, remembered.as_deref_mut());
        if activity.is_over() {
            activities.remove(key);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Someone who waits for a read of an org.
pub(super) struct Reader<'a> {
    store: &'a Entitlements,
    key: Key,
}

/// What was under way when a read began.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    usage: Moves,
    changes: Moves,
}

impl Reader<'_> {
    /// Tells reads that know of other writes apart: a caller must not be given one that began before its own write.
    pub(super) fn generation<T: Part>(&self) -> u64 {
        let Begun { usage, changes } = self.begin();
        let usage = if T::HAS_USAGE { usage.count } else { 0 };
        usage + changes.count
    }

    /// A read begins.
    pub(super) fn begin(&self) -> Begun {
        let activities = self.store.activities();
        let activity = activities.get(&self.key);
        activity.map_or_else(
            || Begun {
                usage: Moves::default(),
                changes: Moves::default(),
            },
            |activity| Begun {
                usage: activity.usage,
                changes: activity.changes,
            },
        )
    }

    /// A read has ended: it is kept, unless a write may have overtaken it.
    pub(super) fn keep<T: Part>(
        &self,
        begun: Begun,
        customer: &Arc<str>,
        entry: &Entry<T>,
    ) -> Overtaken {
        let activities = self.store.activities();
        let overtaken = |begun: Moves, now: Moves| begun.under_way > 0 || begun.count != now.count;
        if let Some(activity) = activities.get(&self.key) {
            if overtaken(begun.changes, activity.changes) {
                return Overtaken::ByChange;
            }
            if T::HAS_USAGE && overtaken(begun.usage, activity.usage) {
                return Overtaken::ByUsage;
            }
        }
        let remembered = self.store.orgs.get_with(self.key.clone(), Arc::default);
        let mut remembered = locked(&remembered);
        let subscription = entry.subscription.as_ref();
        remembered
            .purchase
            .take_if(|purchase| !purchase.is_to_come(subscription, entry.read_at));
        *T::of(&mut remembered) = Some(entry.clone());
        let before = remembered.customer.replace(Arc::clone(customer));
        drop(remembered);
        let (account, org) = &self.key;
        let mut by_customer = locked(&self.store.by_customer);
        if let Some(before) = before.filter(|before| before != customer) {
            by_customer.remove(&(*account, before));
        }
        by_customer.insert((*account, Arc::clone(customer)), org.clone());
        Overtaken::No
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.store
            .leave(&self.key, |activity, _| activity.readers -= 1);
    }
}

/// A report of usage that is under way. If it is not known to have counted, what is remembered of usage is outdated.
pub(in crate::domain) struct UsageWrite {
    store: Arc<Entitlements>,
    key: Key,
    counted: Option<Counted>,
}

impl UsageWrite {
    /// This is all that it did.
    pub(in crate::domain) fn counted(&mut self, counted: Counted) {
        self.counted = Some(counted);
    }
}

impl Drop for UsageWrite {
    fn drop(&mut self) {
        let counted = self.counted.take();
        self.store.leave(&self.key, |activity, remembered| {
            activity.usage.end();
            let Some(entry) = remembered.and_then(|remembered| remembered.usage.as_mut()) else {
                return;
            };
            match counted.and_then(|counted| entry.value.with(&counted)) {
                Some(value) => entry.value = Arc::new(value),
                None => entry.is_outdated = true,
            }
        });
    }
}

/// A change of an org that is under way. What was remembered before is nothing to go by afterwards.
pub(in crate::domain) struct ChangeWrite {
    store: Arc<Entitlements>,
    key: Key,
}

impl Drop for ChangeWrite {
    fn drop(&mut self) {
        self.store.leave(&self.key, |activity, remembered| {
            activity.changes.end();
            if let Some(remembered) = remembered {
                (remembered.usage, remembered.phase) = (None, None);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Arc<Entitlements> {
        Arc::new(Entitlements::new(10, MaxAge::default()))
    }

    fn key() -> Key {
        (0, "org:a".parse().expect("an org"))
    }

    fn entry() -> Entry<UsageSnapshot> {
        Entry {
            value: Arc::default(),
            read_at: 0,
            until: None,
            subscription: Some("sub_1".into()),
            is_outdated: false,
        }
    }

    fn is_kept(store: &Entitlements) -> bool {
        let found = store.get::<UsageSnapshot>(&key(), 0);
        found.is_some_and(|(entry, _)| !entry.is_outdated)
    }

    #[test]
    fn a_read_that_a_write_may_have_overtaken_is_not_kept() {
        let customer: Arc<str> = "cus_1".into();
        let quiet = store();
        let reader = quiet.enter(&key());
        let begun = reader.begin();
        assert_eq!(reader.keep(begun, &customer, &entry()), Overtaken::No);
        assert!(is_kept(&quiet));
        drop(reader);
        assert!(quiet.activities().is_empty());

        // Began before, ended before; began before, ends after; begins and ends meanwhile; begins meanwhile.
        for (before, ends_before, after) in [
            (true, true, false),
            (true, false, false),
            (false, false, true),
        ] {
            let store = store();
            let reader = store.enter(&key());
            let early = before.then(|| store.begin_usage(key()));
            let early = early.filter(|_| !ends_before);
            let begun = reader.begin();
            drop(early);
            drop(after.then(|| store.begin_usage(key())));
            let kept = reader.keep(begun, &customer, &entry());
            let expected = if ends_before {
                Overtaken::No
            } else {
                Overtaken::ByUsage
            };
            assert_eq!(kept, expected, "{before} {ends_before} {after}");
        }

        let changed = store();
        let reader = changed.enter(&key());
        let begun = reader.begin();
        drop(changed.begin_change(key()));
        assert_eq!(reader.keep(begun, &customer, &entry()), Overtaken::ByChange);
        let begun = reader.begin();
        changed.outdate(&key());
        assert_eq!(reader.keep(begun, &customer, &entry()), Overtaken::ByChange);
        let generation = reader.generation::<UsageSnapshot>();
        drop(changed.begin_usage(key()));
        assert_ne!(reader.generation::<UsageSnapshot>(), generation);
        assert_eq!(
            reader.generation::<InForce>(),
            reader.begin().changes.count,
            "usage changes no phase"
        );
    }

    #[test]
    fn a_purchase_is_expected_until_the_org_has_another_subscription() {
        let store = store();
        let customer: Arc<str> = "cus_1".into();
        let read = |subscription: Option<&str>, read_at| {
            let entry = Entry {
                subscription: subscription.map(Into::into),
                read_at,
                ..entry()
            };
            let reader = store.enter(&key());
            let kept = reader.keep(reader.begin(), &customer, &entry);
            assert_eq!(kept, Overtaken::No);
            store
                .get::<UsageSnapshot>(&key(), read_at)
                .expect("it was kept")
                .1
        };
        let open = |before| {
            store.expect_purchase(&key(), Purchase { until: 100, before });
        };
        for known in [Before::Known(Some("sub_1".into())), Before::Unknown] {
            open(known);
            assert!(read(Some("sub_1"), 1));
            assert!(read(None, 2), "the old one has ended");
            assert!(!read(Some("sub_2"), 3));
        }
        open(Before::Known(None));
        assert!(!read(Some("sub_1"), 1));
        open(Before::Unknown);
        assert!(!read(None, 100), "nobody can pay it any more");
    }

    #[test]
    fn a_change_forgets_and_an_event_outdates() {
        let store = store();
        let customer: Arc<str> = "cus_1".into();
        let keep = || {
            let reader = store.enter(&key());
            let kept = reader.keep(reader.begin(), &customer, &entry());
            assert_eq!(kept, Overtaken::No);
        };
        keep();
        assert_eq!(store.org_of(0, "cus_1"), Some(key().1));
        assert_eq!(store.org_of(1, "cus_1"), None);
        store.outdate(&key());
        assert_eq!(store.org_of(0, "cus_2"), None);
        let outdated = store.get::<UsageSnapshot>(&key(), 0);
        assert!(outdated.expect("it serves in an outage").0.is_outdated);
        keep();
        store.outdate_all(-1);
        assert!(is_kept(&store), "it was read later");
        store.outdate_all(0);
        assert!(!is_kept(&store));
        store.outdated_until.store(-1, Ordering::Relaxed);
        keep();
        drop(store.begin_change(key()));
        assert!(store.get::<UsageSnapshot>(&key(), 0).is_none());
        keep();
        drop(store.begin_usage(key()));
        assert!(!is_kept(&store), "its outcome is not known");
        keep();
        store.begin_usage(key()).counted(Counted::Nothing);
        assert!(is_kept(&store));
        assert!(store.activities().is_empty());
    }
}
