//! Whose Stripe account a request acts on: the server's own, or the one that the request's key opens.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::load::Places;
use crate::clock::Clock;
use crate::domain::Domain;
use crate::metrics::Metrics;
use crate::stripe::{Client, Credentials, Transport};

/// The accounts that a server acts on.
#[derive(Clone)]
pub enum Accounts {
    /// One, whoever calls.
    One(Domain),
    /// As many as there are callers: each request's key is the Stripe key that it acts with.
    Many(Cloud),
}

/// The accounts of many callers, found by the digest of their keys. They share nothing but the pool of connections:
/// caches, locks and the budget towards Stripe belong to one account each. What is idle is forgotten.
#[derive(Clone)]
pub struct Cloud {
    transport: Transport,
    clock: Clock,
    key_prefix: Option<String>,
    known: Cache<Digest, Account>,
}

/// A key's SHA-256.
pub(super) type Digest = [u8; 32];

/// What belongs to one caller's account.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) domain: Domain,
    /// Where its requests in flight are counted.
    pub(super) places: Places,
}

impl Cloud {
    /// Accounts at the Stripe of `transport`; at most `most` of them are kept in memory, each until it was `idle` for
    /// that long.
    pub fn new(
        transport: Transport,
        clock: Clock,
        key_prefix: Option<String>,
        most: u64,
        idle: Duration,
    ) -> Self {
        let known = Cache::builder()
            .max_capacity(most)
            .time_to_idle(idle)
            // The default policy may refuse newcomers, and each of their requests would start from nothing.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            transport,
            clock,
            key_prefix,
            known,
        }
    }

    /// Where the calls of all accounts are counted.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        self.transport.metrics()
    }

    /// The account that `key` opens, remembered or new.
    pub(super) fn account(&self, key: &str) -> Account {
        let digest = Sha256::digest(key).into();
        let metrics = self.transport.metrics();
        if let Some(account) = self.known.get(&digest) {
            metrics.looked("accounts", true);
            return account;
        }
        metrics.looked("accounts", false);
        self.known.get_with(digest, || {
            let credentials = Credentials {
                key_prefix: self.key_prefix.clone(),
                ..Credentials::new(key)
            };
            let stripe = Client::new(self.transport.clone(), credentials);
            Account {
                domain: Domain::new(stripe, self.clock.clone(), "authorization"),
                places: Places::default(),
            }
        })
    }
}

impl Accounts {
    /// The free share of each account's rate towards Stripe, by a name that tells nothing of its key.
    pub(super) fn headroom(&self) -> Vec<(String, f64)> {
        match self {
            Self::One(domain) => {
                let free = domain.stripe().headroom();
                free.map(|free| ("own".to_owned(), free))
                    .into_iter()
                    .collect()
            }
            Self::Many(cloud) => cloud
                .known
                .iter()
                .filter_map(|(digest, account)| {
                    Some((short(&digest), account.domain.stripe().headroom()?))
                })
                .collect(),
        }
    }

    /// Whether Stripe can be reached; with one account, also whether it accepts the key.
    pub(super) async fn reach_stripe(&self) -> crate::domain::Result<()> {
        match self {
            Self::One(domain) => domain.reach_stripe().await,
            // Any answer will do, and without a key it is a refusal.
            Self::Many(cloud) => {
                let stripe = Client::new(cloud.transport.clone(), Credentials::new(""));
                match Domain::new(stripe, cloud.clock.clone(), "")
                    .reach_stripe()
                    .await
                {
                    Err(crate::domain::Error::InvalidApiKey) => Ok(()),
                    reached => reached,
                }
            }
        }
    }
}

/// Enough of a digest to tell accounts apart.
fn short(digest: &Digest) -> String {
    use std::fmt::Write as _;
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a String takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::Options;

    fn cloud(most: u64) -> Cloud {
        let options = Options {
            base_url: "http://127.0.0.1:1".to_owned(),
            ..Options::default()
        };
        let transport = Transport::new(options).unwrap();
        let idle = Duration::from_secs(60);
        Cloud::new(transport, Clock::system(), None, most, idle)
    }

    #[test]
    fn a_key_has_one_account_and_keys_share_none() {
        let cloud = cloud(10);
        let held = cloud.account("a").places.take(1);
        assert!(held.is_some());
        assert!(cloud.account("a").places.take(1).is_none());
        assert!(cloud.account("b").places.take(1).is_some());
    }

    #[test]
    fn thousands_of_keys_are_bounded_and_the_latest_are_kept() {
        let cloud = cloud(100);
        for i in 0..5_000 {
            cloud.account(&format!("sk_test_{i}"));
        }
        let held = cloud.account("sk_test_last").places.take(1);
        cloud.known.run_pending_tasks();
        assert!(cloud.known.entry_count() <= 100);
        assert!(held.is_some() && cloud.account("sk_test_last").places.take(1).is_none());
    }
}
