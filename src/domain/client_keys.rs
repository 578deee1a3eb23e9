//! Clients' idempotency keys, which this process remembers for a day, with the request and state of each.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::Domain;

/// How long a key is remembered. Stripe also keeps its idempotency keys for 24 hours.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A client's key, with the number of its account.
pub(super) type ScopedKey = (u64, String);

/// The keys of the last 24 hours, each with the `State` of its request.
pub(super) struct ClientKeys<State>(Cache<ScopedKey, Arc<Slot<State>>>);

/// The request and state of a key.
pub(super) struct Slot<State> {
    /// The digest of its request.
    request: [u8; 32],
    pub(super) state: Arc<Mutex<State>>,
}

impl<State: Default + Send + 'static> ClientKeys<State> {
    /// A cache for up to `capacity` keys.
    pub(super) fn new(capacity: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity as u64)
            .time_to_live(REMEMBERED)
            // Requests are repeated soon or never, so the newest keys are kept.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// The slot of a key for a request with this digest; `None` if the key was used with another request.
    pub(super) async fn slot(
        &self,
        key: &ScopedKey,
        request: [u8; 32],
    ) -> Option<Arc<Slot<State>>> {
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
    pub(super) async fn forget(&self, key: &ScopedKey) {
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
