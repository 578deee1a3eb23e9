//! Which customer stands for which org: found once, then remembered, by all callers together.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::time::Instant;

use super::ORG;
use super::listing::Listing;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::stripe::types::{Customer, Identified, Page};
use crate::stripe::{self, Flights};

/// How far back the list goes that makes up for search's lag, in seconds. Stripe says "up to a
/// minute"; the rest is for an outage and for clocks that disagree.
const RECENT: i64 = 10 * 60;

/// How long Stripe remembers the idempotency key of a creation, in seconds.
const KEY_LIFETIME: i64 = 24 * 60 * 60;

/// How long a look-up waits for the list of all customers to be read.
const LISTING_PATIENCE: Duration = Duration::from_secs(10);

/// An org of the account with that number, on a test clock perhaps: the same name may live on several.
type Key = (u64, OrgName, Option<Arc<str>>);

/// The customers that were found.
pub(in crate::domain) type Customers = Cache<Key, Arc<str>>;

#[derive(Default)]
pub(in crate::domain) struct Directory {
    look_ups: Flights<Key, Result<Arc<str>>>,
    /// Every org, where search is unavailable.
    pub(super) listing: Listing,
}

impl Domain {
    /// The org's customer, from memory or from Stripe. Concurrent callers share one look-up. That
    /// an org is unknown is not remembered.
    pub(in crate::domain) async fn customer(&self, org: &OrgName) -> Result<Arc<str>> {
        let found = self.account.memory.customers();
        let key = self.directory_key(org);
        let known = found.get(&key).await;
        self.stripe().metrics().looked("orgs", known.is_some());
        if let Some(id) = known {
            return Ok(id);
        }
        // On the heap: otherwise every request that finds its org in memory would carry the space
        // that a look-up takes.
        Box::pin(self.look_up(org, key)).await
    }

    /// Finds an org that is not in memory. What was remembered meanwhile is newer, and stays.
    async fn look_up(&self, org: &OrgName, key: Key) -> Result<Arc<str>> {
        let look_up = async || {
            let look_ups = &self.account.orgs.look_ups;
            let found = look_ups.share(key.clone(), self.stripe(), |stripe| {
                let domain = Self {
                    stripe,
                    ..self.clone()
                };
                let (org, key) = (org.clone(), key.clone());
                async move {
                    let id = domain.find(&org).await?;
                    let customers = domain.account.memory.customers();
                    Ok(customers.entry(key).or_insert(id).await.into_value())
                }
            });
            found.await
        };
        let deadline = Instant::now() + LISTING_PATIENCE;
        loop {
            let progress = self.account.orgs.listing.progress();
            match look_up().await {
                Err(Error::Listing { .. }) if Instant::now() < deadline => {
                    let moved = tokio::time::timeout_at(deadline, progress.wait());
                    let _: Result<(), _> = self.wait(moved).await?;
                }
                found => return found,
            }
        }
    }

    /// Notes the customer of an org, returning its id as it is shared from now on.
    pub(super) async fn remember_customer(&self, org: &OrgName, id: &str) -> Arc<str> {
        let id: Arc<str> = id.into();
        self.account
            .memory
            .customers()
            .insert(self.directory_key(org), id.clone())
            .await;
        id
    }

    /// Forgets an org's customer: Stripe says that it is gone.
    pub(in crate::domain) async fn forget_customer(&self, org: &OrgName) {
        self.account
            .memory
            .customers()
            .invalidate(&self.directory_key(org))
            .await;
        self.account.orgs.listing.forget(org);
    }

    /// Finds an org whose creation Stripe remembers although a look-up just did not show it.
    pub(super) async fn find_recreated(&self, org: &OrgName) -> Result<Option<Arc<str>>> {
        let customers = match &self.test_clock {
            Some(clock) => self.customers_on(clock).await?,
            None => {
                self.created_since(self.account.clock.unix() - KEY_LIFETIME)
                    .list()
                    .await?
            }
        };
        match newest(&customers, org) {
            Some(customer) => Ok(Some(self.remember_customer(org, &customer.id).await)),
            None => Ok(None),
        }
    }

    fn directory_key(&self, org: &OrgName) -> Key {
        (self.account.number, org.clone(), self.test_clock.clone())
    }

    async fn find(&self, org: &OrgName) -> Result<Arc<str>> {
        let id = match &self.test_clock {
            Some(clock) => {
                newest(&self.customers_on(clock).await?, org).map(|c| c.id.as_str().into())
            }
            None if self.account.orgs.listing.is_in_use() => self.listed(org).await?,
            None => self.search_for(org).await?,
        };
        id.ok_or(Error::OrgNotFound)
    }

    /// Two calls, however many customers are new: of those whom search does not know yet, the newest hundred are found.
    async fn search_for(&self, org: &OrgName) -> Result<Option<Arc<str>>> {
        let recent = self.created_since(self.account.clock.unix() - RECENT);
        let search = async {
            let searched = self.search(org).await;
            // At once, since the request may end before the list is there.
            searched.inspect_err(|error| {
                if error.is_search_unavailable() {
                    self.account.orgs.listing.begin(error);
                }
            })
        };
        let (searched, listed) =
            tokio::join!(search, recent.param("limit", 100).send::<Page<Customer>>());
        let searched = match searched {
            Err(error) if error.is_search_unavailable() => return self.listed(org).await,
            // Our query does not change from one try to the next, so this is Stripe's fault, and may be over.
            Err(error) if error.is_invalid_request() => {
                self.search(org).await.map_err(|error| match error {
                    error if error.is_invalid_request() => {
                        Error::Unavailable(format!("search: {error}"))
                    }
                    error => error.into(),
                })
            }
            searched => Ok(searched?),
        };
        let mut customers = listed?.data;
        let is_new = newest(&customers, org).is_some();
        match searched {
            Ok(found) => customers.extend(found),
            Err(error) if !is_new => return Err(error),
            Err(_) => {}
        }
        Ok(newest(&customers, org).map(|customer| customer.id.as_str().into()))
    }

    /// Every customer that search gives for `org`, which ignores case: twins are told apart later.
    async fn search(&self, org: &OrgName) -> Result<Vec<Customer>, stripe::Error> {
        let request = self
            .stripe()
            .get("/v1/customers/search")
            .param("limit", 100);
        let request = request.param("query", query(org));
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page: Page<Customer> = request.clone().param_some("page", next).send().await?;
            found.extend(page.data);
            next = page.next_page.filter(|_| page.has_more);
            if next.is_none() || newest(&found, org).is_some() {
                return Ok(found);
            }
        }
    }

    pub(super) fn created_since(&self, unix: i64) -> stripe::Request {
        self.stripe()
            .get("/v1/customers")
            .param("created[gte]", unix)
    }

    async fn customers_on(&self, clock: &str) -> Result<Vec<Customer>> {
        Ok(self
            .stripe()
            .get("/v1/customers")
            .param("test_clock", clock)
            .list()
            .await?)
    }
}

/// The newest customer that is exactly this org's.
fn newest<'a>(customers: &'a [Customer], org: &OrgName) -> Option<&'a Customer> {
    let own = |customer: &&Customer| {
        !customer.deleted
            && customer
                .metadata
                .get(ORG)
                .is_some_and(|name| name == org.as_str())
    };
    customers
        .iter()
        .filter(own)
        .max_by_key(|customer| (customer.created, customer.id()))
}

/// Stripe's query language quotes with `'` and escapes with `\`.
fn query(org: &OrgName) -> String {
    let mut escaped = String::with_capacity(org.as_str().len() + 24);
    for character in org.as_str().chars() {
        if matches!(character, '\'' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    format!("metadata['{ORG}']:'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(name: &str) -> OrgName {
        name.parse().expect("an org name")
    }

    #[test]
    fn a_query_escapes_quotes_and_backslashes() {
        assert_eq!(
            query(&org(r"org:o'neil\x")),
            r"metadata['tier.org']:'org:o\'neil\\x'"
        );
    }

    #[test]
    fn only_the_exact_name_matches_and_the_newest_wins() {
        let customer = |id: &str, name: &str, created| Customer {
            id: id.into(),
            created,
            metadata: [("tier.org".to_owned(), name.to_owned())].into(),
            ..Customer::default()
        };
        let all = [
            customer("cus_1", "org:Acme", 3),
            customer("cus_2", "org:acme", 1),
            customer("cus_3", "org:acme", 2),
        ];
        assert_eq!(
            newest(&all, &org("org:acme")).map(|c| c.id.as_str()),
            Some("cus_3")
        );
        assert!(newest(&all, &org("org:ACME")).is_none());
    }
}
