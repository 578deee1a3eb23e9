//! Clients' idempotency keys, which this process remembers for a day with the request and state of each.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::Domain;

/// How long a key is remembered. It is the same time as at Stripe.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of an account, and a key.
pub(super) type Entry = (u64, String);

/// The keys of the last 24 hours, each with the `State` of its request.
pub(super) struct ClientKeys<State>(Cache<Entry, Arc<Slot<State>>>);

/// The request and state of a key.
pub(super) struct Slot<State> {
    /// The digest of its request.
    request: [u8; 32],
    pub(super) state: Arc<Mutex<State>>,
}

impl<State: Default + Send + 'static> ClientKeys<State> {
    /// A cache for `most` keys.
    pub(super) fn new(most: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity(most as u64)
            .time_to_live(REMEMBERED)
            // Requests are repeated soon or never, so the newest keys are kept.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// The slot of a request's key; `None` if the key was used with another request.
    pub(super) async fn known(&self, key: &Entry, request: [u8; 32]) -> Option<Arc<Slot<State>>> {
        let fresh = async {
            Arc::new(Slot {
                request,
                state: Arc::default(),
            })
        };
        let slot = self.0.get_with_by_ref(key, fresh).await;
        (slot.request == request).then_some(slot)
    }

    /// Forgets all keys.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Forgets a key, so that another request can use it.
    pub(super) async fn forget(&self, key: &Entry) {
        self.0.invalidate(key).await;
    }
}

impl Domain {
    /// The digest of a client's key. Each test clock has its own keys.
    pub(super) fn client_key_digest(&self, key: &str) -> [u8; 32] {
        let clock = self.test_clock.as_deref().unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(clock)
            .chain_update([0])
            .chain_update(key);
        digest.finalize().into()
    }
}
