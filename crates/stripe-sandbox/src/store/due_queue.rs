//! The queue of everything that is due at a time: a set ordered by time for each test clock, and one for the customers
//! without a clock. When nothing is due, a request only looks at the first entry.

use std::collections::{BTreeSet, HashMap};

use super::ids::Id;

/// Something that is due. The numbers are positions in tables. At the same time, schedules come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A schedule begins.
    Schedule(u32),
    /// A draft is finalized.
    Invoice(u32),
    /// The end of a subscription's phase, period or life, or the notice of a trial's end.
    Subscription(u32),
    /// A checkout session expires.
    Session(u32),
}

/// The sets of entries, by test clock.
#[derive(Debug, Default)]
pub(crate) struct DueQueue(HashMap<Option<Id>, BTreeSet<(i64, Due)>>);

impl DueQueue {
    pub(crate) fn add(&mut self, clock: Option<&Id>, at: i64, due: Due) {
        self.0.entry(clock.cloned()).or_default().insert((at, due));
    }

    pub(crate) fn remove(&mut self, clock: Option<&Id>, at: i64, due: Due) {
        let clock = clock.cloned();
        if let Some(set) = self.0.get_mut(&clock) {
            set.remove(&(at, due));
            if set.is_empty() {
                self.0.remove(&clock);
            }
        }
    }

    /// The first entry at or before `until`.
    pub(crate) fn first(&self, clock: Option<&Id>, until: i64) -> Option<(i64, Due)> {
        let first = self.0.get(&clock.cloned())?.first()?;
        (first.0 <= until).then_some(*first)
    }

    /// All entries of a clock.
    pub(crate) fn on(&self, clock: Option<&Id>) -> impl Iterator<Item = Due> {
        self.0
            .get(&clock.cloned())
            .into_iter()
            .flatten()
            .map(|(_, due)| *due)
    }
}
