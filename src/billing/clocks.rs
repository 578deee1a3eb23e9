//! Test clocks.

use serde::Deserialize;

use super::object::identified;
use super::string_enum::string_enum;
use super::{Billing, Write};
use crate::stripe::Error;

const CLOCKS: &str = "/v1/test_helpers/test_clocks";
const CLOCK: &str = "/v1/test_helpers/test_clocks/*";

/// A test clock.
#[derive(Clone, Debug, Deserialize)]
pub struct TestClock {
    /// `clock_…`.
    pub id: String,
    /// The time that it shows, in Unix seconds.
    pub frozen_time: i64,
    /// Whether it is advancing.
    pub status: ClockStatus,
}

string_enum! {
    /// The status of a test clock.
    ClockStatus {
        /// It is not advancing.
        Ready = "ready",
        /// It is advancing.
        Advancing = "advancing",
        /// It failed, and cannot be used any more.
        InternalFailure = "internal_failure",
    }
}

identified!(TestClock);

impl Billing<'_> {
    /// A test clock.
    pub async fn test_clock(self, id: &str) -> Result<TestClock, Error> {
        self.get((CLOCK, id)).send().await
    }

    /// All test clocks, newest first.
    pub async fn test_clocks(self) -> Result<Vec<TestClock>, Error> {
        self.get(CLOCKS).list().await
    }

    /// Creates a test clock that shows `time`, in Unix seconds.
    pub fn create_test_clock(self, name: &str, time: i64) -> Write<TestClock> {
        let request = self.post(CLOCKS).param("name", name);
        Write::new(request.param("frozen_time", time))
    }

    /// Advances a test clock to `time`, in Unix seconds.
    pub fn advance_test_clock(self, id: &str, time: i64) -> Write<TestClock> {
        let path = ("/v1/test_helpers/test_clocks/*/advance", id);
        Write::new(self.post(path).param("frozen_time", time))
    }
}
