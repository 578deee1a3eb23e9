//! The part of a licensed amount that the rest of a period is worth.

use rust_decimal::Decimal;

use super::{round_half_up, times};

/// `amount × remaining ÷ length`, rounded half up, where `remaining` is what is left of `start..end` at `at`.
/// A period without length has no rest.
pub(crate) fn remaining(amount: i64, start: i64, end: i64, at: i64) -> i64 {
    let left = end - at.clamp(start, end);
    if left <= 0 {
        return 0;
    }
    round_half_up(times(Decimal::from(amount), Decimal::from(left)) / Decimal::from(end - start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::remaining;

    const DAY: i64 = 86_400;

    #[test]
    fn ten_days_of_31_leave_21() {
        assert_eq!(remaining(31_000, 0, 31 * DAY, 10 * DAY), 21_000);
        assert_eq!(remaining(31_000, 0, 31 * DAY, 0), 31_000);
        assert_eq!(remaining(31_000, 0, 31 * DAY, 31 * DAY), 0);
        assert_eq!(remaining(31_000, 7, 7, 7), 0);
    }

    proptest! {
        #[test]
        fn it_is_the_integer_quotient(amount in 0_i64..100_000_000, length in 1_i64..40_000_000, used in 0_i64..40_000_000) {
            let left = i128::from((length - used).max(0));
            let exact = (2 * i128::from(amount) * left + i128::from(length)).div_euclid(2 * i128::from(length));
            prop_assert_eq!(i128::from(remaining(amount, 1000, 1000 + length, 1000 + used)), exact);
        }
    }
}
