//! The context of a handler: the account, the time, the call's settings, and whether the customer is present.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::account::Account;
use super::ids::Id;
use crate::resource::event::Event;
use crate::resource::payment_method::card::Presence;
use crate::resource::thin_event::ThinEvent;
use crate::resource::webhook_endpoint::{Destination, Outgoing};
use crate::version::ApiVersion;

/// The context of a handler.
#[derive(Debug)]
pub(crate) struct Ctx<'a> {
    pub(crate) account: &'a mut Account,
    /// The account's time, in seconds. A customer's time may differ, see [`time_of`](Self::time_of).
    pub(crate) now: i64,
    /// The same in milliseconds, for the lags of the search index and of meter events.
    pub(crate) now_millis: i64,
    /// The values of the path parameters, in order.
    pub(crate) args: Vec<String>,
    pub(crate) settings: CallSettings,
    /// Whether the customer is present for a payment of the call. Customers are absent when a renewal or a schedule
    /// charges them.
    pub(crate) presence: Presence,
    /// `payment_behavior=default_incomplete`: amounts due wait for the customer's confirmation.
    pub(crate) awaits_confirmation: bool,
}

/// The settings of a call: its request, version, and the sandbox's options that handlers need.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallSettings {
    pub(crate) request_id: Option<Id>,
    pub(crate) idempotency_key: Option<String>,
    /// The version of the call.
    pub(crate) version: ApiVersion,
    /// The account's default version, in which events are recorded.
    pub(crate) default_version: ApiVersion,
    /// The URL of the sandbox, without a slash at the end.
    pub(crate) public_url: String,
    /// How long the search index lags, in milliseconds.
    pub(crate) search_lag: i64,
    /// How long it takes until a meter event is processed, in milliseconds.
    pub(crate) meter_lag: i64,
    /// Whether metered prices without a meter are refused in every version.
    pub(crate) meters_only: bool,
    /// Whether a last invoice that only credits unused time becomes uncollectible.
    pub(crate) loses_last_credit: bool,
    /// How long renewals and the first invoices of schedules stay drafts, in seconds.
    pub(crate) invoice_draft: i64,
}

impl CallSettings {
    /// The settings for the effects of time: without a request, and in the account's version.
    pub(crate) fn without_request(&self) -> Self {
        Self {
            request_id: None,
            idempotency_key: None,
            version: self.default_version,
            ..self.clone()
        }
    }

    /// The URL of the page about an invoice.
    pub(crate) fn invoice_url(&self, invoice: &Id) -> String {
        format!("{}/invoices/{invoice}", self.public_url)
    }

    /// The URL where an intent's customer authenticates.
    pub(crate) fn authentication_url(&self, intent: &Id) -> String {
        format!("{}/c/authenticate/{intent}", self.public_url)
    }
}

impl Ctx<'_> {
    /// The n-th path parameter. Routes and handlers agree on their number.
    pub(crate) fn arg(&self, index: usize) -> String {
        self.args.get(index).cloned().unwrap_or_default()
    }

    /// Whether the call's version has meters and discounts instead of usage records and coupons.
    pub(crate) fn has_meters(&self) -> bool {
        self.settings.version.has_meters()
    }

    /// The customer's time.
    pub(crate) fn time_of(&self, customer: &str) -> i64 {
        self.account.time_of(customer, self.now)
    }

    /// Records an event at `at` with `object`, the JSON of the API.
    pub(crate) fn event(&mut self, kind: &'static str, object: &Value, at: i64) {
        record(self, kind, (object, None), at);
    }

    /// Like [`event`](Self::event), with the former values of the changed fields.
    pub(crate) fn update_event(
        &mut self,
        kind: &'static str,
        before: &Value,
        after: &Value,
        at: i64,
    ) {
        record(self, kind, (after, Some(before)), at);
    }

    /// Records a thin event, and sends it to these destinations when it happens.
    pub(crate) fn thin_event(&mut self, event: ThinEvent, to: Vec<Destination>) {
        let body = event.notification();
        let sent = Event::thin(&event.id, event.kind, self.now, &body, to.len());
        let sent = Arc::new(sent);
        let wait = event.created.saturating_sub(self.now_millis).max(0);
        let outgoing = to.into_iter().map(|to| Outgoing {
            event: sent.clone(),
            to,
            wait,
        });
        self.account.outgoing.extend(outgoing);
        self.account.thin_events.add(event, self.now_millis);
    }
}

/// See [`Ctx::event`].
fn record(ctx: &mut Ctx<'_>, kind: &'static str, change: (&Value, Option<&Value>), at: i64) {
    let default = ctx.settings.default_version;
    let mut endpoints = ctx.account.destinations(kind);
    endpoints.retain(|to| to.version.unwrap_or(default).has_event(kind));
    if !default.has_event(kind) && endpoints.is_empty() {
        return;
    }
    let id = ctx.account.ids.next("evt", 24);
    let event = body(ctx, (&id, kind), change, default, at);
    let event = Arc::new(Event::new(
        &id,
        kind,
        (at, ctx.now),
        &event,
        endpoints.len(),
    ));
    for to in endpoints {
        let version = to.version.unwrap_or(default);
        let event = if version == default {
            event.clone()
        } else {
            Arc::new(event.with_body(&body(ctx, (&id, kind), change, version, at)))
        };
        let wait = 0;
        ctx.account.outgoing.push(Outgoing { event, to, wait });
    }
    ctx.account.events.add(event, ctx.now);
}

/// The JSON of an event in a version of the API. `before` is the former JSON of the object, if it was updated.
fn body(
    ctx: &Ctx<'_>,
    (id, kind): (&Id, &str),
    (object, before): (&Value, Option<&Value>),
    version: ApiVersion,
    at: i64,
) -> Value {
    let object = version.converted(object.clone());
    let before = before.map(|before| version.converted(before.clone()));
    let mut data = Map::new();
    let previous = before.map(|before| difference(&before, &object));
    data.insert("object".into(), object);
    if let Some(previous) = previous {
        data.insert("previous_attributes".into(), previous);
    }
    json!({
        "id": &**id,
        "object": "event",
        "api_version": version.as_str(),
        "created": at,
        "data": data,
        "livemode": false,
        // The current number is filled in when the event is read.
        "pending_webhooks": null,
        "request": {
            "id": ctx.settings.request_id.as_deref(),
            "idempotency_key": ctx.settings.idempotency_key,
        },
        "type": kind,
    })
}

/// `previous_attributes`: the former values of changed fields. Nested objects contain only changed fields, too; lists
/// are complete.
fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return before.clone();
    };
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    let keys = after.keys().chain(removed);
    let changed = keys.filter_map(|key| {
        let old = before.get(key).unwrap_or(&Value::Null);
        let new = after.get(key).unwrap_or(&Value::Null);
        (old != new).then(|| (key.clone(), difference(old, new)))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_attributes_are_the_former_values() {
        let before = json!({
            "id": "1", "name": null, "metadata": {"a": "1", "b": "2", "c": "3"},
            "list": [1, 2], "plan": null, "price": {"id": "x"},
        });
        let after = json!({
            "id": "1", "name": "Ann", "metadata": {"a": "1", "b": "3", "d": "4"},
            "list": [1], "plan": {"id": "y"}, "price": null,
        });
        let previous = json!({
            "name": null, "metadata": {"b": "2", "d": null, "c": "3"},
            "list": [1, 2], "plan": null, "price": {"id": "x"},
        });
        assert_eq!(difference(&before, &after), previous);
    }
}
