//! Stripe's test clocks, which simulate time for their customers.

use super::org::newest_customer;
use super::refs::OrgName;
use super::{Domain, Error, Result};
use crate::billing::TestClock;

/// How far the clock of a client that sends times may differ from the server's, in seconds.
pub(super) const CLOCK_SKEW: i64 = 60;

/// A change of a test clock.
#[derive(Clone, Debug)]
pub enum ClockChange {
    /// Create one with the time `present` (Unix seconds).
    Create {
        /// A name for display.
        name: String,
        /// Unix seconds.
        present: i64,
    },
    /// Advance to `present` (Unix seconds).
    Advance {
        /// `clock_…`.
        id: String,
        /// Unix seconds.
        present: i64,
    },
}

/// A test clock as clients see it.
#[derive(Clone, Debug)]
pub struct ClockState {
    /// `clock_…`.
    pub id: String,
    /// Its page in Stripe's dashboard; empty if it has none.
    pub link: String,
    /// Unix seconds.
    pub present: i64,
    /// `ready`, `advancing` or `internal_failure`.
    pub status: String,
}

impl Domain {
    /// Creates or advances a test clock. Stripe advances it in the background: poll [`Domain::clock`] until it is
    /// `ready`.
    pub async fn change_clock(&self, change: ClockChange) -> Result<ClockState> {
        let write = match &change {
            ClockChange::Create { name, present } => {
                self.billing().create_test_clock(name, *present)
            }
            ClockChange::Advance { id, present } => self.billing().advance_test_clock(id, *present),
        };
        Ok(self.clock_state(write.send().await?))
    }

    /// The state of a test clock.
    pub async fn clock(&self, id: &str) -> Result<ClockState> {
        Ok(self.clock_state(self.test_clock(id).await?))
    }

    /// The test clock of an org; the newest clock if there are several.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the org has none, or [`Error::OrgNotFound`] if there is no such org.
    pub async fn clock_of(&self, org: &OrgName) -> Result<ClockState> {
        for clock in self.billing().test_clocks().await? {
            let customers = self.billing().customers_on(&clock.id).await?;
            if newest_customer(&customers, org).is_some() {
                return Ok(self.clock_state(clock));
            }
        }
        self.whois(org).await?;
        Err(Error::Invalid(format!(
            "{org} is not on a test clock: an org is put on one when it is made, by the header Tier-Clock or the command \
             line's --clock"
        )))
    }

    pub(super) async fn test_clock(&self, id: &str) -> Result<TestClock> {
        Ok(self.billing().test_clock(id).await?)
    }

    fn clock_state(&self, clock: TestClock) -> ClockState {
        ClockState {
            link: (self.dashboard_page(&format!("test-clocks/{}", clock.id))).unwrap_or_default(),
            id: clock.id,
            present: clock.frozen_time,
            status: clock.status.as_str().to_owned(),
        }
    }
}
