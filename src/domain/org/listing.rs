//! Lists all orgs of an account for which Stripe does not support search, in the background and page by page.
//!
//! Each page is kept, so an interrupted listing resumes where it stopped. Once all customers were read, only new ones
//! are listed. Search is tried again after a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ORG;
use crate::billing::Customer;
use crate::domain::identity::SharedState;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Lane, Result};
use crate::stripe;

/// How long until search is tried again.
const SEARCH_AGAIN: Duration = Duration::from_secs(10 * 60);

/// How far new customers are listed before the newest known one, in seconds: customers of the same second may appear in
/// the list at different times.
const OVERLAP: i64 = 5;

#[derive(Default)]
pub(super) struct Listing {
    state: Mutex<State>,
    /// Counts pages and interruptions.
    steps: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// When search is tried again.
    until: Option<Instant>,
    /// When each org's newest customer was created (Unix seconds), and its id.
    orgs: HashMap<OrgName, (i64, Arc<str>)>,
    /// The last customer that was read. The next page begins after it.
    last: Option<String>,
    /// When the newest customer that was read was created, in Unix seconds.
    newest: i64,
    /// Whether all customers that existed at the start of reading were read.
    is_complete: bool,
    is_reading: bool,
    reader: JoinSet<()>,
    /// Why reading was interrupted.
    failure: Option<Error>,
}

impl Listing {
    /// Whether orgs are looked up here instead of by search.
    pub(super) fn is_in_use(&self) -> bool {
        self.state()
            .until
            .is_some_and(|until| Instant::now() < until)
    }

    /// Notes that Stripe refused to search, so that search is not tried again for a while.
    pub(super) fn begin(&self, error: &stripe::Error) {
        let until = Instant::now() + SEARCH_AGAIN;
        if self.state().until.replace(until).is_none() {
            tracing::warn!(%error, "Stripe does not support search for this account: all customers are listed instead");
        }
    }

    /// Removes an org's customer, after Stripe reported that it was deleted.
    pub(super) fn forget(&self, org: &OrgName) {
        self.state().orgs.remove(org);
    }

    /// A watch for progress from now on.
    pub(super) fn progress(&self) -> Progress {
        Progress(self.steps.subscribe())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller has to start a reader. Notes that it does.
    fn start_reading(&self) -> bool {
        let mut state = self.state();
        let starts = !state.is_reading && !state.is_complete;
        state.is_reading |= starts;
        starts
    }

    fn end_reading(&self, failure: Option<Error>) {
        let mut state = self.state();
        state.is_reading = false;
        state.failure = failure;
        drop(state);
        self.steps.send_modify(|steps| *steps += 1);
    }
}

impl State {
    fn keep(&mut self, customers: Vec<Customer>) {
        for customer in customers {
            self.newest = self.newest.max(customer.created);
            let Some(Ok(org)) = customer.metadata.get(ORG).map(|name| name.parse()) else {
                continue;
            };
            let known = self.orgs.get(&org);
            if known.is_none_or(|(created, _)| *created <= customer.created) {
                self.orgs
                    .insert(org, (customer.created, customer.id.into()));
            }
        }
    }
}

/// Watches the progress of a listing.
pub(super) struct Progress(watch::Receiver<u64>);

impl Progress {
    /// Waits until another page was read, or reading was interrupted.
    pub(super) async fn wait(mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A running reader. However it ends, the next look-up may start another one.
struct Reading<'a>(&'a Listing, Option<Error>);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.end_reading(self.1.take());
    }
}

impl Domain {
    /// Looks up an org among all customers.
    ///
    /// # Errors
    /// [`Error::Listing`] while they are being read, or the error that interrupted reading.
    pub(super) async fn find_listed(
        &self,
        shared: &Arc<SharedState>,
        org: &OrgName,
    ) -> Result<Option<Arc<str>>> {
        let listing = &shared.orgs.listing;
        if let Some((_, id)) = listing.state().orgs.get(org) {
            return Ok(Some(id.clone()));
        }
        if let Some(failure) = listing.state().failure.take() {
            return Err(failure);
        }
        if listing.start_reading() {
            let (domain, shared) = (self.in_background(Lane::Bulk), shared.clone());
            let mut state = listing.state();
            // The previous reader has ended.
            state.reader = JoinSet::new();
            state.reader.spawn(async move {
                let listing = &shared.orgs.listing;
                let mut reading = Reading(listing, None);
                reading.1 = domain.read_rest(listing).await.err();
            });
        }
        let since = {
            let state = listing.state();
            if !state.is_complete {
                return Err(Error::Listing {
                    read: state.orgs.len(),
                });
            }
            state.newest - OVERLAP
        };
        let new = self.billing().customers_since(since).await?;
        let mut state = listing.state();
        state.keep(new);
        Ok(state.orgs.get(org).map(|(_, id)| id.clone()))
    }

    /// Reads the rest of the list.
    async fn read_rest(&self, listing: &Listing) -> Result<()> {
        loop {
            let last = listing.state().last.clone();
            let page = match self.billing().customers_after(last.as_deref()).await {
                Ok(page) => page,
                // The last customer was deleted, so the list starts again from the beginning.
                Err(error)
                    if error
                        .api()
                        .is_some_and(stripe::ApiError::is_customer_missing) =>
                {
                    listing.state().last = None;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mut state = listing.state();
            state.is_complete = page.next.is_none();
            state.last = page.next;
            state.keep(page.items);
            let is_complete = state.is_complete;
            drop(state);
            listing.steps.send_modify(|steps| *steps += 1);
            if is_complete {
                return Ok(());
            }
        }
    }
}
