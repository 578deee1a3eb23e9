//! Meter events, and their totals. What the next invoice bills of them is in [its preview](super::previews).

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;

use super::meters::{CUSTOMER_KEY, VALUE_KEY};
use super::object::decimal;
use super::{Ack, Billing, WITH_METERS, Write};
use crate::stripe::{Error, Page};

/// An event that counts for a customer's items of the price with its meter.
#[derive(Clone, Copy, Debug)]
pub struct MeterEvent<'a> {
    /// The meter's event name.
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

/// What a meter has counted for a customer in a period.
#[derive(Deserialize)]
struct EventSummary {
    #[serde(deserialize_with = "decimal")]
    aggregated_value: Option<Decimal>,
}

impl Billing<'_> {
    /// What a meter has counted for a customer from `start` (inclusive) to `end` (exclusive), in Unix seconds at full
    /// minutes, from the events that Stripe has processed.
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
        let total: Decimal = totals.filter_map(|summary| summary.aggregated_value).sum();
        Ok(total.to_i64().unwrap_or(i64::MAX))
    }

    /// Reports an event. Stripe processes it later, and may drop it then.
    pub fn report_event(self, event: &MeterEvent<'_>) -> Write<Ack> {
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

    /// Whether an event was sent with this idempotency key in the last 24 hours, accepted or not. The call has no
    /// payload, so Stripe always refuses it: because of the key if that was used, or else as incomplete.
    pub async fn is_event_sent(self, key: String) -> Result<bool, Error> {
        let request = self
            .client
            .post(WITH_METERS, "/v1/billing/meter_events")
            .param("event_name", "unknown");
        let refused = Write::<Ack>::new(request)
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
