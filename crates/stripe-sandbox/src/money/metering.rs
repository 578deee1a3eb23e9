//! The total of a customer's meter events in a period, by the meter's formula.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

/// How a meter aggregates the values of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formula {
    /// The number of events, regardless of their values.
    Count,
    /// The latest value of the period; 0 without events.
    Last,
    Sum,
}

impl Formula {
    pub(crate) const ALL: [Self; 3] = [Self::Count, Self::Last, Self::Sum];

    /// Stripe's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Last => "last",
            Self::Sum => "sum",
        }
    }
}

/// Stripe's `event_time_window`: the client sends values that it has already aggregated, and for each hour or day (UTC)
/// the value received last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Day,
    Hour,
}

impl Window {
    pub(crate) const ALL: [Self; 2] = [Self::Day, Self::Hour];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// Its length in seconds.
    pub(crate) fn seconds(self) -> i64 {
        match self {
            Self::Day => 86_400,
            Self::Hour => 3_600,
        }
    }
}

/// An event of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) value: Decimal,
    /// When it was received, in milliseconds.
    pub(crate) received: i64,
}

/// The events of a meter for one customer, by their time and then in the order of their receipt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings {
    at: BTreeMap<(i64, u64), Reading>,
}

/// How readings are aggregated, and which of them count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggregation {
    pub(crate) formula: Formula,
    pub(crate) window: Option<Window>,
    /// Only readings received up to this time count, in milliseconds; `None` counts all.
    pub(crate) received_until: Option<i64>,
}

impl Readings {
    /// Adds a reading. `number` is its place in the order of receipt.
    pub(crate) fn add(&mut self, timestamp: i64, number: u64, reading: Reading) {
        self.at.insert((timestamp, number), reading);
    }

    /// Removes a reading.
    pub(crate) fn cancel(&mut self, timestamp: i64, number: u64) {
        self.at.remove(&(timestamp, number));
    }

    /// The time of the latest reading.
    pub(crate) fn latest(&self) -> Option<i64> {
        let ((timestamp, _), _) = self.at.last_key_value()?;
        Some(*timestamp)
    }

    /// The total in `start..end`, in seconds (end exclusive). It may be negative. A sum saturates.
    pub(crate) fn total(&self, aggregation: Aggregation, start: i64, end: i64) -> Decimal {
        if start >= end {
            return Decimal::ZERO;
        }
        let within = self.at.range((start, 0)..(end, 0));
        let received_until = within.filter(|(_, reading)| {
            aggregation
                .received_until
                .is_none_or(|received_until| reading.received <= received_until)
        });
        let each = received_until
            .map(|((timestamp, number), reading)| (*timestamp, *number, reading.value));
        let Some(window) = aggregation.window else {
            return aggregate(aggregation.formula, each.map(|(.., value)| value));
        };
        let mut latest: BTreeMap<i64, (u64, Decimal)> = BTreeMap::new();
        for (timestamp, number, value) in each {
            let slot = latest.entry(timestamp.div_euclid(window.seconds()));
            let slot = slot.or_insert((number, value));
            if slot.0 < number {
                *slot = (number, value);
            }
        }
        aggregate(
            aggregation.formula,
            latest.into_values().map(|(_, value)| value),
        )
    }
}

fn aggregate(formula: Formula, values: impl Iterator<Item = Decimal>) -> Decimal {
    match formula {
        Formula::Count => Decimal::from(values.count()),
        Formula::Last => values.last().unwrap_or_default(),
        Formula::Sum => values.fold(Decimal::ZERO, Decimal::saturating_add),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::{Aggregation, Formula, Reading, Readings, Window};

    fn readings(events: &[(i64, i64)]) -> Readings {
        let mut readings = Readings::default();
        for (number, (at, value)) in events.iter().enumerate() {
            let reading = Reading {
                value: Decimal::from(*value),
                received: *at * 1000,
            };
            readings.add(*at, u64::try_from(number).unwrap(), reading);
        }
        readings
    }

    fn of(formula: Formula, window: Option<Window>) -> Aggregation {
        Aggregation {
            formula,
            window,
            received_until: None,
        }
    }

    #[test]
    fn formulas_differ_on_the_same_events() {
        let readings = readings(&[(5, 9), (10, 3), (10, 1), (20, -2), (30, 50)]);
        let total = |formula| readings.total(of(formula, None), 10, 30);
        assert_eq!(total(Formula::Sum), Decimal::from(2));
        assert_eq!(total(Formula::Count), Decimal::from(3));
        assert_eq!(total(Formula::Last), Decimal::from(-2));
        assert_eq!(
            readings.total(of(Formula::Last, None), 31, 40),
            Decimal::ZERO
        );
    }

    #[test]
    fn the_latest_receipt_of_a_window_counts() {
        // The second value for the first hour was received last, although its time is earlier.
        let readings = readings(&[(100, 7), (50, 4), (3_700, 2)]);
        let hour = of(Formula::Sum, Some(Window::Hour));
        assert_eq!(readings.total(hour, 0, 7_200), Decimal::from(6));
        let day = of(Formula::Sum, Some(Window::Day));
        assert_eq!(readings.total(day, 0, 7_200), Decimal::from(2));
        let count = of(Formula::Count, Some(Window::Hour));
        assert_eq!(readings.total(count, 0, 7_200), Decimal::from(2));
    }

    #[test]
    fn what_was_received_later_is_not_known_yet() {
        let mut readings = readings(&[(10, 3), (20, 4)]);
        let received_until = |received_until| Aggregation {
            received_until: Some(received_until),
            ..of(Formula::Sum, None)
        };
        assert_eq!(readings.total(received_until(9_999), 0, 30), Decimal::ZERO);
        assert_eq!(
            readings.total(received_until(10_000), 0, 30),
            Decimal::from(3)
        );
        assert_eq!(
            readings.total(received_until(20_000), 0, 30),
            Decimal::from(7)
        );
        readings.cancel(20, 1);
        assert_eq!(
            readings.total(received_until(20_000), 0, 30),
            Decimal::from(3)
        );
    }

    proptest! {
        #[test]
        fn totals_equal_a_scan(events in prop::collection::vec((0_i64..40, -50_i64..100), 0..60), start in 0_i64..40, length in 0_i64..40) {
            let readings = readings(&events);
            let end = start + length;
            let mut seen: Vec<(i64, usize, i64)> = events
                .iter()
                .enumerate()
                .map(|(number, (at, value))| (*at, number, *value))
                .filter(|(at, ..)| (start..end).contains(at))
                .collect();
            seen.sort_unstable();
            let total = |formula| readings.total(of(formula, None), start, end);
            prop_assert_eq!(total(Formula::Sum), Decimal::from(seen.iter().map(|(.., value)| value).sum::<i64>()));
            prop_assert_eq!(total(Formula::Count), Decimal::from(seen.len()));
            prop_assert_eq!(total(Formula::Last), Decimal::from(seen.last().map_or(0, |(.., value)| *value)));
        }
    }
}
