//! Test clocks: time for a few customers that stands still until it is advanced.

pub(crate) mod routes;

use serde_json::{Value, json};

use crate::store::ids::Id;
use crate::store::table::Row;

const WHAT: &str = "test clock";

const DAY: i64 = 24 * 60 * 60;

/// How many customers Stripe allows on one clock.
pub(crate) const MAX_CUSTOMERS: usize = 3;

/// How many subscriptions Stripe allows for each of them; the sandbox does not count those that have ended.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 3;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct TestClock {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// The clock's time, in seconds.
    pub(crate) frozen_time: i64,
    pub(crate) name: Option<String>,
    /// Those that were created on the clock and are still there, oldest first.
    pub(crate) customers: Vec<Id>,
}

impl Row for TestClock {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl TestClock {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "test_helpers.test_clock",
            "created": self.created,
            "deletes_after": self.created + 30 * DAY,
            "frozen_time": self.frozen_time,
            "livemode": false,
            "name": self.name,
            "status": "ready",
        })
    }
}
