//! Remembers refused writes by idempotency key.
//!
//! Stripe keeps a refusal under its idempotency key. Another request at the same revision finds the key in use, and
//! cannot tell whether that write is still running. If this process sent the refused write, it sends it again. Stripe
//! replays the refusal, which proves that the write has ended, so the request need not wait.

use std::time::Duration;

use moka::future::Cache;
use serde::de::DeserializeOwned;

use crate::billing::{Ack, Write};
use crate::domain::Domain;
use crate::stripe;

/// The maximum total size of remembered writes, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// How long a write is remembered. Stripe keeps an answer for a day, but corrected requests come soon.
const LIFETIME: Duration = Duration::from_secs(600);

/// The refused writes, by account number and key.
pub(in crate::domain) type RefusedWrites = Cache<(u64, String), Write<Ack>>;

pub(in crate::domain) fn refused_writes() -> RefusedWrites {
    let size =
        |_: &(u64, String), write: &Write<Ack>| u32::try_from(write.size()).unwrap_or(u32::MAX);
    Cache::builder()
        .max_capacity(MAX_SIZE)
        .weigher(size)
        .time_to_live(LIFETIME)
        .build()
}

impl Domain {
    /// Sends a step of a decision. If a refused write of this process used its key, returns that refusal, so that the
    /// next key can be used at once.
    pub(in crate::domain) async fn send_step<T: DeserializeOwned>(
        &self,
        write: Write<T>,
    ) -> Result<T, stripe::Error> {
        let Ok(shared) = self.shared().await else {
            return write.send().await;
        };
        let key = write.explicit_key().unwrap_or_default().to_owned();
        let (key, refused) = ((shared.number, key), shared.memory.refused());
        let error = match write.clone().send().await {
            Err(error) => error,
            done => return done,
        };
        if error.is_idempotency_conflict() {
            if let Some(earlier) = refused.get(&key).await
                && let Err(kept) = earlier.with_client(self.stripe().clone()).send().await
                && kept.is_replayed()
                && kept.is_definite()
            {
                return Err(kept);
            }
        } else if error.is_definite() {
            refused.insert(key, write.ignore_answer()).await;
        }
        Err(error)
    }
}
