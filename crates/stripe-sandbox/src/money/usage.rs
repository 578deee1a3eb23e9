//! The total of usage records in a period, by the price's `aggregate_usage`.

use std::collections::BTreeMap;

/// How a metered price aggregates its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AggregateUsage {
    /// The sum of all quantities of the period.
    #[default]
    Sum,
    /// The greatest quantity of the period.
    Max,
    /// The latest quantity of the period; 0 without records.
    LastDuringPeriod,
    /// The latest quantity of this or an earlier period.
    LastEver,
}

impl AggregateUsage {
    pub(crate) const ALL: [Self; 4] =
        [Self::Sum, Self::Max, Self::LastDuringPeriod, Self::LastEver];

    /// Stripe's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::LastDuringPeriod => "last_during_period",
            Self::LastEver => "last_ever",
        }
    }

    /// The usage of the period `start..end` (end exclusive). A sum saturates.
    pub(crate) fn total(self, records: &Records, start: i64, end: i64) -> i64 {
        if start >= end && self != Self::LastEver {
            return 0;
        }
        let within = || records.at.range(start..end).map(|(_, quantity)| *quantity);
        match self {
            Self::Sum => within().fold(0, i64::saturating_add),
            Self::Max => within().max().unwrap_or(0),
            Self::LastDuringPeriod => within().next_back().unwrap_or(0),
            Self::LastEver => records
                .at
                .range(..end)
                .next_back()
                .map_or(0, |(_, quantity)| *quantity),
        }
    }
}

/// The records of a subscription item: one quantity per timestamp, as at Stripe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    at: BTreeMap<i64, i64>,
}

impl Records {
    /// The quantity at exactly `timestamp`.
    pub(crate) fn get(&self, timestamp: i64) -> i64 {
        self.at.get(&timestamp).copied().unwrap_or(0)
    }

    /// Whether usage was reported for `start` or later.
    pub(crate) fn any_since(&self, start: i64) -> bool {
        self.at.range(start..).any(|(_, quantity)| *quantity > 0)
    }

    /// Replaces the quantity at exactly `timestamp`.
    pub(crate) fn set(&mut self, timestamp: i64, quantity: i64) {
        self.at.insert(timestamp, quantity);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AggregateUsage, Records};

    fn records(pairs: &[(i64, i64)]) -> Records {
        let mut records = Records::default();
        for (at, quantity) in pairs {
            records.set(*at, records.get(*at) + quantity);
        }
        records
    }

    #[test]
    fn aggregates_differ_on_the_same_records() {
        let records = records(&[(5, 9), (10, 3), (10, 1), (20, 2), (30, 50)]);
        let total = |aggregate: AggregateUsage| aggregate.total(&records, 10, 30);
        assert_eq!(total(AggregateUsage::Sum), 6);
        assert_eq!(total(AggregateUsage::Max), 4);
        assert_eq!(total(AggregateUsage::LastDuringPeriod), 2);
        assert_eq!(total(AggregateUsage::LastEver), 2);
    }

    #[test]
    fn only_last_ever_remembers_earlier_periods() {
        let records = records(&[(5, 9)]);
        for aggregate in [
            AggregateUsage::Sum,
            AggregateUsage::Max,
            AggregateUsage::LastDuringPeriod,
        ] {
            assert_eq!(aggregate.total(&records, 10, 30), 0);
        }
        assert_eq!(AggregateUsage::LastEver.total(&records, 10, 30), 9);
        assert_eq!(AggregateUsage::LastEver.total(&records, 0, 5), 0);
    }

    #[test]
    fn set_overwrites_one_time_only() {
        let mut records = records(&[(10, 3), (11, 4)]);
        records.set(11, 1);
        assert_eq!(AggregateUsage::Sum.total(&records, 0, 100), 4);
    }

    #[test]
    fn a_sum_saturates() {
        let records = records(&[(10, i64::MAX), (11, 5)]);
        assert_eq!(AggregateUsage::Sum.total(&records, 0, 12), i64::MAX);
    }

    proptest! {
        #[test]
        fn aggregates_equal_a_scan(reports in prop::collection::vec((0_i64..40, 0_i64..100, any::<bool>()), 0..60), start in 0_i64..40, length in 1_i64..40) {
            let mut records = Records::default();
            let mut naive = [None::<i64>; 40];
            for (at, quantity, set) in reports {
                let slot = &mut naive[usize::try_from(at).unwrap()];
                if set { records.set(at, quantity); *slot = Some(quantity); }
                else { records.set(at, records.get(at) + quantity); *slot = Some(slot.unwrap_or(0) + quantity); }
            }
            let end = start + length;
            let seen: Vec<i64> = (start..end.min(40)).filter_map(|at| naive[usize::try_from(at).unwrap()]).collect();
            let ever = (0..end.min(40)).filter_map(|at| naive[usize::try_from(at).unwrap()]).next_back();
            prop_assert_eq!(AggregateUsage::Sum.total(&records, start, end), seen.iter().sum::<i64>());
            prop_assert_eq!(AggregateUsage::Max.total(&records, start, end), seen.iter().copied().max().unwrap_or(0));
            prop_assert_eq!(AggregateUsage::LastDuringPeriod.total(&records, start, end), seen.last().copied().unwrap_or(0));
            prop_assert_eq!(AggregateUsage::LastEver.total(&records, start, end), ever.unwrap_or(0));
        }
    }
}
