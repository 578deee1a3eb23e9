//! Test clocks.

use serde::Deserialize;

use super::object::identified;
use super::words::words;
use super::{Billing, Write};
use crate::stripe::Error;

const CLOCKS: &str = "/v1/test_helpers/test_clocks";
const CLOCK: &str = "/v1/test_helpers/test_clocks/*";

/// A test clock.
#[derive(Clone, Debug, Deserialize)]
pub struct TestClock {
    /// `clock_…`.
    pub id: String,
    /// Unix seconds.
    pub frozen_time: i64,
    /// Whether it stands still.
    pub status: ClockStatus,
}

words! {
    /// What a test clock does.
    ClockStatus {
        /// It stands still.
        Ready = "ready",
        /// Time passes.
        Advancing = "advancing",
        /// It is of no use any more.
        InternalFailure = "internal_failure",
    }
}

identified!(TestClock);

impl Billing<'_> {
    /// Where a test clock stands.
    pub async fn test_clock(self, id: &str) -> Result<TestClock, Error> {
        self.get((CLOCK, id)).send().await
    }

    /// All test clocks, newest first.
    pub async fn test_clocks(self) -> Result<Vec<TestClock>, Error> {
        self.get(CLOCKS).list().await
    }

    /// Makes a test clock that stands at `time`, in Unix seconds.
    pub fn create_test_clock(self, name: &str, time: i64) -> Write<TestClock> {
        let request = self.post(CLOCKS).param("name", name);
        Write::new(request.param("frozen_time", time))
    }

    /// Lets time pass until `time`, in Unix seconds.
    pub fn advance_test_clock(self, id: &str, time: i64) -> Write<TestClock> {
        let path = ("/v1/test_helpers/test_clocks/*/advance", id);
        Write::new(self.post(path).param("frozen_time", time))
    }
}
