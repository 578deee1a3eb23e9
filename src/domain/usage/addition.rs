//! Additions to a total. Of several requests that saw the same total, only one adds to it.
//!
//! The idempotency key of an addition contains only the total that was seen, so Stripe carries out only one addition to
//! that total. Stripe refuses a second addition of another quantity, which does not show whether the first is in
//! flight, succeeded, or failed. So each request first [publishes](super::publication) its addition. A request that
//! finds the key taken reads the published addition and sends it again: Stripe answers that it is in flight, or replays
//! its first answer. After that, the total can be read. No decision depends on a wait.
//!
//! Other programs may add usage without reading the total, so two requests may see different totals, and use different
//! keys. A request that publishes its addition also sees earlier publications, and settles those for other totals: it
//! takes their keys with additions of nothing, or finds out their outcomes. Then it reads the total again.

use super::Report;
use super::keyed::RECORDS;
use super::publication::Publication;
use super::totals::PeriodUsage;
use crate::billing::{SubscriptionItem, UsageAction, UsageRecord};
use crate::domain::{Domain, Error, Failure};
use crate::stripe;

/// How often the total is read again while the key is taken by an addition that is not published.
const MAX_READS: u32 = 8;

/// An addition to an observed total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) item: String,
    pub(super) seen: PeriodUsage,
    pub(super) quantity: i64,
    pub(super) at: Option<i64>,
    /// The digest of the client's key, or empty.
    pub(super) for_key: String,
}

/// The attempts to set the total of an item.
#[derive(Default)]
pub(super) struct AdditionAttempts {
    /// The last observed total.
    seen: Option<i64>,
    /// The number of keys for that total under which Stripe keeps a failure.
    failures: u32,
    /// How often that total was read while its key was taken.
    reads: u32,
    /// The item's publications whose outcomes are known.
    settled: Vec<Publication>,
}

/// The outcome of an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdditionOutcome {
    Added,
    /// The addition was not made, and can no longer be made.
    NotAdded,
}

impl Addition {
    pub(super) fn new(
        item: &SubscriptionItem,
        seen: PeriodUsage,
        quantity: i64,
        report: &Report,
        for_key: String,
    ) -> Self {
        Self {
            item: item.id.clone(),
            seen,
            quantity,
            at: report.at,
            for_key,
        }
    }

    /// The idempotency key of all additions to this total.
    fn key(&self, failures: u32) -> String {
        let (item, total) = (&self.item, self.seen.total);
        let start = self.seen.start.unwrap_or_default();
        match failures {
            0 => format!("clobber:{item}:{start}:{total}"),
            failures => format!("clobber:{item}:{start}:{total}:{}", failures + 1),
        }
    }

    fn record(&self) -> UsageRecord {
        UsageRecord {
            quantity: self.quantity,
            action: UsageAction::Increment,
            at: self.at,
        }
    }

    fn is_to_same_total(&self, other: &Self) -> bool {
        self.item == other.item && self.seen == other.seen
    }
}

/// An addition of nothing, which takes a key so that no other addition can use it.
const NOTHING: UsageRecord = UsageRecord {
    quantity: 0,
    action: UsageAction::Increment,
    at: None,
};

impl AdditionAttempts {
    fn observe(&mut self, total: i64) {
        if self.seen != Some(total) {
            self.seen = Some(total);
            self.failures = 0;
            self.reads = 0;
        }
    }

    /// Notes that Stripe keeps `error` under the key, so no further addition can be made with it.
    fn note_failure(&mut self, error: stripe::Error) -> Result<(), stripe::Error> {
        if self.failures >= RECORDS {
            return Err(error);
        }
        self.failures += 1;
        Ok(())
    }

    /// How long to wait before the total is read again, as a multiple of the client's first retry wait.
    fn next_wait(&mut self) -> Result<u32, Error> {
        self.reads += 1;
        if self.reads > MAX_READS {
            return Err(Error::Unavailable {
                reason: "the total is being set by another request".into(),
                source: None,
            });
        }
        // The first retry does not wait: usually the other request has just ended.
        Ok((1 << self.reads.min(5)) >> 2)
    }
}

impl Domain {
    /// Begins additions to an item, before its total is read.
    pub(super) async fn begin_additions(&self, item: &str) -> Result<AdditionAttempts, Failure> {
        Ok(AdditionAttempts {
            settled: self.settled_publications(item).await?,
            ..AdditionAttempts::default()
        })
    }

    /// Makes an addition. Returns `false` if it was not made, so that the total must be read again.
    pub(super) async fn add_to_total(
        &self,
        customer: &str,
        addition: &Addition,
        attempts: &mut AdditionAttempts,
    ) -> Result<bool, Failure> {
        attempts.observe(addition.seen.total);
        let own = Publication::new(addition.clone());
        let before = self.publish(customer, &own, &mut attempts.settled).await?;
        let added = match self.settle_published(addition, before, attempts).await {
            Ok(true) => self.add_published(customer, &own, attempts).await,
            // The total has changed, so the addition is not sent.
            Ok(false) => Ok(false),
            Err(failure) => Err(failure),
        };
        if added.is_ok() {
            attempts.settled.push(own);
        }
        self.remember_settled(&addition.item, &attempts.settled)
            .await?;
        added
    }

    /// Settles publications for other totals. Returns whether the total is still the addition's.
    async fn settle_published(
        &self,
        addition: &Addition,
        before: Vec<Publication>,
        attempts: &mut AdditionAttempts,
    ) -> Result<bool, Failure> {
        let mut is_unchanged = true;
        for other in before {
            if !other.addition.is_to_same_total(addition) {
                tracing::info!(item = %addition.item, total = other.addition.seen.total, "settling an addition to another total");
                self.settle_addition(&other.addition).await?;
                attempts.settled.push(other);
                is_unchanged = false;
            }
        }
        Ok(is_unchanged || self.period_usage(&addition.item, None).await? == addition.seen)
    }

    /// Sends a published addition. Returns whether it was made.
    async fn add_published(
        &self,
        customer: &str,
        own: &Publication,
        attempts: &mut AdditionAttempts,
    ) -> Result<bool, Failure> {
        let addition = &own.addition;
        let key = addition.key(attempts.failures);
        let added = self.add_record(&addition.item, addition.record(), Some(key));
        match added.await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_item_gone() => return Err(error.into()),
            Err(error) if error.is_replayed() => {
                attempts.note_failure(error)?;
                return Ok(false);
            }
            Err(error) if error.is_idempotency_conflict() => {}
            Err(error) => return Err(error.into()),
        }
        tracing::info!(item = %addition.item, total = addition.seen.total, "another request adds to this total");
        if !self.finish_other(customer, own, attempts).await? {
            let units = attempts.next_wait()?;
            tokio::time::sleep(self.stripe().first_wait() * units).await;
        }
        Ok(false)
    }

    /// Sends the published addition that has the key again. Returns whether its outcome is known.
    async fn finish_other(
        &self,
        customer: &str,
        own: &Publication,
        attempts: &mut AdditionAttempts,
    ) -> Result<bool, Failure> {
        let addition = &own.addition;
        let published = self.published_additions(customer).await?.into_iter();
        let others = published.filter(|other| other != own);
        let others = others.map(|other| other.addition);
        let others = others.filter(|other| other != addition && other.is_to_same_total(addition));
        let others = others.map(|other| other.record());
        for record in others.chain([NOTHING]) {
            let key = addition.key(attempts.failures);
            match self.add_record(&addition.item, record, Some(key)).await {
                // The key is taken by an addition of nothing, so no other addition can use it.
                Ok(()) if record.quantity == 0 => {
                    attempts.failures += 1;
                    return Ok(true);
                }
                Ok(()) => return Ok(true),
                Err(error) if error.is_item_gone() => return Err(error.into()),
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) if error.is_replayed() => {
                    attempts.note_failure(error)?;
                    return Ok(true);
                }
                // Stripe refused the call before it looked at the key.
                Err(error) if error.is_definite() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Whether an addition that was published for a client's key was made.
    pub(super) async fn was_added_for(
        &self,
        customer: &str,
        for_key: &str,
    ) -> Result<bool, stripe::Error> {
        for published in self.published_additions(customer).await? {
            let addition = published.addition;
            if addition.for_key == for_key
                && self.settle_addition(&addition).await? == AdditionOutcome::Added
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds out the outcome of an addition. If it was not made, it can no longer be made.
    async fn settle_addition(&self, addition: &Addition) -> Result<AdditionOutcome, stripe::Error> {
        let send = async |record, failures| {
            let key = Some(addition.key(failures));
            self.add_record_once(&addition.item, record, key).await
        };
        for failures in 0..=RECORDS {
            match send(NOTHING, failures).await {
                Ok(is_replayed) if !is_replayed => return Ok(AdditionOutcome::NotAdded),
                // The key was taken before, so the addition may have a later key.
                Ok(_) => continue,
                Err(error) if error.is_item_gone() => return Ok(AdditionOutcome::NotAdded),
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) if error.is_replayed() => continue,
                Err(error) => return Err(error),
            }
            // The key is taken, so this cannot make a new addition.
            match send(addition.record(), failures).await {
                Ok(_) => return Ok(AdditionOutcome::Added),
                Err(error) if error.is_item_gone() => return Ok(AdditionOutcome::NotAdded),
                Err(error) if error.is_idempotency_conflict() || error.is_definite() => {}
                Err(error) if error.is_replayed() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(AdditionOutcome::NotAdded)
    }
}
