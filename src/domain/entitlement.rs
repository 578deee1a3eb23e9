//! Entitlements: an org's limits, usage and current phase. They are answered from memory while fresh. Otherwise Stripe
//! is read once for all requests that wait.

mod answered;
mod change;
mod events;
mod kept;
mod outage;
mod plans;
mod reading;
mod store;
mod sweep;
mod terms;
mod usage;
mod writes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::identity::SharedState;
use super::phases::InForce;
use super::refs::OrgName;
use super::{Domain, Error, Result};

use store::{Entry, Part};

pub use answered::{Answered, MaxAge, Source, Stale};
pub use sweep::Swept;

pub(super) use outage::Outage;
pub(super) use plans::Granted;
pub(super) use store::{Before, Entitlements, Key};
pub(super) use terms::{IdDigest, Terms};
pub(super) use usage::{Counted, Item, Kind, UsageSnapshot};

/// How long after an event Stripe's events are assumed to arrive.
const EVENTS_TRUSTED_FOR: Duration = Duration::from_secs(60 * 60);

/// The maximum age for an org without a subscription, or with an open Checkout page: it may subscribe at any moment.
const BEFORE_PURCHASE: Duration = Duration::from_secs(1);

/// How long a caller waits for Stripe if an older answer is acceptable.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The result of reading an org from Stripe.
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) customer: Arc<str>,
    /// When it changes by the passing of time, in Unix seconds.
    pub(super) until: Option<i64>,
    /// The subscription that grants something, if any.
    pub(super) terms: Option<Terms>,
    /// The org is on a test clock, so nothing is remembered.
    pub(super) is_on_test_clock: bool,
}

/// A part of an org's entitlements that can be read from Stripe.
pub(super) trait Readable: Part {
    /// Reads the part from Stripe.
    fn read(domain: &Domain, org: &OrgName) -> impl Future<Output = Result<Read<Self>>> + Send;

    /// The predicted value at `now` (Unix seconds), after this one has ended; `None` if it cannot be predicted.
    fn predicted(&self, now: i64) -> Option<Self>;

    /// Stores the value in the ledger, if there is one and it stores this part. `before` is the value remembered until
    /// then.
    fn keep(
        _: &Domain,
        _: &Key,
        _customer: &Arc<str>,
        _: &Entry<Self>,
        _before: Option<&Entry<Self>>,
    ) {
    }

    /// The value in the ledger, and its customer.
    fn kept(
        _: &Domain,
        _: &Key,
    ) -> impl Future<Output = Result<Option<(Arc<str>, Entry<Self>)>>> + Send {
        std::future::ready(Ok(None))
    }
}

/// A remembered value, classified by age.
enum Remembered<T> {
    Fresh(Entry<T>),
    /// In the last third of its lifetime.
    Ageing(Entry<T>),
    /// Expired, and usable only while Stripe cannot be asked.
    Old(Entry<T>),
    Nothing,
}

impl<T> Read<T> {
    /// The customer's org has no subscription that grants anything.
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
    /// The value for `org`, from memory if it is fresh enough.
    pub(super) async fn known<T: Readable>(&self, org: &OrgName) -> Result<Answered<Arc<T>>> {
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
            let entry = domain.read_and_keep::<T>(store, &key).await;
            return Ok(self.by_stripe(entry?));
        }
        let found = self.remembered::<T>(store, &key);
        let is_fresh = matches!(found, Remembered::Fresh(_) | Remembered::Ageing(_));
        self.stripe().metrics().looked(T::NAME, is_fresh);
        match found {
            Remembered::Fresh(entry) => Ok(self.by_memory(entry)),
            Remembered::Ageing(entry) => {
                self.refresh::<T>(&key);
                Ok(self.by_memory(entry))
            }
            Remembered::Old(entry) => self.ask_or_stale(&shared, store, &key, entry).await,
            Remembered::Nothing => self.ask_or_kept(&shared, store, &key).await,
        }
    }

    /// The store of this org, if it is remembered. Orgs on test clocks are not.
    pub(super) fn entitlements<'a>(
        &self,
        shared: &'a SharedState,
    ) -> Option<&'a Arc<Entitlements>> {
        let store = shared.memory.entitlements();
        let remembers = !store.max_age.usual.is_zero() && self.test_clock.is_none();
        remembers.then_some(store)
    }

    fn remembered<T: Part>(&self, store: &Entitlements, key: &Key) -> Remembered<T> {
        let now = self.account.clock.millis();
        let Some((entry, is_purchase_expected)) = store.get::<T>(key, now) else {
            return Remembered::Nothing;
        };
        let Some(age) = since(entry.read_at, now) else {
            return Remembered::Nothing;
        };
        let last_event = since(store.last_event(), now);
        let events_come = last_event.is_some_and(|ago| ago < EVENTS_TRUSTED_FOR);
        let life = if entry.terms.is_none() || is_purchase_expected {
            BEFORE_PURCHASE.min(store.max_age.usual)
        } else if events_come {
            store.max_age.with_events.max(store.max_age.usual)
        } else {
            store.max_age.usual
        };
        // Another server may have changed the plan.
        let is_outdated = entry.is_outdated || entry.plan != self.plan_number(&key.1);
        let is_old = is_outdated || entry.has_ended(now) || age >= life;
        if is_old || !self.may_read_memory(life, now) {
            Remembered::Old(entry)
        } else if age * 3 >= life * 2 {
            Remembered::Ageing(entry)
        } else {
            Remembered::Fresh(entry)
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

    /// Whether this key may see values that were read with other keys of the account. In a process with many keys, a
    /// key that has read nothing for the lifetime of an answer may be revoked, or may lack the permission to read.
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

    fn by_memory<T>(&self, entry: Entry<T>) -> Answered<Arc<T>> {
        self.answered(entry.value, entry.read_at, Source::Memory)
    }

    fn by_stripe<T>(&self, entry: Entry<T>) -> Answered<Arc<T>> {
        self.answered(entry.value, entry.read_at, Source::Stripe)
    }

    /// Asks Stripe, and falls back to the remembered value until that is too old. During an outage only some requests
    /// ask.
    async fn ask_or_stale<T: Readable>(
        &self,
        shared: &SharedState,
        store: &Arc<Entitlements>,
        key: &Key,
        before: Entry<T>,
    ) -> Result<Answered<Arc<T>>> {
        let now = self.account.clock.millis();
        let longest = store.max_age.in_outage;
        let will_do = since(before.read_at, now).is_some_and(|age| age <= longest)
            && self.may_read_memory(longest, now);
        if !will_do {
            return Ok(self.by_stripe(self.ask::<T>(store, key).await?));
        }
        if let Some(reason) = shared.outage.reason(now)
            && let Some(stale) = self.stale_answer(&before, reason)
        {
            return Ok(stale);
        }
        let asked = tokio::time::timeout(MAX_WAIT, self.ask::<T>(store, key)).await;
        let error = match asked {
            Ok(Ok(entry)) => return Ok(self.by_stripe(entry)),
            Ok(Err(error)) => error,
            Err(_) => {
                self.refresh::<T>(key);
                Error::TimedOut { source: None }
            }
        };
        let Some(reason) = error.stale() else {
            return Err(error);
        };
        // A busy org is no sign of an outage.
        if !matches!(error, Error::Busy { .. }) {
            shared.outage.note(self.account.clock.millis(), reason);
        }
        self.stale_answer(&before, reason).ok_or(error)
    }

    /// Asks Stripe, and falls back to the value in the ledger until that is too old.
    async fn ask_or_kept<T: Readable>(
        &self,
        shared: &SharedState,
        store: &Arc<Entitlements>,
        key: &Key,
    ) -> Result<Answered<Arc<T>>> {
        let error = match self.ask::<T>(store, key).await {
            Ok(entry) => return Ok(self.by_stripe(entry)),
            Err(error) => error,
        };
        let Some(reason) = error.stale() else {
            return Err(error);
        };
        let kept = T::kept(self, key).await.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "what the ledger keeps of an org cannot be read");
            None
        });
        let Some((customer, kept)) = kept else {
            return Err(error);
        };
        let now = self.account.clock.millis();
        if since(kept.read_at, now).is_none_or(|age| age > store.max_age.in_outage) {
            return Err(error);
        }
        let reader = store.enter(key);
        reader.keep(reader.begin(), &customer, &kept);
        shared.outage.note(now, reason);
        self.stale_answer(&kept, reason).ok_or(error)
    }

    /// The remembered value, or its prediction; `None` if there is neither.
    fn stale_answer<T: Readable>(
        &self,
        before: &Entry<T>,
        reason: Stale,
    ) -> Option<Answered<Arc<T>>> {
        let now = self.account.clock.millis();
        let (value, stale) = if before.has_ended(now) {
            let predicted = before.value.predicted(now.div_euclid(1000))?;
            (Arc::new(predicted), Stale::PeriodPredicted)
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
    /// Whether it has ended by the passing of time, at `now` in Unix milliseconds.
    fn has_ended(&self, now: i64) -> bool {
        self.until
            .get()
            .is_some_and(|until| until <= now.div_euclid(1000))
    }
}

/// The time from `at` to `now`, both in Unix milliseconds; `None` if the clock was set back.
fn since(at: i64, now: i64) -> Option<Duration> {
    let age = now.checked_sub(at)?;
    u64::try_from(age).ok().map(Duration::from_millis)
}
