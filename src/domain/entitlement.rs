//! Entitlements: an org's limits, usage and current phase. They are answered from memory while they are fresh.
//! Otherwise Stripe is read once for all waiting requests.

mod answered;
mod change;
mod events;
mod outage;
mod plans;
mod reading;
mod snapshots;
mod store;
mod sweep;
mod terms;
mod usage;
mod writes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::identity::SharedState;
use super::phases::CachedPhase;
use super::refs::OrgName;
use super::{Domain, Error, Result};

use store::{Entry, Part};

pub use answered::{Answered, MaxAge, Source, StaleReason};
pub use sweep::SweepCounts;

pub(super) use outage::Outage;
pub(super) use plans::PhaseGrants;
pub(super) use store::{Entitlements, OrgKey, PriorSubscription};
pub(super) use terms::{IdDigest, Terms};
pub(super) use usage::{Item, Kind, ReportEffect, UsageSnapshot};

/// How long after the last event the delivery of Stripe's events is assumed to work.
const EVENTS_TRUSTED_FOR: Duration = Duration::from_secs(60 * 60);

/// The maximum age for an org without a subscription, or with an open Checkout page, since it may subscribe at any
/// moment.
const BEFORE_PURCHASE: Duration = Duration::from_secs(1);

/// How long a caller waits for Stripe if an older answer is acceptable.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The result of reading an org from Stripe.
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) customer: Arc<str>,
    /// When the value expires because time passes, in Unix seconds; `None`: never.
    pub(super) until: Option<i64>,
    /// The terms of the subscription that grants something, if any.
    pub(super) terms: Option<Terms>,
    /// Whether the org is on a test clock, so that nothing is remembered.
    pub(super) is_on_test_clock: bool,
}

/// A part of an org's entitlements that can be read from Stripe.
pub(super) trait Readable: Part {
    /// Reads the part from Stripe.
    fn read(domain: &Domain, org: &OrgName) -> impl Future<Output = Result<Read<Self>>> + Send;

    /// The predicted value at `now` (Unix seconds), after this one has expired; `None` if it cannot be predicted.
    fn predicted(&self, now: i64) -> Option<Self>;

    /// Saves the value in the ledger, if there is a ledger and it stores this part. `before` is the previously
    /// remembered value.
    fn save_to_ledger(
        _: &Domain,
        _: &OrgKey,
        _customer: &Arc<str>,
        _: &Entry<Self>,
        _before: Option<&Entry<Self>>,
    ) {
    }

    /// The value that was saved in the ledger, and its customer.
    fn load_from_ledger(
        _: &Domain,
        _: &OrgKey,
    ) -> impl Future<Output = Result<Option<(Arc<str>, Entry<Self>)>>> + Send {
        std::future::ready(Ok(None))
    }
}

/// A value in memory, classified by age.
enum MemoryLookup<T> {
    Fresh(Entry<T>),
    /// In the last third of its lifetime.
    Ageing(Entry<T>),
    /// Expired, and usable only while Stripe cannot be asked.
    Old(Entry<T>),
    Missing,
}

impl<T> Read<T> {
    /// The value for an org without a subscription that grants anything.
    pub(super) fn unsubscribed(value: T, customer: &Arc<str>) -> Self {
        Self {
            value,
            customer: Arc::clone(customer),
            until: None,
            terms: None,
            is_on_test_clock: false,
        }
    }
}

impl Domain {
    /// The org's entitlement `T`, from memory if it is fresh enough, or else from Stripe.
    pub(super) async fn entitlement<T: Readable>(&self, org: &OrgName) -> Result<Answered<Arc<T>>> {
        let shared = self.shared().await?;
        let Some(store) = self.entitlements(&shared) else {
            let asked_at = self.account.clock.millis();
            let read = T::read(self, org).await?;
            return Ok(self.answered(Arc::new(read.value), asked_at, Source::Stripe));
        };
        let key = shared.key(org);
        if self.asks_stripe {
            // This request must not share a read that began earlier.
            let domain = Self {
                stripe: self.stripe.unshared(),
                ..self.clone()
            };
            let entry = domain.read_and_remember::<T>(store, &key).await;
            return Ok(self.answer_from_stripe(entry?));
        }
        let found = self.remembered::<T>(store, &key);
        let is_fresh = matches!(found, MemoryLookup::Fresh(_) | MemoryLookup::Ageing(_));
        self.stripe().metrics().count_lookup(T::NAME, is_fresh);
        match found {
            MemoryLookup::Fresh(entry) => Ok(self.answer_from_memory(entry)),
            MemoryLookup::Ageing(entry) => {
                self.refresh::<T>(&key);
                Ok(self.answer_from_memory(entry))
            }
            MemoryLookup::Old(entry) => self.ask_or_use_stale(&shared, store, &key, entry).await,
            MemoryLookup::Missing => self.ask_or_use_snapshot(&shared, store, &key).await,
        }
    }

    /// The store of remembered orgs; `None` if this request's orgs are not remembered, such as orgs on test clocks.
    pub(super) fn entitlements<'a>(
        &self,
        shared: &'a SharedState,
    ) -> Option<&'a Arc<Entitlements>> {
        let store = shared.memory.entitlements();
        let remembers = !store.max_age.usual.is_zero() && self.test_clock.is_none();
        remembers.then_some(store)
    }

    fn remembered<T: Part>(&self, store: &Entitlements, key: &OrgKey) -> MemoryLookup<T> {
        let now = self.account.clock.millis();
        let Some((entry, is_purchase_expected)) = store.get::<T>(key, now) else {
            return MemoryLookup::Missing;
        };
        let Some(age) = since(entry.read_at, now) else {
            return MemoryLookup::Missing;
        };
        let last_event = since(store.last_event(), now);
        let are_events_arriving = last_event.is_some_and(|ago| ago < EVENTS_TRUSTED_FOR);
        let life = if entry.terms.is_none() || is_purchase_expected {
            BEFORE_PURCHASE.min(store.max_age.usual)
        } else if are_events_arriving {
            store.max_age.with_events.max(store.max_age.usual)
        } else {
            store.max_age.usual
        };
        // Another server may have changed the plan since.
        let is_outdated = entry.is_outdated || entry.plan != self.plan_number(&key.1);
        let is_old = is_outdated || entry.has_ended(now) || age >= life;
        if is_old || !self.may_read_memory(life, now) {
            MemoryLookup::Old(entry)
        } else if age * 3 >= life * 2 {
            MemoryLookup::Ageing(entry)
        } else {
            MemoryLookup::Fresh(entry)
        }
    }

    /// The remembered usage of an org at any age, unless it is known to be outdated.
    pub(super) async fn remembered_usage(
        &self,
        org: &OrgName,
    ) -> Result<Option<Arc<UsageSnapshot>>> {
        let shared = self.shared().await?;
        let store = self.entitlements(&shared);
        let entry = store.and_then(|store| store.remembered_usage(&shared.key(org)));
        let now = self.account.clock.millis();
        let is_of_plan = |entry: &Entry<UsageSnapshot>| {
            entry.plan == self.plan_number(org) && !entry.has_ended(now)
        };
        Ok(entry.filter(is_of_plan).map(|entry| entry.value))
    }

    /// Whether this API key may see values that were read with other keys of the account. In a process with many keys,
    /// a key that has read nothing for `life` may have been revoked, or may lack the permission to read.
    fn may_read_memory(&self, life: Duration, now: i64) -> bool {
        let last_read = self.account.last_read.load(Ordering::Relaxed);
        self.account.identity.is_only() || since(last_read, now).is_some_and(|ago| ago < life)
    }

    fn answered<T>(&self, value: Arc<T>, asked_at: i64, source: Source) -> Answered<Arc<T>> {
        Answered {
            value,
            source,
            age: since(asked_at, self.account.clock.millis()).unwrap_or_default(),
            stale: None,
        }
    }

    fn answer_from_memory<T>(&self, entry: Entry<T>) -> Answered<Arc<T>> {
        self.answered(entry.value, entry.read_at, Source::Memory)
    }

    fn answer_from_stripe<T>(&self, entry: Entry<T>) -> Answered<Arc<T>> {
        self.answered(entry.value, entry.read_at, Source::Stripe)
    }

    /// Asks Stripe, and falls back to the remembered value `before` unless that is too old. During an outage, only some
    /// requests ask Stripe.
    async fn ask_or_use_stale<T: Readable>(
        &self,
        shared: &SharedState,
        store: &Arc<Entitlements>,
        key: &OrgKey,
        before: Entry<T>,
    ) -> Result<Answered<Arc<T>>> {
        let now = self.account.clock.millis();
        let longest = store.max_age.in_outage;
        let is_usable = since(before.read_at, now).is_some_and(|age| age <= longest)
            && self.may_read_memory(longest, now);
        if !is_usable {
            return Ok(self.answer_from_stripe(self.ask_stripe::<T>(store, key).await?));
        }
        if let Some(reason) = shared.outage.reason(now)
            && let Some(stale) = self.stale_answer(&before, reason)
        {
            return Ok(stale);
        }
        let asked = tokio::time::timeout(MAX_WAIT, self.ask_stripe::<T>(store, key)).await;
        let error = match asked {
            Ok(Ok(entry)) => return Ok(self.answer_from_stripe(entry)),
            Ok(Err(error)) => error,
            Err(_) => {
                self.refresh::<T>(key);
                Error::TimedOut { source: None }
            }
        };
        let Some(reason) = error.stale_reason() else {
            return Err(error);
        };
        // A busy org does not indicate an outage.
        if !matches!(error, Error::Busy { .. }) {
            shared.outage.note(self.account.clock.millis(), reason);
        }
        self.stale_answer(&before, reason).ok_or(error)
    }

    /// Asks Stripe, and falls back to the snapshot in the ledger unless that is too old.
    async fn ask_or_use_snapshot<T: Readable>(
        &self,
        shared: &SharedState,
        store: &Arc<Entitlements>,
        key: &OrgKey,
    ) -> Result<Answered<Arc<T>>> {
        let error = match self.ask_stripe::<T>(store, key).await {
            Ok(entry) => return Ok(self.answer_from_stripe(entry)),
            Err(error) => error,
        };
        let Some(reason) = error.stale_reason() else {
            return Err(error);
        };
        let snapshot = T::load_from_ledger(self, key)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "could not read the ledger's snapshot of an org");
                None
            });
        let Some((customer, snapshot)) = snapshot else {
            return Err(error);
        };
        let now = self.account.clock.millis();
        if since(snapshot.read_at, now).is_none_or(|age| age > store.max_age.in_outage) {
            return Err(error);
        }
        let reader = store.enter(key);
        reader.remember(reader.begin(), &customer, &snapshot);
        shared.outage.note(now, reason);
        self.stale_answer(&snapshot, reason).ok_or(error)
    }

    /// The remembered value, or its prediction if it has expired; `None` if it cannot be predicted.
    fn stale_answer<T: Readable>(
        &self,
        before: &Entry<T>,
        reason: StaleReason,
    ) -> Option<Answered<Arc<T>>> {
        let now = self.account.clock.millis();
        let (value, stale) = if before.has_ended(now) {
            let predicted = before.value.predicted(now.div_euclid(1000))?;
            (Arc::new(predicted), StaleReason::PeriodPredicted)
        } else {
            (Arc::clone(&before.value), reason)
        };
        self.stripe().metrics().stale_answers.inc();
        let mut answered = self.answered(value, before.read_at, Source::Memory);
        answered.stale = Some(stale);
        Some(answered)
    }
}

impl<T> Entry<T> {
    /// Whether the value has expired because time passed, at `now` in Unix milliseconds.
    fn has_ended(&self, now: i64) -> bool {
        self.until
            .is_some_and(|until| until <= now.div_euclid(1000))
    }
}

/// The time from `at` to `now`, both in Unix milliseconds; `None` if the clock was set back.
fn since(at: i64, now: i64) -> Option<Duration> {
    let age = now.checked_sub(at)?;
    u64::try_from(age).ok().map(Duration::from_millis)
}
