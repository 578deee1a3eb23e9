//! Billing periods. Each boundary is counted from the anchor, never from the previous boundary, so the 31st, which
//! becomes the 29th in February, is the 31st again in March.

use chrono::{DateTime, Datelike as _, Days, Months, Utc};

/// The seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// The unit of a billing interval: Stripe's `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IntervalUnit {
    Day,
    Week,
    Month,
    Year,
}

impl IntervalUnit {
    pub(crate) const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Year];

    /// Stripe's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// How often a price recurs: every `count` units. Stripe's `interval` and `interval_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BillingInterval {
    pub(crate) unit: IntervalUnit,
    pub(crate) count: u32,
}

impl BillingInterval {
    /// The time `n` whole periods after `anchor`, or before it when `n` is negative. The day of the month is the
    /// anchor's, clamped to the length of the month. Beyond chrono's range (far over 200,000 years) it saturates.
    pub(crate) fn boundary(self, anchor: i64, n: i64) -> i64 {
        let steps = n.saturating_mul(i64::from(self.count));
        self.shift(anchor, steps)
            .unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
    }

    /// The period that holds `at`: start inclusive, end exclusive.
    pub(crate) fn containing(self, anchor: i64, at: i64) -> (i64, i64) {
        let mut n = self.estimate(anchor, at);
        while self.boundary(anchor, n) > at {
            n -= 1;
        }
        while self.boundary(anchor, n + 1) <= at {
            n += 1;
        }
        (self.boundary(anchor, n), self.boundary(anchor, n + 1))
    }

    /// The first boundary strictly after `at`.
    pub(crate) fn next_after(self, anchor: i64, at: i64) -> i64 {
        self.containing(anchor, at).1
    }

    /// The approximate number of the period that contains `at`, as the start of the search.
    fn estimate(self, anchor: i64, at: i64) -> i64 {
        (at - anchor).div_euclid(self.length())
    }

    /// Its average length in seconds.
    pub(crate) fn length(self) -> i64 {
        i64::from(self.count)
            * match self.unit {
                IntervalUnit::Day => DAY,
                IntervalUnit::Week => 7 * DAY,
                IntervalUnit::Month => 2_629_746,
                IntervalUnit::Year => 31_556_952,
            }
    }

    fn shift(self, anchor: i64, steps: i64) -> Option<i64> {
        let start = DateTime::<Utc>::from_timestamp(anchor, 0)?;
        let days = match self.unit {
            IntervalUnit::Day => steps,
            IntervalUnit::Week => steps.checked_mul(7)?,
            IntervalUnit::Month => return shift_months(start, steps),
            IntervalUnit::Year => return shift_months(start, steps.checked_mul(12)?),
        };
        let moved = if days < 0 {
            start.checked_sub_days(Days::new(days.unsigned_abs()))
        } else {
            start.checked_add_days(Days::new(days.unsigned_abs()))
        };
        Some(moved?.timestamp())
    }
}

fn shift_months(start: DateTime<Utc>, months: i64) -> Option<i64> {
    let distance = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let moved = if months < 0 {
        start.checked_sub_months(distance)
    } else {
        start.checked_add_months(distance)
    };
    Some(moved?.timestamp())
}

/// The day as in Stripe's descriptions: `10 Jan 2020`.
pub(crate) fn day(at: i64) -> String {
    DateTime::<Utc>::from_timestamp(at, 0).map_or_else(String::new, |time| {
        format!("{:02} {} {}", time.day(), time.format("%b"), time.year())
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike as _, NaiveDate};
    use proptest::prelude::*;

    use super::{BillingInterval, IntervalUnit, day};

    fn unix(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    fn interval(unit: IntervalUnit, count: u32) -> BillingInterval {
        BillingInterval { unit, count }
    }

    #[test]
    fn the_31st_is_clamped_and_comes_back() {
        let anchor = unix("2020-01-31T00:00:00Z");
        let months = interval(IntervalUnit::Month, 1);
        let ends: Vec<i64> = (1..=3).map(|n| months.boundary(anchor, n)).collect();
        assert_eq!(
            ends,
            [
                "2020-02-29T00:00:00Z",
                "2020-03-31T00:00:00Z",
                "2020-04-30T00:00:00Z"
            ]
            .map(unix)
        );
    }

    #[test]
    fn a_leap_day_recurs_on_the_28th() {
        let anchor = unix("2020-02-29T12:30:00Z");
        let years = interval(IntervalUnit::Year, 1);
        assert_eq!(years.boundary(anchor, 1), unix("2021-02-28T12:30:00Z"));
        assert_eq!(years.boundary(anchor, 4), unix("2024-02-29T12:30:00Z"));
    }

    #[test]
    fn periods_hold_their_start_and_not_their_end() {
        let anchor = unix("2020-03-31T00:00:00Z");
        let months = interval(IntervalUnit::Month, 1);
        let april = unix("2020-04-30T00:00:00Z");
        assert_eq!(months.containing(anchor, april).0, april);
        assert_eq!(months.containing(anchor, april - 1), (anchor, april));
        assert_eq!(months.next_after(anchor, anchor), april);
    }

    #[test]
    fn an_anchor_in_the_future_counts_backwards() {
        let anchor = unix("2020-03-31T00:00:00Z");
        let at = unix("2020-02-10T00:00:00Z");
        assert_eq!(
            interval(IntervalUnit::Month, 1).containing(anchor, at),
            (unix("2020-01-31T00:00:00Z"), unix("2020-02-29T00:00:00Z"))
        );
    }

    #[test]
    fn days_read_as_on_an_invoice() {
        assert_eq!(day(unix("2020-01-05T23:59:59Z")), "05 Jan 2020");
    }

    fn intervals() -> impl Strategy<Value = BillingInterval> {
        (
            prop_oneof![
                Just(IntervalUnit::Day),
                Just(IntervalUnit::Week),
                Just(IntervalUnit::Month),
                Just(IntervalUnit::Year)
            ],
            1_u32..=12,
        )
            .prop_map(|(unit, count)| interval(unit, count))
    }

    proptest! {
        #[test]
        fn the_period_of_a_time_holds_it(period in intervals(), anchor in 0_i64..4_000_000_000, at in 0_i64..4_000_000_000) {
            let (start, end) = period.containing(anchor, at);
            prop_assert!(start <= at && at < end);
        }

        #[test]
        fn months_keep_the_day_or_take_the_last(anchor in 0_i64..4_000_000_000, n in 0_i64..400) {
            let from = DateTime::from_timestamp(anchor, 0).unwrap();
            let to = DateTime::from_timestamp(interval(IntervalUnit::Month, 1).boundary(anchor, n), 0).unwrap();
            let months = i64::from(from.year()) * 12 + i64::from(from.month0()) + n;
            prop_assert_eq!(i64::from(to.year()) * 12 + i64::from(to.month0()), months);
            let next = to.date_naive().with_day(1).unwrap() + chrono::Months::new(1);
            let last = (next - NaiveDate::from_ymd_opt(to.year(), to.month(), 1).unwrap()).num_days();
            prop_assert_eq!(i64::from(to.day()), i64::from(from.day()).min(last));
            prop_assert_eq!(to.time(), from.time());
        }
    }
}
