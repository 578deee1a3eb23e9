//! The Stripe account of an API key. Locks and caches belong to the account, so all of its keys share them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::memory::Memory;
use super::refs::OrgName;
use super::{
    Domain, Error, Result, entitlement, generation, ledger, locks, meters, migration, org, usage,
};
use crate::num::hex;
use crate::stripe::{AccountCalls, Client};

/// The state that all keys of one account share.
pub(super) struct SharedState {
    pub(super) memory: Memory,
    /// Identifies the account in the shared memory.
    pub(super) number: u64,
    pub(super) orgs: org::Directory,
    /// Allows one subscription change of an org at a time.
    pub(super) changes: locks::Locks,
    /// Allows one read and write of a usage total at a time, by subscription item.
    pub(super) totals: locks::Locks,
    /// Shared by requests that report usage of an org, and held by one that changes its plan.
    pub(super) reports: locks::Locks,
    /// The last outage of Stripe.
    pub(super) outage: entitlement::Outage,
    /// The usage records that are being written.
    pub(super) writes: usage::Writes,
    /// The migrations that this process has begun.
    pub(super) migrations: migration::Migrations,
    /// What is known about the generation of its prices.
    pub(super) generation: generation::KnownGeneration,
    /// The meter events that Stripe may not have processed yet.
    pub(super) sent_events: usage::SentEvents,
    /// The names of its meters' events.
    pub(super) event_names: meters::EventNames,
    /// The error reports of its meters that were applied.
    pub(super) meter_error_reports: ledger::AppliedReports,
    /// Its calls to Stripe.
    calls: AccountCalls,
}

impl SharedState {
    /// Identifies one of the account's orgs in the shared memory.
    pub(super) fn key(&self, org: &OrgName) -> entitlement::OrgKey {
        (self.number, org.clone())
    }

    fn new(memory: Memory, number: u64) -> Self {
        Self {
            memory,
            number,
            orgs: org::Directory::default(),
            changes: locks::Locks::default(),
            totals: locks::Locks::default(),
            reports: locks::Locks::default(),
            outage: entitlement::Outage::default(),
            writes: usage::Writes::default(),
            migrations: migration::Migrations::default(),
            generation: generation::KnownGeneration::default(),
            sent_events: usage::SentEvents::default(),
            event_names: meters::EventNames::default(),
            meter_error_reports: ledger::AppliedReports::default(),
            calls: AccountCalls::default(),
        }
    }
}

/// The account that an API key belongs to.
pub(super) enum Identity {
    /// The only account of the process. Its id is not needed.
    Only(Arc<SharedState>),
    /// One of many accounts, identified by one call to Stripe.
    OneOf(Memory, OnceCell<Arc<SharedState>>),
}

impl Identity {
    /// Whether the process serves only this account, with only this key.
    pub(super) fn is_only(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    pub(super) fn only(memory: Memory) -> Self {
        Self::Only(Arc::new(SharedState::new(memory, 0)))
    }

    pub(super) fn one_of(memory: Memory) -> Self {
        Self::OneOf(memory, OnceCell::new())
    }
}

/// The accounts that are in use in this process.
#[derive(Default)]
pub(super) struct ActiveAccounts(Mutex<HashMap<u64, Weak<SharedState>>>);

impl ActiveAccounts {
    fn get(&self, memory: &Memory, number: u64) -> Arc<SharedState> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(&number).and_then(Weak::upgrade) {
            return state;
        }
        known.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(SharedState::new(memory.clone(), number));
        known.insert(number, Arc::downgrade(&state));
        state
    }
}

impl Domain {
    /// The shared state of the account. In a process with many accounts, the first call asks Stripe which account the
    /// key belongs to.
    pub(super) async fn shared(&self) -> Result<Arc<SharedState>> {
        match &self.account.identity {
            Identity::Only(state) => Ok(state.clone()),
            Identity::OneOf(memory, found) => {
                let state = found.get_or_try_init(|| self.identify(memory)).await?;
                Ok(state.clone())
            }
        }
    }

    /// Checks that Stripe accepts the key. In a process with many accounts, Stripe is asked once.
    pub async fn check_key(&self) -> Result<()> {
        self.shared().await.map(drop)
    }

    async fn identify(&self, memory: &Memory) -> Result<Arc<SharedState>> {
        let id = match self.billing().account().await.map_err(Error::from) {
            Ok(account) => account.id,
            // A restricted key that may not read its account is treated as an account of its own.
            Err(Error::Forbidden(reason)) => {
                tracing::warn!(
                    reason,
                    "the key may not read its account, so it shares no locks with the account's other keys"
                );
                hex(&Sha256::digest(
                    self.stripe().credentials().key.expose_secret(),
                ))
            }
            Err(error) => return Err(error),
        };
        let number = number(&id, self.stripe());
        let state = memory.accounts().get(memory, number);
        self.stripe().belongs_to(&state.calls);
        Ok(state)
    }
}

/// A stable number for an account in live or test mode.
fn number(id: &str, stripe: &Client) -> u64 {
    let mode: &[u8] = if stripe.credentials().is_live() {
        b"live"
    } else {
        b"test"
    };
    let digest = Sha256::new().chain_update(mode).chain_update(id).finalize();
    let first: [u8; 8] = std::array::from_fn(|i| digest[i]);
    u64::from_le_bytes(first)
}
