//! Thin events: they are sent without data, which clients fetch by the event's id.
//!
//! A meter reports the events that it drops: one thin event for each window of ten seconds with dropped events, at the
//! end of the window. (`v1.billing.meter.no_meter_found` is never sent: only streams and files, which are not modelled,
//! accept events of unknown meters.)

pub(crate) mod routes;

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::json::rfc3339;
use super::meter;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

/// The type of a meter's report.
const METER_ERRORS: &str = "v1.billing.meter.error_report_triggered";

/// The type of the event that tests a destination.
const PING: &str = "v2.core.event_destination.ping";

/// The types that destinations can enable.
pub(crate) const KINDS: [&str; 3] = [METER_ERRORS, "v1.billing.meter.no_meter_found", PING];

/// How long Stripe keeps events: 30 days, in milliseconds.
const KEPT_FOR: i64 = 30 * 24 * 60 * 60 * 1000;

/// The maximum number of events per account, which bounds the memory of large tests.
const MAX_KEPT: usize = 10_000;

/// The length of a report's window, in milliseconds.
const WINDOW: i64 = 10_000;

/// The maximum number of samples for each error code of a report. Stripe does not document its number.
const MAX_SAMPLES: usize = 5;

/// A thin event.
#[derive(Debug)]
pub(crate) struct ThinEvent {
    pub(crate) id: Id,
    pub(crate) kind: &'static str,
    /// When it happens, in milliseconds. It cannot be fetched before.
    pub(crate) created: i64,
    related: Related,
    errors: Option<MeterErrors>,
}

/// The object that an event is about.
#[derive(Debug)]
struct Related {
    id: Id,
    object: &'static str,
    url: String,
}

/// Why a meter drops an event.
#[derive(Clone, Debug)]
pub(crate) struct DropReason {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// The events that a meter has dropped in a window.
#[derive(Debug)]
pub(crate) struct MeterErrors {
    start: i64,
    kinds: Vec<ErrorKind>,
}

#[derive(Debug)]
struct ErrorKind {
    code: &'static str,
    count: usize,
    /// Identifiers and messages.
    samples: Vec<(Box<str>, String)>,
}

impl Row for ThinEvent {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl ThinEvent {
    /// The report of a meter.
    pub(crate) fn of_meter(id: Id, meter: &Id, errors: MeterErrors) -> Self {
        Self {
            id,
            kind: METER_ERRORS,
            created: errors.start + WINDOW,
            related: Related {
                id: meter.clone(),
                object: "billing.meter",
                url: format!("{}/{meter}", meter::URL),
            },
            errors: Some(errors),
        }
    }

    /// The event that tests a destination. `created` is in milliseconds.
    pub(crate) fn ping(id: Id, destination: &Id, url: &str, created: i64) -> Self {
        Self {
            id,
            kind: PING,
            created,
            related: Related {
                id: destination.clone(),
                object: "v2.core.event_destination",
                url: format!("{url}/{destination}"),
            },
            errors: None,
        }
    }

    /// The JSON that is sent.
    pub(crate) fn notification(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "v2.core.event",
            "created": rfc3339(self.created),
            "livemode": false,
            "related_object": {
                "id": &*self.related.id,
                "type": self.related.object,
                "url": self.related.url,
            },
            "type": self.kind,
        })
    }

    /// The JSON that clients fetch.
    pub(crate) fn to_json(&self) -> Value {
        let mut event = self.notification();
        if let Some(errors) = &self.errors {
            event["data"] = errors.to_json();
        }
        event
    }

    pub(crate) fn is_about(&self, object: &str) -> bool {
        &*self.related.id == object
    }
}

impl MeterErrors {
    /// The window that contains a time, without errors yet.
    pub(crate) fn at(millis: i64) -> Self {
        Self {
            start: millis - millis.rem_euclid(WINDOW),
            kinds: Vec::new(),
        }
    }

    /// Adds a dropped event.
    pub(crate) fn add(&mut self, identifier: &str, invalid: DropReason) {
        let known = self.kinds.iter().position(|kind| kind.code == invalid.code);
        let index = known.unwrap_or_else(|| {
            self.kinds.push(ErrorKind {
                code: invalid.code,
                count: 0,
                samples: Vec::new(),
            });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[index];
        kind.count += 1;
        if kind.samples.len() < MAX_SAMPLES {
            kind.samples.push((identifier.into(), invalid.message));
        }
    }

    fn to_json(&self) -> Value {
        let count: usize = self.kinds.iter().map(|kind| kind.count).sum();
        let summary = match count {
            1 => "There is 1 invalid event".to_owned(),
            count => format!("There are {count} invalid events"),
        };
        let kinds = self.kinds.iter().map(ErrorKind::to_json);
        json!({
            "developer_message_summary": summary,
            "reason": {"error_count": count, "error_types": kinds.collect::<Vec<_>>()},
            "validation_end": rfc3339(self.start + WINDOW),
            "validation_start": rfc3339(self.start),
        })
    }
}

impl ErrorKind {
    fn to_json(&self) -> Value {
        let samples = self.samples.iter().map(|(identifier, message)| {
            json!({"error_message": message, "request": {"identifier": identifier}})
        });
        json!({
            "code": self.code,
            "error_count": self.count,
            "sample_errors": samples.collect::<Vec<_>>(),
        })
    }
}

/// An account's thin events.
#[derive(Debug, Default)]
pub(crate) struct ThinEvents {
    pub(crate) table: Table<ThinEvent>,
    order: VecDeque<Id>,
}

impl ThinEvents {
    /// Adds an event and deletes those that are too old.
    pub(crate) fn add(&mut self, event: ThinEvent, now: i64) {
        self.order.push_back(event.id.clone());
        self.table.insert(event);
        while let Some(oldest) = self.order.front()
            && (self.order.len() > MAX_KEPT || !self.is_kept(oldest, now))
        {
            self.table.remove(oldest);
            self.order.pop_front();
        }
    }

    fn is_kept(&self, id: &str, now: i64) -> bool {
        let event = self.table.get(id);
        event.is_some_and(|event| now - event.created <= KEPT_FOR)
    }

    /// The errors of a meter's report for a time, if there are any yet.
    pub(crate) fn report_at(&mut self, meter: &Id, millis: i64) -> Option<&mut MeterErrors> {
        let start = millis - millis.rem_euclid(WINDOW);
        let newest = self.order.iter().rev();
        let id = newest
            .filter_map(|id| self.table.get(id))
            .find(|event| {
                let errors = event.errors.as_ref();
                event.is_about(meter) && errors.is_some_and(|errors| errors.start == start)
            })
            .map(|event| event.id.clone())?;
        self.table.get_mut(&id)?.errors.as_mut()
    }
}
