//! Billing meters, which count the usage of metered prices.

use serde::Deserialize;

use super::object::{identified, or_default};
use super::string_enum::string_enum;
use super::{Billing, WITH_METERS, Write};
use crate::stripe::Error;

const METERS: &str = "/v1/billing/meters";

/// The keys in the payload of an event. They are Stripe's defaults.
pub(super) const CUSTOMER_KEY: &str = "stripe_customer_id";
pub(super) const VALUE_KEY: &str = "value";

/// A billing meter. Only its display name can be changed.
#[derive(Clone, Debug, Deserialize)]
pub struct Meter {
    /// `mtr_…`.
    pub id: String,
    /// The name of its events, unique among active meters.
    pub event_name: String,
    #[serde(default, deserialize_with = "or_default")]
    default_aggregation: Aggregation,
    #[serde(default, deserialize_with = "or_default")]
    customer_mapping: PayloadKey,
    #[serde(default, deserialize_with = "or_default")]
    value_settings: PayloadKey,
    /// `hour` or `day`, if it counts only the last event in each.
    #[serde(default)]
    event_time_window: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Aggregation {
    #[serde(default)]
    formula: Formula,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct PayloadKey {
    #[serde(default)]
    event_payload_key: String,
}

string_enum! {
    /// How the events of a period are aggregated.
    Formula {
        /// The sum of their values.
        Sum = "sum",
        /// The value of the last one.
        Last = "last",
    }
}

identified!(Meter);

/// A meter to create.
#[derive(Clone, Copy, Debug)]
pub struct NewMeter<'a> {
    /// The name of its events, of at most 100 characters.
    pub event_name: &'a str,
    /// The display name, of at most 250 characters.
    pub display_name: &'a str,
    /// How the events of a period are aggregated.
    pub formula: &'a Formula,
}

impl Meter {
    /// Whether it counts events as a [new meter](NewMeter) with `formula` does.
    pub fn counts_with(&self, formula: &Formula) -> bool {
        self.default_aggregation.formula == *formula
            && self.customer_mapping.event_payload_key == CUSTOMER_KEY
            && self.value_settings.event_payload_key == VALUE_KEY
            && self.event_time_window.is_none()
    }
}

impl Billing<'_> {
    /// All active meters, newest first. Stripe cannot find one by its event name.
    pub async fn active_meters(self) -> Result<Vec<Meter>, Error> {
        let request = self.client.get(WITH_METERS, METERS);
        request.param("status", "active").list().await
    }

    /// A meter.
    pub async fn meter(self, id: &str) -> Result<Meter, Error> {
        let path = ("/v1/billing/meters/*", id);
        self.client.get(WITH_METERS, path).send().await
    }

    /// Creates a meter. Stripe refuses it if an active one has its event name.
    pub fn create_meter(self, new: NewMeter<'_>) -> Write<Meter> {
        let request = self.client.post(WITH_METERS, METERS);
        let request = request
            .param("display_name", new.display_name)
            .param("event_name", new.event_name)
            .param("default_aggregation[formula]", new.formula.as_str())
            .param("customer_mapping[type]", "by_id")
            .param("customer_mapping[event_payload_key]", CUSTOMER_KEY)
            .param("value_settings[event_payload_key]", VALUE_KEY);
        Write::new(request)
    }
}
