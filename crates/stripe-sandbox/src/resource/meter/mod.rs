//! Billing meters: they define which meter events count as usage, and how they are aggregated. Since 2025, they replace
//! usage records.

pub(crate) mod input;
pub(crate) mod routes;
mod summaries;

use serde_json::{Value, json};

use crate::error::Error;
use crate::money::metering::{Formula, Window};
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

pub(crate) const NAME: &str = "meter";

pub(crate) const URL: &str = "/v1/billing/meters";

/// A meter. After creation, only its name and status change.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) id: Id,
    created: i64,
    updated: i64,
    display_name: String,
    pub(crate) event_name: String,
    pub(crate) formula: Formula,
    pub(crate) window: Option<Window>,
    /// The key of the customer's id in an event's payload.
    pub(crate) customer_key: String,
    /// The key of the value in an event's payload.
    pub(crate) value_key: String,
    deactivated_at: Option<i64>,
}

impl Row for Meter {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Meter {
    /// Whether it takes events, and may be used in new prices.
    pub(crate) fn is_active(&self) -> bool {
        self.deactivated_at.is_none()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "billing.meter",
            "created": self.created,
            "customer_mapping": {"event_payload_key": self.customer_key, "type": "by_id"},
            "default_aggregation": {"formula": self.formula.as_str()},
            "display_name": self.display_name,
            "event_name": self.event_name,
            "event_time_window": self.window.map(Window::as_str),
            "livemode": false,
            "status": if self.is_active() { "active" } else { "inactive" },
            "status_transitions": {"deactivated_at": self.deactivated_at},
            "updated": self.updated,
            "value_settings": {"event_payload_key": self.value_key},
        })
    }
}

/// The active meter of an event name.
pub(crate) fn of_event<'a>(meters: &'a Table<Meter>, event_name: &str) -> Option<&'a Meter> {
    let mut meters = meters.iter();
    meters.find(|meter| meter.is_active() && meter.event_name == event_name)
}

/// The error for a metered price without a meter, in the versions that need one.
pub(crate) fn required() -> Error {
    Error::invalid(
        "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters.",
    )
}
