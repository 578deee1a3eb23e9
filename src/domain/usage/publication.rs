//! Published additions. They are in the customer's metadata, where every server finds them.

use std::sync::Arc;

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::addition::Addition;
use super::totals::PeriodUsage;
use crate::billing::{CustomerUpdate, Metadata};
use crate::domain::{Domain, Failure};
use crate::stripe;

/// The prefix of the metadata keys of published additions.
const PREFIX: &str = "tier.set.";

/// The maximum number of publications of a customer, for all of its items. Stripe allows 50 metadata keys.
const MAX_PUBLICATIONS: usize = 20;

/// Settled publications, by account number and item.
pub(in crate::domain) type SettledPublications = Cache<(u64, String), Arc<[Publication]>>;

/// A published addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Publication {
    /// The metadata key, which is used only once.
    name: String,
    pub(super) addition: Addition,
}

impl Publication {
    pub(super) fn new(addition: Addition) -> Self {
        let nonce = Uuid::new_v4().simple().to_string();
        Self {
            name: format!("{PREFIX}{}", &nonce[..16]),
            addition,
        }
    }

    /// The text that [`Publication::read`] parses.
    fn text(&self) -> String {
        let Addition {
            item,
            seen,
            quantity,
            at,
            for_key,
        } = &self.addition;
        let start = seen.start.unwrap_or_default();
        let at = at.map_or("now".to_owned(), |at| at.to_string());
        format!("{item} {start} {} {quantity} {at} {for_key}", seen.total)
    }

    fn read(name: &str, text: &str) -> Option<Self> {
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
        let addition = Addition {
            item,
            seen,
            quantity,
            at,
            for_key,
        };
        let name = name.to_owned();
        Some(Self { name, addition })
    }

    fn read_all(metadata: &Metadata) -> impl Iterator<Item = Self> {
        let published = metadata.iter().filter(|(name, _)| name.starts_with(PREFIX));
        published.filter_map(|(name, text)| Self::read(name, text))
    }
}

impl Domain {
    /// Publishes an addition, and removes settled publications that are no longer needed. Returns the other unsettled
    /// publications: those of the item, or of all items if there are too many.
    pub(super) async fn publish(
        &self,
        customer: &str,
        own: &Publication,
        settled: &mut Vec<Publication>,
    ) -> Result<Vec<Publication>, stripe::Error> {
        let newest_keyed = settled
            .iter()
            .rposition(|settled| !settled.addition.for_key.is_empty());
        let removed = settled
            .iter()
            .enumerate()
            // The client of the newest keyed report may still repeat it.
            .filter(|(index, _)| Some(*index) != newest_keyed)
            .map(|(_, settled)| (settled.name.clone(), String::new()));
        let mut metadata: Metadata = removed.collect();
        metadata.insert(own.name.clone(), own.text());
        let update = CustomerUpdate {
            metadata,
            ..CustomerUpdate::default()
        };
        let customer = self.billing().update_customer(customer, &update);
        let metadata = customer.send().await?.metadata;
        settled.retain(|settled| metadata.contains_key(&settled.name));
        let published: Vec<_> = Publication::read_all(&metadata).collect();
        let are_many = published.len() > MAX_PUBLICATIONS;
        let others = published.into_iter().filter(|other| {
            let is_relevant = are_many || other.addition.item == own.addition.item;
            is_relevant && other != own && !settled.contains(other)
        });
        Ok(others.collect())
    }

    pub(super) async fn published_additions(
        &self,
        customer: &str,
    ) -> Result<Vec<Publication>, stripe::Error> {
        let customer = self.billing().customer(customer).await?;
        Ok(Publication::read_all(&customer.metadata).collect())
    }

    /// The publications of an item whose outcomes this server knows.
    pub(super) async fn settled_publications(
        &self,
        item: &str,
    ) -> Result<Vec<Publication>, Failure> {
        let shared = self.shared().await?;
        let settled = shared.memory.publications();
        let settled = settled.get(&(shared.number, item.to_owned()));
        Ok(settled.map_or_else(Vec::new, |settled| settled.to_vec()))
    }

    pub(super) async fn remember_settled(
        &self,
        item: &str,
        settled: &[Publication],
    ) -> Result<(), Failure> {
        let shared = self.shared().await?;
        let entry = (shared.number, item.to_owned());
        let publications = shared.memory.publications();
        publications.insert(entry, settled.into());
        Ok(())
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
            let published = Publication::new(Addition {
                item: "si_1".into(),
                seen: seen(start),
                quantity: 3,
                at,
                for_key: for_key.into(),
            });
            assert!(published.name.len() <= 40);
            let text = published.text();
            let read = Publication::read(&published.name, &text);
            assert_eq!(read, Some(published), "{text}");
        }
        for text in ["", "si_1", "si_1 0 7 x now ", "si_1 0 7 3 now"] {
            assert_eq!(Publication::read("tier.set.0", text), None, "{text}");
        }
    }
}
