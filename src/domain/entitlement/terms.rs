//! The identity of a subscription's terms.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::billing::Subscription;

/// Identifies the terms of a subscription: a digest of its id, and a digest of its grants and their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain) struct Terms {
    pub(super) subscription: IdDigest,
    fingerprint: u64,
}

impl Terms {
    pub(in crate::domain) fn of(subscription: &Subscription) -> Self {
        let mut hasher = DefaultHasher::new();
        (subscription.current_period_end, subscription.cancel_at).hash(&mut hasher);
        for item in &subscription.items {
            (&item.id, item.price.limit()).hash(&mut hasher);
        }
        Self {
            subscription: IdDigest::of(&subscription.id),
            fingerprint: hasher.finish(),
        }
    }

    /// Terms for tests.
    #[cfg(test)]
    pub(super) fn named(subscription: &str) -> Self {
        Self {
            subscription: IdDigest::of(subscription),
            fingerprint: 0,
        }
    }
}

/// A digest of a Stripe id. It takes less memory than the id, and distinguishes the ids of one org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(in crate::domain) struct IdDigest(NonZeroU64);

impl IdDigest {
    pub(in crate::domain) fn of(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MAX))
    }
}

/// A digest as it is stored in the ledger. Earlier versions stored the id itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Digest(NonZeroU64),
    Id(String),
}

impl From<Stored> for IdDigest {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Digest(digest) => Self(digest),
            Stored::Id(id) => Self::of(&id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_an_earlier_version_stored_are_read() {
        let now = Terms::named("sub_1");
        let earlier = serde_json::json!({"subscription": "sub_1", "fingerprint": 0});
        assert_eq!(serde_json::from_value::<Terms>(earlier).ok(), Some(now));
        let text = serde_json::to_string(&now).expect("plain data");
        assert_eq!(serde_json::from_str::<Terms>(&text).ok(), Some(now));
        assert_ne!(Terms::named("sub_2"), now);
    }
}
