//! The discount of a coupon on an invoice and on each of its lines.

use rust_decimal::Decimal;

use super::{round_half_up, times};

/// How much a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// An amount in cents, once per invoice.
    Amount(i64),
    /// A percentage from 0 to 100 of the discountable lines.
    Percent(Decimal),
}

/// The discount of each of the `lines` (amount in cents, whether it is discountable), in their order. Prorations and
/// credits are not discountable. A discount never makes an invoice negative, and the parts add up exactly. Fractions of
/// a cent go to later lines: $5 off lines of $10 and $20 is $1.66 and $3.34.
pub(crate) fn spread(off: Reduction, lines: &[(i64, bool)]) -> Vec<i64> {
    let base =
        |(amount, discountable): &(i64, bool)| if *discountable { (*amount).max(0) } else { 0 };
    let discountable: i64 = lines.iter().map(base).fold(0, i64::saturating_add);
    let subtotal = lines
        .iter()
        .fold(0_i64, |sum, (amount, _)| sum.saturating_add(*amount));
    let wanted = match off {
        Reduction::Amount(cents) => cents,
        Reduction::Percent(percent) => {
            round_half_up(times(Decimal::from(discountable), percent) / Decimal::ONE_HUNDRED)
        }
    };
    let discount = wanted.min(discountable).min(subtotal).max(0);
    let mut seen = 0_i64;
    let mut given = 0;
    lines
        .iter()
        .map(|line| {
            seen = seen.saturating_add(base(line));
            let so_far = part_of(discount, seen, discountable);
            let part = so_far - given;
            given = so_far;
            part
        })
        .collect()
}

/// `discount × seen ÷ discountable`, rounded down.
fn part_of(discount: i64, seen: i64, discountable: i64) -> i64 {
    if seen == discountable {
        return discount;
    }
    let exact = i128::from(discount) * i128::from(seen) / i128::from(discountable);
    i64::try_from(exact).unwrap_or(discount)
}

/// A licensed amount less its discount, for proration. Classic billing does not spread an amount over the items: each
/// item is prorated with the full discount.
pub(crate) fn net(off: Option<Reduction>, amount: i64) -> i64 {
    let off = match off {
        None => 0,
        Some(Reduction::Amount(cents)) => cents,
        Some(Reduction::Percent(percent)) => {
            round_half_up(times(Decimal::from(amount), percent) / Decimal::ONE_HUNDRED)
        }
    };
    amount - off.min(amount).max(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::{Reduction, net, spread};

    #[test]
    fn an_amount_is_spread_and_capped() {
        assert_eq!(
            spread(Reduction::Amount(100), &[(300, true), (100, true)]),
            [75, 25]
        );
        assert_eq!(
            spread(Reduction::Amount(1000), &[(300, true), (100, true)]),
            [300, 100]
        );
        assert_eq!(spread(Reduction::Amount(50), &[(0, true)]), [0]);
        assert_eq!(
            spread(Reduction::Amount(500), &[(1000, true), (2000, true)]),
            [166, 334]
        );
        let thirds = spread(Reduction::Amount(100), &[(7, true), (7, true), (7, true)]);
        assert_eq!(thirds, [7, 7, 7]);
        let thirds = spread(Reduction::Amount(20), &[(7, true), (7, true), (7, true)]);
        assert_eq!(thirds, [6, 7, 7]);
    }

    #[test]
    fn prorations_are_not_discounted() {
        let lines = [(-100, false), (500, true), (300, false)];
        assert_eq!(
            spread(Reduction::Percent(Decimal::from(50)), &lines),
            [0, 250, 0]
        );
        assert_eq!(
            spread(Reduction::Amount(50), &[(-900, false), (500, true)]),
            [0, 0]
        );
    }

    #[test]
    fn each_item_is_prorated_as_if_it_had_the_discount_alone() {
        assert_eq!(net(None, 1000), 1000);
        assert_eq!(net(Some(Reduction::Amount(500)), 1000), 500);
        assert_eq!(net(Some(Reduction::Amount(500)), 300), 0);
        assert_eq!(net(Some(Reduction::Amount(500)), 0), 0);
        let percent = |text: &str| Some(Reduction::Percent(text.parse().unwrap()));
        assert_eq!(net(percent("50"), 997), 498);
        assert_eq!(net(percent("33.3"), 1000), 667);
        assert_eq!(net(percent("100"), 997), 0);
    }

    proptest! {
        #[test]
        fn parts_add_up(off in 0_i64..5000, percent: bool, lines in prop::collection::vec((-500_i64..2000, any::<bool>()), 0..12)) {
            let rule = if percent { Reduction::Percent(Decimal::from(off % 101)) } else { Reduction::Amount(off) };
            let parts = spread(rule, &lines);
            let discountable: i64 = lines.iter().filter(|(amount, ok)| *ok && *amount > 0).map(|(amount, _)| amount).sum();
            let subtotal: i64 = lines.iter().map(|(amount, _)| amount).sum();
            let wanted = if percent { (2 * discountable * (off % 101) + 100) / 200 } else { off };
            prop_assert_eq!(parts.iter().sum::<i64>(), wanted.min(discountable).min(subtotal).max(0));
            for (part, (amount, ok)) in parts.iter().zip(&lines) {
                prop_assert!(*part >= 0 && (*part == 0 || *ok && part <= amount), "{part} of {amount}");
            }
        }
    }
}
