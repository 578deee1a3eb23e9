//! Writes that Stripe has refused, by their idempotency keys.
//!
//! Stripe keeps a refusal under its key. Another request that is based on the same revision finds the key taken, and
//! cannot know by what: it has to wait for what may be under way. This process can find out if the refusal was its own:
//! sent again, the refused write is answered with the refusal that Stripe keeps, and so is known to be over.

use std::time::Duration;

use moka::future::Cache;
use serde::de::DeserializeOwned;

use crate::billing::{Done, Write};
use crate::domain::Domain;
use crate::stripe;

/// How many bytes of refused writes are remembered.
const REMEMBERED: u64 = 4 << 20;

/// How long: Stripe keeps an answer for a day, and a request that is corrected comes soon.
const KEPT: Duration = Duration::from_secs(600);

/// The refused writes, each by the number of its account and its key.
pub(in crate::domain) type RefusedWrites = Cache<(u64, String), Write<Done>>;

pub(in crate::domain) fn refused_writes() -> RefusedWrites {
    let size =
        |_: &(u64, String), write: &Write<Done>| u32::try_from(write.size()).unwrap_or(u32::MAX);
    Cache::builder()
        .max_capacity(REMEMBERED)
        .weigher(size)
        .time_to_live(KEPT)
        .build()
}

impl Domain {
    /// Sends a write of a decision. If its key is taken by a write of this process that was refused, answers with that
    /// refusal, after which the next key can be used at once.
    pub(in crate::domain) async fn decided<T: DeserializeOwned>(
        &self,
        write: Write<T>,
    ) -> Result<T, stripe::Error> {
        let Ok(shared) = self.shared().await else {
            return write.send().await;
        };
        let key = write.given_key().unwrap_or_default().to_owned();
        let (key, refused) = ((shared.number, key), shared.memory.refused());
        let error = match write.clone().send().await {
            Err(error) => error,
            done => return done,
        };
        if error.is_idempotency_conflict() {
            if let Some(other) = refused.get(&key).await
                && let Err(kept) = other.by(self.stripe().clone()).send().await
                && kept.is_replayed()
                && kept.is_definite()
            {
                return Err(kept);
            }
        } else if error.is_definite() {
            refused.insert(key, write.unread()).await;
        }
        Err(error)
    }
}
