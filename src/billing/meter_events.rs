//! Events of meters, and their totals.
//!
//! What the next invoice bills of them is in its preview.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;

use super::meters::{CUSTOMER_KEY, VALUE_KEY};
use super::object::decimal;
use super::{Billing, Done, WITH_METERS, Write};
use crate::stripe::{Error, Page};

/// An event that counts for a customer's items of the price with its meter.
#[derive(Clone, Copy, Debug)]
pub struct MeterEvent<'a> {
    /// The name that the meter listens to.
    pub name: &'a str,
    /// `cus_…`.
    pub customer: &'a str,
    /// Units.
    pub value: i64,
    /// Unix seconds. None: when Stripe receives it.
    pub at: Option<i64>,
    /// Stripe counts one event with this identifier within at least 24 hours.
    pub identifier: &'a str,
}

/// What a meter has counted of a customer in a span of time.
#[derive(Deserialize)]
struct EventSummary {
    #[serde(deserialize_with = "decimal")]
    aggregated_value: Option<Decimal>,
}

impl Billing<'_> {
    /// What a meter has counted of a customer from `start` until before `end`, both the first second of a minute, as far
    /// as Stripe has processed the events.
    pub async fn meter_total(
        self,
        meter: &str,
        customer: &str,
        start: i64,
        end: i64,
    ) -> Result<i64, Error> {
        let path = ("/v1/billing/meters/*/event_summaries", meter);
        let request = self.client.get(WITH_METERS, path);
        let request = request
            .param("customer", customer)
            .param("start_time", start)
            .param("end_time", end);
        let summaries: Page<EventSummary> = request.send().await?;
        let totals = summaries.data.iter();
        let total: Decimal = totals.filter_map(|one| one.aggregated_value).sum();
        Ok(total.to_i64().unwrap_or(i64::MAX))
    }

    /// Reports an event. Stripe processes it later, and may drop it then.
    pub fn report_event(self, event: &MeterEvent<'_>) -> Write<Done> {
        let request = self
            .client
            .post(WITH_METERS, "/v1/billing/meter_events")
            .param("event_name", event.name)
            .param(format!("payload[{CUSTOMER_KEY}]"), event.customer)
            .param(format!("payload[{VALUE_KEY}]"), event.value)
            .param_some("timestamp", event.at)
            .param("identifier", event.identifier);
        Write::new(request)
    }

    /// Whether an event was sent with that idempotency key in the last 24 hours, whatever came of it. The call has no
    /// payload, so that Stripe refuses it in any case: as one that is not the first with its key, or else as incomplete.
    pub async fn is_event_sent(self, key: String) -> Result<bool, Error> {
        let request = self
            .client
            .post(WITH_METERS, "/v1/billing/meter_events")
            .param("event_name", "unknown");
        let refused = Write::<Done>::new(request)
            .key(key)
            .send_detecting_replay()
            .await;
        match refused {
            Err(error) if error.is_idempotency_conflict() => Ok(true),
            Err(error) if !error.is_invalid_request() => Err(error),
            Err(_) | Ok(_) => Ok(false),
        }
    }
}
