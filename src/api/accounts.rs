//! The Stripe account that a request acts on: the server's own, or the one of the request's key.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::keys::short;
use super::layers::unknown_keys::UnknownKeys;
use super::pinned_cache::{self, PinnedCache};
use crate::admission::CallerSlots;
use crate::domain::{Background, Domain, GenerationSetting, Memory};
use crate::metrics::Metrics;
use crate::stripe::{Client, Credentials, Transport};
use clock::Clock;

/// The accounts that a server acts on.
#[derive(Clone)]
pub enum Accounts {
    /// The server's own account, for every caller.
    One(Domain),
    /// One account for each caller. A request's API key is the Stripe key that it uses.
    Many(Cloud),
}

/// The accounts of many callers, found by the digest of their keys.
///
/// They share one connection pool and one memory budget. Each account has its own cached data, locks and rate limit.
/// An account stays in memory while a request uses it. Idle accounts expire, and an account whose key Stripe has not
/// accepted is dropped with its last request.
#[derive(Clone)]
pub struct Cloud {
    transport: Transport,
    clock: Clock,
    key_prefix: Option<String>,
    memory: Memory,
    generation: GenerationSetting,
    known: PinnedCache<Digest, CallerAccount>,
    pub(super) unknown_keys: UnknownKeys,
}

/// A key's SHA-256.
pub(super) type Digest = [u8; 32];

/// An account that is not evicted while a request uses it.
pub(super) type PinnedAccount = pinned_cache::Pinned<Digest, CallerAccount>;

/// One caller's account.
#[derive(Clone)]
pub(super) struct CallerAccount {
    pub(super) domain: Domain,
    /// The slots of its requests.
    pub(super) slots: CallerSlots,
}

impl Cloud {
    /// Accounts at the Stripe of `transport`. At most `max` of them are in memory, and one that is idle for `idle`
    /// expires. They share `memory`.
    pub fn new(
        transport: Transport,
        clock: Clock,
        key_prefix: Option<String>,
        max: usize,
        idle: Duration,
        memory: Memory,
    ) -> Self {
        // Anybody can make up keys, so accounts whose key Stripe has not accepted are not kept.
        let accepted = |account: &CallerAccount| account.domain.stripe().is_key_accepted();
        Self {
            transport,
            clock,
            key_prefix,
            memory,
            generation: GenerationSetting::default(),
            known: PinnedCache::new(max, idle, accepted),
            unknown_keys: UnknownKeys::default(),
        }
    }

    /// The same accounts, whose pushes create metered prices of another generation.
    #[must_use]
    pub fn with_generation(self, generation: GenerationSetting) -> Self {
        Self { generation, ..self }
    }

    /// The metrics that all accounts share.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        self.transport.metrics()
    }

    /// The account of `key`. None if the cache is full and every account is in use.
    pub(super) fn pin(&self, key: &str) -> Option<PinnedAccount> {
        let digest = Sha256::digest(key).into();
        let (account, known) = self.known.pin(digest, || self.account(key))?;
        self.metrics().count_lookup("accounts", known);
        Some(account)
    }

    fn account(&self, key: &str) -> CallerAccount {
        let credentials = Credentials {
            key_prefix: self.key_prefix.clone(),
            ..Credentials::new(key)
        };
        let stripe = Client::new(self.transport.clone(), credentials);
        let (clock, memory) = (self.clock.clone(), self.memory.clone());
        let domain = Domain::with_memory(stripe, clock, "authorization", memory);
        CallerAccount {
            domain: domain.with_generation(self.generation),
            slots: CallerSlots::default(),
        }
    }
}

/// How many accounts `/metrics` shows: those with the least headroom.
const MAX_IN_METRICS: usize = 100;

impl Accounts {
    /// Whether the server has one account, in live mode.
    pub fn is_live(&self) -> bool {
        match self {
            Self::One(domain) => domain.stripe().credentials().is_live(),
            Self::Many(_) => false,
        }
    }

    /// The background work of all accounts.
    pub(super) fn background(&self) -> Background {
        match self {
            Self::One(domain) => domain.background().clone(),
            Self::Many(cloud) => cloud.memory.background().clone(),
        }
    }

    /// The free share of each account's rate limit, by a name that does not reveal the key. The number of accounts is
    /// limited, since each is a time series.
    pub(super) fn headroom(&self) -> Vec<(String, f64)> {
        match self {
            Self::One(domain) => {
                let free = domain.stripe().headroom();
                free.map(|free| ("own".to_owned(), free))
                    .into_iter()
                    .collect()
            }
            Self::Many(cloud) => {
                let known = cloud.known.all().into_iter();
                let mut free: Vec<_> = known
                    .filter_map(|(digest, account)| {
                        Some((short(&digest), account.domain.stripe().headroom()?))
                    })
                    .collect();
                free.sort_by(|(_, a), (_, b)| a.total_cmp(b));
                free.truncate(MAX_IN_METRICS);
                free
            }
        }
    }

    /// Checks that Stripe can be reached, and with one account that Stripe accepts the key.
    pub(super) async fn reach_stripe(&self) -> crate::domain::Result<()> {
        match self {
            Self::One(domain) => domain.reach_stripe().await,
            // There is no key to check, so any answer counts, even Stripe's refusal of a call without a key.
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
