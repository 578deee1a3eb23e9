//! All accounts, each found by the key that opens it, or by the platform that has connected it.

use std::collections::HashMap;

use super::account::Account;
use super::ids::{Id, Ids};
use crate::resource::account::Profile;

/// All accounts.
#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    accounts: HashMap<Id, Account>,
    requests: Ids,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            accounts: HashMap::new(),
            requests: Ids::new(seed, "requests"),
        }
    }

    /// The id of the account that a secret key opens: always the same one for the same key.
    pub(crate) fn id_of_key(&self, key: &str) -> Id {
        Ids::new(self.seed, key).next("acct", 16)
    }

    /// A fresh `req_…`.
    pub(crate) fn request_id(&mut self) -> Id {
        self.requests.next("req", 14)
    }

    /// An account, made on first use.
    pub(crate) fn account(&mut self, id: &Id, now: i64) -> &mut Account {
        let seed = self.seed;
        self.accounts
            .entry(id.clone())
            .or_insert_with(|| Account::new(Profile::of_key(id.clone(), now), seed))
    }

    /// An account that `platform` has created and not deleted, as `Stripe-Account` names it.
    pub(crate) fn connected(&mut self, platform: &Id, id: &str) -> Option<&mut Account> {
        let profile = self
            .accounts
            .get(platform)?
            .connected
            .get(id)
            .filter(|profile| !profile.deleted)?
            .clone();
        let seed = self.seed;
        let account = self
            .accounts
            .entry(profile.id.clone())
            .or_insert_with(|| Account::new(profile, seed));
        Some(account)
    }

    /// An account that is there already.
    pub(crate) fn existing(&mut self, id: &str) -> Option<&mut Account> {
        self.accounts.get_mut(id)
    }

    /// All accounts, in no particular order.
    pub(crate) fn accounts(&mut self) -> impl Iterator<Item = &mut Account> {
        self.accounts.values_mut()
    }

    /// Forgets one account with those that it has created, or everything.
    pub(crate) fn reset(&mut self, only: Option<&Id>) {
        let Some(id) = only else {
            self.accounts.clear();
            self.requests = Ids::new(self.seed, "requests");
            return;
        };
        if let Some(account) = self.accounts.remove(id) {
            for profile in account.connected.iter() {
                self.accounts.remove(&profile.id);
            }
        }
    }
}
