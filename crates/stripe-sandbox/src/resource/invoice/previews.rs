//! Previews of invoices, which are kept for a while.

use std::collections::VecDeque;

use serde_json::Value;

use crate::store::ids::Id;
use crate::store::table::Row;

/// How many previews an account keeps, which bounds the memory of large tests.
pub(super) const MAX_KEPT: usize = 100;

/// A preview as the API shows it, with all its lines.
#[derive(Debug)]
pub(crate) struct Preview {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) invoice: Value,
    pub(super) lines: Vec<PreviewLine>,
}

#[derive(Debug)]
pub(super) struct PreviewLine {
    pub(super) id: Id,
    pub(super) json: Value,
}

impl Row for PreviewLine {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// The previews of an account, oldest first.
pub(crate) type Previews = VecDeque<Preview>;
