//! Thin events, which Stripe delivers without their content, and the event destinations that receive them.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::object::{Object, or_default};
use super::{Billing, Event, WITH_METERS, WebhookEndpoint, Write};
use crate::stripe::Error;

/// The types of the events that report accepted meter events which Stripe could not count.
pub const METER_ERROR_EVENTS: [&str; 2] = [
    "v1.billing.meter.error_report_triggered",
    "v1.billing.meter.no_meter_found",
];

const DESTINATIONS: &str = "/v2/core/event_destinations";

/// The URL of a destination, which Stripe returns only if it is included.
const WITH_URL: &str = "webhook_endpoint.url";

/// A report of meter events that Stripe accepted and then dropped, over some seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterErrors {
    /// `mtr_…`. None: Stripe found no meter.
    pub meter: Option<String>,
    /// Stripe's summary, in English.
    pub summary: String,
    /// How many were dropped.
    pub count: u64,
    /// When the first of them was processed, in Unix seconds.
    pub since: Option<i64>,
    /// Some of them.
    pub samples: Vec<DroppedEvent>,
}

/// A meter event that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedEvent {
    /// Stripe's code for the reason.
    pub code: String,
    /// Stripe's reason.
    pub message: String,
    /// The event's identifier.
    pub identifier: String,
}

#[derive(Deserialize)]
struct ReportEvent {
    #[serde(default)]
    related_object: Option<Object>,
    #[serde(default, deserialize_with = "or_default")]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    developer_message_summary: String,
    validation_start: Option<DateTime<Utc>>,
    reason: Reason,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    error_count: u64,
    error_types: Vec<ErrorType>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorType {
    code: String,
    sample_errors: Vec<SampleError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SampleError {
    error_message: String,
    request: SampleRequest,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SampleRequest {
    identifier: String,
}

impl From<ReportEvent> for MeterErrors {
    fn from(event: ReportEvent) -> Self {
        let Data {
            developer_message_summary: summary,
            validation_start,
            reason,
        } = event.data;
        let samples = reason.error_types.into_iter().flat_map(|kind| {
            let code = kind.code;
            let samples = kind.sample_errors.into_iter();
            samples.map(move |sample| DroppedEvent {
                code: code.clone(),
                message: sample.error_message,
                identifier: sample.request.identifier,
            })
        });
        Self {
            meter: event.related_object.map(|meter| meter.id),
            summary,
            count: reason.error_count,
            since: validation_start.map(|start| start.timestamp()),
            samples: samples.collect(),
        }
    }
}

impl Event {
    /// Whether it reports dropped meter events. [`Billing::meter_errors`] fetches which.
    pub fn reports_meter_errors(&self) -> bool {
        METER_ERROR_EVENTS.contains(&&*self.kind)
    }
}

/// An event destination, which receives thin events.
#[derive(Clone, Debug, Deserialize)]
struct Destination {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    enabled_events: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    webhook_endpoint: WebhookTarget,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WebhookTarget {
    url: Option<String>,
    signing_secret: Option<String>,
}

#[derive(Deserialize)]
struct Destinations {
    data: Vec<DestinationEndpoint>,
}

/// A destination, read as an endpoint without an API version.
#[derive(Deserialize)]
#[serde(from = "Destination")]
struct DestinationEndpoint(WebhookEndpoint);

impl From<Destination> for DestinationEndpoint {
    fn from(destination: Destination) -> Self {
        let WebhookTarget {
            url,
            signing_secret: secret,
        } = destination.webhook_endpoint;
        Self(WebhookEndpoint {
            id: destination.id,
            url: url.unwrap_or_default(),
            status: destination.status,
            api_version: None,
            enabled_events: destination.enabled_events,
            secret,
        })
    }
}

impl Billing<'_> {
    /// The content of an event that [reports meter errors](Event::reports_meter_errors).
    pub async fn meter_errors(self, event: &str) -> Result<MeterErrors, Error> {
        let path = ("/v2/core/events/*", event);
        let event: ReportEvent = self.client.get(WITH_METERS, path).send().await?;
        Ok(event.into())
    }

    /// The destinations that receive the account's meter errors, at most a hundred.
    pub async fn event_destinations(self) -> Result<Vec<WebhookEndpoint>, Error> {
        let request = self.client.get(WITH_METERS, DESTINATIONS);
        let request = request.param("limit", 100).param("include[0]", WITH_URL);
        let all: Destinations = request.send().await?;
        let all = all.data.into_iter().map(|destination| destination.0);
        let reports = |endpoint: &WebhookEndpoint| {
            let mut types = endpoint.enabled_events.iter();
            types.any(|kind| METER_ERROR_EVENTS.contains(&&**kind))
        };
        Ok(all.filter(reports).collect())
    }

    /// Creates a destination at `url` for the account's meter errors.
    pub async fn create_event_destination(self, url: &str) -> Result<WebhookEndpoint, Error> {
        let request = self.client.post(WITH_METERS, DESTINATIONS);
        let mut request = request
            .param("name", "tier")
            .param("description", "meter events that Stripe has dropped")
            .param("type", "webhook_endpoint")
            .param("event_payload", "thin")
            .param("webhook_endpoint[url]", url)
            .param("include[]", WITH_URL)
            .param("include[]", "webhook_endpoint.signing_secret");
        for kind in METER_ERROR_EVENTS {
            request = request.param("enabled_events[]", kind);
        }
        let created: DestinationEndpoint = Write::new(request).send().await?;
        Ok(created.0)
    }

    /// Deletes a destination.
    pub async fn delete_event_destination(self, id: &str) -> Result<(), Error> {
        let path = ("/v2/core/event_destinations/*", id);
        let request = self.client.delete(WITH_METERS, path);
        request.send::<Object>().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: serde_json::Value) -> MeterErrors {
        let event: ReportEvent = serde_json::from_value(text).expect("a report");
        event.into()
    }

    #[test]
    fn a_report_names_some_of_the_dropped_events() {
        let report = read(json!({
            "id": "evt_1", "object": "v2.core.event", "context": null,
            "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
            "data": {
                "developer_message_summary": "There are 7 invalid events",
                "reason": {"error_count": 7, "error_types": [
                    {"code": "archived_meter", "error_count": 7, "sample_errors": [
                        {"error_message": "It is archived.", "request": {"identifier": "si_1:2:3"}},
                        {"error_message": "It is archived.", "request": {"identifier": "si_2:2:3"}},
                    ]},
                ]},
                "validation_start": "2024-09-26T17:46:10.000Z", "validation_end": "2024-09-26T17:46:20.000Z",
            },
        }));
        assert_eq!(report.meter.as_deref(), Some("mtr_1"));
        assert_eq!((report.count, report.since), (7, Some(1_727_372_770)));
        let identifiers = report
            .samples
            .iter()
            .map(|sample| sample.identifier.as_str());
        assert_eq!(identifiers.collect::<Vec<_>>(), ["si_1:2:3", "si_2:2:3"]);
        assert_eq!(report.samples[0].code, "archived_meter");
        let empty = read(json!({"id": "evt_1", "related_object": null, "data": null}));
        assert_eq!((empty.meter, empty.count), (None, 0));
    }
}
