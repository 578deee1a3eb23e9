//! The billing periods of a subscription. Earlier and later ones are computed from the current one, the anchor and the
//! interval.

use chrono::{DateTime, Datelike as _, Months, Utc};
use serde::{Deserialize, Serialize};

use crate::billing::{RecurringInterval, Subscription};

const DAY: i64 = 24 * 60 * 60;

/// A billing period, in Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingPeriod {
    /// Inclusive.
    pub start: i64,
    /// Exclusive.
    pub end: i64,
}

impl BillingPeriod {
    /// The period of the same length that contains `now`, in Unix seconds. Months have their calendar length.
    pub(super) fn at(self, now: i64) -> Self {
        let mut period = self;
        while period.end <= now && period.start < period.end {
            let end = period.next_end();
            period = Self {
                start: period.end,
                end,
            };
        }
        period
    }

    fn next_end(self) -> i64 {
        let fixed = self.end + (self.end - self.start);
        let date = |unix| DateTime::from_timestamp(unix, 0);
        let (Some(start), Some(end)) = (date(self.start), date(self.end)) else {
            return fixed;
        };
        let month = |date: DateTime<Utc>| date.year() * 12 + date.month0().cast_signed();
        let months = Months::new(u32::try_from(month(end) - month(start)).unwrap_or(0));
        if months == Months::new(0) || start.checked_add_months(months) != Some(end) {
            return fixed;
        }
        let next = end.checked_add_months(months);
        next.map_or(fixed, |next| next.timestamp())
    }
}

/// The anchor and interval that define a subscription's billing periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BillingCycle {
    /// The start of a period, in Unix seconds. Its day of the month is used.
    anchor: i64,
    length: Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Length {
    Seconds(i64),
    Months(i64),
}

impl BillingCycle {
    /// The cycle of a subscription. None if it has no recurring item.
    pub(super) fn of(subscription: &Subscription) -> Option<Self> {
        let item = subscription.items.first()?;
        let (interval, count) = item.price.period()?;
        let count = i64::try_from(count).ok()?;
        let count = Some(count).filter(|count| (1..=10_000).contains(count))?;
        let length = match interval {
            RecurringInterval::Day => Length::Seconds(count * DAY),
            RecurringInterval::Week => Length::Seconds(count * 7 * DAY),
            RecurringInterval::Month => Length::Months(count),
            RecurringInterval::Year => Length::Months(count * 12),
            RecurringInterval::Other(_) => return None,
        };
        let anchor = subscription.billing_cycle_anchor;
        Some(Self {
            anchor: anchor.unwrap_or(subscription.current_period_start),
            length,
        })
    }

    /// The start of the `n`th period, counted from the anchor.
    fn nth(self, n: i64) -> Option<i64> {
        match self.length {
            Length::Seconds(length) => self.anchor.checked_add(length.checked_mul(n)?),
            Length::Months(months) => {
                let anchor = DateTime::from_timestamp(self.anchor, 0)?;
                let months = months.checked_mul(n)?;
                let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let moved = if months < 0 {
                    anchor.checked_sub_months(by)
                } else {
                    anchor.checked_add_months(by)
                };
                Some(moved?.timestamp())
            }
        }
    }

    /// The number of a period that starts near `at`.
    fn near(self, at: i64) -> Option<i64> {
        match self.length {
            Length::Seconds(length) => Some((at - self.anchor).div_euclid(length)),
            Length::Months(months) => {
                let month = |at| {
                    let date = DateTime::from_timestamp(at, 0)?;
                    Some(i64::from(date.year()) * 12 + i64::from(date.month0()))
                };
                Some((month(at)? - month(self.anchor)?).div_euclid(months))
            }
        }
    }

    /// The start of the first period that begins after `at`.
    pub(super) fn next(self, at: i64) -> Option<i64> {
        let near = self.near(at)?;
        let mut starts = (near - 1..=near + 2).filter_map(|n| self.nth(n));
        starts.find(|start| *start > at)
    }

    /// The start of the last period that begins before `at`.
    pub(super) fn previous(self, at: i64) -> Option<i64> {
        let near = self.near(at)?;
        let starts = (near - 2..=near + 1).rev();
        let mut starts = starts.filter_map(|n| self.nth(n));
        starts.find(|start| *start < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(date: &str) -> i64 {
        let date: DateTime<Utc> = format!("{date}T12:00:00Z").parse().expect("a date");
        date.timestamp()
    }

    #[test]
    fn months_begin_on_the_anchors_day_or_on_their_last_day() {
        let cycle = |months| BillingCycle {
            anchor: unix("2023-01-31"),
            length: Length::Months(months),
        };
        for (months, at, previous, next) in [
            (1, "2023-01-31", "2022-12-31", "2023-02-28"),
            (1, "2023-02-28", "2023-01-31", "2023-03-31"),
            (1, "2023-03-01", "2023-02-28", "2023-03-31"),
            (1, "2024-02-29", "2024-01-31", "2024-03-31"),
            (1, "2022-11-30", "2022-10-31", "2022-12-31"),
            (3, "2023-04-30", "2023-01-31", "2023-07-31"),
            (12, "2024-01-31", "2023-01-31", "2025-01-31"),
            (12, "2023-06-01", "2023-01-31", "2024-01-31"),
        ] {
            let cycle = cycle(months);
            assert_eq!(cycle.previous(unix(at)), Some(unix(previous)), "{at}");
            assert_eq!(cycle.next(unix(at)), Some(unix(next)), "{at}");
        }
    }

    #[test]
    fn days_and_weeks_have_a_fixed_length() {
        let cycle = BillingCycle {
            anchor: 1_000,
            length: Length::Seconds(7 * DAY),
        };
        assert_eq!(cycle.next(1_000), Some(1_000 + 7 * DAY));
        assert_eq!(cycle.next(999), Some(1_000));
        assert_eq!(cycle.previous(1_000), Some(1_000 - 7 * DAY));
        assert_eq!(cycle.previous(1_001), Some(1_000));
        assert_eq!(cycle.next(1_000 - 70 * DAY), Some(1_000 - 63 * DAY));
    }
}
