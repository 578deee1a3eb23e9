//! The lines of an invoice as plain values, with the descriptions that Stripe writes.

use rust_decimal::Decimal;

use super::money::money;
use super::period::{Every, day};
use super::proration::remaining;
use super::rating::{Charge, Scheme};

/// What a price says that its lines show.
#[derive(Clone, Debug)]
pub(crate) struct Priced {
    /// The product's name.
    pub(crate) name: String,
    /// The product's `unit_label`: "1000 credit × …".
    pub(crate) unit_label: Option<String>,
    /// ISO code in lower case.
    pub(crate) currency: String,
    pub(crate) every: Every,
    pub(crate) scheme: Scheme,
}

/// One line: amounts in cents, the period in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) quantity: i64,
    pub(crate) amount: i64,
    /// The price of one, before rounding.
    pub(crate) rate: Decimal,
    pub(crate) description: String,
    pub(crate) period: (i64, i64),
    pub(crate) proration: bool,
    pub(crate) discountable: bool,
}

impl Priced {
    /// What `quantity` costs, one line per charge: in advance for a licensed price, in arrears for a metered one.
    pub(crate) fn charged(&self, quantity: i64, period: (i64, i64)) -> Vec<Line> {
        let line = |charge: Charge| Line {
            quantity: charge.quantity,
            amount: charge.amount,
            rate: charge.rate,
            description: self.describe(charge),
            period,
            proration: false,
            discountable: true,
        };
        self.scheme
            .charges(quantity)
            .into_iter()
            .map(line)
            .collect()
    }

    /// The one line of a metered price on a subscription's first invoice: nothing used, nothing owed, and no tier
    /// is reached yet.
    pub(crate) fn opening(&self, period: (i64, i64)) -> Line {
        let tiered = !matches!(self.scheme, Scheme::PerUnit { .. });
        let charge = Charge {
            quantity: 0,
            amount: 0,
            rate: self.scheme.first_rate(),
            tier: tiered.then_some(1),
            flat: false,
        };
        free(0, period, self.describe(charge))
    }

    /// The one line of any price in a trial: the real quantity, at nothing.
    pub(crate) fn trial(&self, quantity: i64, period: (i64, i64)) -> Line {
        let name = &self.name;
        free(quantity, period, format!("Trial period for {name}"))
    }

    /// The credit for what is left at `at` of a period for which `billed` was charged, discount deducted.
    pub(crate) fn unused(&self, billed: i64, quantity: i64, period: (i64, i64), at: i64) -> Line {
        let amount = -remaining(billed, period.0, period.1, at);
        self.prorated("Unused time on", amount, quantity, period, at)
    }

    /// The charge for what is left at `at` of a period that costs `net`, discount deducted.
    pub(crate) fn rest(&self, net: i64, quantity: i64, period: (i64, i64), at: i64) -> Line {
        let amount = remaining(net, period.0, period.1, at);
        self.prorated("Remaining time on", amount, quantity, period, at)
    }

    /// Its discount is in the amount: Stripe's prorations are never discountable.
    fn prorated(
        &self,
        what: &str,
        amount: i64,
        quantity: i64,
        period: (i64, i64),
        at: i64,
    ) -> Line {
        let times = if quantity == 1 {
            String::new()
        } else {
            format!("{quantity} × ")
        };
        Line {
            quantity,
            amount,
            rate: (Decimal::from(amount) / Decimal::from(quantity.max(1))).round_dp(12),
            description: format!("{what} {times}{} after {}", self.name, day(at)),
            period: (at, period.1),
            proration: true,
            discountable: false,
        }
    }

    fn describe(&self, charge: Charge) -> String {
        let tier = charge
            .tier
            .map_or_else(String::new, |tier| format!("Tier {tier} "));
        let price = money(charge.rate, &self.currency);
        let per = self.per();
        let name = &self.name;
        if charge.flat {
            return format!("{name} ({tier}at {price} / {per})");
        }
        let label = self
            .unit_label
            .as_ref()
            .map_or_else(String::new, |label| format!(" {label}"));
        format!(
            "{}{label} × {name} ({tier}at {price} / {per})",
            charge.quantity
        )
    }

    /// `month`, or `every 3 months`.
    pub(crate) fn per(&self) -> String {
        let interval = self.every.interval.as_str();
        match self.every.count {
            1 => interval.to_owned(),
            count => format!("every {count} {interval}s"),
        }
    }
}

fn free(quantity: i64, period: (i64, i64), description: String) -> Line {
    Line {
        quantity,
        amount: 0,
        rate: Decimal::ZERO,
        description,
        period,
        proration: false,
        discountable: true,
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::Priced;
    use crate::sandbox::cycle::period::{Every, Interval};
    use crate::sandbox::cycle::rating::{Scheme, Tier};

    fn credits() -> Priced {
        let tier = |up_to, unit: &str, flat: i64| Tier {
            up_to,
            unit: unit.parse().unwrap(),
            flat: Some(Decimal::from(flat)),
        };
        Priced {
            name: "Name".into(),
            unit_label: Some("credit".into()),
            currency: "usd".into(),
            every: Every {
                interval: Interval::Month,
                count: 1,
            },
            scheme: Scheme::Graduated(vec![tier(Some(1000), "0", 900), tier(None, "3.6", 0)]),
        }
    }

    #[test]
    fn lines_are_described_as_stripe_does() {
        let lines = credits().charged(1031, (1, 2));
        let texts: Vec<&str> = lines.iter().map(|line| line.description.as_str()).collect();
        assert_eq!(
            texts,
            [
                "1000 credit × Name (Tier 1 at $0.00 / month)",
                "Name (Tier 1 at $9.00 / month)",
                "31 credit × Name (Tier 2 at $0.036 / month)",
                "Name (Tier 2 at $0.00 / month)",
            ]
        );
        assert_eq!(lines.iter().map(|line| line.amount).sum::<i64>(), 1012);
    }

    #[test]
    fn a_first_invoice_and_a_trial_owe_nothing() {
        let opening = credits().opening((1, 2));
        assert_eq!((opening.quantity, opening.amount), (0, 0));
        let trial = credits().trial(7, (1, 2));
        assert_eq!((trial.quantity, trial.amount), (7, 0));
        assert_eq!(trial.description, "Trial period for Name");
    }

    #[test]
    fn prorations_say_from_when() {
        let licensed = Priced {
            scheme: Scheme::PerUnit {
                unit: Decimal::from(31_000),
                divide: None,
            },
            ..credits()
        };
        let day = 86_400;
        let credit = licensed.unused(31_000, 1, (0, 31 * day), 10 * day);
        assert_eq!((credit.quantity, credit.amount), (1, -21_000));
        assert_eq!(credit.period, (10 * day, 31 * day));
        assert_eq!(credit.description, "Unused time on Name after 11 Jan 1970");
        let charge = licensed.rest(62_000, 2, (0, 31 * day), 10 * day);
        assert_eq!(charge.amount, 42_000);
        assert_eq!(
            charge.description,
            "Remaining time on 2 × Name after 11 Jan 1970"
        );
    }
}
