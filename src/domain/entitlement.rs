//! What an org may use and has used, and its phase in force: answered from memory while that is fresh, else read from
//! Stripe, once for all who wait.

mod answered;
mod events;
mod store;
mod sweep;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use super::identity::SharedState;
use super::phases::Phase;
use super::refs::OrgName;
use super::{Domain, Error, Lane, Result};

use store::{Entry, Key, Overtaken, Part, Purchase, Reader};
use tokio::sync::OwnedRwLockReadGuard;

pub use answered::{Answered, MaxAge, Source, Stale};
pub use sweep::Swept;

pub(super) use store::{Before, ChangeWrite, Entitlements, UsageWrite};
pub(super) use usage::{Counted, Kind, UsageSnapshot};

/// While events come, by which Stripe tells of what others change.
const WITH_EVENTS: Duration = Duration::from_secs(5 * 60);

/// How long an event shows that they come.
const EVENTS_COME: Duration = Duration::from_secs(60 * 60);

/// For an org that has no subscription, or that has a Checkout page open: it is likely to get one at any moment.
const BEFORE_PURCHASE: Duration = Duration::from_secs(1);

/// How long a Checkout page can be paid, in milliseconds.
const CHECKOUT: i64 = 24 * 60 * 60 * 1000;

/// How long a caller waits for Stripe where an older answer would do.
const PATIENCE: Duration = Duration::from_secs(2);

/// The phase in force, if there is one.
#[derive(Debug)]
pub(super) struct InForce(pub(super) Option<Phase>);

/// What was read of an org in Stripe.
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) customer: Arc<str>,
    /// When time itself makes it another, in Unix seconds.
    pub(super) until: Option<i64>,
    /// The subscription, if one grants something.
    pub(super) subscription: Option<Arc<str>>,
    /// Its time does not pass by itself: nothing of it is kept.
    pub(super) is_on_test_clock: bool,
}

/// A part that can be read.
pub(super) trait Readable: Part {
    /// Asks Stripe.
    fn read(domain: &Domain, org: &OrgName) -> impl Future<Output = Result<Read<Self>>> + Send;

    /// What holds at a time, in Unix seconds, when this has ended; none if that is not known.
    fn predicted(&self, now: i64) -> Option<Self>;
}

/// How fresh what is remembered is.
enum Remembered<T> {
    Fresh(Entry<T>),
    /// In the last third of its life.
    Ageing(Entry<T>),
    /// Too old, unless Stripe cannot be asked.
    Old(Entry<T>),
    Nothing,
}

impl<T> Read<T> {
    /// The org of that customer has no subscription that grants anything.
    pub(super) fn unsubscribed(value: T, customer: &Arc<str>) -> Self {
        Self {
            value,
            customer: Arc::clone(customer),
            until: None,
            subscription: None,
            is_on_test_clock: false,
        }
    }
}

impl Domain {
    /// What is known of `org`, from memory if that is fresh enough.
    pub(super) async fn known<T: Readable>(&self, org: &OrgName) -> Result<Answered<Arc<T>>> {
        let shared = self.shared().await?;
        let Some(store) = self.entitlements(&shared) else {
            let read = T::read(self, org).await?;
            return Ok(Answered::by_stripe(Arc::new(read.value)));
        };
        let key = (shared.number, org.clone());
        let found = self.remembered::<T>(store, &key);
        let is_fresh = matches!(found, Remembered::Fresh(_) | Remembered::Ageing(_));
        self.stripe().metrics().looked(T::NAME, is_fresh);
        match found {
            _ if self.asks_stripe => {}
            Remembered::Fresh(entry) => return Ok(self.remembering(entry)),
            Remembered::Ageing(entry) => {
                self.refresh::<T>(&key);
                return Ok(self.remembering(entry));
            }
            Remembered::Old(entry) => return self.ask_patiently(store, &key, entry).await,
            Remembered::Nothing => {}
        }
        let entry = self.ask::<T>(store, &key).await?;
        Ok(Answered::by_stripe(entry.value))
    }

    /// Where orgs are remembered, if they are: those on test clocks have a time that does not pass by itself.
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
        let events_come = last_event.is_some_and(|ago| ago < EVENTS_COME);
        let life = if entry.subscription.is_none() || is_purchase_expected {
            BEFORE_PURCHASE.min(store.max_age.usual)
        } else if events_come {
            WITH_EVENTS.max(store.max_age.usual)
        } else {
            store.max_age.usual
        };
        if entry.is_outdated || entry.has_ended(now) || age >= life {
            Remembered::Old(entry)
        } else if age * 3 >= life * 2 {
            Remembered::Ageing(entry)
        } else {
            Remembered::Fresh(entry)
        }
    }

    fn remembering<T>(&self, entry: Entry<T>) -> Answered<Arc<T>> {
        Answered {
            age: since(entry.read_at, self.account.clock.millis()).unwrap_or_default(),
            value: entry.value,
            source: Source::Memory,
            stale: None,
        }
    }

    /// Asks Stripe. If it cannot be asked, what was known before will do, until that is too old.
    async fn ask_patiently<T: Readable>(
        &self,
        store: &Arc<Entitlements>,
        key: &Key,
        before: Entry<T>,
    ) -> Result<Answered<Arc<T>>> {
        let asked = tokio::time::timeout(PATIENCE, self.ask::<T>(store, key)).await;
        let error = match asked {
            Ok(Ok(entry)) => return Ok(Answered::by_stripe(entry.value)),
            Ok(Err(error)) => error,
            Err(_) => {
                self.refresh::<T>(key);
                Error::TimedOut
            }
        };
        let reason = match &error {
            Error::RateLimited { .. } => Stale::RateLimited,
            Error::Unavailable(_) | Error::TimedOut | Error::Busy { .. } => Stale::Unavailable,
            _ => return Err(error),
        };
        let now = self.account.clock.millis();
        let age = since(before.read_at, now).filter(|age| *age <= store.max_age.in_outage);
        let age = age.ok_or_else(|| error.clone())?;
        self.stripe().metrics().stale_answers.inc();
        let (value, stale) = if before.has_ended(now) {
            let predicted = before.value.predicted(now / 1000).ok_or(error)?;
            (Arc::new(predicted), Stale::PeriodPredicted)
        } else {
            (before.value, reason)
        };
        Ok(Answered {
            value,
            source: Source::Memory,
            age,
            stale: Some(stale),
        })
    }

    /// Asks Stripe, together with all who ask for the same.
    async fn ask<T: Readable>(&self, store: &Arc<Entitlements>, key: &Key) -> Result<Entry<T>> {
        let reader = store.enter(key);
        let name = (key.clone(), reader.generation::<T>());
        let read = |stripe| {
            let domain = Self {
                stripe,
                admission: None,
                ..self.clone()
            };
            let (store, key) = (Arc::clone(store), key.clone());
            async move { domain.read_and_keep(&store, &key).await }
        };
        T::reads(store).share(name, self.stripe(), read).await
    }

    /// Reads, and keeps what was read, unless a write may have overtaken it. If that was a report of usage, it is read
    /// once more while reports wait.
    async fn read_and_keep<T: Readable>(
        &self,
        store: &Entitlements,
        key: &Key,
    ) -> Result<Entry<T>> {
        let reader = store.enter(key);
        let (entry, overtaken) = self.read_once(&reader, key).await?;
        if overtaken != Overtaken::ByUsage {
            return Ok(entry);
        }
        let shared = self.shared().await?;
        let _no_reports = shared.reports.alone(key.1.as_str()).await;
        Ok(self.read_once(&reader, key).await?.0)
    }

    async fn read_once<T: Readable>(
        &self,
        reader: &Reader<'_>,
        (_, org): &Key,
    ) -> Result<(Entry<T>, Overtaken)> {
        let read_at = self.account.clock.millis();
        let begun = reader.begin();
        let read = T::read(self, org).await?;
        let entry = Entry {
            value: Arc::new(read.value),
            read_at,
            until: read.until,
            subscription: read.subscription,
            is_outdated: false,
        };
        let overtaken = if read.is_on_test_clock {
            Overtaken::No
        } else {
            reader.keep(begun, &read.customer, &entry)
        };
        Ok((entry, overtaken))
    }

    /// Reads again without anybody waiting for it.
    fn refresh<T: Readable>(&self, key: &Key) {
        let (number, org) = key;
        let name = format!("refresh:{}:{number}:{org}", T::NAME);
        let domain = self.in_background(Lane::Bulk);
        let key = key.clone();
        self.background().start(name, async move {
            let refreshed = async {
                let shared = domain.shared().await?;
                domain.ask::<T>(shared.memory.entitlements(), &key).await
            };
            let outcome = match refreshed.await {
                Ok(_) => "ok",
                Err(error) => {
                    tracing::debug!(%error, org = %key.1, "could not read an org again");
                    "failed"
                }
            };
            domain.stripe().metrics().ran("refresh", outcome);
        });
    }

    /// A change of the org begins, and ends when this is dropped.
    pub(super) fn changing(&self, shared: &SharedState, org: &OrgName) -> Option<ChangeWrite> {
        let store = self.entitlements(shared)?;
        Some(store.begin_change((shared.number, org.clone())))
    }

    /// A report of usage begins, and ends when the second of these is dropped.
    pub(super) async fn reporting(
        &self,
        shared: &SharedState,
        org: &OrgName,
    ) -> Result<Option<Reporting>> {
        let Some(store) = self.entitlements(shared) else {
            return Ok(None);
        };
        let open = self.share(&shared.reports, org.as_str()).await?;
        let key = (shared.number, org.clone());
        Ok(Some(Reporting {
            usage: match self.remembered::<UsageSnapshot>(store, &key) {
                Remembered::Fresh(entry) | Remembered::Ageing(entry) => Some(entry.value),
                Remembered::Old(_) | Remembered::Nothing => None,
            },
            write: store.begin_usage(key),
            _open: open,
        }))
    }

    /// A Checkout page of the org is open from now on.
    pub(super) fn expect_purchase(&self, shared: &SharedState, org: &OrgName, before: Before) {
        if let Some(store) = self.entitlements(shared) {
            let until = self.account.clock.millis() + CHECKOUT;
            let key = (shared.number, org.clone());
            store.expect_purchase(&key, Purchase { until, before });
        }
    }
}

/// A report of usage that is under way.
pub(super) struct Reporting {
    /// What the org may use, if that is remembered.
    pub(super) usage: Option<Arc<UsageSnapshot>>,
    pub(super) write: UsageWrite,
    _open: OwnedRwLockReadGuard<()>,
}

impl<T> Entry<T> {
    /// Whether time itself has made it another, at a time in Unix milliseconds.
    fn has_ended(&self, now: i64) -> bool {
        self.until
            .is_some_and(|until| until <= now.div_euclid(1000))
    }
}

/// How long it is from `at` to `now`, both in Unix milliseconds; none if the clock was set back.
fn since(at: i64, now: i64) -> Option<Duration> {
    let age = now.checked_sub(at)?;
    u64::try_from(age).ok().map(Duration::from_millis)
}
