//! Additions to a total. Of several requests that saw the same total, only one adds to it.
//!
//! The idempotency key of an addition names only the total that was seen, so Stripe carries out one addition to it. A
//! request with another quantity is refused, and cannot learn from that whether the addition with the key is in flight,
//! succeeded, or failed. So each request first [publishes](super::publication) its addition. A request that finds the
//! key taken reads the published addition and sends it again: Stripe answers that it is in flight, or repeats its first
//! answer. After that the total can be read. No decision depends on a wait.
//!
//! Others may add usage without reading the total, so two requests may see different totals, and have different keys. A
//! request that publishes learns of earlier publications, and settles those for another total: it takes the key with an
//! addition of nothing, or learns the outcome of the addition. Then it reads the total again.

use super::Report;
use super::keyed::RECORDS;
use super::publication::Publication;
use super::totals::PeriodUsage;
use crate::billing::{SubscriptionItem, UsageAction, UsageRecord};
use crate::domain::{Domain, Error, Failure};
use crate::stripe;

/// How often the total is read again while an unpublished addition has the key.
const LOOKS: u32 = 8;

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
pub(super) struct AdditionTries {
    /// The last observed total.
    seen: Option<i64>,
    /// The number of keys of additions to it that are spent on failures.
    failures: u32,
    looks: u32,
    /// Publications of the item that have ended.
    settled: Vec<Publication>,
}

/// The outcome of an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Added,
    /// It was not made, and can no longer be made.
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

impl AdditionTries {
    fn saw(&mut self, total: i64) {
        if self.seen != Some(total) {
            self.seen = Some(total);
            self.failures = 0;
            self.looks = 0;
        }
    }

    /// Notes that Stripe keeps `error` under the key, so no further addition can be made with it.
    fn failed(&mut self, error: stripe::Error) -> Result<(), stripe::Error> {
        if self.failures >= RECORDS {
            return Err(error);
        }
        self.failures += 1;
        Ok(())
    }

    /// How long to wait before the total is read again, in units of the first wait between attempts.
    fn next_look(&mut self) -> Result<u32, Error> {
        self.looks += 1;
        if self.looks > LOOKS {
            return Err(Error::Unavailable {
                reason: "the total is being set by another request".into(),
                source: None,
            });
        }
        // The first retry does not wait: usually the other request has just ended.
        Ok((1 << self.looks.min(5)) >> 2)
    }
}

impl Domain {
    /// Begins additions to an item, before its total is read.
    pub(super) async fn begin_additions(&self, item: &str) -> Result<AdditionTries, Failure> {
        Ok(AdditionTries {
            settled: self.settled_publications(item).await?,
            ..AdditionTries::default()
        })
    }

    /// Makes an addition. `false`: another one was made, or this one failed, and the total must be read again.
    pub(super) async fn add_to_total(
        &self,
        customer: &str,
        addition: &Addition,
        tries: &mut AdditionTries,
    ) -> Result<bool, Failure> {
        tries.saw(addition.seen.total);
        let own = Publication::new(addition.clone());
        let before = self.publish(customer, &own, &mut tries.settled).await?;
        let added = match self.settle_published(addition, before, tries).await {
            Ok(true) => self.add_published(customer, &own, tries).await,
            // The addition is not sent.
            Ok(false) => Ok(false),
            Err(failure) => Err(failure),
        };
        if added.is_ok() {
            tries.settled.push(own);
        }
        self.remember_settled(&addition.item, &tries.settled)
            .await?;
        added
    }

    /// Settles publications for other totals. Returns whether the total is still the addition's.
    async fn settle_published(
        &self,
        addition: &Addition,
        before: Vec<Publication>,
        tries: &mut AdditionTries,
    ) -> Result<bool, Failure> {
        let mut is_unchanged = true;
        for other in before {
            if !other.addition.is_to_same_total(addition) {
                tracing::info!(item = %addition.item, total = other.addition.seen.total, "settles an addition to another total");
                self.settle_addition(&other.addition).await?;
                tries.settled.push(other);
                is_unchanged = false;
            }
        }
        Ok(is_unchanged || self.period_usage(&addition.item, None).await? == addition.seen)
    }

    /// Sends a published addition.
    async fn add_published(
        &self,
        customer: &str,
        own: &Publication,
        tries: &mut AdditionTries,
    ) -> Result<bool, Failure> {
        let addition = &own.addition;
        let key = addition.key(tries.failures);
        let added = self.add_record(&addition.item, addition.record(), Some(key));
        match added.await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_item_gone() => return Err(error.into()),
            Err(error) if error.is_replayed() => {
                tries.failed(error)?;
                return Ok(false);
            }
            Err(error) if error.is_idempotency_conflict() => {}
            Err(error) => return Err(error.into()),
        }
        tracing::info!(item = %addition.item, total = addition.seen.total, "another request adds to this total");
        if !self.finish_other(customer, own, tries).await? {
            let units = tries.next_look()?;
            tokio::time::sleep(self.stripe().first_wait() * units).await;
        }
        Ok(false)
    }

    /// Sends the published addition that has the key again. Returns whether its outcome is known.
    async fn finish_other(
        &self,
        customer: &str,
        own: &Publication,
        tries: &mut AdditionTries,
    ) -> Result<bool, Failure> {
        let addition = &own.addition;
        let published = self.published_additions(customer).await?.into_iter();
        let others = published.filter(|other| other != own);
        let others = others.map(|other| other.addition);
        let others = others.filter(|other| other != addition && other.is_to_same_total(addition));
        let others = others.map(|other| other.record());
        for record in others.chain([NOTHING]) {
            let key = addition.key(tries.failures);
            match self.add_record(&addition.item, record, Some(key)).await {
                // Another request took the key, so that no addition can use it.
                Ok(()) if record.quantity == 0 => {
                    tries.failures += 1;
                    return Ok(true);
                }
                Ok(()) => return Ok(true),
                Err(error) if error.is_item_gone() => return Err(error.into()),
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) if error.is_replayed() => {
                    tries.failed(error)?;
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
                && self.settle_addition(&addition).await? == Settled::Added
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds out the outcome of an addition. If it was not made, it can no longer be made.
    async fn settle_addition(&self, addition: &Addition) -> Result<Settled, stripe::Error> {
        let send = async |record, failures| {
            let key = Some(addition.key(failures));
            self.add_record_once(&addition.item, record, key).await
        };
        for failures in 0..=RECORDS {
            match send(NOTHING, failures).await {
                Ok(is_replayed) if !is_replayed => return Ok(Settled::NotAdded),
                // The key was taken before, so the addition may have a later key.
                Ok(_) => continue,
                Err(error) if error.is_item_gone() => return Ok(Settled::NotAdded),
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) if error.is_replayed() => continue,
                Err(error) => return Err(error),
            }
            // The key is taken, so this adds nothing that was not sent before.
            match send(addition.record(), failures).await {
                Ok(_) => return Ok(Settled::Added),
                Err(error) if error.is_item_gone() => return Ok(Settled::NotAdded),
                Err(error) if error.is_idempotency_conflict() || error.is_definite() => {}
                Err(error) if error.is_replayed() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Settled::NotAdded)
    }
}
