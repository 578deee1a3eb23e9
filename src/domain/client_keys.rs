//! The idempotency keys of clients' requests, which this process remembers for a day: the request of each, and its
//! state.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::Domain;

/// How long a key is remembered: as long as Stripe does.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A key, with the number of its account.
pub(super) type Entry = (u64, String);

/// The keys of the last 24 hours. Of each, the `State` of its request.
pub(super) struct ClientKeys<State>(Cache<Entry, Arc<Slot<State>>>);

/// What is known of a key.
pub(super) struct Slot<State> {
    /// The digest of its request.
    request: [u8; 32],
    pub(super) state: Arc<Mutex<State>>,
}

impl<State: Default + Send + 'static> ClientKeys<State> {
    /// Room for `most` keys.
    pub(super) fn new(most: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity(most as u64)
            .time_to_live(REMEMBERED)
            // A request is repeated soon or never, so the newest keys are kept.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// What is known of a request's key; none if the key came with another request before.
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

    /// Frees all keys.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Frees a key for another request.
    pub(super) async fn forget(&self, key: &Entry) {
        self.0.invalidate(key).await;
    }
}

impl Domain {
    /// The digest of a client's key. The same key on another test clock is another key.
    pub(super) fn client_key_digest(&self, key: &str) -> [u8; 32] {
        let clock = self.test_clock.as_deref().unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(clock)
            .chain_update([0])
            .chain_update(key);
        digest.finalize().into()
    }
}
