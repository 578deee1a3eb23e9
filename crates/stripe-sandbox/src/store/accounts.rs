//! All accounts. They are found by secret key, or by platform and id.
//!
//! Each account has its own lock, so a long call, such as the advance of a test clock, does not block other accounts.
//! Accounts are created and deleted under the table's lock, which is never held for long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::sync::Mutex as Turn;
use tokio::sync::MutexGuard as TurnGuard;

use super::account::{Account, Connected};
use super::idempotency::Keys;
use super::ids::{Id, Ids};
use super::locked;
use crate::resource::account::Profile;
use crate::resource::webhook_endpoint::{WebhookEndpoint, WebhookEndpoints};

/// An account under its lock.
#[derive(Debug)]
pub(crate) struct LockedAccount {
    pub(crate) id: Id,
    /// The number of accounts that were created before it.
    number: u64,
    display_key: OnceLock<Box<str>>,
    turn: Turn<()>,
    account: Mutex<Account>,
    keys: Mutex<Keys>,
    connected: Connected,
    webhook_endpoints: WebhookEndpoints,
}

impl LockedAccount {
    fn new(account: Account, number: u64) -> Self {
        Self {
            id: account.profile.id.clone(),
            number,
            display_key: OnceLock::new(),
            turn: Turn::default(),
            connected: account.connected.clone(),
            webhook_endpoints: account.webhook_endpoints.clone(),
            account: Mutex::new(account),
            keys: Mutex::default(),
        }
    }

    /// Waits for the caller's turn on the account. Calls take turns in order, and waiting does not block a thread.
    pub(crate) async fn turn(&self) -> TurnGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The turn, if it is free.
    pub(crate) fn free_turn(&self) -> Option<TurnGuard<'_, ()>> {
        self.turn.try_lock().ok()
    }

    /// The account, for the caller that has the turn. Other readers may have to wait for that caller.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        locked(&self.account)
    }

    /// The account's key as people may see it; `None` for a connected account.
    pub(crate) fn display_key(&self) -> Option<&str> {
        self.display_key.get().map(|key| &**key)
    }

    /// Sets what [`display_key`](Self::display_key) returns, at the first call with the key.
    pub(crate) fn set_display_key(&self, key: impl FnOnce() -> String) {
        self.display_key.get_or_init(|| key().into());
    }

    /// The account's webhook endpoints.
    pub(crate) fn webhook_endpoints(&self) -> &WebhookEndpoints {
        &self.webhook_endpoints
    }

    /// The account's idempotency keys, which can be read without the turn.
    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        locked(&self.keys)
    }
}

/// All accounts of a sandbox.
#[derive(Debug)]
pub(crate) struct Accounts {
    seed: u64,
    table: Mutex<HashMap<Id, Arc<LockedAccount>>>,
    created_count: AtomicU64,
    requests: Mutex<Ids>,
    /// Endpoints that accounts have from their first call on and after every reset, each with the account's id.
    permanent_endpoints: Mutex<Vec<(Id, WebhookEndpoint)>>,
}

impl Accounts {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            table: Mutex::default(),
            created_count: AtomicU64::new(0),
            requests: Mutex::new(Ids::new(seed, "requests")),
            permanent_endpoints: Mutex::default(),
        }
    }

    /// The id of the account of a secret key. It is always the same for the same key.
    pub(crate) fn id_of_key(&self, key: &str) -> Id {
        Ids::new(self.seed, key).next("acct", 16)
    }

    /// A fresh `req_…`.
    pub(crate) fn request_id(&self) -> Id {
        locked(&self.requests).next("req", 14)
    }

    /// An account, which is created on first use.
    pub(crate) fn account(&self, id: &Id, now: i64) -> Arc<LockedAccount> {
        self.get_or_create(id, || {
            Account::new(Profile::of_key(id.clone(), now), self.seed)
        })
    }

    fn get_or_create(&self, id: &Id, new: impl FnOnce() -> Account) -> Arc<LockedAccount> {
        let mut table = locked(&self.table);
        let new = || {
            let account = new();
            for (of, endpoint) in locked(&self.permanent_endpoints).iter() {
                if of == id {
                    locked(&account.webhook_endpoints).insert(endpoint.clone());
                }
            }
            let number = self.created_count.fetch_add(1, Ordering::Relaxed);
            Arc::new(LockedAccount::new(account, number))
        };
        table.entry(id.clone()).or_insert_with(new).clone()
    }

    /// Gives an account an endpoint that survives resets, and returns its secret. Its id and secret come from a stream
    /// of their own, so other ids do not change.
    pub(crate) fn add_permanent_endpoint(&self, account: &Id, endpoint: WebhookEndpoint) -> String {
        let table = locked(&self.table);
        let mut fixed = locked(&self.permanent_endpoints);
        let scope = format!("webhook endpoint {} of {account}", fixed.len());
        let endpoint = endpoint.with_id_and_secret(&mut Ids::new(self.seed, &scope));
        let secret = endpoint.secret.clone();
        if let Some(account) = table.get(account) {
            locked(&account.webhook_endpoints).insert(endpoint.clone());
        }
        fixed.push((account.clone(), endpoint));
        secret
    }

    /// An account that `platform` has created and not deleted.
    pub(crate) fn connected(&self, platform: &Id, id: &str) -> Option<Arc<LockedAccount>> {
        let platform = self.existing(platform)?;
        let endpoints = platform.webhook_endpoints.clone();
        let profile = locked(&platform.connected).get(id).cloned();
        let profile = profile.filter(|profile| !profile.deleted)?;
        Some(self.get_or_create(&profile.id.clone(), || {
            Account::new(profile, self.seed).with_platform(endpoints)
        }))
    }

    /// An account, if it exists.
    pub(crate) fn existing(&self, id: &str) -> Option<Arc<LockedAccount>> {
        locked(&self.table).get(id).cloned()
    }

    /// All accounts, in no particular order.
    pub(crate) fn all(&self) -> Vec<Arc<LockedAccount>> {
        locked(&self.table).values().cloned().collect()
    }

    /// All accounts, newest first.
    pub(crate) fn newest(&self) -> Vec<Arc<LockedAccount>> {
        let mut all = self.all();
        all.sort_unstable_by_key(|account| std::cmp::Reverse(account.number));
        all
    }

    /// Removes an account and its connected accounts, or all accounts, and returns them. Calls in progress continue on
    /// the removed accounts.
    pub(crate) fn reset(&self, only: Option<&Id>) -> Vec<Arc<LockedAccount>> {
        let mut table = locked(&self.table);
        let Some(id) = only else {
            *locked(&self.requests) = Ids::new(self.seed, "requests");
            return table.drain().map(|(_, account)| account).collect();
        };
        let Some(account) = table.remove(id) else {
            return Vec::new();
        };
        let mut removed = vec![account.clone()];
        for profile in locked(&account.connected).iter() {
            removed.extend(table.remove(&profile.id));
        }
        removed
    }
}
