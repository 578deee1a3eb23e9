//! Events: what happened, with a snapshot of the object.

pub(crate) mod routes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::store::ids::Id;
use crate::store::table::{Row, Table};

/// How long Stripe keeps events: 30 days, in seconds.
const KEPT_FOR: i64 = 30 * 24 * 60 * 60;

/// The maximum number of events per account, which bounds the memory of large tests.
const MAX_KEPT: usize = 10_000;

/// An account's events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) table: Table<Arc<Event>>,
    order: VecDeque<Id>,
}

/// An event. Its body is kept as text, which takes the least memory.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Id,
    pub(crate) kind: &'static str,
    pub(crate) created: i64,
    /// The account's time when it happened. The `created` of an event on a test clock is the clock's time.
    recorded: i64,
    body: Box<str>,
    /// How many webhook endpoints have yet to receive it.
    pending: Arc<AtomicUsize>,
    /// Whether it is a thin event of `/v2`, which has no `pending_webhooks`.
    pub(crate) is_thin: bool,
}

impl Row for Event {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Event {
    /// Creates an event that is sent to `wanted` webhook endpoints. `times` are its creation time and the account's
    /// time. `body` is complete except for `pending_webhooks`.
    pub(crate) fn new(
        id: &Id,
        kind: &'static str,
        times: (i64, i64),
        body: &Value,
        wanted: usize,
    ) -> Self {
        Self {
            id: id.clone(),
            kind,
            created: times.0,
            recorded: times.1,
            body: body.to_string().into(),
            pending: Arc::new(AtomicUsize::new(wanted)),
            is_thin: false,
        }
    }

    /// A thin event, as sent to endpoints.
    pub(crate) fn thin(id: &Id, kind: &'static str, at: i64, body: &Value, wanted: usize) -> Self {
        Self {
            is_thin: true,
            ..Self::new(id, kind, (at, at), body, wanted)
        }
    }

    /// The same event with the body of another API version.
    pub(crate) fn with_body(&self, body: &Value) -> Self {
        Self {
            id: self.id.clone(),
            body: body.to_string().into(),
            pending: self.pending.clone(),
            ..*self
        }
    }

    /// Whether Stripe would still keep it.
    pub(crate) fn is_kept(&self, now: i64) -> bool {
        now - self.recorded <= KEPT_FOR
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut event: Value = serde_json::from_str(&self.body).expect("written by us as JSON");
        if !self.is_thin {
            event["pending_webhooks"] = json!(self.pending());
        }
        event
    }

    /// How many webhook endpoints have yet to receive it.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Records that one more endpoint has received it.
    pub(crate) fn mark_received(&self) {
        self.pending.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Events {
    /// Adds an event and deletes those that are too old.
    pub(crate) fn add(&mut self, event: Arc<Event>, now: i64) {
        self.order.push_back(event.id.clone());
        self.table.insert(event);
        while let Some(oldest) = self.order.front()
            && (self.order.len() > MAX_KEPT
                || !self.get(oldest).is_some_and(|event| event.is_kept(now)))
        {
            self.table.remove(oldest);
            self.order.pop_front();
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Event> {
        self.table.get(id).map(|event| &**event)
    }

    /// All kept events, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.order.iter().filter_map(|id| self.get(id))
    }
}
