//! The share of a licensed amount for a part of a period.

use super::period::BillingInterval;

/// `amount × part ÷ whole` in whole cents, where both are spans of time. It is rounded down, regardless of its sign: a
/// credit of 333⅓ cents is -334, and a charge of 666⅔ is 666. A newer version of Stripe was recorded with this rule,
/// and Stripe's worked example for classic billing (-667 and +333) agrees with it. The share of a span without length
/// is 0.
pub(crate) fn share(amount: i64, part: (i64, i64), whole: (i64, i64)) -> i64 {
    let length = whole.1.saturating_sub(whole.0);
    let left = part.1.saturating_sub(part.0);
    if left <= 0 || length <= 0 {
        return 0;
    }
    let exact = i128::from(amount) * i128::from(left);
    i64::try_from(exact.div_euclid(i128::from(length))).unwrap_or(if amount < 0 {
        i64::MIN
    } else {
        i64::MAX
    })
}

/// The charge for a span of time of any length, where `amount` is for one interval: full intervals from the start of
/// the span, and the [`share`] of the last one.
pub(crate) fn share_of_intervals(amount: i64, interval: BillingInterval, span: (i64, i64)) -> i64 {
    let boundary = |n| interval.boundary(span.0, n);
    let mut whole = 0;
    while boundary(whole + 1) <= span.1 {
        whole += 1;
    }
    let last = (boundary(whole), boundary(whole + 1));
    amount
        .saturating_mul(whole)
        .saturating_add(share(amount, (last.0, span.1), last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{share, share_of_intervals};
    use crate::money::period::{BillingInterval, IntervalUnit};

    const DAY: i64 = 86_400;

    #[test]
    fn ten_days_of_31_leave_21() {
        let month = (0, 31 * DAY);
        assert_eq!(share(31_000, (10 * DAY, 31 * DAY), month), 21_000);
        assert_eq!(share(31_000, month, month), 31_000);
        assert_eq!(share(31_000, (31 * DAY, 31 * DAY), month), 0);
        assert_eq!(share(31_000, (40 * DAY, 31 * DAY), month), 0);
        assert_eq!(share(31_000, (7, 7), (7, 7)), 0);
        assert_eq!(share(i64::MIN, month, (0, DAY)), i64::MIN);
    }

    #[test]
    fn fractions_are_rounded_down_on_both_sides() {
        let third = |amount| share(amount, (20 * DAY, 30 * DAY), (0, 30 * DAY));
        assert_eq!([third(-1000), third(2000)], [-334, 666]);
        assert_eq!([third(-2000), third(1000)], [-667, 333]);
        let tie = |amount| share(amount, (399, 400), (0, 400));
        assert_eq!([tie(-1000), tie(1800), tie(3000), tie(0)], [-3, 4, 7, 0]);
    }

    #[test]
    fn a_span_is_counted_in_intervals_from_its_start() {
        let month = BillingInterval {
            unit: IntervalUnit::Month,
            count: 1,
        };
        // 2021-01-15T00:00Z, and days of that year.
        let january = 1_610_668_800;
        let day = |day: i64| january + (day - 15) * DAY;
        let charge = |from, to| share_of_intervals(3100, month, (day(from), day(to)));
        // 17 of 31 days, 14 of 28, a month, a month and 14 of 28 days.
        assert_eq!(charge(15, 32), 1700);
        assert_eq!(charge(46, 60), 1550);
        assert_eq!(charge(15, 46), 3100);
        assert_eq!(charge(15, 60), 4650);
        assert_eq!(charge(15, 15), 0);
        assert_eq!(share_of_intervals(-3100, month, (day(46), day(60))), -1550);
        assert_eq!(
            share_of_intervals(i64::MAX, month, (day(15), day(400))),
            i64::MAX
        );
    }

    proptest! {
        /// Counts down from above: the greatest whole number of cents that is not more than the exact amount.
        #[test]
        fn the_share_is_the_greatest_whole_amount_below(amount in -100_000_000_i64..100_000_000, length in 1_i64..40_000_000, used in 0_i64..40_000_000) {
            let left = (length - used).max(0);
            let cents = i128::from(share(amount, (1000 + used, 1000 + length), (1000, 1000 + length)));
            let exact = i128::from(amount) * i128::from(left);
            let length = i128::from(length);
            prop_assert!(cents * length <= exact && exact < (cents + 1) * length);
        }
    }
}
