//! Events: what happened, with the object as it was then.

pub(crate) mod routes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::store::ids::Id;
use crate::store::table::{Row, Table};

/// Stripe keeps events for 30 days; the sandbox keeps an account's last ones, so that a large test does not
/// fill the memory.
pub(crate) const KEPT: usize = 10_000;

/// An account's events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) table: Table<Arc<Event>>,
    pub(crate) order: VecDeque<Id>,
}

/// One event. The body is kept as text, which takes the least room.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Id,
    pub(crate) kind: &'static str,
    pub(crate) created: i64,
    body: Box<str>,
    /// How many webhook endpoints have yet to receive it.
    pending: AtomicUsize,
}

impl Row for Event {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Event {
    /// An event that so many webhook endpoints want. `body` is all of it except their number.
    pub(crate) fn new(
        id: Id,
        kind: &'static str,
        created: i64,
        body: &Value,
        wanted: usize,
    ) -> Self {
        Self {
            id,
            kind,
            created,
            body: body.to_string().into(),
            pending: AtomicUsize::new(wanted),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut event: Value = serde_json::from_str(&self.body).expect("written by us as JSON");
        event["pending_webhooks"] = json!(self.pending());
        event
    }

    /// How many webhook endpoints have yet to receive it.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Notes that one more endpoint has received it.
    pub(crate) fn received(&self) {
        self.pending.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Events {
    pub(crate) fn get(&self, id: &str) -> Option<&Event> {
        self.table.get(id).map(|event| &**event)
    }

    /// All that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.order.iter().filter_map(|id| self.get(id))
    }
}
