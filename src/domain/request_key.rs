//! A client's `Idempotency-Key` on subscribe: a repeated request gets the first answer and writes nothing.
//!
//! This process remembers a key for a day. For other servers, and after a restart, the digests of the last five keys
//! are in the subscription's metadata. They are written together with the request's change.

use sha2::{Digest as _, Sha256};

use super::client_keys::ClientKeys;
use super::refs::OrgName;
use super::schedule::Subscribe;
use super::{Domain, Error, Result};
use crate::billing::Metadata;
use crate::num::hex;

/// The metadata key under which the digests of clients' keys are stored.
pub(super) const KEYS: &str = "tier.keys";

/// How many digests the metadata keeps.
const KEPT: usize = 5;

/// The keys of subscribe requests, with whether each request was carried out.
pub(super) type KeyedRequests = ClientKeys<bool>;

impl Domain {
    /// Like [`Domain::subscribe`]. With `key`, a repetition of the same request within 24 hours has no effect.
    pub async fn subscribe_once(
        &self,
        org: &OrgName,
        request: &Subscribe,
        key: Option<&str>,
    ) -> Result<()> {
        let Some(key) = key else {
            return self.subscribe(org, request).await;
        };
        let digest = self.key_digest(key);
        let shared = self.shared().await?;
        let keys = shared.memory.requests();
        let scoped_key = (shared.number, digest.clone());
        let requested = Sha256::digest(format!("{org}\n{request:?}")).into();
        let slot = keys.slot(&scoped_key, requested).await.ok_or_else(reused)?;
        let mut done = self.hold_key(&slot.state).await?;
        if *done {
            return Ok(());
        }
        let request = Subscribe {
            key: Some(digest),
            ..request.clone()
        };
        let outcome = self.subscribe(org, &request).await;
        match &outcome {
            Ok(()) => *done = true,
            // Part of the request may have taken effect.
            Err(
                Error::Unavailable { .. } | Error::TimedOut { .. } | Error::CustomerVanished { .. },
            ) => {}
            // Nothing was done, so the key is free for a corrected request.
            Err(_) => keys.forget(&scoped_key).await,
        }
        outcome
    }

    /// The stored form of a client's key: a short digest.
    pub(super) fn key_digest(&self, key: &str) -> String {
        hex(&self.client_key_digest(key)[..8])
    }
}

pub(super) fn reused() -> Error {
    Error::Invalid(
        "the Idempotency-Key was used before with another request; use a new key for each".into(),
    )
}

/// The distinct words under the metadata key `name` of the objects, in order, such as the digests of clients' keys.
pub(super) fn noted<'a>(name: &str, objects: impl Iterator<Item = &'a Metadata>) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for key in objects
        .filter_map(|metadata| metadata.get(name))
        .flat_map(|keys| keys.split(' '))
    {
        if !key.is_empty() && !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// The metadata value with `key` added in front. It has at most [`KEPT`] keys.
pub(super) fn with(known: &[String], key: &str) -> String {
    let known = known.iter().map(String::as_str);
    let keys: Vec<_> = std::iter::once(key).chain(known).take(KEPT).collect();
    keys.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_five_keys_are_kept() {
        let metadata = |keys: &str| Metadata::from([(KEYS.to_owned(), keys.to_owned())]);
        let objects = [metadata("b a"), Metadata::new(), metadata("c b")];
        let known = noted(KEYS, objects.iter());
        assert_eq!(known, ["b", "a", "c"]);
        assert_eq!(with(&known, "d"), "d b a c");
        let known = noted(KEYS, [metadata("5 4 3 2 1")].iter());
        assert_eq!(with(&known, "6"), "6 5 4 3 2");
    }
}
