//! The cost of a quantity: per unit (with a divisor), or in tiers, graduated or by volume. The result is a list of
//! charges, because Stripe's invoices have a line for every reached tier and for its flat amount.

use rust_decimal::Decimal;

use super::{round_half_up, times};

/// How a divisor rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    Up,
    Down,
}

impl Round {
    pub(crate) const ALL: [Self; 2] = [Self::Up, Self::Down];

    /// Stripe's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// `transform_quantity`: units are sold in packs of `by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Divide {
    pub(crate) by: i64,
    pub(crate) round: Round,
}

impl Divide {
    fn packs(self, quantity: Decimal) -> Decimal {
        let by = Decimal::from(self.by.max(1));
        // Not `quantity / by`, which is rounded if it has many digits.
        let rest = quantity % by;
        let whole = (quantity - rest) / by;
        match self.round {
            Round::Up if !rest.is_zero() => whole + Decimal::ONE,
            Round::Up | Round::Down => whole,
        }
    }
}

/// One tier of a tiered price. Amounts are in cents and may have a fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// The last unit of the tier; `None` for no end.
    pub(crate) up_to: Option<i64>,
    /// The unit price; Stripe counts a missing one as 0.
    pub(crate) unit: Decimal,
    /// The flat amount of the tier. A flat 0 has a line, a missing one has none.
    pub(crate) flat: Option<Decimal>,
}

/// How a price computes the cost of a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    PerUnit {
        unit: Decimal,
        divide: Option<Divide>,
    },
    /// Every unit costs the price of its own tier.
    Graduated(Vec<Tier>),
    /// All units cost the price of the tier that the quantity reaches.
    Volume(Vec<Tier>),
}

/// One amount of an invoice: its own line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RatedCharge {
    /// The units charged; 0 for a flat amount. It may be a fraction, from a meter.
    pub(crate) quantity: Decimal,
    /// Cents.
    pub(crate) amount: i64,
    /// The price before rounding: of a unit, or the flat amount.
    pub(crate) rate: Decimal,
    /// The tier, counted from 1.
    pub(crate) tier: Option<usize>,
    /// Whether this is a tier's flat amount.
    pub(crate) is_flat: bool,
}

impl Scheme {
    /// The charges for `quantity` units (not negative), in the order of Stripe's lines. There is at least one: the
    /// first tier counts as reached when nothing was used.
    pub(crate) fn charges(&self, quantity: Decimal) -> Vec<RatedCharge> {
        match self {
            Self::PerUnit { unit, divide } => {
                let sold = divide.map_or(quantity, |divide| divide.packs(quantity));
                vec![RatedCharge {
                    quantity,
                    amount: round_half_up(times(sold, *unit)),
                    rate: *unit,
                    tier: None,
                    is_flat: false,
                }]
            }
            Self::Graduated(tiers) => graduated(tiers, quantity),
            Self::Volume(tiers) => tiers
                .iter()
                .enumerate()
                .find(|(_, tier)| {
                    tier.up_to
                        .is_none_or(|last| quantity <= Decimal::from(last))
                })
                .or_else(|| tiers.iter().enumerate().next_back())
                .map(|(index, tier)| charges_of_tier(tier, index, quantity))
                .unwrap_or_default(),
        }
    }

    /// The cost of `quantity` units: the sum of its charges.
    pub(crate) fn amount(&self, quantity: i64) -> i64 {
        self.charges(Decimal::from(quantity))
            .iter()
            .fold(0, |sum, charge| sum.saturating_add(charge.amount))
    }

    /// The unit price to show beside a line without a charge (in a trial, or on a first invoice).
    pub(crate) fn first_rate(&self) -> Decimal {
        match self {
            Self::PerUnit { unit, .. } => *unit,
            Self::Graduated(tiers) | Self::Volume(tiers) => {
                tiers.first().map_or(Decimal::ZERO, |tier| tier.unit)
            }
        }
    }
}

fn graduated(tiers: &[Tier], quantity: Decimal) -> Vec<RatedCharge> {
    let mut below = Decimal::ZERO;
    let mut charges = Vec::new();
    for (index, tier) in tiers.iter().enumerate() {
        if index > 0 && quantity <= below {
            break;
        }
        let last = index + 1 == tiers.len();
        let top = tier.up_to.filter(|_| !last);
        let top = top.map_or(Decimal::MAX, Decimal::from);
        charges.extend(charges_of_tier(tier, index, quantity.min(top) - below));
        below = top;
    }
    charges
}

fn charges_of_tier(tier: &Tier, index: usize, quantity: Decimal) -> Vec<RatedCharge> {
    let units = RatedCharge {
        quantity,
        amount: round_half_up(times(quantity, tier.unit)),
        rate: tier.unit,
        tier: Some(index + 1),
        is_flat: false,
    };
    let flat = tier.flat.map(|flat| RatedCharge {
        quantity: Decimal::ZERO,
        amount: round_half_up(flat),
        rate: flat,
        tier: Some(index + 1),
        is_flat: true,
    });
    std::iter::once(units).chain(flat).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;
    use rust_decimal::prelude::ToPrimitive as _;

    use super::{Divide, Round, Scheme, Tier};

    fn tier(up_to: Option<i64>, unit: &str, flat: Option<i64>) -> Tier {
        Tier {
            up_to,
            unit: unit.parse().unwrap(),
            flat: flat.map(Decimal::from),
        }
    }

    fn pairs(scheme: &Scheme, quantity: i64) -> Vec<(i64, i64)> {
        scheme
            .charges(Decimal::from(quantity))
            .iter()
            .map(|charge| (charge.quantity.to_i64().unwrap(), charge.amount))
            .collect()
    }

    #[test]
    fn graduated_tiers_bill_every_tier_that_is_reached() {
        let scheme = Scheme::Graduated(vec![
            tier(Some(1000), "0", Some(900)),
            tier(None, "3.6", Some(0)),
        ]);
        assert_eq!(
            pairs(&scheme, 1031),
            [(1000, 0), (0, 900), (31, 112), (0, 0)]
        );
        assert_eq!(pairs(&scheme, 1000), [(1000, 0), (0, 900)]);
        assert_eq!(pairs(&scheme, 0), [(0, 0), (0, 900)]);
    }

    #[test]
    fn volume_tiers_bill_the_tier_that_is_reached() {
        let scheme = Scheme::Volume(vec![
            tier(Some(10), "5", None),
            tier(None, "2.5", Some(100)),
        ]);
        assert_eq!(pairs(&scheme, 10), [(10, 50)]);
        assert_eq!(pairs(&scheme, 11), [(11, 28), (0, 100)]);
    }

    #[test]
    fn packs_round_and_lines_show_raw_usage() {
        let scheme = |round| Scheme::PerUnit {
            unit: Decimal::from(2),
            divide: Some(Divide { by: 3, round }),
        };
        assert_eq!(pairs(&scheme(Round::Up), 100), [(100, 68)]);
        assert_eq!(pairs(&scheme(Round::Down), 100), [(100, 66)]);
        assert_eq!(pairs(&scheme(Round::Up), 99), [(99, 66)]);
    }

    #[test]
    fn fractions_of_units_cost_their_part() {
        let quantity: Decimal = "10.25".parse().unwrap();
        let amounts = |scheme: Scheme| {
            let charges = scheme.charges(quantity);
            let pairs = charges
                .iter()
                .map(|charge| (charge.quantity.to_string(), charge.amount));
            pairs.collect::<Vec<_>>()
        };
        let pair = |quantity: &str, amount| (quantity.to_owned(), amount);
        let unit = Decimal::from(10);
        let divide = |round| Some(Divide { by: 2, round });
        let per_unit = |divide| Scheme::PerUnit { unit, divide };
        assert_eq!(amounts(per_unit(None)), [pair("10.25", 103)]);
        assert_eq!(amounts(per_unit(divide(Round::Up))), [pair("10.25", 60)]);
        assert_eq!(amounts(per_unit(divide(Round::Down))), [pair("10.25", 50)]);
        let tiers = || vec![tier(Some(10), "1", None), tier(None, "10", None)];
        assert_eq!(
            amounts(Scheme::Graduated(tiers())),
            [pair("10", 10), pair("0.25", 3)]
        );
        assert_eq!(amounts(Scheme::Volume(tiers())), [pair("10.25", 103)]);
    }

    #[test]
    fn halves_round_up_and_huge_amounts_saturate() {
        let unit = |text: &str| Scheme::PerUnit {
            unit: text.parse().unwrap(),
            divide: None,
        };
        assert_eq!(unit("0.5").amount(1), 1);
        assert_eq!(unit("0.05").amount(9), 0);
        assert_eq!(unit("99999999999.99").amount(i64::MAX), i64::MAX);
    }

    /// A price in thousandths of a cent, so that the check below needs integers only.
    #[derive(Clone, Debug)]
    struct Milli {
        widths: Vec<i64>,
        units: Vec<i64>,
        flats: Vec<Option<i64>>,
    }

    impl Milli {
        fn tiers(&self) -> Vec<Tier> {
            let mut top = 0;
            let last = self.units.len() - 1;
            (0..=last)
                .map(|i| {
                    top += self.widths[i];
                    Tier {
                        up_to: (i < last).then_some(top),
                        unit: Decimal::new(self.units[i], 3),
                        flat: self.flats[i].map(Decimal::from),
                    }
                })
                .collect()
        }
    }

    fn cents(milli: i128) -> i128 {
        (milli + 500).div_euclid(1000)
    }

    fn prices() -> impl Strategy<Value = Milli> {
        (1_usize..6).prop_flat_map(|n| {
            (
                prop::collection::vec(1_i64..2000, n),
                prop::collection::vec(0_i64..100_000, n),
                prop::collection::vec(prop::option::of(0_i64..10_000), n),
            )
                .prop_map(|(widths, units, flats)| Milli {
                    widths,
                    units,
                    flats,
                })
        })
    }

    proptest! {
        /// Counts unit by unit, each in its tier, and adds each reached tier's flat amount once.
        #[test]
        fn graduated_equals_counting_units(price in prices(), quantity in 0_i64..9000) {
            let tiers = price.tiers();
            let mut in_tier = vec![0_i128; tiers.len()];
            for unit in 1..=quantity {
                let at = tiers.iter().position(|t| t.up_to.is_none_or(|top| unit <= top)).unwrap();
                in_tier[at] += 1;
            }
            let mut total = 0_i128;
            for (i, count) in in_tier.iter().enumerate() {
                if i == 0 || *count > 0 {
                    total += cents(count * i128::from(price.units[i])) + i128::from(price.flats[i].unwrap_or(0));
                }
            }
            let scheme = Scheme::Graduated(tiers);
            prop_assert_eq!(i128::from(scheme.amount(quantity)), total);
            let quantity = Decimal::from(quantity);
            let units: Decimal = scheme.charges(quantity).iter().map(|charge| charge.quantity).sum();
            prop_assert_eq!(units, quantity);
        }

        #[test]
        fn volume_equals_one_multiplication(price in prices(), quantity in 0_i64..9000) {
            let tiers = price.tiers();
            let at = tiers.iter().filter(|t| t.up_to.is_some_and(|top| quantity > top)).count();
            let total = cents(i128::from(quantity) * i128::from(price.units[at])) + i128::from(price.flats[at].unwrap_or(0));
            prop_assert_eq!(i128::from(Scheme::Volume(tiers).amount(quantity)), total);
        }

        #[test]
        fn packs_equal_filling_them(unit in 0_i64..100_000, by in 1_i64..50, up: bool, quantity in 0_i64..2000) {
            let (mut packs, mut open) = (0_i128, 0);
            for _ in 0..quantity {
                open += 1;
                if open == by { packs += 1; open = 0; }
            }
            if up && open > 0 { packs += 1; }
            let round = if up { Round::Up } else { Round::Down };
            let scheme = Scheme::PerUnit { unit: Decimal::new(unit, 3), divide: Some(Divide { by, round }) };
            prop_assert_eq!(i128::from(scheme.amount(quantity)), cents(packs * i128::from(unit)));
        }
    }
}
