//! Usage that is recorded in a [ledger](crate::ledger): reports, checks, and delivery to Stripe.
//!
//! With a ledger, a report is acknowledged once it is on disk. A sender delivers the totals to Stripe ([`deliver`]),
//! and a change of plan waits until Stripe has all earlier usage ([`change`]).

mod accept;
mod change;
mod deliver;
mod dropped;
mod figures;
mod history;
mod maintain;
mod on_meters;
mod open;
mod parked;
mod reserve;
mod settle;
mod target;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::refs::OrgName;
use super::{Domain, Error, Result};
use crate::ledger::store::read::Reader;
use crate::ledger::values::{Org, Time};
use crate::ledger::{
    Ledger, Location, Now, Readers, Replicas, Store, StoreError, Unavailable, Unclaimed, Writer,
};

pub use accept::OrgReport;
pub(super) use change::MovedLevel;
pub use deliver::DeliveryCounts;
pub(super) use dropped::AppliedReports;
pub use history::{UsageBy, UsageQuery, UsageSpan};
use maintain::Postponed;
pub use parked::{ParkedDecision, ParkedUsage};
pub use reserve::{GrantedReservation, ReservationOutcome, ReservationRequest};

/// Settings of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSettings {
    /// How long a changed total waits for further reports before it is delivered.
    pub deliver_after: Duration,
    /// How long the entries of settled periods are kept before they are compacted.
    pub keep: Duration,
    /// The maximum number of connections for reading, if the ledger is in a database.
    pub connections: usize,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            deliver_after: Duration::from_secs(30),
            keep: Duration::from_secs(400 * 24 * 60 * 60),
            connections: 4,
        }
    }
}

/// The ledger of an account, which may not be open yet. Clones share it. It is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct LedgerHandle(Arc<State>);

#[derive(Debug)]
struct State {
    readers: Readers,
    settings: LedgerSettings,
    replicas: Replicas,
    /// The unopened ledger, until its account has been checked.
    unclaimed: Mutex<Option<Unclaimed>>,
    opened: OnceLock<Ledger>,
    writer: Mutex<Option<Writer>>,
    postponed: Postponed,
}

impl LedgerHandle {
    /// The ledger at `location`. A file is created if it does not exist. No report is accepted until
    /// [`Domain::open_ledger`] has opened it.
    ///
    /// # Errors
    /// If the file is not a ledger, is in use by another process, or is not writable.
    pub fn new(
        location: impl Into<Location>,
        settings: LedgerSettings,
    ) -> Result<Self, StoreError> {
        let location = location.into();
        let unclaimed = location.open()?;
        Ok(Self(Arc::new(State {
            replicas: location.replicas(),
            readers: location.readers(settings.connections),
            settings,
            unclaimed: Mutex::new(Some(unclaimed)),
            opened: OnceLock::new(),
            writer: Mutex::new(None),
            postponed: Postponed::default(),
        })))
    }

    /// The ledger in a store that is already open. Readers open the file at `path`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_store(
        store: impl Store + 'static,
        path: PathBuf,
        settings: LedgerSettings,
    ) -> Result<Self, StoreError> {
        let (ledger, writer) = Ledger::start(store)?;
        Ok(Self(Arc::new(State {
            readers: Readers::File(path),
            settings,
            replicas: Replicas::default(),
            unclaimed: Mutex::default(),
            opened: OnceLock::from(ledger),
            writer: Mutex::new(Some(writer)),
            postponed: Postponed::default(),
        })))
    }

    /// The ledger, once it is open.
    pub fn opened(&self) -> Result<&Ledger> {
        let opened = self.0.opened.get();
        opened.ok_or_else(|| {
            let reason = "its account is not confirmed yet, because Stripe could not be reached";
            Error::LedgerUnavailable(reason.to_owned())
        })
    }

    /// Runs `query` on a thread that may block.
    pub(in crate::domain) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        Ok(self.0.readers.read(query).await?)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        drop(self.opened.take());
        let writer = self.writer.get_mut();
        if let Some(writer) = writer.unwrap_or_else(PoisonError::into_inner).take() {
            writer.join();
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::LedgerUnavailable(error.to_string())
    }
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::LedgerUnavailable(match &error {
            Unavailable::Store(cause) => format!("{error}: {cause}"),
            Unavailable::Busy | Unavailable::Closed => error.to_string(),
        })
    }
}

impl Domain {
    /// Whether usage is recorded in a ledger.
    pub fn has_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// Whether the ledger is open.
    pub fn has_open_ledger(&self) -> bool {
        self.opened_ledger().is_some()
    }

    /// The ledger of this account, if usage is recorded in one.
    pub(super) fn ledger(&self) -> Option<&LedgerHandle> {
        self.ledger.as_ref()
    }

    /// The ledger of this account, if it is open.
    pub(super) fn opened_ledger(&self) -> Option<&Ledger> {
        self.ledger()?.0.opened.get()
    }

    /// The current time of this request's orgs. If servers share the ledger, it is the database's time.
    async fn ledger_time(&self) -> Result<Time> {
        Ok(match &self.test_clock {
            None => {
                let shared = self.opened_ledger().and_then(Ledger::shared_time);
                shared.unwrap_or_else(|| Time::from_millis(self.account.clock.millis()))
            }
            Some(_) => Time::from_seconds(self.now().await?),
        })
    }

    /// A [time](Self::ledger_time) of this request's orgs, labelled with its clock.
    fn by_clock(&self, now: Time) -> Now {
        match &self.test_clock {
            None => Now::Process(now),
            Some(_) => Now::TestClock(now),
        }
    }
}

/// The ledger's name of an org.
fn org_in_ledger(org: &OrgName) -> Org {
    org.as_str().into()
}
