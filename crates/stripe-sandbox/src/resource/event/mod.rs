//! Events: what happened, with the object as it was then.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use crate::API_VERSION;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::{Row, Table};

/// Stripe keeps events for 30 days; the sandbox keeps an account's last ones, so that a large test does not
/// fill the memory.
const KEPT: usize = 10_000;

/// An account's events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    table: Table<Event>,
    order: VecDeque<Id>,
}

/// One event. The body is kept as text, which takes the least room.
#[derive(Debug)]
pub(crate) struct Event {
    id: Id,
    kind: &'static str,
    created: i64,
    body: Box<str>,
}

impl Row for Event {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Event {
    pub(crate) fn to_json(&self) -> Value {
        serde_json::from_str(&self.body).expect("written by us as JSON")
    }
}

impl Events {
    pub(crate) fn get(&self, id: &str) -> Option<&Event> {
        self.table.get(id)
    }

    /// All that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.order.iter().filter_map(|id| self.table.get(id))
    }
}

/// See [`Ctx::event`].
pub(crate) fn record(
    ctx: &mut Ctx<'_>,
    kind: &'static str,
    object: &Value,
    previous: Option<Value>,
    at: i64,
) {
    let id = ctx.account.ids.next("evt", 24);
    let mut data = Map::new();
    data.insert("object".into(), object.clone());
    if let Some(previous) = previous {
        data.insert("previous_attributes".into(), previous);
    }
    let body = json!({
        "id": &*id,
        "object": "event",
        "api_version": API_VERSION,
        "created": at,
        "data": data,
        "livemode": false,
        "pending_webhooks": 0,
        "request": {
            "id": ctx.origin.request_id.as_deref(),
            "idempotency_key": ctx.origin.idempotency_key,
        },
        "type": kind,
    });
    let events = &mut ctx.account.events;
    events.table.insert(Event {
        id: id.clone(),
        kind,
        created: at,
        body: body.to_string().into(),
    });
    events.order.push_back(id);
    if events.order.len() > KEPT
        && let Some(oldest) = events.order.pop_front()
    {
        events.table.remove(&oldest);
    }
}

/// `previous_attributes`: the former values of what differs, at the first level.
pub(crate) fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return json!({});
    };
    after
        .iter()
        .filter_map(|(key, new)| {
            let old = before.get(key).unwrap_or(&Value::Null);
            (old != new).then(|| (key.clone(), old.clone()))
        })
        .collect()
}

/// `GET /v1/events/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let event = ctx.account.events.get(&id);
    Ok(event
        .ok_or_else(|| Error::not_found("event", &id))?
        .to_json())
}

/// `GET /v1/events`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let kind = params.string("type")?;
    let kinds = params.strings("types")?;
    let created = crate::params::filter::Created::read(params)?;
    params.unmodelled(&["delivery_success"])?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.events.table, "event", |event| {
        kind.is_none_or(|kind| matches(kind, event.kind))
            && kinds
                .as_ref()
                .is_none_or(|kinds| kinds.iter().any(|kind| matches(kind, event.kind)))
            && created.accepts(event.created)
    })?;
    Ok(cut.to_json("/v1/events", Event::to_json))
}

/// Whether a type is the one asked for: `customer.created`, or with a star at the end, `customer.*`.
fn matches(asked: &str, kind: &str) -> bool {
    match asked.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == asked,
    }
}
