//! Rows of one kind in order of creation, found by id or by position.
//!
//! Positions never change, so an index can be a list of `u32`.

use std::collections::HashMap;
use std::sync::Arc;

use super::ids::Id;

/// A row of a [`Table`].
pub(crate) trait Row {
    fn id(&self) -> &Id;
}

impl<T: Row> Row for Arc<T> {
    fn id(&self) -> &Id {
        (**self).id()
    }
}

/// Rows of one kind, in order of creation.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: Vec<Option<T>>,
    by_id: HashMap<Id, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            by_id: HashMap::new(),
        }
    }
}

impl<T: Row> Table<T> {
    /// Adds a row and returns its position. The id must be new; see [`contains`](Self::contains).
    pub(crate) fn insert(&mut self, row: T) -> u32 {
        let position =
            u32::try_from(self.rows.len()).expect("memory ends before four thousand million rows");
        let before = self.by_id.insert(row.id().clone(), position);
        debug_assert!(before.is_none(), "an id is inserted once");
        self.rows.push(Some(row));
        position
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn position(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.at(self.position(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        let position = self.position(id)?;
        self.at_mut(position)
    }

    pub(crate) fn at(&self, position: u32) -> Option<&T> {
        self.rows.get(position as usize)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, position: u32) -> Option<&mut T> {
        self.rows.get_mut(position as usize)?.as_mut()
    }

    /// Removes a row and its id. The other rows keep their positions.
    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        let position = self.by_id.remove(id)?;
        self.rows.get_mut(position as usize)?.take()
    }

    /// The position after the last one.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("insert keeps this within u32")
    }

    /// All rows, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.rows.iter().flatten()
    }
}
