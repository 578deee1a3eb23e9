//! Test clocks: Stripe's way of letting time pass for chosen customers.

use super::{Domain, Result};
use crate::stripe::types::TestClock;

/// What to do with a test clock.
#[derive(Clone, Debug)]
pub enum ClockChange {
    /// Make one that stands at `present` (Unix seconds).
    Create {
        /// For people.
        name: String,
        /// Unix seconds.
        present: i64,
    },
    /// Let time pass until `present` (Unix seconds).
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

const PATH: &str = "/v1/test_helpers/test_clocks";

impl Domain {
    /// Makes or advances a test clock. Stripe advances in the background: poll [`Domain::clock`]
    /// until it is `ready`.
    pub async fn change_clock(&self, change: ClockChange) -> Result<ClockState> {
        let request = match change {
            ClockChange::Create { name, present } => self
                .stripe()
                .post(PATH)
                .param("name", name)
                .param("frozen_time", present),
            ClockChange::Advance { id, present } => {
                let path = format!("{PATH}/{}/advance", super::path_segment(&id));
                self.stripe().post(path).param("frozen_time", present)
            }
        };
        Ok(self.clock_state(request.send().await?))
    }

    /// Where a test clock stands.
    pub async fn clock(&self, id: &str) -> Result<ClockState> {
        Ok(self.clock_state(self.test_clock(id).await?))
    }

    pub(super) async fn test_clock(&self, id: &str) -> Result<TestClock> {
        let path = format!("{PATH}/{}", super::path_segment(id));
        Ok(self.stripe().get(path).send().await?)
    }

    fn clock_state(&self, clock: TestClock) -> ClockState {
        ClockState {
            link: (self.dashboard_page(&format!("test-clocks/{}", clock.id))).unwrap_or_default(),
            id: clock.id,
            present: clock.frozen_time,
            status: clock.status,
        }
    }
}
