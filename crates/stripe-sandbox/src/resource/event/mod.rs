//! Events: what happened, with the object as it was then.

pub(crate) mod routes;

use std::collections::VecDeque;

use serde_json::Value;

use crate::store::ids::Id;
use crate::store::table::{Row, Table};

/// Stripe keeps events for 30 days; the sandbox keeps an account's last ones, so that a large test does not
/// fill the memory.
pub(crate) const KEPT: usize = 10_000;

/// An account's events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) table: Table<Event>,
    pub(crate) order: VecDeque<Id>,
}

/// One event. The body is kept as text, which takes the least room.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Id,
    pub(crate) kind: &'static str,
    pub(crate) created: i64,
    pub(crate) body: Box<str>,
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
