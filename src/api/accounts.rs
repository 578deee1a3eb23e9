//! Whose Stripe account a request acts on: the server's own, or the one that the request's key opens.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::keys::short;
use super::layers::strangers::Strangers;
use super::roster::{self, Roster};
use crate::admission::Share;
use crate::domain::{Background, Domain, Memory};
use crate::metrics::Metrics;
use crate::stripe::{Client, Credentials, Transport};
use clock::Clock;

/// The accounts that a server acts on.
#[derive(Clone)]
pub enum Accounts {
    /// One, whoever calls.
    One(Domain),
    /// As many as there are callers: each request's key is the Stripe key that it acts with.
    Many(Cloud),
}

/// The accounts of many callers, found by the digest of their keys. They share the pool of connections and the room in
/// memory; what is remembered, locks and the budget towards Stripe belong to one account each. An account that a request
/// holds is the only one of its key. What is idle is forgotten, and what Stripe has not let in is not kept at all.
#[derive(Clone)]
pub struct Cloud {
    transport: Transport,
    clock: Clock,
    key_prefix: Option<String>,
    memory: Memory,
    known: Roster<Digest, Account>,
    pub(super) strangers: Strangers,
}

/// A key's SHA-256.
pub(super) type Digest = [u8; 32];

/// An account that a request holds.
pub(super) type Held = roster::Held<Digest, Account>;

/// What belongs to one caller's account.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) domain: Domain,
    /// Where its requests in flight are counted.
    pub(super) share: Share,
}

impl Cloud {
    /// Accounts at the Stripe of `transport`; at most `most` of them are in memory, each until it was `idle` for that
    /// long. They share a `memory`.
    pub fn new(
        transport: Transport,
        clock: Clock,
        key_prefix: Option<String>,
        most: usize,
        idle: Duration,
        memory: Memory,
    ) -> Self {
        // Anybody can invent keys.
        let accepted = |account: &Account| account.domain.stripe().is_key_accepted();
        Self {
            transport,
            clock,
            key_prefix,
            memory,
            known: Roster::new(most, idle, accepted),
            strangers: Strangers::default(),
        }
    }

    /// Where the calls of all accounts are counted.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        self.transport.metrics()
    }

    /// The account that `key` opens, in memory or new; none if requests hold all that there is room for.
    pub(super) fn hold(&self, key: &str) -> Option<Held> {
        let digest = Sha256::digest(key).into();
        let (account, known) = self.known.hold(digest, || self.account(key))?;
        self.metrics().looked("accounts", known);
        Some(account)
    }

    fn account(&self, key: &str) -> Account {
        let credentials = Credentials {
            key_prefix: self.key_prefix.clone(),
            ..Credentials::new(key)
        };
        let stripe = Client::new(self.transport.clone(), credentials);
        let (clock, memory) = (self.clock.clone(), self.memory.clone());
        Account {
            domain: Domain::with_memory(stripe, clock, "authorization", memory),
            share: Share::default(),
        }
    }
}

/// Accounts whose rate is shown; those with the least that is free come first.
const SHOWN: usize = 100;

impl Accounts {
    /// Whether it is one, and real money moves in it.
    pub fn is_live(&self) -> bool {
        match self {
            Self::One(domain) => domain.stripe().credentials().is_live(),
            Self::Many(_) => false,
        }
    }

    /// The work of all accounts that nobody waits for.
    pub(super) fn background(&self) -> Background {
        match self {
            Self::One(domain) => domain.background().clone(),
            Self::Many(cloud) => cloud.memory.background().clone(),
        }
    }

    /// The free share of accounts' rates towards Stripe, by names that tell nothing of their keys. However many accounts
    /// there are, they are not more series than a monitor can take.
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
                free.truncate(SHOWN);
                free
            }
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
