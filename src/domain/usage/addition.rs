//! What is added to a total, so that of several requests that saw the same total one adds.
//!
//! The idempotency key of an addition names the total that was seen and nothing else, so Stripe carries out one addition
//! to it. A request with another quantity is refused, and cannot learn from that whether the addition that has the key is
//! under way, was made, or failed. So each request writes what it is going to add into the customer's metadata first.
//! Whoever finds the key taken reads it there and sends that very addition again: Stripe says that it is under way, or
//! answers as it did the first time. After that the total can be read. No wait decides about it.

use super::Report;
use super::keyed::RECORDS;
use super::totals::PeriodUsage;
use crate::billing::{CustomerUpdate, Metadata, SubscriptionItem, UsageAction, UsageRecord};
use crate::domain::{Domain, Error, Failure};
use crate::stripe;

/// What the metadata keys begin with under which additions are published.
const PUBLISHED: &str = "tier.set.";

/// How many such keys a customer has: as many requests can add to one total at the same time and know of each other.
const SLOTS: u32 = 4;

/// How many keys of publications are tried.
const PUBLICATIONS: u32 = 50;

/// How often the total is read again while an addition that is not published has the key.
const LOOKS: u32 = 8;

/// An addition to a total that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    item: String,
    seen: PeriodUsage,
    quantity: i64,
    at: Option<i64>,
    /// The digest of the client's key, or empty.
    for_key: String,
}

/// What has been tried to add to the total that was seen last.
#[derive(Default)]
pub(super) struct AdditionTries {
    seen: Option<i64>,
    /// How many keys of publications are taken.
    publications: u32,
    /// How many keys of additions are spent on failures.
    failures: u32,
    looks: u32,
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

    /// As it is published. [`Addition::published`] reads it.
    fn text(&self) -> String {
        let start = self.seen.start.unwrap_or_default();
        let at = self.at.map_or("now".to_owned(), |at| at.to_string());
        let (item, total, quantity) = (&self.item, self.seen.total, self.quantity);
        format!("{item} {start} {total} {quantity} {at} {}", self.for_key)
    }

    fn published(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let item = words.next()?.to_owned();
        let start: i64 = words.next()?.parse().ok()?;
        let total = words.next()?.parse().ok()?;
        let quantity = words.next()?.parse().ok()?;
        let at = match words.next()? {
            "now" => None,
            at => Some(at.parse().ok()?),
        };
        let for_key = words.next()?.to_owned();
        let start = (start != 0).then_some(start);
        let seen = PeriodUsage { total, start };
        let addition = Self {
            item,
            seen,
            quantity,
            at,
            for_key,
        };
        Some(addition)
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

impl AdditionTries {
    fn saw(&mut self, total: i64) {
        if self.seen != Some(total) {
            *self = Self {
                seen: Some(total),
                ..Self::default()
            };
        }
    }

    /// Stripe keeps `error` under the key, so nothing more is added under it, by anyone.
    fn failed(&mut self, error: stripe::Error) -> Result<(), stripe::Error> {
        if self.failures >= RECORDS {
            return Err(error);
        }
        self.failures += 1;
        Ok(())
    }

    /// How long to wait, in units of the first wait between tries, before the total is read again.
    fn next_look(&mut self) -> Result<u32, Error> {
        self.looks += 1;
        if self.looks > LOOKS {
            return Err(Error::Unavailable {
                reason: "the total is being set by another request".into(),
                source: None,
            });
        }
        // The first look is free: most often the other request has just ended.
        Ok((1 << self.looks.min(5)) >> 2)
    }
}

impl Domain {
    /// Makes an addition. False: another one was made, or this one failed, and the total has to be read again.
    pub(super) async fn add_to_total(
        &self,
        customer: &str,
        addition: &Addition,
        tries: &mut AdditionTries,
    ) -> Result<bool, Failure> {
        tries.saw(addition.seen.total);
        self.publish(customer, addition, tries).await?;
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
        if !self.finish_other(customer, addition, tries).await? {
            let units = tries.next_look()?;
            tokio::time::sleep(self.stripe().first_wait() * units).await;
        }
        Ok(false)
    }

    /// Says what is going to be added.
    async fn publish(
        &self,
        customer: &str,
        addition: &Addition,
        tries: &mut AdditionTries,
    ) -> Result<(), stripe::Error> {
        loop {
            let number = tries.publications;
            let name = format!("{PUBLISHED}{}", number % SLOTS);
            let update = CustomerUpdate {
                metadata: Metadata::from([(name, addition.text())]),
                ..CustomerUpdate::default()
            };
            let publish = self.billing().update_customer(customer, &update).unread();
            // One publication of each number, so that none takes the place of another.
            let key = format!("publish:{number}:{}", addition.key(0));
            match publish.key(key).send().await {
                Err(error)
                    if (error.is_idempotency_conflict() || error.is_replayed())
                        && number < PUBLICATIONS =>
                {
                    tries.publications += 1;
                }
                published => return published.map(drop),
            }
        }
    }

    /// Sends the addition again that has the key, if it is published. Says whether it is known what became of it.
    async fn finish_other(
        &self,
        customer: &str,
        addition: &Addition,
        tries: &mut AdditionTries,
    ) -> Result<bool, Failure> {
        let published = self.published_additions(customer).await?;
        let others = published.iter().filter(|other| *other != addition);
        for other in others.filter(|other| other.is_to_same_total(addition)) {
            let key = other.key(tries.failures);
            match self
                .add_record(&other.item, other.record(), Some(key))
                .await
            {
                Ok(()) => return Ok(true),
                Err(error) if error.is_item_gone() => return Err(error.into()),
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) if error.is_replayed() => {
                    tries.failed(error)?;
                    return Ok(true);
                }
                // Refused before Stripe looked at the key.
                Err(error) if error.is_definite() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    async fn published_additions(&self, customer: &str) -> Result<Vec<Addition>, stripe::Error> {
        let customer = self.billing().customer(customer).await?;
        let pairs = customer.metadata.iter();
        let texts = pairs.filter(|(name, _)| name.starts_with(PUBLISHED));
        Ok(texts
            .filter_map(|(_, text)| Addition::published(text))
            .collect())
    }

    /// Whether an addition was made that was published for a client's key.
    pub(super) async fn was_added_for(
        &self,
        customer: &str,
        for_key: &str,
    ) -> Result<bool, stripe::Error> {
        let published = self.published_additions(customer).await?;
        let own = published.iter().filter(|own| own.for_key == for_key);
        for addition in own {
            if self.has_its_key(addition).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an addition was sent, and before all others to its total.
    async fn has_its_key(&self, addition: &Addition) -> Result<bool, stripe::Error> {
        let nothing = UsageRecord {
            quantity: 0,
            ..addition.record()
        };
        // Adds nothing if the key is free. Else it is known that the next call is not the first one.
        for (record, has_it) in [(nothing, false), (addition.record(), true)] {
            let added = self.add_record(&addition.item, record, Some(addition.key(0)));
            match added.await {
                Ok(()) => return Ok(has_it),
                // Nothing was sent before the item went, or a failure is kept.
                Err(error) if error.is_item_gone() || error.is_replayed() => return Ok(false),
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_again() {
        let seen = |start| PeriodUsage { total: 7, start };
        for (start, at, for_key) in [
            (None, None, ""),
            (Some(1_700_000_000), Some(1_700_000_001), "0af3"),
        ] {
            let addition = Addition {
                item: "si_1".into(),
                seen: seen(start),
                quantity: 3,
                at,
                for_key: for_key.into(),
            };
            let text = addition.text();
            assert_eq!(Addition::published(&text), Some(addition), "{text}");
        }
        for text in ["", "si_1", "si_1 0 7 x now ", "si_1 0 7 3 now"] {
            assert_eq!(Addition::published(text), None, "{text}");
        }
    }
}
