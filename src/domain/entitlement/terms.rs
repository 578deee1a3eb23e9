//! The identity of a subscription's terms.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::billing::Subscription;

/// A subscription that grants something, with a digest of its grants and their end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain) struct Terms {
    pub(super) subscription: Arc<str>,
    fingerprint: u64,
}

impl Terms {
    pub(in crate::domain) fn of(subscription: &Subscription) -> Self {
        let mut hasher = DefaultHasher::new();
        (subscription.current_period_end, subscription.cancel_at).hash(&mut hasher);
        for item in &subscription.items.data {
            (&item.id, item.price.limit()).hash(&mut hasher);
        }
        Self {
            subscription: subscription.id.as_str().into(),
            fingerprint: hasher.finish(),
        }
    }

    /// Terms for tests.
    #[cfg(test)]
    pub(super) fn named(subscription: &str) -> Self {
        Self {
            subscription: subscription.into(),
            fingerprint: 0,
        }
    }
}
