//! Finds and caches the customers of orgs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::time::Instant;

use super::listing::Listing;
use super::search::newest_customer;
use crate::domain::identity::SharedState;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::stripe::Flights;

/// How long Stripe keeps the idempotency key of a creation, in seconds.
const KEY_LIFETIME: i64 = 24 * 60 * 60;

/// How long a look-up waits while all customers are listed.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a customer is cached, in seconds. If an org has two customers, servers that cached different ones agree
/// again after this time.
const CUSTOMER_LIFETIME: i64 = 60;

/// The number of the account, the org, and its test clock if any. An org name may exist on several test clocks.
type CustomerKey = (u64, OrgName, Option<Arc<str>>);

/// A customer to look up, and a deleted customer to ignore.
type LookUpKey = (CustomerKey, Option<Arc<str>>);

/// The cached customers.
pub(in crate::domain) type Customers = Cache<CustomerKey, CachedCustomer>;

/// The cached customer of an org.
#[derive(Clone)]
pub(in crate::domain) struct CachedCustomer {
    /// Its id. None: not known.
    id: Option<Arc<str>>,
    /// The last customer that was deleted, which search may still find.
    deleted: Option<Arc<str>>,
    /// The sequence number of the look-up that found it.
    sequence: u64,
    /// When that look-up began, in Unix seconds.
    at: i64,
}

#[derive(Default)]
pub(in crate::domain) struct Directory {
    look_ups: Flights<LookUpKey, Result<Arc<str>>>,
    /// The sequence number of the next look-up.
    sequence: AtomicU64,
    /// The listing of all orgs, for accounts without search.
    pub(super) listing: Listing,
}

impl Directory {
    /// Returns the sequence number of a new look-up.
    fn next_look_up(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }
}

impl Domain {
    /// The org's customer, from memory or from Stripe. Concurrent callers share one look-up. Unknown orgs are not
    /// cached.
    pub(in crate::domain) async fn customer(&self, org: &OrgName) -> Result<Arc<str>> {
        let shared = self.shared().await?;
        let customers = shared.memory.customers();
        let known = customers.get(&self.directory_key(&shared, org));
        let fresh = known.as_ref().filter(|known| {
            let age = self.account.clock.unix() - known.at;
            (0..CUSTOMER_LIFETIME).contains(&age)
        });
        let id = fresh.and_then(|known| known.id.clone());
        self.stripe().metrics().count_lookup("orgs", id.is_some());
        match id {
            Some(id) => Ok(id),
            // Boxed, so that requests with a cached org do not reserve the space of a look-up.
            None => Box::pin(self.look_up(&shared, org, known)).await,
        }
    }

    /// Looks up an org that is not cached, or was cached too long ago.
    async fn look_up(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
        known: Option<CachedCustomer>,
    ) -> Result<Arc<str>> {
        let deleted = known.and_then(|known| known.deleted);
        let deadline = Instant::now() + LISTING_TIMEOUT;
        loop {
            let progress = shared.orgs.listing.progress();
            match self.share_look_up(shared, org, deleted.clone()).await {
                Err(Error::Listing { .. }) if Instant::now() < deadline => {
                    let progressed = tokio::time::timeout_at(deadline, progress.wait());
                    let _: Result<(), _> = self.wait(progressed).await?;
                }
                found => return found,
            }
        }
    }

    async fn share_look_up(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
        deleted: Option<Arc<str>>,
    ) -> Result<Arc<str>> {
        let key = (self.directory_key(shared, org), deleted.clone());
        let look_up = shared.orgs.look_ups.share(key, self.stripe(), |stripe| {
            let domain = Self {
                stripe,
                ..self.clone()
            };
            let (shared, org) = (shared.clone(), org.clone());
            async move {
                let (sequence, at) = (shared.orgs.next_look_up(), domain.account.clock.unix());
                let id = domain.find(&shared, &org, deleted.as_deref()).await?;
                let id = id.ok_or(Error::OrgNotFound)?;
                let known = CachedCustomer {
                    id: Some(id.clone()),
                    deleted,
                    sequence,
                    at,
                };
                domain.cache(&shared, &org, known);
                Ok(id)
            }
        });
        look_up.await
    }

    /// Caches the customer of an org. Returns its shared id.
    pub(in crate::domain) async fn remember_customer(
        &self,
        org: &OrgName,
        id: &str,
    ) -> Result<Arc<str>> {
        let id: Arc<str> = id.into();
        let shared = self.shared().await?;
        let known = CachedCustomer {
            id: Some(id.clone()),
            deleted: None,
            sequence: shared.orgs.next_look_up(),
            at: self.account.clock.unix(),
        };
        self.cache(&shared, org, known);
        Ok(id)
    }

    /// Removes an org's customer from the cache, after Stripe reported that it was deleted.
    pub(in crate::domain) async fn forget_customer(&self, org: &OrgName) -> Result<()> {
        let shared = self.shared().await?;
        let customers = shared.memory.customers();
        let known = customers.get(&self.directory_key(&shared, org));
        let deleted = known.and_then(|known| known.id.or(known.deleted));
        let known = CachedCustomer {
            id: None,
            deleted,
            sequence: shared.orgs.next_look_up(),
            at: self.account.clock.unix(),
        };
        self.cache(&shared, org, known);
        shared.orgs.listing.forget(org);
        Ok(())
    }

    /// Caches a result, unless the cached one is from a later look-up. A slow look-up may find an old state.
    fn cache(&self, shared: &SharedState, org: &OrgName, known: CachedCustomer) {
        let customers = shared.memory.customers();
        let key = self.directory_key(shared, org);
        let noted = customers.entry(&key, None, |_, cached| {
            if cached.sequence <= known.sequence {
                cached.clone_from(&known);
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = noted {
            // This fails only if the slot was evicted. The next request then looks the org up again.
            let _ = place.insert(known);
        }
    }

    /// Finds the org's customer among those created in the last day, after Stripe answered that its creation was
    /// repeated.
    pub(super) async fn find_created(&self, org: &OrgName) -> Result<Option<Arc<str>>> {
        let customers = if let Some(clock) = &self.test_clock {
            self.billing().customers_on(clock).await?
        } else {
            let since = self.account.clock.unix() - KEY_LIFETIME;
            self.billing().customers_since(since).await?
        };
        match newest_customer(&customers, org) {
            Some(customer) => Ok(Some(self.remember_customer(org, &customer.id).await?)),
            None => Ok(None),
        }
    }

    fn directory_key(&self, shared: &SharedState, org: &OrgName) -> CustomerKey {
        (shared.number, org.clone(), self.test_clock.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::{Client, Credentials, Options, Transport};
    use clock::Clock;

    fn org(name: &str) -> OrgName {
        name.parse().expect("an org name")
    }

    /// A slow look-up returns an old customer after a faster one has found the new one.
    #[tokio::test]
    async fn the_later_look_up_wins_even_if_it_returns_first() {
        let transport = Transport::new(Options::default()).expect("a URL");
        let client = Client::new(transport, Credentials::new("sk_test_x"));
        let domain = Domain::new(client, Clock::manual(0), "here");
        let shared = domain.shared().await.expect("the only account");
        let known = |id: Option<&str>, sequence| CachedCustomer {
            id: id.map(Into::into),
            deleted: None,
            sequence,
            at: 0,
        };
        let (slow, quick) = (shared.orgs.next_look_up(), shared.orgs.next_look_up());
        let org = org("org:a");
        for new in [Some("cus_new"), None] {
            domain.cache(&shared, &org, known(new, quick));
            domain.cache(&shared, &org, known(Some("cus_old"), slow));
            let key = domain.directory_key(&shared, &org);
            let cached = shared.memory.customers().get(&key);
            let cached = cached.expect("something is known").id;
            assert_eq!(cached.as_deref(), new);
        }
    }
}
