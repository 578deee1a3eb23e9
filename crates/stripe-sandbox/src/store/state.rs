//! Everything that the sandbox knows: accounts, each a world of its own.

use std::collections::HashMap;

use super::idempotency::Keys;
use super::ids::{Id, Ids};
use super::table::Table;
use crate::resource::account::Profile;
use crate::resource::billing::Billing;
use crate::resource::coupon::Coupons;
use crate::resource::customer::Customers;
use crate::resource::customer_balance;
use crate::resource::event::Events;
use crate::resource::payment_method::PaymentMethod;
use crate::resource::payments::Payments;
use crate::resource::price::Prices;
use crate::resource::product::Product;
use crate::resource::promotion_code::PromotionCodes;
use crate::resource::setup_intent::SetupIntent;
use crate::resource::test_clock::TestClock;

/// One account: a secret key's own, or a connected one. Resources keep their tables and indexes in their
/// own files.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) profile: Profile,
    /// Where ids come from; an id is taken only once nothing can fail any more.
    pub(crate) ids: Ids,
    /// The accounts that this one has created.
    pub(crate) connected: Table<Profile>,
    pub(crate) products: Table<Product>,
    pub(crate) prices: Prices,
    pub(crate) customers: Customers,
    pub(crate) balance_transactions: Table<customer_balance::Transaction>,
    pub(crate) payment_methods: Table<PaymentMethod>,
    pub(crate) setup_intents: Table<SetupIntent>,
    pub(crate) payments: Payments,
    pub(crate) coupons: Coupons,
    pub(crate) promotion_codes: PromotionCodes,
    pub(crate) clocks: Table<TestClock>,
    pub(crate) events: Events,
    pub(crate) keys: Keys,
    /// Subscriptions and all that follows from them.
    pub(crate) billing: Billing,
}

impl Account {
    fn new(profile: Profile, seed: u64) -> Self {
        Self {
            ids: Ids::new(seed, &profile.id),
            profile,
            connected: Table::default(),
            products: Table::default(),
            prices: Prices::default(),
            customers: Customers::default(),
            balance_transactions: Table::default(),
            payment_methods: Table::default(),
            setup_intents: Table::default(),
            payments: Payments::default(),
            coupons: Coupons::default(),
            promotion_codes: PromotionCodes::default(),
            clocks: Table::default(),
            events: Events::default(),
            keys: Keys::default(),
            billing: Billing::default(),
        }
    }

    /// The same account without anything in it; its ids go on from where they are.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            ids: self.ids.clone(),
            ..Self::new(self.profile.clone(), 0)
        }
    }

    /// The time in which a customer lives: its test clock's, else `now`, which is the account's.
    pub(crate) fn time_of(&self, customer: &str, now: i64) -> i64 {
        let clock = self
            .customers
            .get(customer)
            .and_then(|customer| customer.test_clock.as_ref());
        self.time_on(clock, now)
    }

    /// The time of a test clock, else `now`.
    pub(crate) fn time_on(&self, clock: Option<&Id>, now: i64) -> i64 {
        clock
            .and_then(|clock| self.clocks.get(clock))
            .map_or(now, |clock| clock.frozen_time)
    }
}

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
