//! Finds the customers of orgs, and remembers them for all callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::time::Instant;

use super::listing::Listing;
use super::search::newest;
use crate::domain::identity::SharedState;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::stripe::Flights;

/// How long Stripe remembers the idempotency key of a creation, in seconds.
const KEY_LIFETIME: i64 = 24 * 60 * 60;

/// How long a look-up waits until all customers have been listed.
const LISTING_PATIENCE: Duration = Duration::from_secs(10);

/// How long a customer is remembered, in seconds. If an org has two, servers that know different ones agree again after
/// that time.
const REMEMBERED: i64 = 60;

/// The number of the account, the org, and its test clock, if any: the same name may exist on several clocks.
type Key = (u64, OrgName, Option<Arc<str>>);

/// What is looked up, and the deleted customer that does not count.
type LookUp = (Key, Option<Arc<str>>);

/// The customers that are remembered.
pub(in crate::domain) type Customers = Cache<Key, Known>;

/// What is known of an org.
#[derive(Clone)]
pub(in crate::domain) struct Known {
    /// Its customer; none: not known.
    id: Option<Arc<str>>,
    /// The last deleted customer, which search may still find.
    gone: Option<Arc<str>>,
    /// The sequence number of the look-up that found this.
    asked: u64,
    /// The same in Unix seconds.
    at: i64,
}

#[derive(Default)]
pub(in crate::domain) struct Directory {
    look_ups: Flights<LookUp, Result<Arc<str>>>,
    /// The sequence number of the next look-up.
    asked: AtomicU64,
    /// Every org, where search is unavailable.
    pub(super) listing: Listing,
}

impl Directory {
    /// The sequence number of a look-up that begins now.
    fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }
}

impl Domain {
    /// The org's customer, from memory or from Stripe. Concurrent callers share one look-up. Unknown orgs are not
    /// remembered.
    pub(in crate::domain) async fn customer(&self, org: &OrgName) -> Result<Arc<str>> {
        let shared = self.shared().await?;
        let customers = shared.memory.customers();
        let known = customers.get(&self.directory_key(&shared, org));
        let fresh = known.as_ref().filter(|known| {
            let age = self.account.clock.unix() - known.at;
            (0..REMEMBERED).contains(&age)
        });
        let id = fresh.and_then(|known| known.id.clone());
        self.stripe().metrics().looked("orgs", id.is_some());
        match id {
            Some(id) => Ok(id),
            // On the heap, so that requests which find the org in memory do not reserve the space of a look-up.
            None => Box::pin(self.look_up(&shared, org, known)).await,
        }
    }

    /// Finds an org that is not in memory, or has been there for too long.
    async fn look_up(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
        known: Option<Known>,
    ) -> Result<Arc<str>> {
        let gone = known.and_then(|known| known.gone);
        let deadline = Instant::now() + LISTING_PATIENCE;
        loop {
            let progress = shared.orgs.listing.progress();
            match self.look_up_together(shared, org, gone.clone()).await {
                Err(Error::Listing { .. }) if Instant::now() < deadline => {
                    let moved = tokio::time::timeout_at(deadline, progress.wait());
                    let _: Result<(), _> = self.wait(moved).await?;
                }
                found => return found,
            }
        }
    }

    async fn look_up_together(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
        gone: Option<Arc<str>>,
    ) -> Result<Arc<str>> {
        let key = (self.directory_key(shared, org), gone.clone());
        let look_up = shared.orgs.look_ups.share(key, self.stripe(), |stripe| {
            let domain = Self {
                stripe,
                ..self.clone()
            };
            let (shared, org) = (shared.clone(), org.clone());
            async move {
                let (asked, at) = (shared.orgs.ask(), domain.account.clock.unix());
                let id = domain.find(&shared, &org, gone.as_deref()).await?;
                let id = id.ok_or(Error::OrgNotFound)?;
                let known = Known {
                    id: Some(id.clone()),
                    gone,
                    asked,
                    at,
                };
                domain.note(&shared, &org, known);
                Ok(id)
            }
        });
        look_up.await
    }

    /// Remembers the customer of an org. Returns its id in the form that is shared.
    pub(in crate::domain) async fn remember_customer(
        &self,
        org: &OrgName,
        id: &str,
    ) -> Result<Arc<str>> {
        let id: Arc<str> = id.into();
        let shared = self.shared().await?;
        let known = Known {
            id: Some(id.clone()),
            gone: None,
            asked: shared.orgs.ask(),
            at: self.account.clock.unix(),
        };
        self.note(&shared, org, known);
        Ok(id)
    }

    /// Forgets an org's customer, which is gone according to Stripe.
    pub(in crate::domain) async fn forget_customer(&self, org: &OrgName) -> Result<()> {
        let shared = self.shared().await?;
        let customers = shared.memory.customers();
        let known = customers.get(&self.directory_key(&shared, org));
        let gone = known.and_then(|known| known.id.or(known.gone));
        let known = Known {
            id: None,
            gone,
            asked: shared.orgs.ask(),
            at: self.account.clock.unix(),
        };
        self.note(&shared, org, known);
        shared.orgs.listing.forget(org);
        Ok(())
    }

    /// Remembers a result, unless the one in memory is of a later look-up: a slow look-up may return an old state.
    fn note(&self, shared: &SharedState, org: &OrgName, known: Known) {
        let customers = shared.memory.customers();
        let key = self.directory_key(shared, org);
        let noted = customers.entry(&key, None, |_, there| {
            if there.asked <= known.asked {
                there.clone_from(&known);
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = noted {
            // Only fails where somebody has removed the place, and nobody removes any.
            let _ = place.insert(known);
        }
    }

    /// Finds an org that a look-up did not show although Stripe remembers its creation.
    pub(super) async fn find_recreated(&self, org: &OrgName) -> Result<Option<Arc<str>>> {
        let customers = if let Some(clock) = &self.test_clock {
            self.billing().customers_on(clock).await?
        } else {
            let since = self.account.clock.unix() - KEY_LIFETIME;
            self.billing().customers_since(since).await?
        };
        match newest(&customers, org) {
            Some(customer) => Ok(Some(self.remember_customer(org, &customer.id).await?)),
            None => Ok(None),
        }
    }

    fn directory_key(&self, shared: &SharedState, org: &OrgName) -> Key {
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
    async fn what_was_asked_for_later_counts_whenever_its_answer_comes() {
        let transport = Transport::new(Options::default()).expect("a URL");
        let client = Client::new(transport, Credentials::new("sk_test_x"));
        let domain = Domain::new(client, Clock::manual(0), "here");
        let shared = domain.shared().await.expect("the only account");
        let known = |id: Option<&str>, asked| Known {
            id: id.map(Into::into),
            gone: None,
            asked,
            at: 0,
        };
        let (slow, quick) = (shared.orgs.ask(), shared.orgs.ask());
        let org = org("org:a");
        for new in [Some("cus_new"), None] {
            domain.note(&shared, &org, known(new, quick));
            domain.note(&shared, &org, known(Some("cus_old"), slow));
            let key = domain.directory_key(&shared, &org);
            let there = shared.memory.customers().get(&key);
            let there = there.expect("something is known").id;
            assert_eq!(there.as_deref(), new);
        }
    }
}
