//! Finds orgs by a part of their name, or shows the newest ones, with a bounded number of calls.
//!
//! Stripe's search finds a customer by the whole name of its org, and not by a part of it. So customers are listed, newest
//! first, and a search that has listed many says where it goes on.

use super::ListedOrg;
use crate::domain::catalog::Catalog;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};

/// How many customers a call lists when not every org is shown.
const PER_CALL: usize = 100;

/// The maximum number of calls that list customers for one page.
const CALLS: usize = 5;

/// Which orgs are looked for.
#[derive(Clone, Debug)]
pub struct OrgSearch {
    /// A part of their names, in any case. All names contain the empty text.
    pub text: String,
    /// How many orgs a page has.
    pub limit: usize,
    /// The page after the one with this `next`.
    pub after: Option<String>,
}

/// A page of the orgs that were found.
#[derive(Clone, Debug, Default)]
pub struct FoundOrgs {
    /// The orgs. If one is called exactly as was asked, it comes first. The others follow by when they were created, newest
    /// first.
    pub orgs: Vec<ListedOrg>,
    /// How many customers were looked at.
    pub customers: usize,
    /// Where the next page begins, if older customers are left.
    pub next: Option<String>,
}

impl Domain {
    /// A page of the orgs whose names contain a text. However many customers there are, it makes a few calls.
    pub async fn find_orgs(&self, search: &OrgSearch) -> Result<FoundOrgs> {
        let catalog = self.catalog().await?;
        let mut found = FoundOrgs::default();
        if search.after.is_none() {
            found
                .orgs
                .extend(self.org_named(&search.text, &catalog).await?);
        }
        found.next.clone_from(&search.after);
        let text = search.text.to_lowercase();
        let per_call = if text.is_empty() {
            search.limit
        } else {
            PER_CALL
        };
        for _ in 0..CALLS {
            let billing = self.billing();
            let (clock, after) = (self.test_clock.as_deref(), found.next.as_deref());
            let part = billing.customers_with_subscriptions(clock, after, per_call);
            let part = part.await.map_err(|error| of_page(error.into(), search))?;
            let is_over = part.next.is_none();
            for customer in part.items {
                let row = ListedOrg::of(&customer, &catalog);
                let row = row.filter(|row| row.org.as_str().to_lowercase().contains(&text));
                if let Some(row) = row.filter(|row| !found.has(&row.org)) {
                    if found.orgs.len() == search.limit {
                        return Ok(found);
                    }
                    found.orgs.push(row);
                }
                found.customers += 1;
                found.next = Some(customer.id);
            }
            if is_over {
                found.next = None;
                break;
            }
            if found.orgs.len() == search.limit {
                break;
            }
        }
        Ok(found)
    }

    /// The org that is called exactly so, wherever it is among the customers.
    async fn org_named(&self, text: &str, catalog: &Catalog) -> Result<Option<ListedOrg>> {
        let name = match text.strip_prefix("org:") {
            Some(_) => text.parse(),
            None if text.is_empty() => return Ok(None),
            None => format!("org:{text}").parse::<OrgName>(),
        };
        let Ok(name) = name else {
            return Ok(None);
        };
        let customer = match self.customer(&name).await {
            Ok(id) => self.billing().customer_with_subscriptions(&id).await,
            // Without Stripe's search, all customers are being read: the list below finds those that are new.
            Err(Error::OrgNotFound | Error::Listing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match customer.map_err(Error::from) {
            Ok(customer) => Ok(ListedOrg::of(&customer, catalog)),
            Err(Error::CustomerVanished { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl FoundOrgs {
    /// Whether the org is there already. Of two customers of an org, the newer one counts, as in a search.
    fn has(&self, org: &OrgName) -> bool {
        self.orgs.iter().any(|known| known.org == *org)
    }
}

/// A page cannot begin after a customer that was deleted.
fn of_page(error: Error, search: &OrgSearch) -> Error {
    match error {
        Error::CustomerVanished { .. } if search.after.is_some() => Error::Invalid(
            "the org after which this page begins is gone: go to the first page".into(),
        ),
        error => error,
    }
}
