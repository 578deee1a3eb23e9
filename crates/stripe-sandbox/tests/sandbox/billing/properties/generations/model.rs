//! A naive model of money: what Stripe's documentation says about the three modes. It shares no code with the sandbox.
//!
//! An invoice is its time, the amounts of its lines in any order, and its total.

use super::super::super::DAY;
use super::story::{Act, Behavior, Change, Coupon, Formula, METERED, METERS, Mode, Phase, SEAT};
use super::story::{Story, costs};

pub(super) type Invoice = (i64, Vec<i64>, i64);

/// An amount on an invoice, or one that waits for the next.
#[derive(Clone, Copy, Debug)]
struct Line {
    amount: i64,
    /// Prorations have their discount in their amount.
    proration: bool,
}

/// A metered item.
#[derive(Clone, Debug)]
struct Item {
    price: usize,
    /// From when a meter's events count for it.
    since: i64,
    /// Its usage records.
    records: Vec<(i64, i64)>,
}

/// What a metered item is to be after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spec {
    /// Which item it was before.
    was: Option<usize>,
    price: usize,
}

/// A charge for seats that was not credited, without its discount. Only flexible billing needs it.
#[derive(Clone, Copy, Debug)]
struct Debit {
    amount: i64,
    from: i64,
    to: i64,
}

/// The subscription.
#[derive(Debug)]
pub(super) struct Model {
    mode: Mode,
    now: i64,
    anchor: i64,
    period: (i64, i64),
    trial_end: i64,
    next: Option<(i64, Phase)>,
    seats: i64,
    debits: Vec<Debit>,
    metered: Vec<Item>,
    /// Meter, time and value.
    events: Vec<(usize, i64, i64)>,
    coupon: Option<Coupon>,
    cancels_at_period_end: bool,
    ended: bool,
    pending: Vec<Line>,
    /// Oldest first.
    pub(super) invoices: Vec<Invoice>,
}

/// The metered items after a change of one of them.
fn changed(mut specs: Vec<Spec>, change: Option<Change>) -> Vec<Spec> {
    let count = specs.len();
    let is_sold = |price: usize| specs.iter().any(|spec| spec.price == price);
    match change {
        Some(Change::Add(price)) if !is_sold(price) => specs.push(Spec { was: None, price }),
        Some(Change::Price(item, price)) if count > 0 && !is_sold(price) => {
            specs[item % count].price = price;
        }
        Some(Change::Remove(item)) if count > 0 => drop(specs.remove(item % count)),
        _ => {}
    }
    specs
}

fn price_line(amount: i64) -> Line {
    Line {
        amount,
        proration: false,
    }
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
    pub(super) fn new(story: &Story, start: i64) -> Self {
        let trial_end = start + story.trial * DAY;
        let next = story.next.clone();
        let mut model = Self {
            mode: story.mode,
            now: start,
            anchor: trial_end,
            period: (start, start),
            trial_end,
            next: next.map(|phase| (start + phase.day * DAY, phase)),
            seats: story.seats,
            debits: Vec::new(),
            metered: Vec::new(),
            events: Vec::new(),
            coupon: story.coupon,
            cancels_at_period_end: false,
            ended: false,
            pending: Vec::new(),
            invoices: Vec::new(),
        };
        model.metered = story
            .metered
            .iter()
            .map(|price| model.item(*price))
            .collect();
        model.renew();
        model
    }

    fn is_flexible(&self) -> bool {
        self.mode == Mode::FlexibleMeters
    }

    fn in_trial(&self) -> bool {
        self.period.0 < self.trial_end
    }

    /// An item that is added now.
    fn item(&self, price: usize) -> Item {
        Item {
            price,
            since: self.now,
            records: Vec::new(),
        }
    }

    /// Does what is due until a time. A phase begins before the period that begins with it.
    pub(super) fn advance(&mut self, to: i64) {
        while !self.ended {
            let phase = self.next.as_ref().map_or(i64::MAX, |(at, _)| *at);
            let due = phase.min(self.period.1);
            if due > to {
                break;
            }
            self.now = due;
            if phase == due {
                let (_, phase) = self.next.take().expect("due");
                self.enter(&phase);
            } else if self.cancels_at_period_end {
                self.end(true);
            } else {
                self.renew();
            }
        }
        self.now = to;
    }

    /// Bills the period that is over, and begins another. The creation of a subscription is the same without a past.
    fn renew(&mut self) {
        let mut lines = std::mem::take(&mut self.pending);
        let waiting = lines.iter().filter(|line| !line.proration);
        let waiting: i64 = waiting.map(|line| line.amount).sum();
        let begins_trial = self.now < self.trial_end;
        let seats = if begins_trial { 0 } else { SEAT * self.seats };
        lines.push(price_line(seats));
        for item in &self.metered {
            if item.since < self.now {
                lines.extend(self.usage(item).into_iter().map(price_line));
            } else if !self.is_flexible() {
                // In classic billing, an item that is new has a line of 0.
                lines.push(price_line(0));
            }
        }
        let discount = self.invoice(&lines, waiting, seats);
        self.period = (self.now, self.end_of_period());
        self.debits = vec![Debit {
            amount: seats - discount,
            from: self.period.0,
            to: self.period.1,
        }];
    }

    fn end_of_period(&self) -> i64 {
        let anchor = chrono::DateTime::from_timestamp(self.anchor, 0).expect("a time");
        let months = (0..12).map(|n| (anchor + chrono::Months::new(n)).timestamp());
        let end = months.into_iter().find(|end| *end > self.now);
        end.expect("within a year")
    }

    /// Makes an invoice of these lines, if there are any. Returns the discount on an amount on it, before which there are
    /// other amounts that have a discount: it is in proportion, and fractions of a cent go to later lines.
    fn invoice(&mut self, lines: &[Line], before: i64, amount: i64) -> i64 {
        if lines.is_empty() {
            return 0;
        }
        let subtotal: i64 = lines.iter().map(|line| line.amount).sum();
        let discountable = lines.iter().filter(|line| !line.proration);
        let whole: i64 = discountable.map(|line| line.amount).sum();
        let discount = self.coupon.map_or(0, |coupon| coupon.off(whole));
        // An invoice with credits is not made negative by a discount.
        let discount = discount.min(subtotal).max(0);
        let mut amounts: Vec<i64> = lines.iter().map(|line| line.amount).collect();
        amounts.sort_unstable();
        self.invoices.push((self.now, amounts, subtotal - discount));
        let until = |seen: i64| {
            if whole == 0 {
                0
            } else {
                discount * seen / whole
            }
        };
        until(before + amount) - until(before)
    }

    /// The lines for what an item has counted in the running period until now. In a trial it is free.
    fn usage(&self, item: &Item) -> Vec<i64> {
        if self.in_trial() {
            return vec![0];
        }
        costs(item.price, self.counted(item))
    }

    fn counted(&self, item: &Item) -> i64 {
        let (meter, start) = (METERED[item.price].meter, self.period.0);
        let values: Vec<i64> = match self.mode {
            // Usage records are the item's, and stay with it when its price changes.
            Mode::Records => {
                let records = item.records.iter();
                let within = records.filter(|(at, _)| *at >= start);
                within.map(|(_, value)| *value).collect()
            }
            // Events are the customer's. An item counts them from when it was added or got its price.
            Mode::ClassicMeters | Mode::FlexibleMeters => {
                let events = self.events.iter();
                let within =
                    events.filter(|(of, at, _)| *of == meter && *at >= start.max(item.since));
                within.map(|(.., value)| *value).collect()
            }
        };
        let total = match METERS[meter].1 {
            Formula::Sum => values.iter().sum(),
            Formula::Last => values.last().copied().unwrap_or(0),
        };
        // Less than nothing is billed as nothing. That this goes for each part of a period is our choice.
        total.max(0)
    }

    pub(super) fn act(&mut self, act: Act) {
        if self.ended {
            return;
        }
        match act {
            Act::Report(which, value) => self.report(which, value),
            Act::Update(seats, change, behavior) => {
                let seats = seats.unwrap_or(self.seats);
                let kept = self.kept();
                let specs = changed(kept.clone(), change);
                if seats != self.seats || specs != kept {
                    self.change(seats, &specs, behavior);
                }
            }
            Act::SetCoupon(coupon) => self.coupon = coupon,
            Act::CancelAtPeriodEnd(cancels) => self.cancels_at_period_end = cancels,
            Act::Cancel {
                invoice_now,
                prorate,
            } => {
                if prorate && !self.in_trial() {
                    self.credit_seats();
                } else if !prorate && !invoice_now {
                    self.pending.retain(|line| !line.proration);
                }
                self.end(invoice_now);
            }
        }
    }

    /// The metered items as they are.
    fn kept(&self) -> Vec<Spec> {
        let items = self.metered.iter().enumerate();
        let kept = items.map(|(index, item)| Spec {
            was: Some(index),
            price: item.price,
        });
        kept.collect()
    }

    fn report(&mut self, which: usize, value: i64) {
        if self.mode != Mode::Records {
            self.events.push((which % METERS.len(), self.now, value));
        } else if !self.metered.is_empty() {
            let index = which % self.metered.len();
            self.metered[index].records.push((self.now, value.abs()));
        }
    }

    /// Ends the subscription. The last invoice has what waits and all usage.
    fn end(&mut self, has_invoice: bool) {
        self.ended = true;
        if has_invoice {
            let mut lines = std::mem::take(&mut self.pending);
            for item in &self.metered {
                lines.extend(self.usage(item).into_iter().map(price_line));
            }
            self.invoice(&lines, 0, 0);
        }
    }

    /// The next phase of the schedule begins. Items with the same prices stay.
    fn enter(&mut self, phase: &Phase) {
        let held = |price: usize| self.metered.iter().position(|item| item.price == price);
        let specs = phase.metered.iter().map(|price| Spec {
            was: held(*price),
            price: *price,
        });
        let specs: Vec<Spec> = specs.collect();
        if !self.is_flexible() {
            // The usage of items that the phase does not have is billed by itself.
            let items = self.metered.iter();
            let gone = items.filter(|item| !phase.metered.contains(&item.price));
            let lines: Vec<Line> = gone
                .flat_map(|item| self.usage(item))
                .map(price_line)
                .collect();
            self.invoice(&lines, 0, 0);
        }
        self.change(phase.seats, &specs, phase.behavior);
    }

    fn change(&mut self, seats: i64, specs: &[Spec], behavior: Behavior) {
        // At a period's end nothing is prorated, and all goes on the invoice of the renewal.
        let at_end = self.now == self.period.1;
        let prorates = behavior != Behavior::None;
        if self.is_flexible() && (prorates || at_end) {
            self.bill_ended_prices(specs);
        }
        if seats != self.seats && prorates && !at_end {
            if !self.in_trial() {
                self.credit_seats();
                self.charge_seats(seats);
            } else if self.is_flexible() {
                // A change in a trial has a line, which is free.
                self.pending.push(price_line(0));
            }
        }
        self.seats = seats;
        self.metered = specs.iter().map(|spec| self.after(*spec)).collect();
        if behavior == Behavior::AlwaysInvoice && !at_end {
            // In classic billing, a change in a trial has no invoice.
            if self.in_trial() && !self.is_flexible() {
                return;
            }
            let mut lines = std::mem::take(&mut self.pending);
            if !self.is_flexible() {
                let new = specs.iter().filter(|spec| spec.was.is_none());
                lines.extend(new.map(|_| price_line(0)));
            }
            self.invoice(&lines, 0, 0);
        }
    }

    /// The item as a change makes it.
    fn after(&self, spec: Spec) -> Item {
        let new = self.item(spec.price);
        let Some(was) = spec.was.map(|index| &self.metered[index]) else {
            return new;
        };
        let is_same = was.price == spec.price;
        Item {
            since: if is_same { was.since } else { new.since },
            records: was.records.clone(),
            ..new
        }
    }

    /// In flexible billing, usage until now becomes an invoice item when its price is no longer sold. What there is
    /// without usage is not found: nothing.
    fn bill_ended_prices(&mut self, specs: &[Spec]) {
        for (index, item) in self.metered.clone().iter().enumerate() {
            let is_it = |spec: &Spec| spec.was == Some(index) && spec.price == item.price;
            if !specs.iter().any(is_it) && self.counted(item) > 0 {
                let lines = self.usage(item);
                self.pending.extend(lines.into_iter().map(price_line));
            }
        }
    }

    /// The share of an amount for the rest of a span, in cents, rounded down.
    fn rest(&self, amount: i64, from: i64, to: i64) -> i64 {
        (amount * (to - self.now)).div_euclid(to - from)
    }

    /// What some seats cost now. How an amount off counts here in flexible billing is not found; for the only licensed
    /// item it is the same as in classic billing.
    fn net(&self, seats: i64) -> i64 {
        let cost = SEAT * seats;
        cost - self.coupon.map_or(0, |coupon| coupon.off(cost))
    }

    /// In classic billing, a credit is of the current quantity with the current discount; in flexible billing, of what
    /// was charged, and each charge is credited once.
    fn credit_seats(&mut self) {
        let (start, end) = self.period;
        let credits: Vec<i64> = if self.is_flexible() {
            let debits = std::mem::take(&mut self.debits).into_iter();
            debits
                .map(|debit| self.rest(-debit.amount, debit.from, debit.to))
                .collect()
        } else {
            vec![self.rest(-self.net(self.seats), start, end)]
        };
        self.pending.extend(credits.into_iter().map(|amount| Line {
            amount,
            proration: true,
        }));
    }

    fn charge_seats(&mut self, seats: i64) {
        let (start, end) = self.period;
        let amount = self.rest(self.net(seats), start, end);
        self.debits.push(Debit {
            amount,
            from: self.now,
            to: end,
        });
        self.pending.push(Line {
            amount,
            proration: true,
        });
    }

    /// The amounts that no invoice has taken.
    pub(super) fn pending(&self) -> Vec<i64> {
        let mut amounts: Vec<i64> = self.pending.iter().map(|line| line.amount).collect();
        amounts.sort_unstable();
        amounts
    }
}
