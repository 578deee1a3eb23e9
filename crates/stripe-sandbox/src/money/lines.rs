//! Invoice lines as plain values, with Stripe's descriptions.

use rust_decimal::Decimal;

use super::discount::{Reduction, net};
use super::format::money;
use super::period::{BillingInterval, day};
use super::proration::share;
use super::rating::{RatedCharge, Scheme};

/// The terms of a price, as its lines need them.
#[derive(Clone, Debug)]
pub(crate) struct PriceTerms {
    /// The product's name.
    pub(crate) name: String,
    /// The product's `unit_label`: "1000 credit × …".
    pub(crate) unit_label: Option<String>,
    /// ISO code in lower case.
    pub(crate) currency: String,
    pub(crate) interval: BillingInterval,
    pub(crate) scheme: Scheme,
}

/// One line: amounts in cents, the period in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) quantity: Decimal,
    pub(crate) amount: i64,
    /// The unit price, before rounding.
    pub(crate) rate: Decimal,
    pub(crate) description: String,
    pub(crate) period: (i64, i64),
    pub(crate) proration: bool,
    pub(crate) discountable: bool,
}

/// Whether a proration credits or charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProrationKind {
    /// Credits the time that is no longer used.
    Credit,
    /// Charges the time that is used from now on.
    Charge,
}

/// The parameters of the proration of a licensed price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProrationParams {
    pub(crate) kind: ProrationKind,
    pub(crate) quantity: i64,
    pub(crate) off: Option<Reduction>,
    /// The part of the period that is credited or charged.
    pub(crate) rest: (i64, i64),
    /// The period for which the full price is charged.
    pub(crate) full_period: (i64, i64),
}

impl PriceTerms {
    /// The lines for `quantity`, one per charge: in advance for a licensed price, in arrears for a metered one.
    pub(crate) fn charged(&self, quantity: Decimal, period: (i64, i64)) -> Vec<Line> {
        let line = |charge: RatedCharge| Line {
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

    /// The line of a metered price on a subscription's first invoice in classic billing: quantity and amount 0,
    /// described with the first tier.
    pub(crate) fn first_invoice_line(&self, period: (i64, i64)) -> Line {
        let tiered = !matches!(self.scheme, Scheme::PerUnit { .. });
        let charge = RatedCharge {
            quantity: Decimal::ZERO,
            amount: 0,
            rate: self.scheme.first_rate(),
            tier: tiered.then_some(1),
            is_flat: false,
        };
        free(Decimal::ZERO, period, self.describe(charge))
    }

    /// The line of a licensed price in a trial of classic billing: the quantity at amount 0.
    pub(crate) fn classic_trial(&self, quantity: i64, period: (i64, i64)) -> Line {
        let name = &self.name;
        let per = self.unit_label.as_ref();
        let per = per.map_or_else(String::new, |label| format!(" (per {label})"));
        free(
            Decimal::from(quantity),
            period,
            format!("Trial period for {name}{per}"),
        )
    }

    /// The line of a metered price in a trial of classic billing: the usage at amount 0.
    pub(crate) fn classic_trial_usage(&self, quantity: Decimal, period: (i64, i64)) -> Line {
        let units = self.units(quantity);
        let name = &self.name;
        free(quantity, period, format!("{units} × {name} (Free trial)"))
    }

    /// The line of a price in a trial of flexible billing: the quantity or the usage at amount 0.
    pub(crate) fn flexible_trial(&self, quantity: Decimal, period: (i64, i64)) -> Line {
        let units = self.units(quantity);
        let name = &self.name;
        free(quantity, period, format!("Free trial for {units} × {name}"))
    }

    /// The credit for the rest of a period that was charged with `amount`, in flexible billing.
    pub(crate) fn unused(
        &self,
        quantity: i64,
        amount: i64,
        rest: (i64, i64),
        charged: (i64, i64),
    ) -> Line {
        let rest = (rest.0.max(charged.0), rest.1.min(charged.1));
        let credit = share(-amount, rest, charged);
        self.proration_line("Unused time on", credit, quantity, None, rest)
    }

    /// The credit or the charge for the rest of a period.
    pub(crate) fn prorated(&self, proration: &ProrationParams) -> Line {
        let ProrationParams {
            kind,
            quantity,
            off,
            rest,
            full_period,
        } = *proration;
        let price = net(off, self.scheme.amount(quantity));
        let (what, amount) = match kind {
            ProrationKind::Credit => ("Unused time on", share(-price, rest, full_period)),
            ProrationKind::Charge => ("Remaining time on", share(price, rest, full_period)),
        };
        self.proration_line(what, amount, quantity, off, rest)
    }

    fn proration_line(
        &self,
        what: &str,
        amount: i64,
        quantity: i64,
        off: Option<Reduction>,
        rest: (i64, i64),
    ) -> Line {
        let times = if quantity == 1 {
            String::new()
        } else {
            format!("{quantity} × ")
        };
        let with = match off {
            Some(Reduction::Percent(percent)) => format!(" (with {}% off)", one_place(percent)),
            Some(Reduction::Amount(_)) | None => String::new(),
        };
        let name = &self.name;
        Line {
            quantity: Decimal::from(quantity),
            amount,
            rate: (Decimal::from(amount) / Decimal::from(quantity.max(1))).round_dp(12),
            description: format!("{what} {times}{name}{with} after {}", day(rest.0)),
            period: rest,
            proration: true,
            // The amount already includes the discount.
            discountable: false,
        }
    }

    fn units(&self, quantity: Decimal) -> String {
        let quantity = quantity.normalize();
        match &self.unit_label {
            Some(label) => format!("{quantity} {label}"),
            None => quantity.to_string(),
        }
    }

    fn describe(&self, charge: RatedCharge) -> String {
        let tier = charge
            .tier
            .map_or_else(String::new, |tier| format!("Tier {tier} "));
        let price = money(charge.rate, &self.currency);
        let per = self.per();
        let name = &self.name;
        if charge.is_flat {
            return format!("{name} ({tier}at {price} / {per})");
        }
        let units = self.units(charge.quantity);
        format!("{units} × {name} ({tier}at {price} / {per})")
    }

    /// `month`, or `every 3 months`.
    pub(crate) fn per(&self) -> String {
        let unit = self.interval.unit.as_str();
        match self.interval.count {
            1 => unit.to_owned(),
            count => format!("every {count} {unit}s"),
        }
    }
}

fn free(quantity: Decimal, period: (i64, i64), description: String) -> Line {
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

/// A percentage with at least one decimal place: `50.0`, `33.33`.
fn one_place(percent: Decimal) -> Decimal {
    let mut percent = percent.normalize();
    if percent.scale() == 0 {
        percent.rescale(1);
    }
    percent
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::{PriceTerms, ProrationKind, ProrationParams, Reduction};
    use crate::money::period::{BillingInterval, IntervalUnit};
    use crate::money::rating::{Scheme, Tier};

    fn credits() -> PriceTerms {
        let tier = |up_to, unit: &str, flat: i64| Tier {
            up_to,
            unit: unit.parse().unwrap(),
            flat: Some(Decimal::from(flat)),
        };
        PriceTerms {
            name: "Name".into(),
            unit_label: Some("credit".into()),
            currency: "usd".into(),
            interval: BillingInterval {
                unit: IntervalUnit::Month,
                count: 1,
            },
            scheme: Scheme::Graduated(vec![tier(Some(1000), "0", 900), tier(None, "3.6", 0)]),
        }
    }

    #[test]
    fn lines_are_described_as_stripe_does() {
        let lines = credits().charged(Decimal::from(1031), (1, 2));
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
        let first_invoice_line = credits().first_invoice_line((1, 2));
        assert_eq!(
            (first_invoice_line.quantity, first_invoice_line.amount),
            (Decimal::ZERO, 0)
        );
        let trial = credits().classic_trial(7, (1, 2));
        assert_eq!((trial.quantity, trial.amount), (Decimal::from(7), 0));
        assert_eq!(trial.description, "Trial period for Name (per credit)");
        let usage = credits().classic_trial_usage(Decimal::from(7), (1, 2));
        assert_eq!((usage.quantity, usage.amount), (Decimal::from(7), 0));
        assert_eq!(usage.description, "7 credit × Name (Free trial)");
        let plain = PriceTerms {
            unit_label: None,
            ..credits()
        };
        assert_eq!(
            [
                plain.classic_trial(2, (1, 2)).description,
                plain.classic_trial_usage(Decimal::TEN, (1, 2)).description
            ],
            ["Trial period for Name", "10 × Name (Free trial)"]
        );
    }

    #[test]
    fn prorations_are_described_with_their_start() {
        let licensed = PriceTerms {
            scheme: Scheme::PerUnit {
                unit: Decimal::from(31_000),
                divide: None,
            },
            ..credits()
        };
        let day = 86_400;
        let month = (0, 31 * day);
        let proration = ProrationParams {
            kind: ProrationKind::Credit,
            quantity: 1,
            off: None,
            rest: (10 * day, 31 * day),
            full_period: month,
        };
        let credit = licensed.prorated(&proration);
        assert_eq!((credit.quantity, credit.amount), (Decimal::ONE, -21_000));
        assert_eq!(credit.period, (10 * day, 31 * day));
        assert_eq!(credit.description, "Unused time on Name after 11 Jan 1970");
        let charge = licensed.prorated(&ProrationParams {
            kind: ProrationKind::Charge,
            quantity: 2,
            ..proration
        });
        assert_eq!(charge.amount, 42_000);
        assert_eq!(
            charge.description,
            "Remaining time on 2 × Name after 11 Jan 1970"
        );
        let half = licensed.prorated(&ProrationParams {
            off: Some(Reduction::Percent(Decimal::from(50))),
            ..proration
        });
        assert_eq!(half.amount, -10_500);
        assert_eq!(
            half.description,
            "Unused time on Name (with 50.0% off) after 11 Jan 1970"
        );
    }
}
