//! The amounts of the model: usage, prorations, and discounts.

use super::case::{Coupon, Formula, METERED, METERS, Mode, SEAT, costs};
use super::model::{Item, Model, PhaseCoupon};

/// An amount on an invoice, or pending for the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) amount: i64,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Seats,
    Usage,
    /// Whether the amount already includes its discount, so that the invoice's does not apply.
    Proration,
}

pub(super) fn line(kind: Kind, amount: i64) -> Line {
    Line { amount, kind }
}

/// The sorted amounts of lines, because their order does not matter.
pub(super) fn sorted(lines: &[Line]) -> Vec<i64> {
    let mut amounts: Vec<i64> = lines.iter().map(|line| line.amount).collect();
    amounts.sort_unstable();
    amounts
}

impl Coupon {
    /// The discount on an amount, rounded half up.
    fn off(self, amount: i64) -> i64 {
        match self {
            Self::Percent(percent) => (2 * amount * percent + 100) / 200,
            Self::Amount(cents) => cents.min(amount),
        }
    }
}

impl Model {
    /// Makes an invoice of these lines, if there are any. Returns the discount on the seats.
    pub(super) fn invoice(&mut self, lines: &[Line]) -> i64 {
        if lines.is_empty() {
            return 0;
        }
        let sum = |lines: &[Line], kind: Kind| -> i64 {
            let lines = lines.iter().filter(|line| line.kind == kind);
            lines.map(|line| line.amount).sum()
        };
        let (usage, seats) = (sum(lines, Kind::Usage), sum(lines, Kind::Seats));
        let subtotal = usage + seats + sum(lines, Kind::Proration);
        // A discount does not make an invoice with credits negative.
        let off = |coupon: Option<Coupon>, amount: i64, left: i64| {
            let off = coupon.map_or(0, |coupon| coupon.off(amount));
            off.min(left).max(0)
        };
        let (discount, on_seats) = if let Some(PhaseCoupon(coupon)) = self.usage_coupon.take() {
            let on_usage = off(coupon, usage, subtotal);
            let on_seats = off(self.coupon, seats, subtotal - on_usage);
            (on_usage + on_seats, on_seats)
        } else {
            let discount = off(self.coupon, usage + seats, subtotal);
            // It is spread in proportion, and fractions of a cent go to later lines.
            let until = |sum: i64| discount * sum / (usage + seats).max(1);
            let mut kinds = lines.iter().map(|line| line.kind);
            let place = kinds.position(|kind| kind == Kind::Seats);
            let earlier = sum(&lines[..place.unwrap_or(0)], Kind::Usage);
            (discount, until(earlier + seats) - until(earlier))
        };
        let amounts = sorted(lines);
        self.invoices.push((self.now, amounts, subtotal - discount));
        on_seats
    }

    /// The lines for an item's usage in the running period until now. In a trial it is free.
    pub(super) fn usage(&self, item: &Item) -> Vec<Line> {
        let costs = if self.in_trial() {
            vec![0]
        } else {
            costs(item.price, self.counted(item))
        };
        costs
            .into_iter()
            .map(|cost| line(Kind::Usage, cost))
            .collect()
    }

    pub(super) fn counted(&self, item: &Item) -> i64 {
        let meter = METERED[item.price].meter;
        let values: Vec<i64> = if self.mode == Mode::Records {
            // Usage records belong to the item, and stay with it when its price changes.
            let records = item.records.iter();
            let within = records.filter(|(at, _)| *at >= self.period.0);
            within.map(|(_, value)| *value).collect()
        } else {
            // Events belong to the customer. An item counts them from when it was added or got its price.
            let start = self.period.0.max(item.since);
            let events = self.events.iter();
            let within = events.filter(|(of, at, _)| *of == meter && *at >= start);
            within.map(|(.., value)| *value).collect()
        };
        let total = match METERS[meter].1 {
            Formula::Sum => values.iter().sum(),
            Formula::Last => values.last().copied().unwrap_or(0),
        };
        // A negative total is billed as 0. Stripe does not document whether that applies to each part of a period.
        total.max(0)
    }

    /// The share of an amount for the rest of a span, in cents, rounded down.
    fn rest(&self, amount: i64, from: i64, to: i64) -> i64 {
        (amount * (to - self.now)).div_euclid(to - from)
    }

    /// The current cost of some seats. The coupon's full amount is taken off: in classic billing from every licensed
    /// item, and in flexible billing because there is only one.
    fn net(&self, seats: i64) -> i64 {
        let cost = SEAT * seats;
        cost - self.coupon.map_or(0, |coupon| coupon.off(cost))
    }

    /// In classic billing, a credit is for the current quantity with the current discount; in flexible billing, for the
    /// charges, each of which is credited once.
    pub(super) fn credit_seats(&mut self) {
        let (start, end) = self.period;
        let charged = if self.is_flexible() {
            std::mem::take(&mut self.debits)
        } else {
            vec![(self.net(self.seats), start, end)]
        };
        for (amount, from, to) in charged {
            let credit = self.rest(-amount, from, to);
            self.pending.push(line(Kind::Proration, credit));
        }
    }

    pub(super) fn charge_seats(&mut self, seats: i64) {
        let (start, end) = self.period;
        let charge = self.rest(self.net(seats), start, end);
        self.debits.push((charge, self.now, end));
        self.pending.push(line(Kind::Proration, charge));
    }
}
