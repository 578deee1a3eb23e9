//! The billing cycles of a subscription: one for each interval of its items, all counted from one anchor. In classic
//! billing there is only one.

use std::cmp::Reverse;

use super::Subscription;
use crate::money::period::BillingInterval;
use crate::resource::subscription_item::Item;

/// A billing cycle: the running period of the items with one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) interval: BillingInterval,
    /// The running period, end exclusive. A trial is one period, regardless of its length.
    pub(crate) period: (i64, i64),
    /// The period for which a full price is charged. The running period is shorter, and charged in part, if the
    /// subscription begins or is to end within the full period.
    pub(crate) full_period: (i64, i64),
}

impl Cycle {
    /// A cycle whose first period is about to begin.
    pub(crate) fn about_to_begin(interval: BillingInterval, at: i64) -> Self {
        Self {
            interval,
            period: (at, at),
            full_period: (at, at),
        }
    }
}

/// The intervals of items without duplicates, in their order.
pub(crate) fn intervals(of_items: impl Iterator<Item = BillingInterval>) -> Vec<BillingInterval> {
    let mut all = Vec::new();
    for interval in of_items {
        if !all.contains(&interval) {
            all.push(interval);
        }
    }
    all
}

/// Stripe's `cancel_at`: a time, or the end of a running period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelAt {
    Time(i64),
    /// `min_period_end`
    FirstEnd,
    /// `max_period_end`
    LastEnd,
}

impl CancelAt {
    /// The time of the end, if the running periods end at these times.
    pub(crate) fn resolve(self, ends: impl Iterator<Item = i64>) -> Option<i64> {
        match self {
            Self::Time(at) => Some(at),
            Self::FirstEnd => ends.min(),
            Self::LastEnd => ends.max(),
        }
    }
}

impl Subscription {
    /// The cycle of items with this interval, if there is one.
    pub(crate) fn cycle(&self, interval: BillingInterval) -> Option<&Cycle> {
        self.cycles.iter().find(|cycle| cycle.interval == interval)
    }

    /// The cycle that is billed first; if several are billed then, the one with the shortest period that has begun.
    fn first_cycle(&self) -> &Cycle {
        let is_empty = |cycle: &Cycle| cycle.period.0 == cycle.period.1;
        let billed_first =
            |cycle: &&Cycle| (cycle.period.1, is_empty(cycle), Reverse(cycle.period.0));
        let first = self.cycles.iter().min_by_key(billed_first);
        first.expect("a subscription has at least one cycle")
    }

    /// The running period of an item.
    pub(crate) fn period_of(&self, item: &Item) -> (i64, i64) {
        let cycle = self.cycle(item.interval);
        cycle.expect("every item is in a cycle").period
    }

    /// The running period that ends first. Versions in which items have no periods show it as the subscription's.
    pub(crate) fn first_period(&self) -> (i64, i64) {
        self.first_cycle().period
    }

    /// When the first of the running periods ends.
    pub(crate) fn first_end(&self) -> i64 {
        self.first_cycle().period.1
    }

    /// When the last of the running periods ends.
    pub(crate) fn last_end(&self) -> i64 {
        let ends = self.cycles.iter().map(|cycle| cycle.period.1);
        ends.max().expect("a subscription has at least one cycle")
    }

    /// The time that all running periods share. Invoice items are for it.
    pub(crate) fn common_period(&self) -> (i64, i64) {
        let starts = self.cycles.iter().map(|cycle| cycle.period.0);
        let start = starts.max().expect("a subscription has at least one cycle");
        (start, self.first_end())
    }

    /// Whether its items have periods of their own.
    pub(crate) fn is_mixed(&self) -> bool {
        self.cycles.len() > 1
    }
}
