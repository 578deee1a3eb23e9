//! Finds orgs by a part of their name, or the newest ones, with a bounded number of calls.
//!
//! Stripe's search finds a customer only by the whole name of its org. So customers are listed, newest first, and a
//! search that has listed many returns a cursor to continue with.

use super::ListedOrg;
use crate::domain::catalog::Catalog;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};

/// How many customers a call lists if the search has a text.
const PER_CALL: usize = 100;

/// The maximum number of calls that list customers for one page.
const CALLS: usize = 5;

/// A search for orgs.
#[derive(Clone, Debug)]
pub struct OrgSearch {
    /// A part of their names, in upper or lower case. All names contain the empty text.
    pub text: String,
    /// How many orgs a page has.
    pub limit: usize,
    /// The page after the one with this `next`.
    pub after: Option<String>,
}

/// A page of the orgs that were found.
#[derive(Clone, Debug, Default)]
pub struct FoundOrgs {
    /// The orgs. One whose whole name is the text comes first. The others follow, newest first.
    pub orgs: Vec<ListedOrg>,
    /// How many customers were checked.
    pub customers: usize,
    /// Where the next page begins, if older customers are left.
    pub next: Option<String>,
}

impl Domain {
    /// A page of the orgs whose names contain a text. Makes at most a few calls, however many customers there are.
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
            let page = billing.customers_with_subscriptions(clock, after, per_call);
            let page = page
                .await
                .map_err(|error| page_error(error.into(), search))?;
            let is_last = page.next.is_none();
            for customer in page.items {
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
            if is_last {
                found.next = None;
                break;
            }
            if found.orgs.len() == search.limit {
                break;
            }
        }
        Ok(found)
    }

    /// The org whose whole name is `text`.
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
            // While all customers are being read for an account without search, the caller's list finds only new ones.
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
    /// Whether the org was found already. If an org has two customers, the newer one counts, as in a look-up.
    fn has(&self, org: &OrgName) -> bool {
        self.orgs.iter().any(|known| known.org == *org)
    }
}

/// The error of a page. It cannot begin after a customer that was deleted.
fn page_error(error: Error, search: &OrgSearch) -> Error {
    match error {
        Error::CustomerVanished { .. } if search.after.is_some() => Error::Invalid(
            "the org after which this page begins is gone: go to the first page".into(),
        ),
        error => error,
    }
}
