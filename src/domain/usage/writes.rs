//! Tracks the writes of usage in flight, by item. The change of a total shows the effect of a write only if no other
//! write was in flight.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The writes of usage of one account.
#[derive(Default)]
pub(in crate::domain) struct Writes(Mutex<HashMap<String, ItemWrites>>);

#[derive(Default)]
struct ItemWrites {
    in_flight: u32,
    /// The number of writes since the item was listed.
    begun: u64,
}

/// A write in flight, until this is dropped.
pub(super) struct Write<'a> {
    writes: &'a Writes,
    item: String,
    /// The number of the write, if no other write was in flight when it began.
    number_if_alone: Option<u64>,
}

impl Writes {
    /// Begins a write to `item`.
    pub(super) fn begin(&self, item: &str) -> Write<'_> {
        let mut items = self.items();
        let listed = items.entry(item.to_owned()).or_default();
        listed.in_flight += 1;
        listed.begun += 1;
        let number_if_alone = (listed.in_flight == 1).then_some(listed.begun);
        Write {
            writes: self,
            item: item.to_owned(),
            number_if_alone,
        }
    }

    fn items(&self) -> MutexGuard<'_, HashMap<String, ItemWrites>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write<'_> {
    /// Whether no other write to the item was in flight since this one began.
    pub(super) fn is_alone(&self) -> bool {
        let items = self.writes.items();
        let begun = items.get(&self.item).map(|item| item.begun);
        self.number_if_alone.is_some() && self.number_if_alone == begun
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let mut items = self.writes.items();
        if let Some(item) = items.get_mut(&self.item) {
            item.in_flight -= 1;
            if item.in_flight == 0 {
                items.remove(&self.item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_alone_only_until_another_begins() {
        let writes = Writes::default();
        let first = writes.begin("si_1");
        let _elsewhere = writes.begin("si_2");
        assert!(first.is_alone());
        let second = writes.begin("si_1");
        assert!(!first.is_alone() && !second.is_alone());
        drop(second);
        assert!(!first.is_alone(), "it was not");
        drop(first);
        assert!(writes.begin("si_1").is_alone());
        assert_eq!(writes.items().len(), 1);
    }
}
