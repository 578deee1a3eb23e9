//! Test clocks: a separate time for a few customers, which stands still until it is advanced.

pub(crate) mod routes;

use serde_json::{Value, json};

use crate::store::ids::Id;
use crate::store::table::Row;

const NAME: &str = "test clock";

const DAY: i64 = 24 * 60 * 60;

/// How far a clock without subscriptions may be advanced at a time, in seconds: two years.
pub(crate) const MAX_WITHOUT_SUBSCRIPTIONS: i64 = 2 * 366 * DAY;

/// Stripe's limit of customers on a clock.
pub(crate) const MAX_CUSTOMERS: usize = 3;

/// Stripe's limit of subscriptions for each of these customers. The sandbox does not count ended ones.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 3;

/// A test clock.
#[derive(Debug)]
pub(crate) struct TestClock {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// The clock's time, in seconds.
    pub(crate) frozen_time: i64,
    pub(crate) name: Option<String>,
    /// The customers that were created on the clock and still exist, oldest first.
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
