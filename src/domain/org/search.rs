//! Looks up an org's customer in Stripe: by search, among the newest customers, or on a test clock.

use std::sync::Arc;

use super::ORG;
use crate::billing::Customer;
use crate::domain::identity::SharedState;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::stripe;

/// How far back, in seconds, customers are listed because search lags behind. Stripe says "up to a minute"; the rest
/// allows for outages and for clock skew.
const RECENT: i64 = 10 * 60;

impl Domain {
    /// The org's customer. Ignores the customer `deleted`.
    pub(super) async fn find(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
        deleted: Option<&str>,
    ) -> Result<Option<Arc<str>>> {
        if let Some(clock) = &self.test_clock {
            let customers = self.billing().customers_on(clock).await?;
            Ok(newest_customer(&customers, org).map(|customer| customer.id.as_str().into()))
        } else if shared.orgs.listing.is_in_use() {
            self.find_listed(shared, org).await
        } else {
            self.search_for(shared, org, deleted).await
        }
    }

    /// Searches, and lists the newest hundred customers, which search may not know yet. Makes two calls in most cases.
    async fn search_for(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
        deleted: Option<&str>,
    ) -> Result<Option<Arc<str>>> {
        let since = self.account.clock.unix() - RECENT;
        let search = async {
            let searched = self.search(org).await;
            // Noted here, since the request may end before the other call does.
            searched.inspect_err(|error| {
                if error.is_search_unavailable() {
                    shared.orgs.listing.begin(error);
                }
            })
        };
        let (searched, listed) = tokio::join!(search, self.billing().newest_customers_since(since));
        let searched = match searched {
            Err(error) if error.is_search_unavailable() => {
                return self.find_listed(shared, org).await;
            }
            // The form of the query never changes, so the refusal is Stripe's fault, and may be temporary.
            Err(error) if error.is_invalid_request() => {
                self.search(org).await.map_err(|error| match error {
                    error if error.is_invalid_request() => Error::Unavailable {
                        reason: format!("search: {error}"),
                        source: Some(Box::new(error)),
                    },
                    error => error.into(),
                })
            }
            searched => Ok(searched?),
        };
        // Search may still find a customer that was just deleted.
        let exists = |customer: &Customer| Some(customer.id.as_str()) != deleted;
        let mut customers = listed?;
        let is_new = newest_customer(&customers, org).is_some();
        match searched {
            Ok(found) => customers.extend(found.into_iter().filter(exists)),
            Err(error) if !is_new => return Err(error),
            Err(_) => {}
        }
        Ok(newest_customer(&customers, org).map(|customer| customer.id.as_str().into()))
    }

    /// The customers that search finds for `org`, without those on test clocks, which lists leave out too. Search
    /// ignores case, so the caller picks the exact name.
    async fn search(&self, org: &OrgName) -> Result<Vec<Customer>, stripe::Error> {
        let pair = (ORG, org.as_str());
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let search = self.billing().search_customers(pair, next.as_deref());
            let page = search.await?;
            let on_no_clock = |customer: &Customer| customer.test_clock.is_none();
            found.extend(page.items.into_iter().filter(on_no_clock));
            next = page.next;
            if next.is_none() || newest_customer(&found, org).is_some() {
                return Ok(found);
            }
        }
    }
}

/// The newest customer with exactly this org's name.
pub(in crate::domain) fn newest_customer<'a>(
    customers: &'a [Customer],
    org: &OrgName,
) -> Option<&'a Customer> {
    let is_orgs = |customer: &&Customer| {
        !customer.deleted
            && customer
                .metadata
                .get(ORG)
                .is_some_and(|name| name == org.as_str())
    };
    customers
        .iter()
        .filter(is_orgs)
        .max_by_key(|customer| (customer.created, customer.id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(name: &str) -> OrgName {
        name.parse().expect("an org name")
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
            newest_customer(&all, &org("org:acme")).map(|c| c.id.as_str()),
            Some("cus_3")
        );
        assert!(newest_customer(&all, &org("org:ACME")).is_none());
    }
}
